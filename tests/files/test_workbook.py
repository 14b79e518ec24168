"""Excel files that are broken or hostile: one line that names the part and the remedy, little memory, no hang."""

from __future__ import annotations

import datetime as dt
import random
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from agent.apps.files import workbook_parts
from agent.apps.files.formats import open_table
from agent.apps.files.table import Chunk, Row, TableFileError, TableOptions
from agent.apps.files.workbook import WorkbookTable
from agent.apps.files.workbook_writer import write_workbook
from tests.files import tables

MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
TEXT = "Mammakarzinom der Patientin Müller"
PARTS = ("[Content_Types].xml", "_rels/.rels", "docProps/core.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels",
         STRINGS, "xl/styles.xml", "xl/theme/theme1.xml", SHEET)  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a workbook as Excel writes them: openpyxl itself puts texts into the cells."""
    path = tmp_path_factory.mktemp("xlsx") / "in.xlsx"
    book = Workbook()
    for row in [(0, 1), (1, 2), (2, 3)]:
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for number, place in enumerate((b"A1", b"B1", b"B2", b"B3")):
        cell = rb'<c r="%s" t="n"><v>\d</v></c>' % place
        parts[SHEET], found = re.subn(cell, b'<c r="%s" t="s"><v>%d</v></c>' % (place, number), parts[SHEET])
        assert found == 1
    parts[STRINGS] = strings(b"<si><t>%s</t></si><si><t>Nephrolithiasis</t></si>" % TEXT.encode())
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(
        b"</Types>", b'<Override PartName="/%s" ContentType="%s"/></Types>' % (STRINGS.encode(), kind)
    )
    return parts


def written(path: Path, parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def sheet(inside: bytes) -> bytes:
    head = b'<row r="1"><c r="A1" t="inlineStr"><is><t>Diagnosetext</t></is></c></row>'
    return b'<worksheet xmlns="%s"><sheetData>%s%s</sheetData></worksheet>' % (MAIN, head, inside)


def strings(inside: bytes) -> bytes:
    return b'<sst xmlns="%s"><si><t>Nr</t></si><si><t>Diagnosetext</t></si>%s</sst>' % (MAIN, inside)


def read(path: Path) -> list[tuple[object, ...]]:
    return [row.values for chunk in WorkbookTable(path, TableOptions()).chunks() for row in chunk.rows]


def refused(path: Path) -> str:
    with pytest.raises(TableFileError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and TEXT not in message
    return message


def test_an_ordinary_file_is_read(parts: dict[str, bytes], tmp_path: Path) -> None:
    assert set(PARTS) <= parts.keys()
    assert read(written(tmp_path / "in.xlsx", parts)) == [(1, TEXT), (2, "Nephrolithiasis")]


def test_the_ending_does_not_matter(parts: dict[str, bytes], tmp_path: Path) -> None:
    assert open_table(written(tmp_path / "export.dat", parts)).rows == 2


# -- what would fill the memory ----------------------------------------------------------------------------

LONG = b"A" * (3 << 20)
HUGE: dict[str, tuple[str, bytes, str]] = {
    "a cell": (SHEET, sheet(b'<row r="2"><c r="A2" t="inlineStr"><is><t>%s</t></is></c></row>' % LONG), "Zelle A2"),
    "a value": (SHEET, sheet(b'<row r="2"><c r="A2" t="str"><v>%s</v></c></row>' % LONG), "Zelle A2"),
    "a cell without a name": (SHEET, sheet(b"<row><c><v>%s</v></c></row>" % LONG), "Zeile 2"),
    "an attribute": (SHEET, sheet(b'<row r="2"><c r="A2" x="%s"/></row>' % LONG), SHEET),
    "a comment": (SHEET, sheet(b"<!--%s-->" % LONG), SHEET),
    "a shared text": (STRINGS, strings(b"<si><t>%s</t></si>" % LONG), f"{STRINGS}, Text 3"),
    "a shared text in CDATA": (STRINGS, strings(b"<si><t><![CDATA[%s]]></t></si>" % LONG), f"{STRINGS}, Text 3"),
    "cells of a row": (SHEET, sheet(b'<row r="2">%s</row>' % (b"<c/>" * 200_000)), "Zeile 2 hat mehr als 196.608"),
    "pieces of a shared text": (STRINGS, strings(b"<si>%s</si>" % (b"<r/>" * 20_000)), "Text 3 hat mehr als 10.000"),
    "elements before the rows": (SHEET, b"<worksheet>%s</worksheet>" % (b"<x/>" * 600_000), "hat mehr als 500.000"),
    "styles": ("xl/styles.xml", b"<styleSheet>%s</styleSheet>" % (b"<xf/>" * 600_000), "xl/styles.xml hat mehr"),
    "a relation": ("xl/_rels/workbook.xml.rels", b"<R>%s</R>" % (b" " * (17 << 20)), "größer als die erlaubten"),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_what_would_fill_the_memory_is_named(name: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    part, data, expected = HUGE[name]
    message = refused(written(tmp_path / "in.xlsx", parts | {part: data}))
    assert expected in message and "als CSV speichern" in message


SMALL_LIMITS: dict[str, tuple[str, object, dict[str, bytes], str]] = {
    "bytes of a row": ("_MAX_UNIT", 1 << 20, {SHEET: sheet(b'<row r="2">%s</row>' % (b'<c x="%s"/>' % (b"A" * 30_000) * 150))}, "Zeile 2 ist größer"),
    "shared texts": ("_MAX_STRINGS", 50, {STRINGS: strings(b"<si><t>x</t></si>" * 60)}, "mehr als 50 Texte"),
    "bytes of all shared texts": ("_MAX_BYTES", {"strings": 100, "other": 1 << 20, "sheet": 1 << 20}, {STRINGS: strings(b"<si/>" * 60)}, "größer als die erlaubten 100"),
    "bytes of a sheet": ("_MAX_BYTES", {"strings": 1 << 20, "other": 1 << 20, "sheet": 100}, {}, "größer als die erlaubten 100"),
    "parts": ("_MAX_PARTS", 20, {f"x/{n}": b"" for n in range(20)}, "mehr als 20 Teile"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL_LIMITS)
def test_limits(name: str, parts: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, value, replaced, expected = SMALL_LIMITS[name]
    monkeypatch.setattr(workbook_parts, limit, value)
    assert expected in refused(written(tmp_path / "in.xlsx", parts | replaced))


@pytest.mark.slow
def test_one_cell_of_a_gigabyte_in_a_megabyte(parts: dict[str, bytes], tmp_path: Path) -> None:
    """It took 5.1 GB before."""
    path = tmp_path / "in.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            if name != SHEET:
                archive.writestr(name, data)
        before, after = sheet(b'<row r="2"><c r="A2" t="inlineStr"><is><t>@</t></is></c></row>').split(b"@")
        with archive.open(SHEET, "w", force_zip64=True) as stream:
            stream.write(before)
            for _ in range(1200):
                stream.write(b"A" * (1 << 20))
            stream.write(after)
    script = (
        "import resource, sys; from pathlib import Path; from agent.apps.files.formats import *\n"
        "try: open_table(Path(sys.argv[1]))\n"
        "except TableFileError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    message, megabytes = done.stdout.splitlines()
    assert path.stat().st_size < 1.3e6 and "Zelle A2" in message and int(megabytes) < 1000


# -- what is meant for other parsers -------------------------------------------------------------------------

BOMB = b'<!DOCTYPE x [<!ENTITY a "%s"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' % (b"A" * 1000)
LEAK = b'<!DOCTYPE x [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]>'


@pytest.mark.parametrize("part", PARTS[:1] + PARTS[2:])
@pytest.mark.parametrize("doctype", [BOMB, LEAK, b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'])
def test_no_part_may_declare_anything(
    part: str, doctype: bytes, parts: dict[str, bytes], tmp_path: Path
) -> None:
    declaration, body = b'<?xml version="1.0"?>', re.sub(rb"^<\?xml.*?\?>", b"", parts[part])
    message = refused(written(tmp_path / "in.xlsx", parts | {part: declaration + doctype + body}))
    assert f"{part} enthält einen DOCTYPE" in message
    as_utf16 = ('<?xml version="1.0" encoding="utf-16"?>' + (doctype + body).decode()).encode("utf-16")
    assert "DOCTYPE" in refused(written(tmp_path / "utf16.xlsx", parts | {part: as_utf16}))


def test_a_part_is_held_to_what_it_is_used_for(parts: dict[str, bytes], tmp_path: Path) -> None:
    """A sheet that is named as the list of shared texts would be held whole."""
    types = parts["[Content_Types].xml"].replace(b"/xl/sharedStrings.xml", b"/xl/worksheets/sheet1.xml")
    assert SHEET in refused(written(tmp_path / "in.xlsx", parts | {"[Content_Types].xml": types}))


# -- what is broken --------------------------------------------------------------------------------------------

BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(range(256)) * 4,
    "no XML": lambda data: TEXT.encode(),
    "an unknown encoding": lambda data: b'<?xml version="1.0" encoding="rot13"?><x/>',
}


@pytest.mark.parametrize("part", PARTS[:1] + PARTS[2:])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_part_is_named(name: str, part: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    message = refused(written(tmp_path / "in.xlsx", parts | {part: BROKEN[name](parts[part])}))
    assert part in message and "neu speichern" in message


CELL = b'<row r="2"><c r="A2" %s</c></row>'
ODD: dict[str, bytes] = {
    "a shared text that is not there": CELL % b't="s"><v>99</v>',
    "a number that is none": CELL % b'><v>abc</v>',
    "a style that is none": CELL % b's="x"><v>1</v>',
    "a truth that is none": CELL % b't="b"><v>x</v>',
    "a date that is none": CELL % b't="d"><v>morgen</v>',
    "a place that is none": b'<row r="2"><c r="!!"><v>1</v></c></row>',
    "a column beyond all": b'<row r="2"><c r="ZZZZ2"><v>1</v></c></row>',
    "a row without a number": b'<row r="zwei"><c><v>1</v></c></row>',
    "a row beyond all": b'<row r="2000000"><c><v>1</v></c></row>',
    "a row that comes twice": b'<row r="2"><c><v>1</v></c></row><row r="2"><c><v>2</v></c></row>',
    "rows in no order": b'<row r="3"><c><v>1</v></c></row><row r="2"><c><v>2</v></c></row>',
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_sheet_that_cannot_be_so(name: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    assert "speichern" in refused(written(tmp_path / "in.xlsx", parts | {SHEET: sheet(ODD[name])}))


@pytest.mark.parametrize("part", PARTS[:1] + PARTS[3:5] + PARTS[-1:])
def test_a_missing_part(part: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    kept = {name: data for name, data in parts.items() if name != part}
    assert "speichern" in refused(written(tmp_path / "in.xlsx", kept))


def test_a_book_without_a_sheet(parts: dict[str, bytes], tmp_path: Path) -> None:
    book = re.sub(rb"<sheets>.*</sheets>", b"<sheets/>", parts["xl/workbook.xml"])
    assert "kein Tabellenblatt" in refused(written(tmp_path / "in.xlsx", parts | {"xl/workbook.xml": book}))


def test_a_blank_first_row(parts: dict[str, bytes], tmp_path: Path) -> None:
    blank = sheet(b"").replace(b'r="1"', b'r="3"').replace(b"A1", b"A3")
    table = WorkbookTable(written(tmp_path / "in.xlsx", parts | {SHEET: blank}), TableOptions())
    assert (table.columns, table.header_row, table.notes) == (("Diagnosetext",), 3, [])


def test_an_encrypted_part(parts: dict[str, bytes], tmp_path: Path) -> None:
    path = written(tmp_path / "in.xlsx", parts)
    data = bytearray(path.read_bytes())
    for place in (found.start() for found in re.finditer(b"PK\x01\x02", bytes(data))):
        data[place + 8] |= 1
    path.write_bytes(data)
    assert "verschlüsselt" in refused(path)


def test_a_claimed_size_is_not_filled_up(parts: dict[str, bytes], tmp_path: Path) -> None:
    """Ten minutes before: a million rows of 16,384 empty cells."""
    claimed = parts[SHEET].replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1:XFD1048576"')
    assert claimed != parts[SHEET]
    started = time.monotonic()
    assert len(read(written(tmp_path / "in.xlsx", parts | {SHEET: claimed}))) == 2
    assert time.monotonic() - started < 5


def test_damage_drawn_by_chance_ends_in_one_line(parts: dict[str, bytes], tmp_path: Path) -> None:
    """Bytes and whole tags changed, parts swapped: it is read, or refused; nothing else."""
    drawn = random.Random(20261130)
    path = tmp_path / "in.xlsx"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        changed = dict(parts)
        name = drawn.choice(PARTS)
        data = bytearray(changed[name])
        kind = drawn.randrange(4)
        if kind == 0:
            for _ in range(drawn.randrange(1, 4)):
                data[drawn.randrange(len(data))] = drawn.randrange(256)
        elif kind == 1:
            tags = list(re.finditer(rb"<[^?][^>]*>", bytes(data)))
            tag = drawn.choice(tags)
            del data[tag.start() : tag.end()]
        elif kind == 2:
            values = list(re.finditer(rb'="([^"]*)"', bytes(data)))
            if values:
                value = drawn.choice(values)
                data[value.start(1) : value.end(1)] = drawn.choice(
                    [b"", b"-1", b"99999999999", b"x", b"&lt;"]
                )
        else:
            data = bytearray(parts[drawn.choice(PARTS)])
        changed[name] = bytes(data)
        written(path, changed)
        if drawn.random() < 0.1:
            raw = bytearray(path.read_bytes())
            raw[drawn.randrange(4, len(raw))] ^= 1 << drawn.randrange(8)
            path.write_bytes(raw)
        try:
            for chunk in open_table(path).chunks():
                assert chunk.rows
            outcomes["read"] += 1
        except TableFileError as error:
            assert str(error).startswith(f"{path}: ") and TEXT not in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes


# -- what goes out -----------------------------------------------------------------------------------------------


def test_a_text_longer_than_a_cell_says_that_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    with write_workbook(path, ["Diagnosetext"], ["neu"]) as writer:
        writer.write(Chunk(0, (Row(2, ("A" * 40_000,)), Row(3, ("B" * 32_767,)))), [["x"], ["y"]])
    values = [row[0] for row in load_workbook(path).active.iter_rows(min_row=2, values_only=True)]
    assert len(values[0]) == 32_767 and values[0].endswith("gekürzt: mehr fasst eine Excel-Zelle nicht]")
    assert values[1] == "B" * 32_767


def test_all_of_a_file_comes_back(tmp_path: Path) -> None:
    table = open_table(tables.write_xlsx(tmp_path / "in.xlsx"))
    assert table.columns == tables.COLUMNS and table.rows == len(tables.TEXTS)


def test_what_openpyxl_passes_over_is_said_in_the_row(tmp_path: Path) -> None:
    path = tmp_path / "in.xlsx"
    book = Workbook()
    rows = [("Nr", "Datum", "Diagnose"), (1, dt.date(2020, 1, 1), "A"), (2, dt.date(2020, 1, 2), "B"),
            (3, dt.date(2020, 1, 3), "C"), (4, None, '="D"'), (None, None, None), ("=1+1", None, None)]  # fmt: skip
    for row in rows:
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for place, value in ((b"B3", b"1e400"), (b"B4", b"99999999")):
        pattern = rb'(<c r="%s"[^>]*?)(?: t="\w+")?><v>[^<]*</v>' % place
        parts[SHEET], found = re.subn(pattern, rb"\1><v>%s</v>" % value, parts[SHEET])
        assert found == 1
    empty = b'<c r="C7" t="str"><f>""</f><v></v></c>'  # a result, but an empty one
    parts[SHEET] = re.sub(
        rb'(<row r="8".*?</row>)?</sheetData>',
        b'<row r="8">%s</row></sheetData>' % empty.replace(b"C7", b"C8"),
        parts[SHEET],
    )
    (chunk,) = open_table(written(path, parts)).chunks()
    problems = {row.number: row.problem for row in chunk.rows}
    again = "Formel ohne Ergebnis, bitte in Excel öffnen und neu speichern"
    assert problems == {
        2: None, 3: "Spalte 2: kein mögliches Datum", 4: "Spalte 2: kein mögliches Datum",
        5: f"Spalte 3: {again}", 6: "leere Zeile", 7: f"Spalte 1: {again}",
    }  # fmt: skip
    assert chunk.rows[1].values == (2, "#VALUE!", "B")
