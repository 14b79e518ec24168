"""What all table formats have in common: a table is opened by its content, read in chunks, and written again.

table = open_table(Path("diagnosen.csv"))
for chunk in table.chunks(1024):
    chunk.number, chunk.rows[0].values, chunk.rows[0].problem

A chunk's number and rows depend on the file alone, so that a run that was killed finds its place again.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from index.errors import OnkokodeError

CHUNK_ROWS = 1024
MISSING = object()  # a value that a row does not have at all


class TableError(OnkokodeError):
    """A table that cannot be read or written; the message names file, row and remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as its format gave it.

    `number` is what a person finds in the file: the line of a text file, the row of a sheet. `values` has an
    entry per column. `problem` says in German what is wrong with the row; `surplus` holds fields beyond the
    columns, or a whole line that could not be read, so that nothing is lost.
    """

    number: int
    values: tuple[Any, ...]
    problem: str | None = None
    surplus: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows. `number` counts from 0; `native` is what the format's own writer wants instead of
    rows, such as an Arrow batch with its types."""

    number: int
    rows: tuple[Row, ...]
    native: Any = None


@dataclass(frozen=True)
class Options:
    """What a person may say about a table; None is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


class TableWriter(ABC):
    """Writes chunks with their added columns, in order."""

    @abstractmethod
    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        """`added` has a row of values for each row of the chunk; numbers are numbers."""


class Table(ABC):
    """A table file. `columns` are its column names, `rows` how many rows follow the header, `endings` those of
    files of its format."""

    endings: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options
        self.columns: tuple[str, ...] = ()
        self.rows = 0

    @abstractmethod
    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        """The rows from chunk `first` on, `size` a chunk."""

    @abstractmethod
    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        """A writer of the table's own format and dialect with further columns."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What was found out about the file, for the run's record."""


def open_table(path: Path, options: Options | None = None) -> Table:
    """The table that a file holds, recognised by its content, and by its ending where that leaves a choice.

    Raises:
        TableError: the file is missing, empty or no table; the message says what would help.
    """
    from agent.files.delimited import DelimitedTable
    from agent.files.json_lines import JsonLinesTable

    options = options or Options()
    head = _head(path)
    if head.startswith(b"PAR1"):
        from agent.files.arrow import ParquetTable

        return ParquetTable(path, options)
    if head.startswith(b"PK\x03\x04"):
        _must_be_workbook(path)
        from agent.files.workbook import WorkbookTable

        return WorkbookTable(path, options)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(f"{path}: ein altes Excel-Format (.xls); bitte als .xlsx oder .csv speichern")
    if path.suffix.lower() in (".jsonl", ".ndjson") or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"'):
        return JsonLinesTable(path, options)
    return DelimitedTable(path, options)


def write_table(
    table: Table, target: Path, added: Sequence[str], path: Path
) -> AbstractContextManager[TableWriter]:
    """A writer to `path` in the format that the ending of `target` names, else in the table's own."""
    ending = target.suffix.lower()
    if ending in table.endings or ending not in _ENDINGS:
        return table.writer(path, added)
    if ending in (".jsonl", ".ndjson"):
        from agent.files.json_lines import write_json_lines

        return write_json_lines(path, table.columns, added)
    if ending == ".xlsx":
        from agent.files.workbook import write_workbook

        return write_workbook(path, table.columns, added)
    if ending == ".parquet":
        from agent.files.arrow import write_parquet

        return write_parquet(path, table.columns, added)
    from agent.files.delimited import write_delimited

    # What German Excel opens without being asked.
    delimiter = "\t" if ending == ".tsv" else ";"
    return write_delimited(path, table.columns, added, delimiter, "utf-8-sig", "\r\n")


_ENDINGS = {".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".xlsx", ".parquet"}


def text_of(value: Any) -> str:
    """A value as the text of a diagnosis; what is missing is empty."""
    return "" if value is None or value is MISSING else str(value)


def in_chunks(rows: Iterator[Row], size: int, first: int) -> Iterator[Chunk]:
    """Rows as chunks, those before chunk `first` passed over."""
    kept: list[Row] = []
    number = 0
    for row in rows:
        kept.append(row)
        if len(kept) == size:
            if number >= first:
                yield Chunk(number, tuple(kept))
            number += 1
            kept = []
    if kept and number >= first:
        yield Chunk(number, tuple(kept))


def unique_columns(path: Path, names: Sequence[Any]) -> tuple[str, ...]:
    """Column names as text; one without a name is called by its place."""
    columns = tuple(str(name).strip() if name is not None else "" for name in names)
    columns = tuple(name or f"Spalte {place}" for place, name in enumerate(columns, start=1))
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise TableError(
            f"{path}: die Kopfzeile nennt {', '.join(sorted(twice))} mehrmals; bitte die Spalten umbenennen"
        )
    return columns


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise TableError(f"{path} ist ein Ordner; bitte eine Datei nennen")
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except FileNotFoundError:
        raise TableError(f"{path}: die Datei gibt es nicht") from None
    except OSError as error:
        raise TableError(f"{path}: nicht lesbar ({error.strerror})") from None
    if not head.strip():
        raise TableError(f"{path}: die Datei ist leer")
    return head


def _must_be_workbook(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise TableError(f"{path}: die Excel-Datei ist beschädigt oder nur halb kopiert") from None
    if "xl/workbook.xml" not in names:
        raise TableError(f"{path}: ein ZIP-Archiv, aber keine Excel-Datei; bitte erst entpacken")
