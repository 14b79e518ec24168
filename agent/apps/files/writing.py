"""Which writer the output gets, and what a format cannot hold made fit for it, cell by cell, with a hint in the row.

    must_fit(table, Path("kodiert.xlsx"))
    with write_table(table, Path("kodiert.xlsx"), COLUMNS, half) as writer: writer.write(chunk, answers)

Writing comes last, after hours of coding perhaps: no value of a cell may make it fail.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

from agent.apps.files.formats import ENDINGS, JSON_LINES, READ_ONLY, open_writer
from agent.apps.files.table import (
    MISSING,
    MOST_COLUMNS,
    Chunk,
    Row,
    Table,
    TableFileError,
    TableWriter,
)
from index.io.language import say
from index.text import writable

Fit = Callable[[Any, set[str]], Any]  # a value and the row's hints to what it becomes

_EXCEL_ROWS, _EXCEL_LETTERS = 1_048_576, 32_767
_EXCEL_DIGITS = 15  # Excel's numbers have no more
_FIRST_DAY = date(1900, 1, 1)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def must_fit(table: Table, target: Path, added: Sequence[str]) -> None:
    """Raise `TableFileError` where the format of `target` is only read, or cannot hold so many rows or columns."""
    ending = target.suffix.lower()
    if ending in READ_ONLY:
        raise TableFileError(say("only-read", path=target, ending=ending))
    if (ending if ending in ENDINGS else table.endings[0]) != ".xlsx":
        return
    rows, columns = table.rows + 1, len(table.columns) + len(added)
    if rows > _EXCEL_ROWS or columns > MOST_COLUMNS:
        raise TableFileError(
            say(
                "excel-too-small",
                path=target,
                most_rows=_EXCEL_ROWS,
                most_columns=MOST_COLUMNS,
                rows=rows,
                columns=columns,
            )
        )


@contextmanager
def write_table(table: Table, target: Path, added: Sequence[str], path: Path) -> Iterator[TableWriter]:
    """A writer to `path` in the format that the ending of `target` names, else in the table's own. It takes any
    value; the last of the added columns is that of hints."""
    ending = target.suffix.lower()
    if ending in table.endings or ending not in ENDINGS:
        fit = _OWN_FITS.get(table.endings[0]) or _in_encoding(table.facts().get("encoding", "utf-8"))
        opened = table.writer(path, added)
    else:
        fit = _FITS[ending]
        names = tuple(str(fit(name, set())) for name in table.columns)
        opened = open_writer(ending, names, added, path)
    with opened as writer:
        yield _FittingWriter(writer, fit, keeps_surplus=ending != ".parquet")


class _FittingWriter(TableWriter):
    """Makes values fit before another writer takes them."""

    def __init__(self, writer: TableWriter, fit: Fit, *, keeps_surplus: bool) -> None:
        self._writer, self._fit, self._keeps_surplus = writer, fit, keeps_surplus

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        rows, answers = [], []
        for row, answer in zip(chunk.rows, added, strict=True):
            hints: set[str] = set()
            values = tuple(self._fit(value, hints) for value in row.values)
            room = MOST_COLUMNS - len(values) - len(answer)
            surplus = tuple(self._fit(value, hints) for value in row.surplus[:room])
            if any(map(str, row.surplus if not self._keeps_surplus else row.surplus[room:])):
                hints.add("was über die Spalten hinausgeht, steht nur in der Eingabe")
            own = list(answer)
            if hints:
                own[-1] = " | ".join(filter(None, (own[-1], *sorted(hints))))
            rows.append(Row(row.number, values, row.problem, surplus, row.native))
            answers.append(own)
        self._writer.write(Chunk(chunk.number, tuple(rows), chunk.native), answers)


def _as_it_is(value: Any, hints: set[str]) -> Any:
    return value


def _text(value: Any, hints: set[str]) -> Any:
    """For CSV and the text columns of Parquet."""
    if value is None or value is MISSING:
        return None
    if isinstance(value, list | dict):
        value = json.dumps(_json(value, hints), ensure_ascii=False)
    return writable(str(value))


def _in_encoding(encoding: str) -> Fit:
    """For a text file in an encoding that need not have every letter."""
    if encoding.lower().replace("_", "-").startswith("utf"):
        return _as_it_is

    def fit(value: Any, hints: set[str]) -> Any:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode(encoding, "surrogateescape")
            except UnicodeError:
                hints.add(f"Zeichen, die {encoding} nicht hat, stehen als ?")
        return value

    return fit


def _json(value: Any, hints: set[str]) -> Any:
    """For JSON, which has no dates and no infinity."""
    if isinstance(value, str):
        return writable(value)
    if value is None or value is MISSING or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {writable(str(key)): _json(inner, hints) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner, hints) for inner in value]
    return writable(str(value))


def _excel(value: Any, hints: set[str]) -> Any:
    """For a cell of Excel: days since 1900 without a time zone, numbers of 15 digits, texts that XML can hold."""
    if value is None or value is MISSING or isinstance(value, bool):
        return None if value is MISSING else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 10**_EXCEL_DIGITS else str(value)
    if isinstance(value, datetime):
        return value if value.tzinfo is None and value.date() >= _FIRST_DAY else value.isoformat(" ")
    if isinstance(value, date):
        return value if value >= _FIRST_DAY else value.isoformat()
    if isinstance(value, clock):
        return value if value.tzinfo is None else value.isoformat()
    if isinstance(value, timedelta):
        return value if value >= timedelta() else str(value)
    text = value if isinstance(value, str) else _text(value, hints)
    if not text.isprintable() and (written := _NOT_XML.sub("\ufffd", text)) != text:
        hints.add("Zeichen, die Excel nicht hat, stehen als \ufffd")
        text = written
    if len(text) > _EXCEL_LETTERS:
        hints.add(f"auf {_EXCEL_LETTERS} Zeichen gekürzt, mehr fasst eine Excel-Zelle nicht")  # by the writer
    return text


_FITS: dict[str, Fit] = {
    **dict.fromkeys(ENDINGS, _text),
    **dict.fromkeys(JSON_LINES, _json),
    ".xlsx": _excel,
}
_OWN_FITS: dict[str, Fit] = {".jsonl": _json, ".xlsx": _excel, ".parquet": _as_it_is}
