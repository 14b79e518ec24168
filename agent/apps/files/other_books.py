"""Workbooks that are no .xlsx: OpenDocument (.ods), Excel before 2007 (.xls) and Excel's binary form (.xlsb); read only.

OtherBookTable(Path("diagnosen.ods"), TableOptions()).columns

The library calamine reads them, a sheet at a time as a whole; what a file would unpack to is looked at first.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from agent.apps.files.sheets import SheetRows, SheetTable
from agent.apps.files.table import TableFileError, TableOptions
from index.io.failures import require
from index.io.language import say

_MOST_BYTES = 256 << 20  # unpacked; in memory a sheet takes several times as much
_MOST_CELLS = 20_000_000
# OpenDocument says of a row or cell how often it is repeated.
_REPEATED = re.compile(rb"<table:(table-row|table-cell)\b([^>]*)>")
_TIMES = re.compile(rb'number-(?:rows|columns)-repeated="(\d{1,9})"')


class OtherBookTable(SheetTable):
    """The first sheet that is not empty, or the one that `options.sheet` names."""

    kind = "calamine"

    def __init__(self, path: Path, options: TableOptions) -> None:
        require("python_calamine", say("reading-file", name=path.name))
        _must_be_small(path)
        super().__init__(path, options)

    @contextmanager
    def open_sheets(self) -> Iterator[Mapping[str, SheetRows]]:
        from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

        try:
            book = CalamineWorkbook.from_path(str(self.path))
            names = [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        except (CalamineError, ValueError) as error:
            raise self._damaged(error) from None

        def rows(name: str) -> Iterator[tuple[Sequence[Any], str | None]]:
            try:
                read = book.get_sheet_by_name(name).iter_rows()
            except (CalamineError, ValueError) as error:
                raise self._damaged(error) from None
            for cells in read:
                yield [_value(cell) for cell in cells], None

        yield {name: partial(rows, name) for name in names}

    def _damaged(self, error: Exception) -> TableFileError:
        return TableFileError(say("book-damaged", path=self.path, kind=type(error).__name__))


def _must_be_small(path: Path) -> None:
    """Raises `TableFileError` for a file that unpacks to more than is held in memory."""
    size = path.stat().st_size
    cells = 0
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.filelist)
            if size <= _MOST_BYTES and "content.xml" in archive.namelist():
                cells = _cells(archive.read("content.xml"))
    if size > _MOST_BYTES:
        raise TableFileError(say("book-large", path=path, limit=_MOST_BYTES >> 20))
    if cells > _MOST_CELLS:
        raise TableFileError(say("book-cells", path=path, limit=_MOST_CELLS))


def _cells(content: bytes) -> int:
    """How many cells with a value an OpenDocument table unpacks to."""
    rows = found = 0
    for element in _REPEATED.finditer(content):
        told = _TIMES.search(element[2])
        times = int(told[1]) if told else 1
        if element[1] == b"table-row":
            rows = times
        elif b"value-type" in element[2]:
            found += rows * times
    return found


def _value(cell: Any) -> Any:
    """A cell as Excel's are read: nothing where it is empty, whole numbers as such."""
    if cell == "" and isinstance(cell, str):
        return None
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
