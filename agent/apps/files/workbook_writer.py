"""Writes a workbook of one sheet, row by row; a text stays a text.

with write_workbook(Path("kodiert.xlsx"), columns, COLUMNS) as writer: writer.write(chunk, answers)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import IllegalCharacterError
from openpyxl.worksheet._writer import WorksheetWriter

from agent.apps.files.table import Chunk, Row, TableWriter

_LONGEST_CELL = 32_767  # in Excel; openpyxl cuts without a word
_CUT = " … [gekürzt: mehr fasst eine Excel-Zelle nicht]"


class _WorkbookWriter(TableWriter):
    def __init__(self, sheet: Any) -> None:
        self._sheet = sheet

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        for row, values in zip(chunk.rows, added, strict=True):
            self._sheet.append([self._cell(value) for value in (*row.values, *values, *row.surplus)])

    def _cell(self, value: Any) -> Any:
        """A text stays a text: one that begins with = is no formula."""
        if (
            value is not None
            and not isinstance(value, str | int | float | bool)
            and not hasattr(value, "isoformat")
        ):
            value = str(value)
        if isinstance(value, str) and len(value) > _LONGEST_CELL:
            value = value[: _LONGEST_CELL - len(_CUT)] + _CUT
        try:
            cell = WriteOnlyCell(self._sheet, value)
        except IllegalCharacterError:
            cell = WriteOnlyCell(self._sheet, "".join(c for c in value if c >= " " or c in "\t\n"))
        if isinstance(value, str):
            cell.data_type = "s"
        return cell


class _SheetWriter(WorksheetWriter):
    """Collects the rows in a file without a name where the system has such: openpyxl's own temporary files lie about
    with all texts when the process is killed."""

    def __init__(self, sheet: Any) -> None:
        self._nameless = tempfile.TemporaryFile()  # noqa: SIM115  # closed by cleanup
        path = f"/proc/self/fd/{self._nameless.fileno()}"
        super().__init__(sheet, path if os.path.exists(path) else None)

    def cleanup(self) -> None:
        if self.out.startswith("/proc/"):
            self._nameless.close()
        else:
            super().cleanup()


@contextmanager
def write_workbook(
    path: Path, columns: Sequence[str], added: Sequence[str], sheet: str = "Kodierung"
) -> Iterator[TableWriter]:
    """Write a workbook of one sheet, row by row."""
    book = Workbook(write_only=True)
    rows = book.create_sheet(sheet)
    rows._writer = _SheetWriter(rows)
    rows._writer.write_top()
    writer = _WorkbookWriter(rows)
    writer.write(Chunk(0, (Row(1, tuple(columns)),)), [tuple(added)])
    yield writer
    book.save(path)
