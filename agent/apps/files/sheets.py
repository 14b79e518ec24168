"""What workbooks have in common: one of their sheets is the table, the first that is not empty or the one named.

A format's table gives `open_sheets()`: the rows of each sheet by its name.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from agent.apps.files.table import (
    SAMPLE_ROWS,
    Row,
    Table,
    TableFileError,
    TableOptions,
    TableQuestion,
    TableWriter,
    width_of,
)
from agent.apps.files.workbook_writer import write_workbook
from index.io.language import say

# The values of each row from the first on, none for one that the file leaves out, and what is odd about them, in German.
SheetRows = Callable[[], Iterator[tuple[Sequence[Any], str | None]]]


class SheetTable(Table):
    """A sheet of a workbook; its own writer writes `.xlsx`. `kind` is the format that a run's record names."""

    endings = (".xlsx",)
    kind: ClassVar[str]

    def __init__(self, path: Path, options: TableOptions) -> None:
        super().__init__(path, options)
        self.sheet = options.sheet or ""  # until it is found: the first that is not empty
        with self._rows() as rows:
            numbered = [
                (number, tuple(cells[: width_of(cells)]))
                for number, (cells, _) in enumerate(islice(rows(), SAMPLE_ROWS + 1), start=1)
            ]
        if not any(cells for _, cells in numbered):
            raise TableQuestion(path, say("sheet-empty", sheet=self.sheet), say("ask-sheet"), "sheet")
        filled = next(place for place, (_, cells) in enumerate(numbered) if cells)
        self._above = filled + self.above_header(numbered[filled:])
        self._first, *rest = (cells for _, cells in numbered[self._above :])
        self.name_columns(self._first, rest)

    @abstractmethod
    def open_sheets(self) -> AbstractContextManager[Mapping[str, SheetRows]]:
        """The sheets of the workbook, in their order. Raises `TableFileError` for a damaged one."""

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return write_workbook(path, self.columns, added, self.sheet)

    def facts(self) -> dict[str, Any]:
        return {
            "format": self.kind,
            "sheet": self.sheet,
            "header": self.header,
            "header_row": self.header_row,
        }

    @property
    def dialect(self) -> str:
        return say("sheet", sheet=self.sheet)

    @contextmanager
    def _rows(self) -> Iterator[SheetRows]:
        with self.open_sheets() as sheets:
            if not sheets:
                raise TableFileError(say("no-sheets", path=self.path))
            self.sheets = tuple(sheets)
            self.sheet = self.sheet or self._first_filled(sheets)
            if self.sheet not in sheets:
                raise TableFileError(
                    say("no-such-sheet", path=self.path, sheet=self.sheet, sheets=", ".join(sheets))
                )
            yield sheets[self.sheet]

    def _first_filled(self, sheets: Mapping[str, SheetRows]) -> str:
        """The first sheet that holds anything; which others do is said."""
        filled = [
            name
            for name, rows in sheets.items()
            if any(width_of(cells) for cells, _ in islice(rows(), SAMPLE_ROWS))
        ]
        if len(filled) > 1:
            self.other_sheets = tuple(filled[1:])
            self.notes.append(say("other-sheets", sheet=filled[0], others=", ".join(filled[1:6])))
        return filled[0] if filled else next(iter(sheets))

    def read_rows(self) -> Iterator[Row]:
        width = len(self.columns)
        waiting: list[int] = []  # empty rows count only where another one follows
        with self._rows() as rows:
            numbered = islice(enumerate(rows(), start=1), self._above, None)
            if (
                self.header
                and tuple(next(numbered, (1, ((), None)))[1][0][: len(self._first)]) != self._first
            ):
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
