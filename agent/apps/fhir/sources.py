"""Rows of a table as diagnoses of patients: text, reference, date.

for row in table_texts(Path("faelle.xlsx"), None, "Patient", "Datum"): row.text, row.subject, row.date
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.apps.files.columns import find_place
from agent.apps.files.formats import TABLE_ENDINGS, open_table
from agent.apps.files.table import Row, TableFileError, TableOptions, text_of
from index.dates import DateError, iso_date
from index.io.language import say

_ID, _KIND = re.compile(r"[A-Za-z0-9.-]{1,64}"), re.compile(r"[A-Z][A-Za-z]+")


@dataclass(frozen=True, slots=True)
class TableText:
    """A diagnosis text with the reference of its patient and its date, None where the row holds none."""

    text: str
    subject: str | None
    date: str | None


def is_table(path: Path) -> bool:
    """Whether a file is read as a table, by its ending; any other holds a text per line."""
    return path.suffix.lower() in TABLE_ENDINGS


def table_texts(
    path: Path,
    column: str | None,
    subject_column: str | None,
    date_column: str | None,
    options: TableOptions | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[TableText]:
    """The rows of a table, in order; those without a text are passed over. `tell` is told what was taken for what.

    Raises:
        TableFileError: it cannot be read, has no such column, or a row is damaged, or holds no date or reference where one
            should be; the message names the row.
    """
    table = open_table(path, options, column)
    text_at = find_place(table, column)
    subject_at, date_at = (
        None if name is None else find_place(table, name) for name in (subject_column, date_column)
    )
    tell("; ".join((table.told(), *table.notes)))
    for row in table.sound_rows():
        text = text_of(row.values[text_at])
        if text.strip():
            yield TableText(text, _subject(path, row, subject_at), _date(path, row, date_at))


def _subject(path: Path, row: Row, place: int | None) -> str | None:
    said = "" if place is None else text_of(row.values[place]).strip()
    if not said:
        return None
    kind, _, own = said.rpartition("/")
    if not _ID.fullmatch(own) or (kind and not _KIND.fullmatch(kind)):
        raise TableFileError(say("fhir-reference", path=path, row=row.number))
    return f"{kind or 'Patient'}/{own}"


def _date(path: Path, row: Row, place: int | None) -> str | None:
    try:
        return None if place is None else iso_date(text_of(row.values[place]))
    except DateError as error:
        raise TableFileError(say("fhir-date", path=path, row=row.number, how=error)) from None
