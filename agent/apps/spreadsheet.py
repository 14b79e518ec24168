"""CSV files that a German spreadsheet opens without being asked, and that it cannot take for formulas.

with path.open("w", encoding=ENCODING, newline="") as stream:
    writer = spreadsheet_writer(stream)
    writer.writerow(harmless(cell) for cell in cells)

A formula can call a program or a web page, and texts, file names and identifiers come from outside.
"""

from __future__ import annotations

import csv
from typing import Any, TextIO

ENCODING = "utf-8-sig"  # a spreadsheet takes plain UTF-8 for Windows' encoding
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def spreadsheet_writer(stream: TextIO) -> Any:
    """A writer of rows (that of `csv`): semicolons, line ends of Windows."""
    return csv.writer(stream, delimiter=";", lineterminator="\r\n")


def harmless(cell: Any) -> str:
    """A cell as text, behind an apostrophe where a spreadsheet would take it for a formula; None is empty."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
