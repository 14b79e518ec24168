"""Excel: one sheet of a workbook, streamed; numbers and dates keep their type.

WorkbookTable(Path("diagnosen.xlsx"), TableOptions(sheet="Tumoren")).columns
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.exceptions import IllegalCharacterError
from openpyxl.worksheet._writer import WorksheetWriter

from agent.apps.files.table import (
    SAMPLE_ROWS,
    Chunk,
    Row,
    Table,
    TableFileError,
    TableOptions,
    TableWriter,
    width_of,
)
from agent.apps.files.workbook_parts import CheckedArchive, open_book, rows_of
from index.errors import OnkokodeError

# Its warnings quote cells.
warnings.filterwarnings("ignore", module="openpyxl")
_LONGEST_CELL = 32_767  # in Excel; openpyxl cuts without a word
_CUT = " … [gekürzt: mehr fasst eine Excel-Zelle nicht]"


class WorkbookTable(Table):
    """The first sheet of a workbook that is not empty, or the one that `options.sheet` names."""

    endings = (".xlsx",)

    def __init__(self, path: Path, options: TableOptions) -> None:
        super().__init__(path, options)
        self._checked: set[tuple[str, str]] = set()
        self.sheet = options.sheet or ""  # until it is found: the first that is not empty
        with self._sheet() as sheet:
            self.sheet = sheet.title
            numbered = [
                (number, cells[: width_of(cells)])
                for number, (cells, _) in enumerate(islice(rows_of(sheet), SAMPLE_ROWS + 1), start=1)
            ]
        if not any(cells for _, cells in numbered):
            raise TableFileError(f"{path}: das Blatt {self.sheet} ist leer; ein anderes nennt --sheet")
        filled = next(place for place, (_, cells) in enumerate(numbered) if cells)
        self._above = filled + self.above_header(numbered[filled:])
        self._first, *rest = (cells for _, cells in numbered[self._above :])
        self.name_columns(self._first, rest)

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return write_workbook(path, self.columns, added, self.sheet)

    @property
    def dialect(self) -> str:
        return f"Blatt {self.sheet}"

    def facts(self) -> dict[str, Any]:
        return {"format": "xlsx", "sheet": self.sheet, "header": self.header, "header_row": self.header_row}

    @contextmanager
    def _sheet(self) -> Iterator[Any]:
        try:
            with (
                self.path.open("rb") as stream,
                CheckedArchive(stream, self.path, self._checked) as archive,
            ):
                sheets = {sheet.title: sheet for sheet in open_book(stream, archive).worksheets}
                if not sheets:
                    raise TableFileError(
                        f"{self.path}: kein Tabellenblatt; bitte als Excel-Arbeitsmappe speichern"
                    )
                name = self.sheet or self._first_filled(sheets)
                if name not in sheets:
                    raise TableFileError(f"{self.path}: kein Blatt {name}; vorhanden: {', '.join(sheets)}")
                # What the file claims as its size would be filled up with empty cells.
                sheets[name].reset_dimensions()
                yield sheets[name]
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

    def _first_filled(self, sheets: dict[str, Any]) -> str:
        """The first sheet that holds anything; which others do is said."""
        filled = []
        for name, sheet in sheets.items():
            sheet.reset_dimensions()
            if any(width_of(cells) for cells, _ in islice(rows_of(sheet), SAMPLE_ROWS)):
                filled.append(name)
        if len(filled) > 1:
            self.notes.append(
                f"nur das Blatt {filled[0]} wurde kodiert; weitere Blätter nennt --sheet: {', '.join(filled[1:6])}"
            )
        return filled[0] if filled else next(iter(sheets))

    def read_rows(self) -> Iterator[Row]:
        width = len(self.columns)
        waiting: list[int] = []  # empty rows count only where another one follows
        with self._sheet() as sheet:
            numbered = islice(enumerate(rows_of(sheet), start=1), self._above, None)
            if self.header and next(numbered, (1, ((), None)))[1][0][: len(self._first)] != self._first:
                raise self.changed()
            for number, (cells, odd) in numbered:
                cells = cells[: width_of(cells)]
                if not cells and not odd:
                    waiting.append(number)
                    continue
                for empty in waiting:
                    yield Row(empty, (None,) * width, "leere Zeile")
                waiting.clear()
                problem = f"{len(cells)} Zellen statt {width}" if len(cells) > width else None
                problem = "; ".join(filter(None, (problem, odd))) or None
                values = tuple(cells[:width]) + (None,) * (width - len(cells))
                yield Row(number, values, problem, tuple(cells[width:]))


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
