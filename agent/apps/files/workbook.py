"""Excel: one sheet of a workbook, streamed; numbers and dates keep their type.

WorkbookTable(Path("diagnosen.xlsx"), TableOptions(sheet="Tumoren")).columns
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.apps.files.sheets import SheetRows, SheetTable
from agent.apps.files.table import TableFileError, TableOptions
from agent.apps.files.workbook_parts import CheckedArchive, open_book, rows_of
from index.errors import OnkokodeError
from index.io.language import say

# Its warnings quote cells.
warnings.filterwarnings("ignore", module="openpyxl")


class WorkbookTable(SheetTable):
    """The first sheet of a workbook that is not empty, or the one that `options.sheet` names."""

    kind = "xlsx"

    def __init__(self, path: Path, options: TableOptions) -> None:
        self._checked: set[tuple[str, str]] = set()
        super().__init__(path, options)

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
            raise TableFileError(say("excel-damaged", path=self.path, kind=type(error).__name__)) from None
