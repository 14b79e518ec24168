"""JSON Lines: an object per line; keys keep their order, a line that is no object keeps its place.

JsonLinesTable(Path("diagnosen.jsonl"), TableOptions()).columns

An object that goes out as JSON goes out letter by letter, with our keys before its last bracket: parsed and
written again, `1.10`, `1e400` and keys that occur twice would not be what they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from agent.apps.files.lines import LONGEST_LINE, TextLines
from agent.apps.files.table import (
    MISSING,
    MOST_COLUMNS,
    REPLACED,
    Chunk,
    Row,
    Table,
    TableFileError,
    TableOptions,
    TableWriter,
)
from index.io.language import say
from index.text import writable

_UNREAD = "onkokode_zeile"  # what a line that is no object is called in the output
_SPACE = re.compile(r"[ \t\r\n]*")
_DIGITS = 25  # what Python writes in the same way is no longer


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, all of them where a key occurs twice."""


def _as_written(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A number as Python's where that is written in the same way, else its own text."""

    def number(written: str) -> Any:
        if len(written) > _DIGITS:
            return written
        value = read(written)
        return value if repr(value) == written else written

    return number


_decode = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_as_written(int), parse_float=_as_written(float), parse_constant=str
).raw_decode


class _Record(NamedTuple):
    """A line: its members or None, its text, and what is wrong with it."""

    members: dict[str, Any] | None
    text: str
    problem: str | None


class JsonLinesTable(Table):
    """An object per line. Columns are all keys that occur, in the order of their first line."""

    endings = (".jsonl", ".ndjson")

    def __init__(self, path: Path, options: TableOptions) -> None:
        super().__init__(path, options)
        self._lines = TextLines(path, options.encoding, all_ends=False)
        names: dict[str, None] = {}
        rows = 0
        for record in self._records():
            names.update(dict.fromkeys(record.members or ()))
            rows += 1
            if len(names) > MOST_COLUMNS:
                raise TableFileError(say("json-keys", path=path, limit=MOST_COLUMNS))
        if not names:
            raise TableFileError(say("json-no-object", path=path))
        self.columns = tuple(names)
        self.rows = rows

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return write_json_lines(path, self.columns, added)

    def facts(self) -> dict[str, Any]:
        return {"format": "jsonl", "encoding": self._lines.encoding}

    def _records(self) -> Iterator[_Record]:
        for line, note, dropped in self._lines:
            if dropped:
                size = (len(line) + dropped) // 1_000_000
                problem = (
                    f"Zeile zu lang ({size} MB, höchstens {LONGEST_LINE // 1_000_000}), nicht übernommen"
                )
                yield _Record(None, "", problem)
                continue
            text = writable(line.strip(" \t\r\n"))  # bytes that no encoding knows are no JSON
            try:
                members, twice = _members(text)
            except (ValueError, RecursionError):
                problem = "kein gültiges JSON" if text else "leere Zeile"
                yield _Record(None, text, "; ".join(filter(None, (problem, note))))
                continue
            if members is None:
                yield _Record(None, text, "kein JSON-Objekt")
                continue
            odd = note is None and any(isinstance(v, str) and writable(v) != v for v in members.values())
            problems = (
                note,
                REPLACED if odd else None,
                "ein Schlüssel steht mehrmals da, der letzte gilt" * twice,
            )
            yield _Record(members, text, "; ".join(filter(None, problems)) or None)

    def read_rows(self) -> Iterator[Row]:
        known = set(self.columns)
        for number, (members, text, problem) in enumerate(self._records(), start=1):
            if members is None:
                yield Row(number, (MISSING,) * len(self.columns), problem, (text,))
                continue
            if not members.keys() <= known:
                raise self.changed()
            values = tuple(members.get(name, MISSING) for name in self.columns)
            yield Row(number, values, problem, native=text)


def _members(text: str) -> tuple[dict[str, Any] | None, bool]:
    """The members of an object and whether a key occurs twice; None for other JSON.

    Texts, true, false and null are Python's, numbers as `_as_written` says; a list or an object is its own text.
    Raises `ValueError` or `RecursionError` for what is no JSON.
    """
    read, end = _decode(text)
    if end < len(text):
        raise ValueError("more than one value")
    if not isinstance(read, _Pairs):
        return None, False
    members = dict(read)
    if any(isinstance(value, list) for value in members.values()):
        members = dict(_slices(text))
    return members, len(members) < len(read)


def _slices(text: str) -> Iterator[tuple[str, Any]]:
    """The members of an object that is valid, with the text of lists and objects."""
    at = _after_space(text, 1)
    while text[at] != "}":
        key, at = _decode(text, at)
        begin = _after_space(text, _after_space(text, at) + 1)
        value, end = _decode(text, begin)
        yield key, text[begin:end] if isinstance(value, list) else value
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too


class _JsonLinesWriter(TableWriter):
    def __init__(self, stream: TextIO, columns: Sequence[str], added: Sequence[str]) -> None:
        self._stream, self._columns, self._added = stream, tuple(columns), tuple(added)

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        for row, values in zip(chunk.rows, added, strict=True):
            ours = writable(json.dumps(dict(zip(self._added, values, strict=True)), ensure_ascii=False))
            own = row.native if row.native is not None else self._object(row)
            begin = own.rstrip()[:-1].rstrip()
            self._stream.write(f"{begin}{'' if begin == '{' else ', '}{ours[1:]}\n")

    def _object(self, row: Row) -> str:
        pairs = zip(self._columns, row.values, strict=True)
        record = {name: value for name, value in pairs if value is not MISSING}
        if row.surplus:
            record[_UNREAD] = " ".join(map(str, row.surplus))
        return writable(json.dumps(record, ensure_ascii=False))


@contextmanager
def write_json_lines(path: Path, columns: Sequence[str], added: Sequence[str]) -> Iterator[TableWriter]:
    """Write an object per line, UTF-8. Values are such that JSON has."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        yield _JsonLinesWriter(stream, columns, added)
