"""The rows of an Excel sheet as openpyxl reads them, with what it passes over without a word.

    for cells, odd in rows_of(sheet): ...        # ('4711', None), 'Spalte 2: Formel ohne Ergebnis, …'

A file that another program wrote may hold formulas that nobody has worked out yet; their cells read as empty. A
number in a cell for dates that is none reads as the text `#VALUE!`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

_NO_RESULT = "Formel ohne Ergebnis, bitte in Excel öffnen und neu speichern"
_NO_DATE = "kein mögliches Datum"


class _Parser(WorkSheetParser):
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
        parser = _Parser(
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
