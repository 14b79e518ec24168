"""Where texts for the work list come from: a file with one text per line, a CSV table, or JSONL.

    for row in read(Path("diagnosen.csv"), text_column="Diagnose", id_column="Fall"):
        row.reference, row.text, row.coding         # coding is None unless the JSONL holds it

JSONL of `onkokode code --json` holds codings without their texts; `with_codings` joins it, line by line, with the
file of texts that it was made from.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from agent.apps.review.decision import ReviewError
from index.records import AXES

_TABLES = {".csv", ".tsv"}
_OBJECTS = {".jsonl", ".ndjson"}
_LONGEST_CELL = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its own reference, or its row number; and its coding, where there is one already."""

    reference: str
    text: str
    coding: dict[str, Any] | None = None


def read(path: Path, *, text_column: str = "text", id_column: str | None = None) -> Iterator[Row]:
    """The rows of a file, one at a time; its ending says what it is. Errors name the row, never its text.

    Raises:
        ReviewError: the file cannot be read, or has no such column.
    """
    try:
        # Only a line feed ends a row of texts; a stray carriage return or form feed is part of one.
        newline = "" if path.suffix.lower() in _TABLES else "\n"
        with path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
            if path.suffix.lower() in _TABLES:
                yield from _table(path, file, text_column, id_column)
            elif path.suffix.lower() in _OBJECTS:
                yield from _objects(path, file, text_column, id_column)
            else:
                for number, line in enumerate(file, start=1):
                    yield Row(str(number), line.removesuffix("\n").removesuffix("\r"))
    except OSError as error:
        raise ReviewError(f"{path}: cannot be read ({error.strerror})") from error
    except csv.Error as error:
        raise ReviewError(f"{path}: not a table that can be read ({error})") from error


def with_codings(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """The rows with the codings that `onkokode code --json` made of them: line n belongs to row n.

    Raises:
        ReviewError: the numbers of lines differ, or a line is no coding of a text of that length.
    """
    try:
        with path.open("r", encoding="utf-8") as file:
            for number, (row, line) in enumerate(zip_longest(rows, file), start=1):
                if row is None or line is None:
                    raise ReviewError(f"{path}: not as many codings as there are texts (row {number})")
                yield replace(row, coding=_coding(_object(path, number, line), row.text, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(f"{path}: cannot be read") from error


def diagnoses(coding: dict[str, Any]) -> list[dict[str, Any]]:
    """The codings of a text's diagnoses, one each; the form is the same."""
    return [{**one, "further": []} for one in (coding, *coding.get("further", ()))]


def _table(path: Path, file: IO[str], text_column: str, id_column: str | None) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    first = file.readline()
    file.seek(0)
    delimiter = max(";\t,", key=first.count)
    table = csv.DictReader(file, delimiter=delimiter)
    for name in filter(None, (text_column, id_column)):
        if name not in (table.fieldnames or ()):
            there = ", ".join(map(repr, table.fieldnames or ())) or "none"
            raise ReviewError(
                f"{path}: no column {name!r} (here: {there}); name it with --text-column or --id-column"
            )
    for number, row in enumerate(table, start=1):
        yield Row(_reference(row, id_column, number), row[text_column] or "")


def _objects(path: Path, file: IO[str], text_column: str, id_column: str | None) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        found = _object(path, number, line)
        text = found.get(text_column)
        if not isinstance(text, str):
            hint = (
                "; a file of `onkokode code --json` holds no texts: add the file of texts, with --coded for this one"
                if "icd10gm" in found
                else ""
            )
            raise ReviewError(f"{path}: line {number} has no text in {text_column!r}{hint}")
        coding = _coding(found, text, path, number) if "icd10gm" in found and "span" in found else None
        yield Row(_reference(found, id_column, number), text, coding)


def _reference(row: dict[str, Any], id_column: str | None, number: int) -> str:
    own = row.get(id_column) if id_column else None
    return str(own) if own not in (None, "") else str(number)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ReviewError(f"{path}: line {number} is no JSON object")
    return found


_TOP = ("tumour", "tumour_probability", "certainty", "side", "span", *AXES, "further")
_AXIS = ("code", "title", "confidence", "reason", "missing", "alternatives", "evidence", "checks")


def _coding(found: dict[str, Any], text: str, path: Path, number: int) -> dict[str, Any]:
    """The coding alone, if it has the form of `CodedText.to_dict()` and fits the text."""
    try:
        for one in (found, *found["further"]):
            start, end = one["span"]
            right = 0 <= start <= end <= len(text) and all(name in one for name in _TOP)
            for axis in AXES:
                right = right and all(name in one[axis] for name in _AXIS)
            if not right:
                raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ReviewError(
            f"{path}: line {number} is not the coding of its text by `onkokode code --json`"
        ) from None
    return {name: found[name] for name in _TOP}
