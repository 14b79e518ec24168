"""The vocabulary's tables: each row's example is its test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.prepare import measured, prepare
from agent.prepare.rules import Rule, fired, pattern, rules, table
from agent.prepare.rules.notation import NotationError
from index.catalogue.overrides import TableError, table_rows

ROWS = list(dict.fromkeys(rule for rows in rules().values() for rule in rows))


def whole_words(text: str, start: int, end: int) -> str:
    """A stretch with the rest of the words that it begins and ends in."""
    while start and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return text[start:end].strip()


def found(label: str, text: str) -> str:
    return " + ".join(whole_words(text, *match.span()) for match in pattern(label).finditer(text))


@pytest.mark.parametrize("rule", ROWS, ids=lambda rule: f"{rule.labels[0]}: {rule.pattern}")
def test_example(rule: Rule) -> None:
    assert {label: found(label, rule.example) for label in rule.labels} == dict.fromkeys(
        rule.labels, rule.expected
    )
    assert table._alone(rule).search(rule.example) is not None, (
        f"{rule.where}: the row does not speak in its example"
    )


@pytest.mark.parametrize(
    ("written", "unless", "hits", "misses"),
    [
        ("*tumor*", "_(-|)board*; wilms_", ["Lungentumor", "Tumoren"], ["Tumorboard", "Tumor-Board", "Wilmstumor"]),
        ("Z.~n(.|)", "", ["Z.n.", "z. n", "Z. n."], ["Z.nach", "aZ.n."]),
        ("????*om(e|)", "syndr_", ["Sarkom", "Sarkome"], ["Syndrom", "Atom", "Sarkomen"]),
        ("Exon~#", "", ["Exon 19", "exon19"], ["Exon", "Exon x"]),
        ("Rezidiv ...Tumor", "", ["Rezidiv Tumor", "Rezidiv eines alten Tumor"], ["Rezidiv von a b c d Tumor"]),
        ("nach", "_ oben", ["nach"], ["nach oben", "danach"]),
    ],
)  # fmt: skip
def test_what_a_pattern_finds(
    written: str, unless: str, hits: list[str], misses: list[str], tmp_path: Path
) -> None:
    _table(tmp_path, f"label\t{written}\t\t{unless}\tx\tx\t")
    own = table._alone(table.rules(tmp_path)["label"][0])
    assert [own.search(text) is not None for text in hits + misses] == [True] * len(hits) + [False] * len(
        misses
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("label\t*\t\t\tx\tx\t", "needs letters"),
        ("label\tTumor\t\tboard\tx\tx\t", "`_` stands for the row's words"),
        ("label\tTumor (a\t\t\tx\tx\t", "row 2"),
        ("label\tTumor\tbig\t\tx\tx\t", "case is `cased` or empty"),
        ("label\tTumor\t\t\t\tx\t", "needs label, pattern and example"),
        ("label\t{nothing}x\t\t\tx\tx\t", "no rows have the label nothing"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: str, said: str, tmp_path: Path) -> None:
    _table(tmp_path, row)
    with pytest.raises((TableError, NotationError), match=re.escape(said)):
        table.compiled_rule(table.rules(tmp_path)["label"][0])


def test_an_answer_can_name_its_rows() -> None:
    spoken = {(one.label, one.rule.pattern) for one in fired("V.a. Mamma-Ca li., Z.n. Ablatio")}
    assert {("left", "li."), ("former", "Z.~n(.|)"), ("suspected", "V.~a(.|)")} <= spoken


def _table(folder: Path, row: str) -> None:
    (folder / "own.tsv").write_text("\t".join(table.COLUMNS) + f"\n{row}\n", encoding="utf-8")


MEASURED = [row for _, row in table_rows(measured.TABLE, measured.COLUMNS)]


@pytest.mark.parametrize("row", MEASURED, ids=[row["example"] for row in MEASURED])
def test_each_measure_is_read_as_its_place(row: dict[str, str]) -> None:
    assert prepare(row["example"]).diagnoses[0].core == row["expected"]


@pytest.mark.parametrize(
    "text, core",
    [
        ("NSCLC Oberlappen rechts S6", "nicht-kleinzelliges Bronchialkarzinom Oberlappen S6"),
        ("Bronchialkarzinom Segment 4", "Bronchialkarzinom Segment 4"),
        ("HCC Segment 6", "hepatozelluläres Karzinom Segment 6"),
        ("Rektumkarzinom 17 cm ab ano", "Rektumkarzinom"),
        ("distales Ösophaguskarzinom 28 cm ab ZR", "distales Ösophaguskarzinom ab ZR"),
    ],
)
def test_words_for_the_place_go_before_a_measure(text: str, core: str) -> None:
    assert prepare(text).diagnoses[0].core == core
