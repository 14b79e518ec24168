"""Where texts for the work list come from: a file with one text per line, a table, or JSONL.

    for row in read(Path("diagnosen.csv"), text_column="Diagnose", id_column="Fall"):
        row.reference, row.text, row.coding         # coding is None unless the JSONL holds it

Tables (CSV, TSV, XLSX, Parquet) are read as `onkokode code-file` reads them. JSONL of `onkokode code --json` holds
codings without their texts; `with_codings` joins it, line by line, with the file of texts that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from agent.apps.documents.sources import documents_of
from agent.apps.files.columns import find_text_column
from agent.apps.files.formats import format_of, open_table
from agent.apps.files.lines import TextLines
from agent.apps.files.table import TableFileError, TableOptions, text_of
from agent.apps.review.decision import ReviewError
from agent.apps.terminal import text_lines
from index.records import AXES
from index.text import writable

TEXT_COLUMN = "text"
_LONGEST_VALUE = 500  # of another column: it is shown beside the text, and not read
_TABLES = {".csv", ".tsv"}  # of all text files; any other holds a text per line


class UnreadableTexts(ReviewError):
    """A file of texts that cannot be put on the list; the message names the row and never its text."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text with its own reference, or its row number; its coding, where there is one already; and what else stands in
    its row of a table, by column."""

    reference: str
    text: str
    coding: dict[str, Any] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


def read(
    path: Path,
    *,
    text_column: str | None = None,
    id_column: str | None = None,
    options: TableOptions | None = None,
) -> Iterator[TextRow]:
    """The rows of a file, one at a time. Without `text_column` that is `text`, or the one that can be no other;
    `options` say how a table is to be read. Errors name the row, never its text.

    Raises:
        OSError: the file cannot be read.
        UnreadableTexts: it has no such column.
        TableFileError: it is damaged, or whether it has a header cannot be told.
    """
    kind = format_of(path)
    if kind == "jsonl":
        yield from _objects(path, text_column or TEXT_COLUMN, id_column)
    elif kind == "delimited" and path.suffix.lower() not in _TABLES:
        with path.open("rb") as stream:
            for number, text in enumerate(text_lines(stream, []), start=1):
                yield TextRow(str(number), text)
    else:
        yield from _table(path, text_column, id_column, options)


def read_documents(
    path: Path,
    text_column: str | None = None,
    options: TableOptions | None = None,
    id_column: str | None = None,
) -> Iterator[TextRow]:
    """The documents of a file, as `onkokode read` reads them."""
    for number, document in enumerate(documents_of(path, text_column, options, id_column), start=1):
        yield TextRow(str(document.place.get("id", number)), document.text)


def with_codings(rows: Iterable[TextRow], path: Path) -> Iterator[TextRow]:
    """The rows with the codings that `onkokode code --json` made of them: line n belongs to row n.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        UnreadableTexts: the numbers of lines differ, or a line is no coding of a text of that length.
    """
    with path.open("r", encoding="utf-8") as file:
        for number, (row, line) in enumerate(zip_longest(rows, file), start=1):
            if row is None or line is None:
                raise UnreadableTexts(f"{path}: not as many codings as there are texts (row {number})")
            yield replace(row, coding=_coding(_object(path, number, line), row.text, path, number))


def diagnoses(coding: dict[str, Any]) -> list[dict[str, Any]]:
    """The codings of a text's diagnoses, one each; the form is the same."""
    return [{**one, "further": []} for one in (coding, *coding.get("further", ()))]


def _table(
    path: Path, text_column: str | None, id_column: str | None, options: TableOptions | None
) -> Iterator[TextRow]:
    table = open_table(path, options, text_column)

    def place(name: str | None) -> int:
        try:
            found = TEXT_COLUMN if name is None and TEXT_COLUMN in table.columns else None
            return table.columns.index(found or find_text_column(table, name))
        except TableFileError:
            raise UnreadableTexts(
                f"{path}: no column {name or TEXT_COLUMN!r} (here: {table.shown_columns()}); name it with "
                "--text-column or --id-column"
            ) from None

    text_at, id_at = place(text_column), place(id_column) if id_column else None
    for number, row in enumerate(table.sound_rows(), start=1):
        own = "" if id_at is None else text_of(row.values[id_at])
        others = {
            column: writable(text_of(value))[:_LONGEST_VALUE]
            for place, (column, value) in enumerate(zip(table.columns, row.values, strict=False))
            if place not in (text_at, id_at) and text_of(value).strip()
        }
        yield TextRow(own or str(number), text_of(row.values[text_at]), context=others)


def _objects(path: Path, text_column: str, id_column: str | None) -> Iterator[TextRow]:
    for number, line in enumerate(TextLines(path, None, all_ends=False), start=1):
        if not line.text.strip() and not line.dropped:
            continue
        found = _object(path, number, line.text)
        text = found.get(text_column)
        if not isinstance(text, str):
            hint = (
                "; a file of `onkokode code --json` holds no texts: add the file of texts, with --coded for this one"
                if "icd10gm" in found
                else ""
            )
            raise UnreadableTexts(f"{path}: line {number} has no text in {text_column!r}{hint}")
        coding = _coding(found, text, path, number) if "icd10gm" in found and "span" in found else None
        own = found.get(id_column) if id_column else None
        yield TextRow(str(number) if own in (None, "") else str(own), text, coding)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreadableTexts(f"{path}: line {number} is no JSON object")
    return found


_TOP = ("tumour", "tumour_probability", "certainty", "side", "span", *AXES, "further")
_AXIS = ("code", "title", "confidence", "reason", "missing", "alternatives", "evidence", "checks")


def _coding(found: dict[str, Any], text: str, path: Path, number: int) -> dict[str, Any]:
    """The coding alone, if it has the form of `CodedText.to_dict()` and fits the text."""
    try:
        for one in (found, *found["further"]):
            start, end = one["span"]
            whole = set(one) >= set(_TOP) and all(set(one[axis]) >= set(_AXIS) for axis in AXES)
            if not (whole and 0 <= start <= end <= len(text)):
                raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UnreadableTexts(
            f"{path}: line {number} is not the coding of its text by `onkokode code --json`"
        ) from None
    return {name: found[name] for name in _TOP}
