"""Codes, lines and rules as Parquet tables, for the store and the index: written whole, read with every cell checked.

write_table("lines", lines, folder / "lines.parquet")
lines = read_table("lines", (folder / "lines.parquet").read_bytes(), folder / "lines.parquet")
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.io.sealed import UNREADABLE, Damaged
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("codes", "lines", "rules")
_LINE_COLUMNS = ("line_id", "code", "text", "kind", "system", "edition", "source")
_OPTIONAL = {"parent", "sex", "age_low", "age_high"}
_SYSTEMS = {system.value: system for system in CodeSystem}


def write_table(name: str, records: Sequence[Any], path: Path) -> None:
    """Writes the records of one of `TABLES`."""
    import pyarrow.parquet as pq

    pq.write_table(_TO_TABLE[name](records), path, compression="zstd")


def read_table(name: str, data: bytes, path: Path) -> tuple[Any, ...]:
    """The records in the bytes of a table. Raises `Damaged`, which names `path`, for other columns, an empty cell
    where none may be, and values that mean nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
        wanted = _TO_TABLE[name](()).schema
        if not table.schema.remove_metadata().equals(wanted):
            raise Damaged(path, f"has other columns than a table of {name}")
        empty = [c for c in table.column_names if c not in _OPTIONAL and table.column(c).null_count]
        if empty:
            raise Damaged(path, f"has empty cells in the column {empty[0]}")
        return tuple(_FROM_TABLE[name](table.to_pydict()))
    except (*UNREADABLE, pa.ArrowException, re.error) as error:
        raise Damaged(path, f"cannot be read ({type(error).__name__})") from None


def _codes_to_table(codes: Sequence[Code]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "code": pa.array([code.code for code in codes], pa.string()),
            "title": pa.array([code.title for code in codes], pa.string()),
            "system": pa.array([code.system.value for code in codes], pa.string()),
            "edition": pa.array([code.edition for code in codes], pa.string()),
            "parent": pa.array([code.parent for code in codes], pa.string()),
            "terminal": pa.array([code.terminal for code in codes], pa.bool_()),
            "valid": pa.array([code.valid for code in codes], pa.bool_()),
            "sex": pa.array([code.sex for code in codes], pa.string()),
            "age_low": pa.array([code.age[0] if code.age else None for code in codes], pa.float64()),
            "age_high": pa.array([code.age[1] if code.age else None for code in codes], pa.float64()),
        }
    )


def _codes_from_table(columns: dict[str, list[Any]]) -> Iterator[Code]:
    for code, title, system, edition, parent, terminal, valid, sex, low, high in zip(
        *columns.values(), strict=True
    ):
        age = None if low is None and high is None else (low, high)
        if (
            not code
            or sex not in (None, "M", "W")
            or any(end is not None and math.isnan(end) for end in age or ())
        ):
            raise ValueError("no code, or a sex or an age that is none")
        yield Code(code, title, _SYSTEMS[system], edition, parent, terminal, valid, sex, age)


def _lines_to_table(lines: Sequence[CatalogueLine]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {name: pa.array([str(getattr(line, name)) for line in lines], pa.string()) for name in _LINE_COLUMNS}
    )


def _lines_from_table(columns: dict[str, list[Any]]) -> Iterator[CatalogueLine]:
    for line_id, code, text, kind, system, edition, source in zip(*columns.values(), strict=True):
        if not (line_id and code and kind):
            raise ValueError("a line without a number, a code or a kind")
        yield CatalogueLine(line_id, code, text, kind, _SYSTEMS[system], edition, source)


def _rules_to_table(rules: Sequence[CrosswalkRule]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "topography": pa.array([rule.topography for rule in rules], pa.string()),
            "morphologies": pa.array(
                [list(map(list, rule.morphologies)) for rule in rules], pa.list_(pa.list_(pa.int32()))
            ),
            "behaviour": pa.array([rule.behaviour for rule in rules], pa.string()),
            "icd10": pa.array([rule.icd10 for rule in rules], pa.string()),
            "default": pa.array([rule.default for rule in rules], pa.bool_()),
        }
    )


def _rules_from_table(columns: dict[str, list[Any]]) -> Iterator[CrosswalkRule]:
    for topography, ranges, behaviour, icd10, default in zip(*columns.values(), strict=True):
        re.compile(topography)
        morphologies = tuple((low, high) for low, high in ranges)
        if not all(isinstance(end, int) for limits in morphologies for end in limits):
            raise ValueError("a range without an end")
        yield CrosswalkRule(topography, morphologies, behaviour, icd10, default)


_TO_TABLE: dict[str, Callable[[Any], pa.Table]] = {
    "codes": _codes_to_table,
    "lines": _lines_to_table,
    "rules": _rules_to_table,
}
_FROM_TABLE: dict[str, Callable[[dict[str, list[Any]]], Iterator[Any]]] = {
    "codes": _codes_from_table,
    "lines": _lines_from_table,
    "rules": _rules_from_table,
}
