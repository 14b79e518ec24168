"""What all table formats have in common: a table is read in chunks and written again. `formats` opens one.

for chunk in table.chunks(1024):
    chunk.number, chunk.rows[0].values, chunk.rows[0].problem

A chunk's number and rows depend on the file alone, so that a run that was killed finds its place again.
"""

from __future__ import annotations

import hashlib
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from agent.apps.files.header import is_header, plausible, rows_above
from index.errors import OnkokodeError
from index.io.failures import reason
from index.io.language import say
from index.text import writable

CHUNK_ROWS = 1024
MOST_COLUMNS = 16_384  # what Excel has; a chunk of so many columns still fits into memory
_SHOWN = 20  # columns that a message lists
SAMPLE_ROWS = 300  # rows that decide about the header and the text column
REPLACED = "nicht lesbare Zeichen ersetzt"


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING  # a value that a row does not have at all


class TableFileError(OnkokodeError):
    """A table that cannot be read or written; the message names file, row and remedy."""

    translated = True


class TableQuestion(TableFileError):
    """A table that can be read once a person chooses a header row or a sheet. `what` says why, and the message also how
    a command is told; who shows no command line says that in words of its own, by `choice`."""

    def __init__(
        self, path: Path, what: str, remedy: str, choice: Literal["header", "sheet"] = "header"
    ) -> None:
        super().__init__(f"{path}: {what}; {remedy}")
        self.what, self.choice = what, choice


@dataclass(frozen=True, slots=True)
class Row:
    """A row as its format gave it.

    `number` is what a person finds in the file: the line of a text file, the row of a sheet. `values` has an
    entry per column. `problem` says in German what is wrong with the row; `surplus` holds fields beyond the
    columns, or a whole line that could not be read, so that nothing is lost. `native` is what the format's own
    writer wants instead of values: the text of a JSON object.
    """

    number: int
    values: tuple[Any, ...]
    problem: str | None = None
    surplus: tuple[Any, ...] = ()
    native: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows. `number` counts from 0; `native` is what the format's own writer wants instead of
    rows, such as an Arrow batch with its types."""

    number: int
    rows: tuple[Row, ...]
    native: Any = None

    def digest(self, salt: bytes) -> str:
        """What tells these rows from all others, in 32 hexadecimal digits. One sum over all values of the chunk, so
        that no text can be tried out against it, unless the table has but a row or two."""
        sum_ = hashlib.blake2b(key=salt, digest_size=16)
        for row in self.rows:
            read = repr((row.number, row.values, row.problem, row.surplus, row.native))
            sum_.update(read.encode("utf-8", "surrogatepass"))
        return sum_.hexdigest()


@dataclass(frozen=True)
class TableOptions:
    """What a person may say about a table; None is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header: bool | None = None
    header_row: int | None = None  # the line of a text file, or the row of a sheet, that names the columns
    column: str | None = None  # a first row that holds the name of the text column is a header

    @property
    def contradictory(self) -> bool:
        """Whether a row is named that names the columns, and that none does."""
        return self.header_row is not None and self.header is False


def separator(written: str | None) -> str | None:
    """A field separator as a person writes it, a tab also by its name. Raises `ValueError` unless it is one
    character; nothing written is none."""
    found = {"tab": "\t", "\\t": "\t"}.get(written or "", written or None)
    if found is not None and len(found) != 1:
        raise ValueError("one character, or `tab`")
    return found


class TableWriter(ABC):
    """Writes chunks with their added columns, in order."""

    @abstractmethod
    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        """`added` has a row of values for each row of the chunk; numbers are numbers."""


class Table(ABC):
    """A table file. `columns` are its column names, `endings` those of files of its format. `notes` say what a
    person has to know about the reading. `salt` goes into the digests of a run."""

    endings: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, options: TableOptions) -> None:
        self.path = path
        self.options = options
        self.columns: tuple[str, ...] = ()
        self.header = True  # whether the columns have names in the file
        self.header_row: int | None = None  # where, as a person counts
        self.sheets: tuple[str, ...] = ()  # of a workbook, in their order
        self.other_sheets: tuple[str, ...] = ()  # that hold something too, where nobody named one
        self.notes: list[str] = []
        self.salt = b""

    @cached_property
    def rows(self) -> int:
        """How many rows there are, the header not counted."""
        return sum(len(chunk.rows) for chunk in self.chunks())

    def above_header(self, numbered: Sequence[tuple[int, Sequence[Any]]]) -> int:
        """How many of the first rows, given with their numbers, stand above the one that names the columns, or above the
        data where none does.

        Raises:
            TableFileError: it cannot be told, or the row named by the options is not there.
        """
        wanted = self.options
        rows = [row for _, row in numbered]
        if wanted.header_row is not None:
            above = next((n for n, (number, _) in enumerate(numbered) if number == wanted.header_row), None)
            if above is None or width_of(rows[above]) == 0:
                what = say("header-row-empty", row=wanted.header_row, rows=len(rows))
                raise TableQuestion(self.path, what, say("ask-header-row"))
        else:
            above = 0 if wanted.header is not None else rows_above(rows, wanted.column)
            if above is None:
                raise TableQuestion(self.path, say("header-narrow"), say("ask-header-row-or-none"))
        if above:
            first, last = numbered[0][0], numbered[above - 1][0]
            self.notes.append(say("above-one" if first == last else "above-many", first=first, last=last))
        self.header_row = numbered[above][0] if numbered else None
        return above

    def name_columns(self, first: Sequence[Any], sample: Sequence[Sequence[Any]]) -> None:
        """Take the names of the columns from the first row, or number the columns where it is no header.

        Raises:
            TableFileError: it may be either, there are too many columns, or two have one name.
        """
        wanted, columns = self.options, len(first)
        _must_be_few(self.path, columns)
        header = is_header(first, sample, wanted.column) if wanted.header is None else wanted.header
        if wanted.header_row is not None:
            header = True
        if header is None:
            raise TableQuestion(self.path, say("header-unsure"), say("ask-header"))
        self.header = header
        if header and wanted.header_row is None and sample and _half_named(first, sample[0]):
            raise TableQuestion(self.path, say("header-double"), say("ask-header-names"))
        if header:
            self.columns = unique_columns(self.path, first)
            return
        widths = [width_of(row) for row in (first, *sample)]
        self.columns = tuple(f"spalte_{place}" for place in range(1, max(widths, key=widths.count) + 1))
        if wanted.header is None:
            self.notes.append(say("no-header-found"))

    @property
    def dialect(self) -> str:
        """How the file was read, for people: `cp1252, Trennzeichen ;`."""
        return ""

    def told(self) -> str:
        """What was taken for what, for the person who started a run."""
        header = say("no-header")
        if self.header:
            header = say("header" if self.header_row is None else "header-row", row=self.header_row)
        return ", ".join(filter(None, (self.dialect, header)))

    def shown_columns(self) -> str:
        """The columns for a message."""
        shown = [self.shown_column(place) for place in range(len(self.columns))]
        first = ", ".join(shown[:_SHOWN])
        return say("more-columns", columns=first, count=len(shown)) if len(shown) > _SHOWN else first

    def shown_column(self, place: int) -> str:
        """A column for a message: its name, but its number where the name may be a text of the table."""
        name = self.columns[place]
        return name if plausible(name) else say("column-number", number=place + 1)

    def changed(self, where: str = "") -> TableFileError:
        """What to raise where the file is not what it was."""
        return TableFileError(say("table-changed", path=self.path, where=where))

    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        """The rows from chunk `first` on, `size` a chunk."""
        kept: list[Row] = []
        number = 0
        for row in self.read_rows():
            kept.append(row)
            if len(kept) == size:
                if number >= first:
                    yield Chunk(number, tuple(kept))
                number, kept = number + 1, []
        if kept and number >= first:
            yield Chunk(number, tuple(kept))

    @abstractmethod
    def read_rows(self) -> Iterator[Row]:
        """All rows, one at a time."""

    def sound_rows(self) -> Iterator[Row]:
        """All rows, for who has no place to say what is wrong with one: a shifted row would give a diagnosis to another
        patient.

        Raises:
            TableFileError: a row has more fields than the table, or is none at all; the message names it.
        """
        for row in self.read_rows():
            unread = all(value is MISSING for value in row.values) and row.problem not in (
                None,
                "leere Zeile",
            )
            if unread or any(text_of(value).strip() for value in row.surplus):
                raise TableFileError(say("row-damaged", path=self.path, row=row.number, problem=row.problem))
            yield row

    @abstractmethod
    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        """A writer of the table's own format and dialect with further columns."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What was found out about the file, for the run's record."""


def text_of(value: Any) -> str:
    """A value as the text of a diagnosis; what is missing is empty."""
    return "" if value is None or value is MISSING else writable(str(value))


def unique_columns(path: Path, names: Sequence[Any]) -> tuple[str, ...]:
    """Column names as text; one without a name is called by its place."""
    _must_be_few(path, len(names))
    columns = tuple(str(name).strip() if name is not None else "" for name in names)
    columns = tuple(name or f"Spalte {place}" for place, name in enumerate(columns, start=1))
    first: dict[str, int] = {}
    for place, name in enumerate(columns, start=1):
        if first.setdefault(name, place) != place:
            what = say("header-repeats", first=first[name], second=place)
            raise TableQuestion(path, what, say("ask-columns"))
    return columns


def width_of(row: Sequence[Any]) -> int:
    """How many cells there are up to the last that is not empty."""
    return next((place for place in range(len(row), 0, -1) if row[place - 1] is not None), 0)


def _half_named(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether a header leaves columns without a name that the row below it names, as merged cells do."""
    unnamed = [
        place for place, cell in enumerate(second)
        if place >= len(first) or first[place] is None or not str(first[place]).strip()
    ]  # fmt: skip
    return (
        bool(unnamed)
        and is_header(second, ()) is True
        and any(str(second[place] or "").strip() for place in unnamed)
    )


def _must_be_few(path: Path, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise TableFileError(say("many-columns", path=path, columns=columns, limit=MOST_COLUMNS))


def must_be_a_file(path: Path) -> None:
    """Raises `TableFileError` where a path is no file that can be read more than once, before it is opened: a pipe that
    nobody writes into would be waited for, and one under a name such as /dev/fd/63 is gone once links are followed."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise TableFileError(say("table-missing", path=path)) from None
    except OSError as error:
        raise TableFileError(f"{path}: {reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise TableFileError(say("table-is-folder", path=path))
    if not stat.S_ISREG(mode):
        raise TableFileError(say("table-is-pipe", path=path))
