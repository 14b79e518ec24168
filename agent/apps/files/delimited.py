"""CSV and its relatives: encoding and delimiter are found, values are kept letter by letter.

DelimitedTable(Path("diagnosen.csv"), TableOptions()).facts()     # {'encoding': 'cp1252', 'delimiter': ';', ...}
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from agent.apps.files.header import rows_above
from agent.apps.files.lines import LONGEST_LINE, TextLines
from agent.apps.files.table import (
    SAMPLE_ROWS,
    Chunk,
    Row,
    Table,
    TableFileError,
    TableOptions,
    TableWriter,
)
from index.io.language import say

_DELIMITERS = (";", "\t", ",", "|")
_NEVER = "\ufdd0"  # stands for the delimiter of a file of one column; it is no letter of any script
# Excel's word for the delimiter, in a line of its own above the table.
_HINT = re.compile(r"sep=(.)", re.IGNORECASE)
_SNIFFED, _SNIFFED_LETTERS = 200, 1_000_000  # lines and letters that decide about the delimiter
# A quotation mark that is never closed swallows all lines that follow; a field of this size says so.
csv.field_size_limit(2_000_000)


class DelimitedTable(Table):
    """A text file with a row per record, after a header as a rule. Blank lines before the first record are no
    rows."""

    endings = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path, options: TableOptions) -> None:
        super().__init__(path, options)
        if options.delimiter is not None and options.delimiter in '"\r\n\0':
            raise TableFileError(say("bad-separator", path=path))
        self._lines = TextLines(path, options.encoding, all_ends=True)
        self.encoding = self._lines.encoding
        head = self._head()
        self.line_end = "\r\n" if head[:1] and head[0].endswith("\r\n") else "\n"
        self._hint = _HINT.fullmatch(head[0].strip().strip('"')) if head else None
        if self._hint is not None:
            head = head[1:]
        found = options.delimiter or (self._hint[1] if self._hint else None) or _find_delimiter(head, options)
        self.delimiter = found or _DELIMITERS[0]  # in which the output is written
        self._splits = self.delimiter
        numbered = [(line, record) for line, record, _ in islice(self._records(), SAMPLE_ROWS + 1)]
        if not numbered:
            raise TableFileError(say("empty-file", path=path))
        self._above = self.above_header(numbered)
        records = [record for _, record in numbered[self._above :]]
        self.name_columns(records[0], records[1:])
        if found is None and len(self.columns) == 1:
            # A semicolon in a text separates nothing.
            self._splits = _NEVER
        self._first = next(islice(self._records(), self._above, None))[1]

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return write_delimited(path, self.columns, added, self.delimiter, self.encoding, self.line_end)

    @property
    def dialect(self) -> str:
        named = {_NEVER: say("no-separator"), "\t": say("tab")}
        return say("separator", encoding=self.encoding, separator=named.get(self._splits, self.delimiter))

    def facts(self) -> dict[str, Any]:
        return {
            "format": "delimited",
            "encoding": self.encoding,
            "delimiter": None if self._splits == _NEVER else self.delimiter,
            "header": self.header,
            "header_row": self.header_row,
        }

    def _head(self) -> list[str]:
        lines, letters = [], 0
        for line in islice(self._lines, _SNIFFED):
            lines.append(line.text)
            letters += len(line.text)
            if letters > _SNIFFED_LETTERS:
                break
        return lines

    def _records(self) -> Iterator[tuple[int, list[str], str | None]]:
        """Records with the line that they begin in, and what was odd about the letters of their lines."""
        notes: dict[str, None] = {}
        lines: list[str] = []  # of the record that is being read
        line, begun = int(self._hint is not None), False

        def texts() -> Iterator[str]:
            for text, note, dropped in islice(self._lines, self._hint is not None, None):
                if dropped:
                    raise TableFileError(say("long-line", path=self.path, line=line + 1, limit=LONGEST_LINE))
                if note:
                    notes[note] = None
                lines.append(text)
                yield text

        reader = csv.reader(texts(), delimiter=self._splits)
        try:
            for record in reader:
                if len(lines) > 1:
                    # Else a quotation mark that is never closed takes in all up to the next one.
                    list(csv.reader(lines, delimiter=self._splits, strict=True))
                lines.clear()
                begun = begun or any(map(str.strip, record))
                if begun:
                    yield line + 1, record, "; ".join(notes) or None
                line = reader.line_num + (self._hint is not None)
                notes.clear()
        except csv.Error:
            raise TableFileError(say("open-quotation", path=self.path, line=line + 1)) from None

    def read_rows(self) -> Iterator[Row]:
        width = len(self.columns)
        records = islice(self._records(), self._above, None)
        if self.header and next(records, (0, [], None))[1] != self._first:
            raise self.changed()
        for number, record, note in records:
            problem = None
            if not record:
                problem = "leere Zeile"
            elif len(record) != width:
                problem = f"{len(record)} Felder statt {width}"
            values = tuple(record[:width]) + ("",) * (width - len(record))
            problem = "; ".join(filter(None, (problem, note))) or None
            yield Row(number, values, problem, tuple(record[width:]))


def _find_delimiter(lines: Sequence[str], options: TableOptions) -> str | None:
    """The delimiter that gives most records the same number of fields; the most fields decide a draw. None where the
    first record has but one field and is no title above a header."""
    best, best_score = None, (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            records = [
                record for record in csv.reader(lines, delimiter=delimiter) if any(map(str.strip, record))
            ]
        except csv.Error:
            continue
        sizes = list(map(len, records))
        if not sizes:
            continue
        if options.header_row is not None:
            # The line that names the columns says by what they are parted.
            header = next(iter(csv.reader(lines[options.header_row - 1 :][:1], delimiter=delimiter)), [])
            if len(header) < 2:
                continue
        elif sizes[0] < 2 and not rows_above(records, options.column):
            continue
        size, count = Counter(sizes).most_common(1)[0]
        if size < 2:
            continue
        score = (round(count / len(sizes), 1), size)
        if score > best_score:
            best, best_score = delimiter, score
    return best


class _DelimitedWriter(TableWriter):
    def __init__(self, stream: TextIO, header: Sequence[str], delimiter: str, line_end: str) -> None:
        # Who separates by semicolons writes decimals with a comma.
        self._comma = delimiter == ";"
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end)
        self._writer.writerow(header)

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
        yield _DelimitedWriter(stream, [*columns, *added], delimiter, line_end)
