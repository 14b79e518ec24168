"""Tables with titles, hints, merged headers, several sheets: read rightly and told, or asked about. No row is shifted."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from openpyxl import Workbook

from agent.apps.cli import cli
from agent.apps.files.formats import open_table
from agent.apps.files.table import Table, TableFileError, TableOptions

HEADER = "Fall;Diagnosetext;Datum"
ROWS = "1;Mamma-Ca, links;01.02.2024\n2;Prostata-Ca;03.04.2024\n3;Nephrolithiasis;05.06.2024"
# What stands in the file, the row of its header as a person counts, and what has to be said about it.
READ = {
    "plain": (f"{HEADER}\n{ROWS}\n", 1, ()),
    "title": (f"Tumorliste\n{HEADER}\n{ROWS}\n", 2, ("Zeile 1 steht über der Kopfzeile",)),
    "title and date": (f"Tumorliste Haus A\nStand: 01.03.2024\n{HEADER}\n{ROWS}\n", 3, ("Zeilen 1 bis 2",)),
    "title and blank line": (f"Export\n\n{HEADER}\n{ROWS}\n", 3, ("Zeilen 1 bis 2",)),
    "title with empty cells": (f"Tumorliste;;\n{HEADER}\n{ROWS}\n", 2, ("Zeile 1 steht",)),
    "title with a comma": (f"Liste, Stand März\n{HEADER}\n{ROWS}\n", 2, ("Zeile 1 steht",)),
    "title of two cells": (f"Tumorliste;Haus A\n{HEADER}\n{ROWS}\n", 2, ("Zeile 1 steht",)),
    "title as wide as the table": (
        f"Tumorregister;Export;01.03.2024\n{HEADER}\n{ROWS}\n",
        2,
        ("Zeile 1 steht",),
    ),
    "blank lines first": (f"\n\n{HEADER}\n{ROWS}\n", 3, ()),
    "sep": (f"sep=;\n{HEADER}\n{ROWS}\n", 2, ()),
    "quoted sep": (f'"sep=;"\n{HEADER}\n{ROWS}\n', 2, ()),
    "sep and title": (f"sep=;\nTumorliste\n{HEADER}\n{ROWS}\n", 3, ("über der Kopfzeile",)),
    "sep of a comma": (f"sep=,\n{HEADER}\n{ROWS}\n".replace(", links", " links").replace(";", ","), 2, ()),
    "tabs": (f"{HEADER}\n{ROWS}\n".replace(";", "\t"), 1, ()),
    "title over tabs": (f"Tumorliste\n{HEADER}\n{ROWS}\n".replace(";", "\t"), 2, ("Zeile 1 steht",)),
    "short rows": (f"{HEADER}\n1;Mamma-Ca, links;01.02.2024\n2;Prostata-Ca\n3;Nephrolithiasis\n", 1, ()),
    "old Mac line ends": (f"{HEADER}\n{ROWS}\n".replace("\n", "\r"), 1, ()),
    "last line without an end": (f"{HEADER}\n{ROWS}", 1, ()),
    "a blank row in between": (f"{HEADER}\n{ROWS}\n\n4;Ca;\n", 1, ()),
    "line break in a cell": (f'{HEADER}\n1;"Mamma-Ca,\nlinks";01.02.2024\n{ROWS}\n', 1, ()),
}
ASKED = {
    "open quotation mark": (f'{HEADER}\n1;"Mamma-Ca;2024\n2;Prostata-Ca;2024\n', "Anführungszeichen"),
    "open quotation mark before another": (f'{HEADER}\n1;"Mamma-Ca;2024\n2;"Prostata-Ca";2024\n', "Anführungszeichen"),
    "merged header": ("Patient;;Diagnose;\nNr;Name;Text;Datum\n1;M.;Mamma-Ca;2024\n2;E.;Prostata-Ca;2024\n", "beiden Zeilen"),
    "narrow rows before data": ("Meier\n1;Mamma-Ca;x\n2;Prostata-Ca;y\n", "--header-row"),
}  # fmt: skip


def table(folder: Path, text: str, encoding: str = "utf-8", **options: object) -> Table:
    path = folder / "diagnosen.csv"
    path.write_bytes(text.encode(encoding))
    return open_table(path, TableOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", READ)
def test_a_table_is_read_from_its_header_on(tmp_path: Path, name: str, encoding: str) -> None:
    text, header, said = READ[name]
    found = table(tmp_path, text, encoding)
    assert found.columns == ("Fall", "Diagnosetext", "Datum")
    assert found.header_row == header
    assert len(found.notes) == len(said) and all(s in note for s, note in zip(said, found.notes, strict=True))
    rows = list(found.read_rows())
    cases = [row for row in rows if str(row.values[0]).strip()]
    assert [row.values[0] for row in cases][-3:] in (["1", "2", "3"], ["2", "3", "4"])
    assert not any(row.surplus for row in rows), "no row is shifted"
    body = text.replace("\r", "\n").splitlines()
    assert all(body[row.number - 1].startswith(str(row.values[0])) for row in cases), (
        "counted as in an editor"
    )


@pytest.mark.parametrize("name", ASKED)
def test_where_columns_may_move_it_is_asked(tmp_path: Path, name: str) -> None:
    text, said = ASKED[name]
    with pytest.raises(TableFileError, match=said):
        table(tmp_path, text)


def test_the_header_row_can_be_named(tmp_path: Path) -> None:
    text, _ = ASKED["merged header"]
    found = table(tmp_path, text, header_row=2)
    assert found.columns == ("Nr", "Name", "Text", "Datum")
    assert [row.values[2] for row in found.read_rows()] == ["Mamma-Ca", "Prostata-Ca"]
    with pytest.raises(TableFileError, match="Zeile 40 ist leer oder nicht unter den ersten"):
        table(tmp_path, text, header_row=40)


def test_a_list_of_texts_with_commas_is_one_column(tmp_path: Path) -> None:
    found = table(tmp_path, "Diagnose\nMamma-Ca, links\nProstata-Ca, G2\nAML, M3\n")
    assert (found.columns, found.rows) == (("Diagnose",), 3)


def test_a_list_of_texts_under_a_title_is_one_column(tmp_path: Path) -> None:
    text = "Tumorliste\n\nDiagnose\nMamma-Ca links, G2\nProstata-Ca, Gleason 7\nAML, M3\n"
    found = table(tmp_path, text, header_row=3)
    assert (found.columns, found.rows) == (("Diagnose",), 3)


def book(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    made = Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


CASES: list[list[object]] = [["Fall", "Diagnose", "Datum"], [1, "Mamma-Ca", "2024"], [2, "AML", "2024"]]


@pytest.mark.parametrize(
    ("sheets", "taken", "header", "notes"),
    [
        ({"Fälle": CASES}, "Fälle", 1, 0),
        ({"Deckblatt": [], "Fälle": CASES}, "Fälle", 1, 0),
        ({"Fälle": CASES, "Legende": [["Kürzel", "Bedeutung"]]}, "Fälle", 1, 1),
        ({"Fälle": [["Tumorliste Haus A"], ["Stand 1.3.2024"], *CASES]}, "Fälle", 3, 1),
        ({"Fälle": [["Tumorliste", None, None], [], *CASES]}, "Fälle", 3, 1),
        ({"Fälle": [[], [], *CASES]}, "Fälle", 3, 0),
    ],
)
def test_a_workbook_is_read_from_its_first_filled_sheet_and_header(
    tmp_path: Path, sheets: dict[str, list[list[object]]], taken: str, header: int, notes: int
) -> None:
    found = open_table(book(tmp_path / "in.xlsx", sheets))
    assert found.told() == f"Blatt {taken}, Kopfzeile in Zeile {header}"
    assert found.columns == ("Fall", "Diagnose", "Datum") and len(found.notes) == notes
    assert [row.values[1] for row in found.read_rows()] == ["Mamma-Ca", "AML"]


SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
)


def open_document(path: Path, sheets: dict[str, list[list[object]]], more: str = "") -> Path:
    """A workbook as LibreOffice writes it: each sheet filled up to its end with repeated empty cells and rows."""

    def cell(value: object) -> str:
        kind = {int: "float", date: "date"}.get(type(value), "string")
        told = {"float": f' office:value="{value}"', "date": f' office:date-value="{value}"'}.get(kind, "")
        return (
            f'<table:table-cell office:value-type="{kind}"{told}><text:p>{value}</text:p></table:table-cell>'
            if value is not None
            else "<table:table-cell/>"
        )

    end = '<table:table-cell table:number-columns-repeated="16000"/>'
    tables = "".join(
        f'<table:table table:name="{name}">'
        + "".join(f"<table:table-row>{''.join(map(cell, row))}{end}</table:table-row>" for row in rows)
        + f'{more}<table:table-row table:number-rows-repeated="1048000">{end}</table:table-row></table:table>'
        for name, rows in sheets.items()
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {SPACES} office:version="1.2"><office:body>'
            f"<office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>",
        )
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return path


ENTRIES: list[list[object]] = [
    [None, None, None],
    ["Tumorliste"],
    ["Fall", "Diagnose", "Datum"],
    [1, "Mamma-Ca & <G2>".replace("&", "&amp;").replace("<", "&lt;"), date(2024, 2, 1)],
    [None, None, None],
    [2, "Ösophagus-Ca", date(2025, 4, 3)],
]


def test_an_open_document_is_a_table(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    path = open_document(tmp_path / "liste.ods", {"Deckblatt": [], "Tumoren": ENTRIES, "Alt": ENTRIES})
    table = open_table(path)
    assert table.told() == "Blatt Tumoren, Kopfzeile in Zeile 3"
    assert any("weitere Blätter nennt --sheet: Alt" in note for note in table.notes)
    assert [(row.number, row.values) for row in table.read_rows()] == [
        (4, (1, "Mamma-Ca & <G2>", date(2024, 2, 1))),
        (5, (None, None, None)),
        (6, (2, "Ösophagus-Ca", date(2025, 4, 3))),
    ]
    with pytest.raises(TableFileError, match="kein Blatt Neu; vorhanden: Deckblatt, Tumoren, Alt"):
        open_table(path, TableOptions(sheet="Neu"))


def test_excel_before_2007_is_a_table(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    source = Path(__file__).parent / "data" / "old.xls"
    shown = CliRunner().invoke(
        cli, ["code-file", str(source), str(tmp_path / "out.csv"), "--date-column", "Datum"]
    )
    assert shown.exit_code == 0, shown.output
    lines = (tmp_path / "out.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) == 3 and "C50.9" in lines[1] and "C15.9" in lines[2]
    refused = CliRunner().invoke(cli, ["code-file", str(source), str(tmp_path / "out.xls")])
    assert refused.exit_code == 2 and "wird nur gelesen" in refused.output


def test_a_workbook_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    cell = '<table:table-cell office:value-type="string" table:number-columns-repeated="16000"><text:p>x</text:p></table:table-cell>'
    more = f'<table:table-row table:number-rows-repeated="100000">{cell}</table:table-row>'
    path = open_document(tmp_path / "liste.ods", {"A": ENTRIES}, more)
    with pytest.raises(TableFileError, match=r"mehr als 20\.000\.000 Zellen"):
        open_table(path)


@pytest.mark.parametrize("content", ["<x/>", "<broken"])
def test_a_damaged_open_document_is_named(tmp_path: Path, content: str) -> None:
    pytest.importorskip("python_calamine")
    path = tmp_path / "liste.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    with pytest.raises(TableFileError, match=r"liste\.ods: "):
        open_table(path)


def test_the_command_says_what_it_took(tmp_path: Path) -> None:
    source = tmp_path / "liste.csv"
    source.write_bytes(READ["title"][0].encode("cp1252"))
    shown = CliRunner().invoke(cli, ["code-file", str(source), str(tmp_path / "out.csv")])
    assert shown.exit_code == 0, shown.output
    assert "Kopfzeile in Zeile 2; Diagnose aus Diagnosetext" in shown.stderr
    assert "Trennzeichen ;" in shown.stderr and "Zeile 1 steht über der Kopfzeile" in shown.stderr


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.csv", "Fall;Diagnose;Datum\n1;Mamma-Ca;2024\n2;Mamma-Ca; links;2024\n"),
        ("a.jsonl", '{"Diagnose": "Melanom"}\nkein JSON\n'),
    ],
)
def test_who_has_no_place_for_a_damaged_row_is_told_of_it(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    rows = open_table(path).sound_rows()
    assert next(rows).values[-2 if name == "a.csv" else 0] in ("Mamma-Ca", "Melanom")
    with pytest.raises(TableFileError, match=r"Zeile [23]: .*bitte berichtigen"):
        next(rows)


def test_blank_rows_are_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Fall;Diagnose\n1;Mamma-Ca\n\n2;Melanom\n", encoding="utf-8")
    assert len(list(open_table(path).sound_rows())) == 3


def test_the_options_of_a_table_are_the_same_everywhere() -> None:
    named = {"--header", "--no-header", "--header-row", "--sheet", "--delimiter", "--encoding"}
    for words in (["code-file"], ["read"], ["fhir"], ["review", "add"], ["review", "export"]):
        shown = CliRunner().invoke(cli, [*words, "--help"]).output
        assert all(option in shown for option in named), words


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Diagnose\nMamma-Ca\n", encoding="utf-8")
    told = CliRunner().invoke(
        cli, ["code-file", str(path), str(tmp_path / "o.csv"), "--header-row", "1", "--no-header"]
    )
    assert told.exit_code == 2 and "contradict" in told.output
