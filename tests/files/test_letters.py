"""Which letters the bytes of a line are, where nobody names an encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.apps.files.formats import open_table
from agent.apps.files.table import TableFileError, TableOptions

# Each ends in bytes that are also one letter of UTF-8.
BY_CHANCE = [
    "Melanom Fuß\xa0links", "„Fuß“ links", "Melanom am Fuß…", "Fuß–links", "MAMMA Ü\xa0G2", "TUMOR Ö…",
    "Ø\xa03 cm", "3×\xa04 cm", "„Trachä“\xa0G2", "Herd am Fuß\xa0und „Fuß“",
]  # fmt: skip
UTF_8 = [
    "Schädel",
    "Kılıç",
    "Šimić",
    "Żółć",
    "β-Rezeptor ≥ 3 µm",
    "Иван",
    "5 €",
    "a\u0308",
    "王小明",
    "Fuß\xa0links",
]


def _texts(
    path: Path, lines: list[bytes], encoding: str | None = None
) -> tuple[object, list[tuple[str, str | None]]]:
    path.write_bytes(b"\n".join([b"Fall;Diagnosetext", *(b"%d;" % n + x for n, x in enumerate(lines)), b""]))
    table = open_table(path, TableOptions(encoding))
    rows = [row for chunk in table.chunks() for row in chunk.rows]
    return table.facts()["encoding"], [(row.values[1], row.problem) for row in rows]


@pytest.mark.parametrize("text", BY_CHANCE)
def test_letters_of_cp1252_do_not_pass_for_one_of_utf8(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    for others in ([], ["Schädel"]):
        encoding, rows = _texts(path, [x.encode("cp1252") for x in (text, *others)])
        assert (encoding, rows) == ("cp1252", [(x, None) for x in (text, *others)])
    encoding, rows = _texts(path, [text.encode("cp1252"), *(x.encode() for x in UTF_8)])
    assert encoding == "utf-8" and rows[0] == (text, "Zeile ist nicht UTF-8, als cp1252 gelesen")


@pytest.mark.parametrize("text", UTF_8)
def test_letters_of_utf8_stay(tmp_path: Path, text: str) -> None:
    assert _texts(tmp_path / "a.csv", [text.encode()]) == ("utf-8", [(text, None)])


def test_a_file_of_cp1252_goes_out_as_the_bytes_that_it_was(tmp_path: Path) -> None:
    texts = [*BY_CHANCE, "Ä…", "5 Å\xa0", "Schädel", "größer", "üblich"]
    lines = [x.encode("cp1252") for x in texts]
    encoding, rows = _texts(tmp_path / "a.csv", lines)
    assert encoding == "cp1252" and [x.encode("cp1252") for x, _ in rows] == lines


def test_a_damaged_line_is_utf8_where_most_letters_are(tmp_path: Path) -> None:
    more, draw = "größer".encode() + b"\xc3", "Ä…".encode("cp1252") + "ä".encode("cp1252")
    _, rows = _texts(tmp_path / "a.csv", [more, draw, *(x.encode() for x in UTF_8)])
    assert rows[0] == ("größer\ufffd", "nicht lesbare Zeichen ersetzt")
    assert rows[1] == ("Ä…ä", "Zeile ist nicht UTF-8, als cp1252 gelesen")


def test_who_names_utf8_is_believed(tmp_path: Path) -> None:
    assert _texts(tmp_path / "a.csv", ["נועה".encode()], "utf-8") == ("utf-8", [("נועה", None)])


def test_a_file_that_is_not_in_the_encoding_named_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("Fall;Diagnose\n1;Magen-Ca\n", "utf-8")
    with pytest.raises(TableFileError, match="utf-16"):
        open_table(path, TableOptions(encoding="utf-16"))
