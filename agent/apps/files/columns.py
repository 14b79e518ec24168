"""Which columns tell a row's diagnosis: the one with the texts, or several that are the fields of one tumour.

find_text_column(table)                  # 'Diagnosetext', by its name or by what stands in it
find_text_column(table, "Befund")
find_text_column(table, "3")             # the third
RowFields.find(table, None, {"site": "Lokalisation", "histology": "Histologie"})
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from agent.apps.files.table import SAMPLE_ROWS, Table, TableFileError, text_of
from agent.prepare import Case, CaseError
from index.dates import DateError, year_of
from index.io.language import say
from index.text import normalise

Question = str | Case  # what the agent is asked about a row

_NAMES = (
    "primaertumor diagnosetext", "diagnosetext", "diagnose text", "tumordiagnose", "diagnose klartext",
    "diagnose", "diagnosen", "hauptdiagnose", "freitext", "klartext", "diagnosis", "text", "befundtext",
)  # fmt: skip
_TOLD = ("diagnosis", "site", "histology")  # a side or a behaviour alone is of nothing
_CLOSED = {
    "side": ("Seite", "links, rechts, beidseits, L, R oder B"),
    "behaviour": ("Dignität", "eine Ziffer von ICD-O-3: 0, 1, 2, 3, 6, 9"),
}
_PLACE = re.compile(r"(?:spalte[ _]*)?(\d{1,6})", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_CLEARLY = 2.0  # so many times as many words as the next column


def find_place(table: Table, name: str | None = None) -> int:
    """The place of the column that `find_text_column` finds, counted from 0."""
    return table.columns.index(find_text_column(table, name))


def find_text_column(table: Table, name: str | None = None) -> str:
    """The name of the text column.

    Raises:
        TableFileError: there is no column `name`, or several columns could be meant; the message lists them.
    """
    if not table.columns:
        raise TableFileError(say("no-columns", path=table.path))
    if name is not None:
        return table.columns[_place(table, name)]
    if len(table.columns) == 1:
        return table.columns[0]
    if by_name := _by_name(table.columns):
        return by_name
    words = _words_by_column(table)
    ranked = sorted(words, key=lambda column: -words[column])
    if words[ranked[0]] > 0 and words[ranked[0]] >= _CLEARLY * words[ranked[1]]:
        return ranked[0]
    raise TableFileError(say("which-column", path=table.path, columns=table.shown_columns()))


@dataclass(frozen=True, slots=True)
class RowFields:
    """The columns that tell a row's diagnosis: places by the name of their field in `Case`. `diagnosis` alone is asked
    as a text, more of them as one case. `date` is the place of the date of diagnosis. `tumour` says that every row is a
    tumour's."""

    places: Mapping[str, int]
    date: int | None = None
    tumour: bool = False

    @classmethod
    def find(
        cls,
        table: Table,
        column: str | None,
        fields: Mapping[str, str | None],
        *,
        date: str | None = None,
        tumour: bool = False,
    ) -> RowFields:
        """The columns named, by name or number; `column` is that of the diagnosis. Beside named fields a diagnosis is
        taken only from a column that is named, or called like one.

        Raises:
            TableFileError: there is no such column, one is named twice, or which holds the diagnosis is not clear.
        """
        named = {field: _place(table, name) for field, name in fields.items() if name is not None}
        if column is not None or not named:
            named = {"diagnosis": find_place(table, column), **named}
        else:
            left = [name for place, name in enumerate(table.columns) if place not in named.values()]
            if by_name := _by_name(left):
                named = {"diagnosis": table.columns.index(by_name), **named}
        if len(set(named.values())) < len(named):
            raise TableFileError(say("column-twice", path=table.path))
        return cls(named, None if date is None else _place(table, date), tumour)

    def told(self, table: Table) -> str:
        """Which columns are taken, for the person who started the run."""
        taken = self.places if self.date is None else {**self.places, "date": self.date}
        columns = ", ".join(say(field, column=table.shown_column(place)) for field, place in taken.items())
        return say("one-tumour", columns=columns) if len(self.places) > 1 else columns

    def pick(self, values: Sequence[Any]) -> list[str]:
        """The texts of a row's columns, in the order of `places`, and its date."""
        dates = () if self.date is None else (self.date,)
        return [text_of(values[place]) for place in (*self.places.values(), *dates)]

    def picked(self) -> RowFields:
        """The same for rows of what `pick` gives."""
        date = None if self.date is None else len(self.places)
        return replace(self, places={field: place for place, field in enumerate(self.places)}, date=date)

    def year(self, values: Sequence[Any]) -> tuple[int | None, str | None]:
        """The year of diagnosis, None where the row says none; and what of it could not be used, in German."""
        written = text_of(values[self.date]) if self.date is not None else ""
        try:
            return year_of(written), None
        except DateError:
            return None, "Datum nicht verstanden (2026, 2026-03-01, 01.03.2026 oder 03/2026)"

    def question(self, values: Sequence[Any]) -> tuple[Question | None, str | None]:
        """What to ask about a row, None where it holds nothing; and what of it could not be used, in German."""
        said: dict[str, Any] = {field: text_of(values[place]) for field, place in self.places.items()}
        if not any(text.strip() for field, text in said.items() if field in _TOLD):
            return None, None
        if set(said) == {"diagnosis"} and not self.tumour:
            return said["diagnosis"], None
        unread: list[str] = []
        for field, (name, allowed) in _CLOSED.items():
            try:
                Case(**{field: said.get(field, "")})
            except CaseError:
                said.pop(field)
                unread.append(f"{name} nicht verstanden ({allowed})")
        return Case(**said, tumour=self.tumour or None), "; ".join(unread) or None


def _place(table: Table, name: str) -> int:
    for place, column in enumerate(table.columns):
        if name == column or normalise(name) == normalise(column):
            return place
    number = _PLACE.fullmatch(name.strip())
    if number and 1 <= int(number[1]) <= len(table.columns):
        return int(number[1]) - 1
    raise TableFileError(say("no-such-column", path=table.path, name=name, columns=table.shown_columns()))


def _by_name(columns: Sequence[str]) -> str | None:
    by_name = {normalise(column.replace("_", " ")): column for column in columns}
    return next((by_name[known] for known in _NAMES if known in by_name), None)


def _words_by_column(table: Table) -> dict[str, float]:
    """Words of four letters and more in the first rows, each counted once a column, so that a column that
    says `stationär` in every row does not pass for text."""
    found: dict[str, set[str]] = {column: set() for column in table.columns}
    for chunk in islice(table.chunks(SAMPLE_ROWS), 1):
        for row in chunk.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                found[column].update(word.lower() for word in _WORD.findall(text_of(value)))
    return {column: float(len(words)) for column, words in found.items()}
