"""Tumour codes of ICD-10-GM by the year of diagnosis: what was divided since, and what was one code before.

    in_year("C43.5", 2026, text="perianales Melanom")      # 'C43.50'
    in_year("C44.59", 2017)                                # 'C44.5'

`years.tsv` holds the changes of C00-D48 between the editions of `KNOWN_YEARS`, whose lists were compared code by code:
from `since` on `code` is part of what `before` was. Where a code was divided, the first row whose `words` the text says
decides; one without words takes the rest. `title` is in our own words; `example` is the row's test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.catalogue.lexicon import YEAR
from index.catalogue.overrides import TableError, table_rows
from index.records import CodeSystem

TABLE = Path(__file__).parent / "years.tsv"
COLUMNS = ("since", "code", "before", "words", "title", "example", "why")
# Editions whose tumour codes are known: compared in full, that of 2020 as far as a sample of it goes.
KNOWN_YEARS = (2017, 2020, 2024, 2025, 2026)
# The edition whose codes the lexicon, the models and all figures have.
MODELS_YEAR = YEAR[CodeSystem.ICD10GM]


@dataclass(frozen=True, slots=True)
class Change:
    """One row of `years.tsv`."""

    since: int
    code: str
    before: str
    words: re.Pattern[str] | None
    title: str
    example: str


@lru_cache(maxsize=1)
def changes() -> tuple[Change, ...]:
    """The rows of `years.tsv`, the oldest first. Raises `TableError`."""
    found = []
    for where, row in table_rows(TABLE, COLUMNS):
        if not (row["since"].isdigit() and row["code"] and row["before"] and row["title"]):
            raise TableError(f"{where}: a row needs a year, two codes and a title.")
        words = re.compile(row["words"], re.IGNORECASE) if row["words"] else None
        found.append(
            Change(int(row["since"]), row["code"], row["before"], words, row["title"], row["example"])
        )
    return tuple(sorted(found, key=lambda change: change.since))


def in_year(code: str, year: int, *, text: str = "", of: int = MODELS_YEAR) -> str:
    """The code of the edition of `year` for what is `code` in that of the year `of`. What was divided meanwhile is
    decided by the words of the `text`."""
    if not concerned(code, year, of):
        return code
    if year < of:
        for change in reversed(changes()):
            if year < change.since <= of and code == change.code:
                code = change.before
        return code
    for since in dict.fromkeys(change.since for change in changes()):
        if of < since <= year:
            code = next((c.code for c in changes() if c.since == since and _becomes(c, code, text)), code)
    return code


@lru_cache(maxsize=4096)
def concerned(code: str, year: int, of: int = MODELS_YEAR) -> bool:
    """Whether a code of the year `of` was divided, or became part of another, on the way to `year`."""
    return any(
        min(year, of) < change.since <= max(year, of) and code in (change.code, change.before)
        for change in changes()
    )


def in_models_year(code: str, of: int) -> tuple[str, ...]:
    """The codes of the models' year for what is `code` in the year `of`: itself, what it is part of, or its parts."""
    if of >= MODELS_YEAR:
        return (in_year(code, MODELS_YEAR, of=of),)
    divided = [c for c in changes() if of < c.since <= MODELS_YEAR and c.before == code]
    # A part that takes the rest leaves nothing of the whole.
    itself = () if any(c.words is None for c in divided) else (code,)
    return (*itself, *(c.code for c in divided))


def title_in_year(code: str) -> str | None:
    """The title of a code that not all editions have; None for any other. A code that was divided is called as the part
    that takes the rest."""
    rest = (c.title for c in changes() if c.before == code and c.words is None)
    return next((c.title for c in changes() if c.code == code), next(rest, None))


def _becomes(change: Change, code: str, text: str) -> bool:
    return change.before == code and (change.words is None or change.words.search(text) is not None)
