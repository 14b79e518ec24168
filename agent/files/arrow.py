"""Parquet: batches keep their Arrow types, so that all other columns are written as they were read.

ParquetTable(Path("diagnosen.parquet"), Options()).columns
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agent.files.table import CHUNK_ROWS, Chunk, Options, Row, Table, TableError, TableWriter, unique_columns


class ParquetTable(Table):
    """A Parquet file, read by batches."""

    endings = (".parquet",)

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        try:
            with pq.ParquetFile(path) as file:
                self._schema = file.schema_arrow
                self.rows = file.metadata.num_rows
        except pa.ArrowException:
            raise TableError(f"{path}: die Parquet-Datei ist beschädigt oder nur halb kopiert") from None
        self.columns = unique_columns(path, self._schema.names)

    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        with pq.ParquetFile(self.path) as file:
            number, kept = 0, pa.table([pa.array([], f.type) for f in self._schema], schema=self._schema)
            for batch in file.iter_batches(batch_size=size):
                kept = pa.concat_tables([kept, pa.Table.from_batches([batch])])
                while kept.num_rows >= size:
                    if number >= first:
                        yield self._chunk(number, kept.slice(0, size), size)
                    number, kept = number + 1, kept.slice(size)
            if kept.num_rows and number >= first:
                yield self._chunk(number, kept, size)

    @contextmanager
    def writer(self, path: Path, added: Sequence[str]) -> Iterator[TableWriter]:
        with _open_writer(path, self._schema, added) as writer:
            yield writer

    def facts(self) -> dict[str, Any]:
        return {"format": "parquet"}

    def _chunk(self, number: int, part: pa.Table, size: int) -> Chunk:
        columns = [_values(column) for column in part.columns]
        rows = tuple(
            Row(number * size + place + 1, values) for place, values in enumerate(zip(*columns, strict=True))
        )
        return Chunk(number, rows, part)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; of a type that Python does not have (nanoseconds, say) the written form."""
    try:
        return column.to_pylist()
    except (ValueError, pa.ArrowException):
        return column.cast(pa.string()).to_pylist()


def _added_schema(schema: pa.Schema, added: Sequence[str]) -> pa.Schema:
    for name in added:
        kind = pa.float64() if name.endswith("_konfidenz") else pa.string()
        schema = schema.append(pa.field(name, kind))
    return schema


class _ParquetWriter(TableWriter):
    def __init__(self, writer: pq.ParquetWriter, columns: pa.Schema, added: Sequence[str]) -> None:
        self._writer, self._columns, self._added = writer, columns, tuple(added)
        self._schema = _added_schema(columns, added)

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        if isinstance(chunk.native, pa.Table):
            own = list(chunk.native.columns)
        else:
            by_column = zip(*(row.values for row in chunk.rows), strict=True)
            own = [
                pa.array([None if v is None else str(v) for v in column], pa.string()) for column in by_column
            ]
        fields = [self._schema.field(name).type for name in self._added]
        new = [
            pa.array(list(column), kind)
            for column, kind in zip(zip(*added, strict=True), fields, strict=True)
        ]
        self._writer.write_table(pa.table([*own, *new], schema=self._schema))


@contextmanager
def _open_writer(path: Path, schema: pa.Schema, added: Sequence[str]) -> Iterator[TableWriter]:
    with pq.ParquetWriter(path, _added_schema(schema, added), compression="zstd") as writer:
        yield _ParquetWriter(writer, schema, added)


@contextmanager
def write_parquet(path: Path, columns: Sequence[str], added: Sequence[str]) -> Iterator[TableWriter]:
    """Write a table of another format: its own columns as text."""
    with _open_writer(path, pa.schema([pa.field(name, pa.string()) for name in columns]), added) as writer:
        yield writer
