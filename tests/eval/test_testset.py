"""Reading test sets: both layouts, what a note means, and errors that name file and row."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.testset import IN_ALPHA_ID, Row, TestSetError, noted, read_testset
from index.records import CodeSystem

SHARED_HEADER = "text\ticd10\ticdo_topography\ticdo_morphology\tsource_id\tnote"
OWN_HEADER = "text\ticd10\ticdo_topography\ticdo_morphology\tnote"


def _read(folder: Path, *lines: str) -> tuple[Row, ...]:
    path = folder / "set.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_testset(path)


def test_shared_layout(tmp_path: Path) -> None:
    row, other = _read(
        tmp_path,
        SHARED_HEADER,
        "Harnblasenkarzinom\tC67.9\tC67.9\t8120/3\tletter:1\ttumour;real",
        "Gonarthrose\tM17.9\t\t\tletter:2\tnon_tumour;in_alpha_id_2023(other_code:M17.1)",
    )
    assert (row.text, row.source_id, row.file, row.number) == ("Harnblasenkarzinom", "letter:1", "set.tsv", 2)
    assert [row.gold(system) for system in CodeSystem] == ["C67.9", "C67.9", "8120/3", None]
    assert row.tumour and row.tumour_stated and row.exact_counts and not noted(row.note, IN_ALPHA_ID)
    assert not other.tumour and other.tumour_stated and noted(other.note, IN_ALPHA_ID)
    assert other.gold(CodeSystem.TOPOGRAPHY) is None


def test_own_layout_with_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "clinical.tsv"
    path.write_bytes(f"\ufeff{OWN_HEADER}\r\nMaF\tC50.9\t\t\t\r\n\r\n".encode())
    (row,) = read_testset(path)
    assert (row.icd10, row.source_id, row.note) == ("C50.9", "", ())


def test_a_row_without_a_tumour_note_is_a_tumour_row_that_does_not_say_so(tmp_path: Path) -> None:
    (row,) = _read(tmp_path, SHARED_HEADER, "Melanom\tC43.4\t\t\tm\tfield=Diagnosetext")
    assert row.tumour
    assert not row.tumour_stated


def test_remarks_in_brackets_keep_their_semicolons(tmp_path: Path) -> None:
    (row,) = _read(
        tmp_path, OWN_HEADER, "Melanom\tC43.4\t\t\ttumour;doubtful_gold(text; topography);field=a(b; c)"
    )
    assert row.note == ("tumour", "doubtful_gold(text; topography)", "field=a(b; c)")
    assert noted(row.note, "doubtful") and not row.exact_counts


def test_subsite_and_series(tmp_path: Path) -> None:
    first, second, third = _read(
        tmp_path,
        OWN_HEADER,
        "a\tC50.4\t\t\ttumour;subsite_not_derivable_from_text",
        "b\tC20\t\t\ttumour;near_duplicate_series_X",
        "c\tC20\t\t\ttumour;near_duplicate_series_X",
    )
    assert noted(first.note, "subsite_not_derivable") and not first.exact_counts
    assert second.cluster == third.cluster != first.cluster


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nur ein Feld", "has 1 fields instead of 5"),
        (" \tC50.9\t\t\ttumour", "has no text"),
        ("a\tC50,9\t\t\ttumour", "'C50,9' is no code of icd10gm"),
        ("a\t\tC50.91\t\ttumour", "no code of icdo_topography"),
        ("a\t\t\t8500:3\ttumour", "no code of icdo_morphology"),
        ("a\t\t\t\ttumour;non_tumour", "both tumour and non_tumour"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(TestSetError, match=r"set\.tsv, row 3: ") as error:
        _read(tmp_path, OWN_HEADER, "a\tC50.9\t\t\ttumour", line)
    assert says in str(error.value)


def test_files_that_are_no_test_set(tmp_path: Path) -> None:
    with pytest.raises(TestSetError, match="row 1: is not the header"):
        _read(tmp_path, "text;icd10", "a;b")
    with pytest.raises(TestSetError, match="holds no row"):
        _read(tmp_path, OWN_HEADER)
    with pytest.raises(TestSetError, match="cannot be read"):
        read_testset(tmp_path / "missing.tsv")
    latin = tmp_path / "latin.tsv"
    latin.write_bytes(OWN_HEADER.encode() + "\nKarzinom der Zähne\t\t\t\t\n".encode("latin-1"))
    with pytest.raises(TestSetError, match=r"latin\.tsv, row 2: is not UTF-8"):
        read_testset(latin)
