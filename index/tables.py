"""Codes, lines and rules as Parquet tables, for the store and the index: written whole, read with every cell checked.

write_table("lines", lines, folder / "lines.parquet")
lines = read_table("lines", (folder / "lines.parquet").read_bytes(), folder / "lines.parquet")
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.io.language import say
from index.io.sealed import UNREADABLE, DamagedFile
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule

if TYPE_CHECKING:
    import pyarrow as pa

# Table -> column -> its type in Arrow's words; a question mark stands where a cell may be empty.
_COLUMNS = {
    "codes": {
        "code": "string", "title": "string", "system": "string", "edition": "string", "parent": "string?",
        "terminal": "bool", "valid": "bool", "sex": "string?", "age_low": "double?", "age_high": "double?",
    },
    "lines": dict.fromkeys(("line_id", "code", "text", "kind", "system", "edition", "source"), "string"),
    "rules": {
        "topography": "string", "morphologies": "ranges", "behaviour": "string", "icd10": "string", "default": "bool",
    },
}  # fmt: skip
TABLES = tuple(_COLUMNS)
_SYSTEMS = {system.value: system for system in CodeSystem}


def write_table(name: str, records: Sequence[Any], path: Path) -> None:
    """Writes the records of one of `TABLES`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {column: [_cell(record, column) for record in records] for column in _COLUMNS[name]}
    pq.write_table(pa.table(columns, schema=_schema(name)), path, compression="zstd")


def read_table(name: str, data: bytes, path: Path) -> tuple[Any, ...]:
    """The records in the bytes of a table. Raises `DamagedFile`, which names `path`, for other columns, an empty cell
    where none may be, and values that mean nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not `pq.read_table`, which imports pandas.
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        if not table.schema.remove_metadata().equals(_schema(name)):
            raise DamagedFile(path, say("damaged-columns", name=name))
        for column, kind in _COLUMNS[name].items():
            if not kind.endswith("?") and table.column(column).null_count:
                raise DamagedFile(path, say("damaged-empty-cells", name=column))
        return tuple(map(_RECORDS[name], *table.to_pydict().values()))
    except (*UNREADABLE, pa.ArrowException, re.error) as error:
        raise DamagedFile(path, say("damaged-unreadable", kind=type(error).__name__)) from None


def _schema(name: str) -> pa.Schema:
    import pyarrow as pa

    kinds = {
        "string": pa.string(), "bool": pa.bool_(), "double": pa.float64(), "ranges": pa.list_(pa.list_(pa.int32())),
    }  # fmt: skip
    return pa.schema([(column, kinds[kind.removesuffix("?")]) for column, kind in _COLUMNS[name].items()])


def _cell(record: Any, column: str) -> Any:
    if column.startswith("age_"):
        return record.age[column == "age_high"] if record.age else None
    value = getattr(record, column)
    return str(value) if isinstance(value, str) else value


def _code(
    code: str, title: str, system: str, edition: str, parent: str | None, terminal: bool, valid: bool,
    sex: str | None, low: float | None, high: float | None,
) -> Code:  # fmt: skip
    age = None if low is None and high is None else (low, high)
    if (
        not code
        or sex not in (None, "M", "W")
        or any(end is not None and math.isnan(end) for end in age or ())
    ):
        raise ValueError("no code, or a sex or an age that is none")
    return Code(code, title, _SYSTEMS[system], edition, parent, terminal, valid, sex, age)


def _line(
    line_id: str, code: str, text: str, kind: str, system: str, edition: str, source: str
) -> CatalogueLine:
    if not (line_id and code and kind):
        raise ValueError("a line without a number, a code or a kind")
    return CatalogueLine(line_id, code, text, kind, _SYSTEMS[system], edition, source)


def _rule(
    topography: str, ranges: list[list[int]], behaviour: str, icd10: str, default: bool
) -> CrosswalkRule:
    re.compile(topography)
    morphologies = tuple((low, high) for low, high in ranges)
    if not all(isinstance(end, int) for limits in morphologies for end in limits):
        raise ValueError("a range without an end")
    return CrosswalkRule(topography, morphologies, behaviour, icd10, default)


_RECORDS: dict[str, Callable[..., Any]] = {"codes": _code, "lines": _line, "rules": _rule}
