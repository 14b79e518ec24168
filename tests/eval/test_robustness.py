"""Texts changed in harmless ways: what is made of them, and what counts as moved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from eval.run.robustness import (
    CLAUSES,
    ClausesError,
    Variant,
    measure,
    read_clauses,
    robustness_command,
    variants,
)

OWN = "place\ttext\nbefore\tBei uns: \nafter\t, und so weiter\nlist\tGicht\n"


@pytest.mark.parametrize("path", sorted(CLAUSES.glob("*.tsv")), ids=lambda path: path.stem)
def test_the_clauses_of_the_package_can_be_read(path: Path) -> None:
    assert sum(map(len, read_clauses(path).values())) >= 60


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text\nbefore\n", "row 1"), (OWN + "behind\tx\n", "row 5"), (OWN + "list\t \n", "row 5"),
        ("place\ttext\nbefore\tx\n", "no clause for after, list"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ClausesError, match=said):
        read_clauses(file)


def test_every_kind_is_made_and_blanks_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "own.tsv"
    file.write_text(OWN, encoding="utf-8")
    made = {
        one.kind: one.text for one in variants(["Mamma-Ca links, seit langem bekannt"], read_clauses(file), 1)
    }
    assert made["clause before"] == "Bei uns: Mamma-Ca links, seit langem bekannt"
    assert made["clause behind"].endswith("bekannt, und so weiter")
    assert made["in a numbered list"] == "1. Gicht\n2. Mamma-Ca links, seit langem bekannt"
    assert made["narrow lines"] == "Mamma-Ca links, seit langem\nbekannt"
    assert made["capitals"].isupper() and made["small letters"].islower()


class _Agent:
    """Codes what holds `Ca` as C50.9, and nothing where it is told twice."""

    def code_many(self, texts: Any) -> Any:
        for text in texts:
            yield SimpleNamespace(
                tumour="Ca" in text, icd10gm=SimpleNamespace(code=None if "Ca Ca" in text else "C50.9")
            )


def test_what_moves_is_counted_against_texts_that_have_a_code() -> None:
    made = [Variant("a", 0, "x Ca", ""), Variant("a", 0, "Ca Ca", ""), Variant("b", 1, "anything", "")]
    moved, asked = measure(_Agent(), ["Ca", "none"], made)  # type: ignore[arg-type]
    assert [(one.variant.text, one.before, one.after) for one in moved] == [("Ca Ca", "C50.9", None)]
    assert asked == {"a": 2}


def test_an_unknown_set_is_named() -> None:
    result = CliRunner().invoke(robustness_command, ["--testset", "nowhere"])
    assert result.exit_code != 0 and "nowhere: is no file and none of" in str(result.exception)
