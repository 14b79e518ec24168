"""Excel: one sheet of a workbook, streamed; numbers and dates keep their type.

WorkbookTable(Path("diagnosen.xlsx"), TableOptions(sheet="Tumoren")).columns
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import IllegalCharacterError
from openpyxl.worksheet._writer import WorksheetWriter

from agent.apps.files.sheets import SheetRows, SheetTable
from agent.apps.files.table import Chunk, Row, TableFileError, TableOptions, TableWriter
from agent.apps.files.workbook_parts import CheckedArchive, open_book, rows_of
from index.errors import OnkokodeError

# Its warnings quote cells.
warnings.filterwarnings("ignore", module="openpyxl")
_LONGEST_CELL = 32_767  # in Excel; openpyxl cuts without a word
_CUT = " … [gekürzt: mehr fasst eine Excel-Zelle nicht]"


class WorkbookTable(SheetTable):
    """The first sheet of a workbook that is not empty, or the one that `options.sheet` names."""

    def __init__(self, path: Path, options: TableOptions) -> None:
        self._checked: set[tuple[str, str]] = set()
        super().__init__(path, options)

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return write_workbook(path, self.columns, added, self.sheet)

    def facts(self) -> dict[str, Any]:
        return {"format": "xlsx", "sheet": self.sheet, "header": self.header, "header_row": self.header_row}

    @contextmanager
    def open_sheets(self) -> Iterator[Mapping[str, SheetRows]]:
        try:
            with (
                self.path.open("rb") as stream,
                CheckedArchive(stream, self.path, self._checked) as archive,
            ):
                sheets = open_book(stream, archive).worksheets
                for sheet in sheets:
                    # What the file claims as its size would be filled up with empty cells.
                    sheet.reset_dimensions()
                yield {sheet.title: partial(rows_of, sheet) for sheet in sheets}
        except (OnkokodeError, MemoryError):
            raise
        except Exception as error:
            # On a broken part openpyxl fails with whatever its next line of code meets.
            if isinstance(error, OSError) and error.errno:
                raise
            raise TableFileError(
                f"{self.path}: die Excel-Datei ist beschädigt ({type(error).__name__}); bitte in Excel öffnen "
                "und neu speichern"
            ) from None


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
