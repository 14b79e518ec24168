"""Which column holds the diagnosis texts: by its name, or by what stands in it.

find_text_column(table)                  # 'Diagnosetext'
find_text_column(table, "Befund")
find_text_column(table, "3")             # the third
"""

from __future__ import annotations

import re
from itertools import islice

from agent.apps.files.table import SAMPLE_ROWS, Table, TableFileError, text_of
from index.text import normalise

_NAMES = (
    "primaertumor diagnosetext", "diagnosetext", "diagnose text", "tumordiagnose", "diagnose klartext",
    "diagnose", "diagnosen", "hauptdiagnose", "freitext", "klartext", "diagnosis", "text", "befundtext",
)  # fmt: skip
_PLACE = re.compile(r"(?:spalte[ _]*)?(\d{1,6})", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_CLEARLY = 2.0  # so many times as many words as the next column


def find_text_column(table: Table, name: str | None = None) -> str:
    """The name of the text column.

    Raises:
        TableFileError: there is no column `name`, or several columns could be meant; the message lists them.
    """
    if not table.columns:
        raise TableFileError(f"{table.path}: die Datei hat keine Spalten")
    if name is not None:
        for column in table.columns:
            if name == column or normalise(name) == normalise(column):
                return column
        place = _PLACE.fullmatch(name.strip())
        if place and 1 <= int(place[1]) <= len(table.columns):
            return table.columns[int(place[1]) - 1]
        raise TableFileError(f"{table.path}: keine Spalte {name}; vorhanden: {table.shown_columns()}")
    if len(table.columns) == 1:
        return table.columns[0]
    by_name = {normalise(column.replace("_", " ")): column for column in table.columns}
    for known in _NAMES:
        if known in by_name:
            return by_name[known]
    words = _words_by_column(table)
    ranked = sorted(words, key=lambda column: -words[column])
    if words[ranked[0]] > 0 and words[ranked[0]] >= _CLEARLY * words[ranked[1]]:
        return ranked[0]
    raise TableFileError(
        f"{table.path}: welche Spalte die Diagnosetexte enthält, ist nicht eindeutig; bitte mit --column eine "
        f"nennen: {table.shown_columns()}"
    )


def _words_by_column(table: Table) -> dict[str, float]:
    """Words of four letters and more in the first rows, each counted once a column, so that a column that
    says `stationär` in every row does not pass for text."""
    found: dict[str, set[str]] = {column: set() for column in table.columns}
    for chunk in islice(table.chunks(SAMPLE_ROWS), 1):
        for row in chunk.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                found[column].update(word.lower() for word in _WORD.findall(text_of(value)))
    return {column: float(len(words)) for column, words in found.items()}
