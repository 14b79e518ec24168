"""The parts of an Excel file, each looked over before openpyxl sees it: a file of a megabyte can hold gigabytes,
and openpyxl holds a row, a text and all shared texts whole.

    with path.open("rb") as stream, CheckedArchive(stream, path, checked=set()) as archive:
        book = open_book(stream, archive)       # TableFileError: '… Zelle C7 …; bitte … als CSV speichern'
        for cells, odd in rows_of(book.active): ...     # ('4711', None), 'Spalte 2: Formel ohne Ergebnis, …'

What a part may hold depends on what openpyxl takes it for, not on its name or its root element, which are the
file's own words. A part that passed once is not looked over again: `checked` keeps the names.

`rows_of` says what openpyxl passes over without a word. A file that another program wrote may hold formulas that
nobody has worked out yet; their cells read as empty. A number in a cell for dates that is none reads as `#VALUE!`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from openpyxl import Workbook
from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS

from agent.apps.files.table import TableFileError
from index.io.language import say
from index.xml import CutOffXml, EndlessXml, UnsafeXml, XmlError, inspect_stream

# What Excel itself can hold.
MAX_ROWS = 1_048_576
_MAX_COLUMNS = 16_384
# A cell has at most 32,767 characters in Excel; other programs write more.
MAX_CELL = 1 << 20
# A cell is `<c><f/><v/></c>` or `<c><is><t/></is></c>`, with a few more where a text has formats.
_MAX_ELEMENTS = {"row": 12 * _MAX_COLUMNS, "si": 10_000}
_MAX_UNIT = 32 << 20  # bytes of a row, of a shared text, and of what stands before and after the rows
_MAX_STRINGS = 4_000_000
# By what openpyxl takes a part for: of styles and relations it makes objects of all that is in them.
_SHEET, _STRINGS, _OTHER = "sheet", "strings", "other"
_MAX_BYTES = {_SHEET: 4 << 30, _STRINGS: 256 << 20, _OTHER: 16 << 20}
_MAX_OTHER_ELEMENTS = 500_000
_MAX_PARTS = 10_000
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main "
_ENCRYPTED = 0x1
_NO_RESULT = "Formel ohne Ergebnis, bitte in Excel öffnen und neu speichern"
_NO_DATE = "kein mögliches Datum"


class CheckedArchive(zipfile.ZipFile):
    """A ZIP file whose parts can be opened only when they are sound."""

    def __init__(self, stream: BinaryIO, path: Path, checked: set[tuple[str, str]]) -> None:
        super().__init__(stream)
        self._path, self._checked = path, checked
        self._kinds: dict[str, str] = {}
        if len(self.filelist) > _MAX_PARTS:
            raise TableFileError(say("excel-parts", path=path, limit=_MAX_PARTS, remedy=say("excel-csv")))

    def streamed(self, name: str, kind: str) -> None:
        """From now on the part `name` is opened piece by piece, as a sheet or as the shared texts."""
        if self._kinds.setdefault(name, kind) != kind:
            raise TableFileError(say("excel-both", path=self._path, part=name, remedy=say("excel-again")))

    def open(self, name: Any, *arguments: Any, **options: Any) -> IO[bytes]:
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        self._must_be_sound(info, self._kinds.get(info.filename, _OTHER))
        return super().open(info, *arguments, **options)

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        self._must_be_sound(info, _OTHER)  # held whole
        return super().read(info, pwd)

    def _must_be_sound(self, info: zipfile.ZipInfo, kind: str) -> None:
        if (info.filename, kind) in self._checked:
            return
        if info.flag_bits & _ENCRYPTED:
            raise TableFileError(say("excel-locked", path=self._path))
        part = _Part(info.filename, kind)
        try:
            if info.file_size > _MAX_BYTES[kind]:
                raise TooLarge(say("excel-part-large", part=info.filename, limit=_MAX_BYTES[kind]))
            with super().open(info) as stream:
                inspect_stream(stream, part.started, max_text=MAX_CELL, between=part.between)  # type: ignore[arg-type]
        except (TooLarge, XmlError) as error:
            raise TableFileError(f"{self._path}: {part.refusal(error)}") from None
        self._checked.add((info.filename, kind))


class _Reader(ExcelReader):
    """Says what each part is for before it is opened; sheets that are only a chart are left out."""

    def read_strings(self) -> None:
        part = self.package.find(SHARED_STRINGS)
        if part is not None:
            self.archive.streamed(part.PartName[1:], _STRINGS)
        super().read_strings()

    def read_worksheets(self) -> None:
        for _, relation in self.parser.find_sheets():
            self.archive.streamed(relation.target, _SHEET)
        super().read_worksheets()

    def read_chartsheet(self, sheet: Any, rel: Any) -> None:
        pass


def open_book(stream: BinaryIO, archive: CheckedArchive) -> Workbook:
    """The workbook, to be read row by row. Raises `TableFileError`, and whatever openpyxl raises on broken parts."""
    reader = _Reader(stream, read_only=True, data_only=True, keep_links=False)
    reader.archive = archive
    reader.read()
    return reader.wb


class TooLarge(Exception):
    """A part that would fill the memory, or is beyond what Excel can hold; the message names the place."""


class _Part:
    """What a part has been found to hold so far. A unit is what openpyxl holds at a time: a row, a shared text."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.cell: dict[str, str] = {}
        self.row = 0
        self.strings = 0
        self.elements = 0  # of this unit
        self.allowed = _MAX_OTHER_ELEMENTS
        self.since = 0  # the byte at which this unit begins

    def started(self, name: str, attributes: dict[str, str], byte: int) -> None:
        self.elements += 1
        if name == _CELL:
            self.cell = attributes
        elif name == _ROW and self.kind == _SHEET:
            self.row = self._number(attributes)
            self._unit("row", byte)
        elif name == _STRING and self.kind == _STRINGS:
            self.strings += 1
            if self.strings > _MAX_STRINGS:
                raise TooLarge(say("excel-part-texts", part=self.name, limit=_MAX_STRINGS))
            self._unit("si", byte)
        if self.elements > self.allowed:
            raise TooLarge(say("excel-part-elements", place=self.place(), limit=self.allowed))

    def between(self, read: int) -> None:
        if read - self.since > _MAX_UNIT + (1 << 20):
            raise TooLarge(say("excel-part-bytes", place=self.place(), limit=_MAX_UNIT))

    def place(self) -> str:
        """In words for a person who sees the file in Excel."""
        if self.row:
            cell = self.cell.get("r", "")
            if cell:
                return say("at-cell", part=self.name, cell=cell[:12])
            return say("at-row", part=self.name, row=self.row)
        return say("at-text", part=self.name, number=self.strings) if self.strings else self.name

    def refusal(self, error: TooLarge | XmlError) -> str:
        """Why the part is not read, and what helps."""
        if isinstance(error, TooLarge):
            return f"{error}; {say('excel-csv')}"
        if isinstance(error, EndlessXml):
            return say("excel-cell-long", place=self.place(), limit=MAX_CELL, remedy=say("excel-csv"))
        again = say("excel-again")
        if isinstance(error, UnsafeXml):
            return say("excel-doctype", part=self.name, remedy=again)
        line = say("excel-xml-line", line=error.line) if error.line else ""
        key = "excel-cut-off" if isinstance(error, CutOffXml) else "excel-broken"
        return say(key, part=self.name, line=line, remedy=again)

    def _number(self, attributes: dict[str, str]) -> int:
        written = attributes.get("r")
        if written is None:
            number = self.row + 1
        elif written.isascii() and written.isdigit() and len(written) < 10:
            number = int(written)
        else:
            raise TooLarge(say("excel-row-unnumbered", part=self.name, row=self.row))
        if number > MAX_ROWS:
            raise TooLarge(say("excel-row-beyond", part=self.name, row=number, limit=MAX_ROWS))
        if number <= self.row:
            # openpyxl would leave such a row out without a word.
            raise TooLarge(say("excel-row-again", part=self.name, row=self.row, again=number))
        return number

    def _unit(self, kind: str, byte: int) -> None:
        self.since, self.elements, self.allowed, self.cell = byte, 0, _MAX_ELEMENTS[kind], {}


_CELL, _ROW, _STRING = (_MAIN + name for name in ("c", "row", "si"))


class _RowParser(WorkSheetParser):
    """Keeps what was odd about the row that it gives."""

    def parse_row(self, row: Any) -> Any:
        self.odd: list[str] = []
        return super().parse_row(row)

    def parse_cell(self, element: Any) -> Any:
        cell = super().parse_cell(element)
        if cell["value"] is None:
            # The result may be an empty text.
            result = element.get("t") == "str" and element.find(VALUE_TAG) is not None
            if element.find(FORMULA_TAG) is not None and not result:
                self.odd.append(f"Spalte {cell['column']}: {_NO_RESULT}")
        elif cell["data_type"] == "e" and element.get("t", "n") != "e":
            self.odd.append(f"Spalte {cell['column']}: {_NO_DATE}")
        return cell


def rows_of(sheet: Any) -> Iterator[tuple[tuple[Any, ...], str | None]]:
    """The values of each row from the first on, none for one that the file leaves out, and what is odd about them,
    in German. Raises whatever openpyxl raises on broken parts."""
    book, expected = sheet.parent, 1
    with sheet._get_source() as source:
        parser = _RowParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, cells in parser.parse():
            for _ in range(expected, number):
                yield (), None
            expected = number + 1
            yield sheet._get_row(cells, values_only=True), "; ".join(parser.odd) or None
