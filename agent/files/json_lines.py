"""JSON Lines: an object per line; keys keep their order, a line that is no object keeps its place.

JsonLinesTable(Path("diagnosen.jsonl"), Options()).columns
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from agent.files.table import (
    CHUNK_ROWS,
    MISSING,
    Chunk,
    Options,
    Row,
    Table,
    TableError,
    TableWriter,
    in_chunks,
)

_UNREAD = "onkokode_zeile"  # what a line that is no object is called in the output
_LONGEST_LINE = 16_000_000


class JsonLinesTable(Table):
    """An object per line. Columns are all keys that occur, in the order of their first line."""

    endings = (".jsonl", ".ndjson")

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        names: dict[str, None] = {}
        for record, _, _ in self._records():
            names.update(dict.fromkeys(record or ()))
            self.rows += 1
        if not names:
            raise TableError(f"{path}: keine Zeile ist ein JSON-Objekt; erwartet wird eines je Zeile")
        self.columns = tuple(names)

    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        return in_chunks(self._rows(), size, first)

    @contextmanager
    def writer(self, path: Path, added: Sequence[str]) -> Iterator[TableWriter]:
        with write_json_lines(path, self.columns, added) as writer:
            yield writer

    def facts(self) -> dict[str, Any]:
        return {"format": "jsonl"}

    def _records(self) -> Iterator[tuple[dict[str, Any] | None, str, str | None]]:
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as stream:
            while line := stream.readline(_LONGEST_LINE):
                line = line.rstrip("\r\n")
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    yield None, line, "kein gültiges JSON" if line.strip() else "leere Zeile"
                    continue
                if isinstance(record, dict):
                    yield record, line, None
                else:
                    yield None, line, "kein JSON-Objekt"

    def _rows(self) -> Iterator[Row]:
        for number, (record, line, problem) in enumerate(self._records(), start=1):
            found = record or {}
            values = tuple(found.get(name, MISSING) for name in self.columns)
            yield Row(number, values, problem, () if record is not None else (line,))


class _JsonLinesWriter(TableWriter):
    def __init__(self, stream: TextIO, columns: Sequence[str], added: Sequence[str]) -> None:
        self._stream, self._columns, self._added = stream, tuple(columns), tuple(added)

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        for row, values in zip(chunk.rows, added, strict=True):
            pairs = zip(self._columns, row.values, strict=True)
            record = {name: _plain(value) for name, value in pairs if value is not MISSING}
            if row.surplus:
                record[_UNREAD] = " ".join(map(str, row.surplus))
            record |= dict(zip(self._added, values, strict=True))
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float | list | dict):
        return value
    return str(value)


@contextmanager
def write_json_lines(path: Path, columns: Sequence[str], added: Sequence[str]) -> Iterator[TableWriter]:
    """Write an object per line, UTF-8."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        yield _JsonLinesWriter(stream, columns, added)
