"""Parquet: batches keep their Arrow types, so that all other columns are written as they were read.

ParquetTable(Path("diagnosen.parquet"), TableOptions()).columns
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agent.apps.files.table import (
    CHUNK_ROWS,
    REPLACED,
    Chunk,
    Row,
    Table,
    TableFileError,
    TableOptions,
    TableWriter,
    unique_columns,
)
from index.io.language import say


class ParquetTable(Table):
    """A Parquet file, read by batches."""

    endings = (".parquet",)

    def __init__(self, path: Path, options: TableOptions) -> None:
        super().__init__(path, options)
        with _opened(path) as file:
            self._schema = file.schema_arrow
            self.rows = file.metadata.num_rows
            names = self._schema.names
        self.columns = unique_columns(path, names)

    def chunks(self, size: int = CHUNK_ROWS, first: int = 0) -> Iterator[Chunk]:
        with _opened(self.path) as file:
            if not file.schema_arrow.equals(self._schema):
                raise self.changed()
            number, kept = 0, self._schema.empty_table()
            for batch in file.iter_batches(batch_size=size):
                kept = pa.concat_tables([kept, pa.Table.from_batches([batch])])
                while kept.num_rows >= size:
                    if number >= first:
                        yield self._chunk(number, kept.slice(0, size), size)
                    number, kept = number + 1, kept.slice(size)
            if kept.num_rows and number >= first:
                yield self._chunk(number, kept, size)

    def read_rows(self) -> Iterator[Row]:
        for chunk in self.chunks():
            yield from chunk.rows

    def writer(self, path: Path, added: Sequence[str]) -> AbstractContextManager[TableWriter]:
        return _open_writer(path, self._schema, added)

    def facts(self) -> dict[str, Any]:
        return {"format": "parquet"}

    def _chunk(self, number: int, part: pa.Table, size: int) -> Chunk:
        odd: set[int] = set()
        columns = [_values(column, odd) for column in part.columns]
        rows = tuple(
            Row(number * size + place + 1, values, REPLACED if place in odd else None)
            for place, values in enumerate(zip(*columns, strict=True))
        )
        return Chunk(number, rows, part)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The file; whatever is found wrong with it while it is read is said in one way."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    # Arrow's errors are those of Python, too: damaged pages raise OSError, names that are no UTF-8 ValueError.
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TableFileError(say("parquet-damaged", path=path)) from None


def _values(column: pa.ChunkedArray, odd: set[int]) -> list[Any]:
    """Python values. Rows with a value that cannot be read go into `odd`."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError, LookupError, pa.ArrowException):
        return [_value(scalar, place, odd) for place, scalar in enumerate(column)]


def _value(scalar: pa.Scalar, place: int, odd: set[int]) -> Any:
    """Of what Python does not have (nanoseconds, the year 20000) the written form."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        odd.add(place)
        return (
            bytes(scalar.as_buffer()).decode("utf-8", "replace") if hasattr(scalar, "as_buffer") else "\ufffd"
        )
    except (ValueError, OverflowError, LookupError, pa.ArrowException):
        with suppress(ValueError, OverflowError, LookupError, pa.ArrowException):
            return str(scalar.cast(pa.string()))
        odd.add(place)
        return "\ufffd"


class _ParquetWriter(TableWriter):
    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        if isinstance(chunk.native, pa.Table):
            own = list(chunk.native.columns)
        else:
            values = zip(*(row.values for row in chunk.rows), strict=True)
            own = [pa.array(column, pa.string()) for column in values]
        kinds = self._schema.types[len(own) :]
        new = [pa.array(column, kind) for column, kind in zip(zip(*added, strict=True), kinds, strict=True)]
        self._writer.write_table(pa.table([*own, *new], schema=self._schema))


@contextmanager
def _open_writer(path: Path, schema: pa.Schema, added: Sequence[str]) -> Iterator[TableWriter]:
    for name in added:
        schema = schema.append(pa.field(name, pa.float64() if name.endswith("_konfidenz") else pa.string()))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _ParquetWriter(writer, schema)


def write_parquet(
    path: Path, columns: Sequence[str], added: Sequence[str]
) -> AbstractContextManager[TableWriter]:
    """Write a table of another format, whose values are texts."""
    return _open_writer(path, pa.schema([pa.field(name, pa.string()) for name in columns]), added)
