"""CSV and its relatives: encoding and delimiter are found, values are kept letter by letter.

DelimitedTable(Path("diagnosen.csv"), Options()).facts()     # {'encoding': 'cp1252', 'delimiter': ';', ...}
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from agent.files.table import (
    CHUNK_ROWS,
    Chunk,
    Options,
    Row,
    Table,
    TableError,
    TableWriter,
    in_chunks,
    unique_columns,
)

_DELIMITERS = (";", "\t", ",", "|")
_SNIFFED = 200  # records that decide about the delimiter
# A quotation mark that is never closed swallows all lines that follow; a field of this size says so.
_LONGEST_FIELD = 2_000_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_READ = 1 << 20


class DelimitedTable(Table):
    """A text file with a header line and a row per record."""

    endings = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        self.encoding = options.encoding or find_encoding(path)
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise TableError(
                f"{path}: den Zeichensatz {self.encoding} gibt es nicht; üblich: utf-8, cp1252"
            ) from None
        self.line_end = self._line_end()
        self.delimiter = options.delimiter or self._find_delimiter()
        _, header = next(self._records(), (1, [""]))
        self.columns = unique_columns(path, header)
        self.rows = sum(1 for _ in self._rows())

    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        return in_chunks(self._rows(), size, first)

    @contextmanager
    def writer(self, path: Path, added: Sequence[str]) -> Iterator[TableWriter]:
        with write_delimited(
            path, self.columns, added, self.delimiter, self.encoding, self.line_end
        ) as writer:
            yield writer

    def facts(self) -> dict[str, Any]:
        return {"format": "delimited", "encoding": self.encoding, "delimiter": self.delimiter}

    def _open(self) -> TextIO:
        # Bytes that the encoding does not know become lone surrogates and are written again as they were.
        return self.path.open(encoding=self.encoding, errors="surrogateescape", newline="")

    def _line_end(self) -> str:
        with self._open() as stream:
            line = stream.readline(_READ)
        return "\r\n" if line.endswith("\r\n") else "\n"

    def _find_delimiter(self) -> str:
        """The delimiter that gives most records the same number of fields; the most fields decide a draw."""
        best, best_score = _DELIMITERS[0], (0.0, 0)
        for delimiter in _DELIMITERS:
            with self._open() as stream:
                try:
                    sizes = [
                        len(record)
                        for record in islice(csv.reader(stream, delimiter=delimiter), _SNIFFED)
                        if record
                    ]
                except csv.Error:
                    continue
            if not sizes or sizes[0] < 2:
                continue
            size, count = Counter(sizes).most_common(1)[0]
            if size < 2:
                continue
            score = (round(count / len(sizes), 1), size)
            if score > best_score:
                best, best_score = delimiter, score
        return best

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Records with the line that they begin in."""
        csv.field_size_limit(_LONGEST_FIELD)
        line = 0
        with self._open() as stream:
            reader = csv.reader(stream, delimiter=self.delimiter)
            try:
                for record in reader:
                    yield line + 1, record
                    line = reader.line_num
            except csv.Error:
                raise TableError(
                    f"{self.path}: ab Zeile {line + 1} wird ein Anführungszeichen nicht geschlossen; "
                    "bitte die Zeile berichtigen"
                ) from None

    def _rows(self) -> Iterator[Row]:
        width = len(self.columns)
        for number, record in islice(self._records(), 1, None):
            problem = None
            if not record:
                problem = "leere Zeile"
            elif len(record) != width:
                problem = f"{len(record)} Felder statt {width}"
            values = tuple(record[:width]) + ("",) * (width - len(record))
            yield Row(number, values, problem, tuple(record[width:]))


def find_encoding(path: Path) -> str:
    """`utf-8-sig` or `utf-16` by the mark at the start, `utf-8` where all of the file is, else `cp1252`."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        block = stream.read(_READ)
        for mark, encoding in _BOMS:
            if block.startswith(mark):
                return encoding
        try:
            while block:
                decoder.decode(block)
                block = stream.read(_READ)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


class _DelimitedWriter(TableWriter):
    def __init__(self, stream: TextIO, delimiter: str, line_end: str) -> None:
        # Who separates by semicolons writes decimals with a comma.
        self._comma = delimiter == ";"
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end)

    def header(self, names: Sequence[str]) -> None:
        self._writer.writerow(names)

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        for row, values in zip(chunk.rows, added, strict=True):
            own = [self._shown(value) for value in values]
            self._writer.writerow([*map(_plain, row.values), *own, *map(_plain, row.surplus)])

    def _shown(self, value: Any) -> str:
        if isinstance(value, float):
            text = f"{value:.4f}".rstrip("0").rstrip(".")
            return text.replace(".", ",") if self._comma else text
        return _plain(value)


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


@contextmanager
def write_delimited(
    path: Path,
    columns: Sequence[str],
    added: Sequence[str],
    delimiter: str,
    encoding: str,
    line_end: str = "\r\n",
) -> Iterator[TableWriter]:
    """Write a table as text; a letter that the encoding lacks becomes a question mark."""
    with path.open("w", encoding=encoding, errors="onkokode-keep", newline="") as stream:
        writer = _DelimitedWriter(stream, delimiter, line_end)
        writer.header([*columns, *added])
        yield writer


def _keep(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes that reading could not decode go out as they came in; what an encoding lacks is marked."""
    assert isinstance(error, UnicodeEncodeError)
    kept = bytearray()
    for letter in error.object[error.start : error.end]:
        value = ord(letter)
        kept.append(value - 0xDC00 if 0xDC80 <= value <= 0xDCFF else ord("?"))
    return bytes(kept), error.end


codecs.register_error("onkokode-keep", _keep)
