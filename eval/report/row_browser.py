"""Every row of a set for the page's browser, as small as it goes: codes by number, one list per column, gzip.

    packed = pack(payload(runs, texts={}, title_of=lambda axis, code: ""))       # ASCII for a <script> element

The page unpacks it with the browser's own `DecompressionStream`. Without `texts` it holds row ids, codes and
numbers only.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.models.generate import first_code
from eval.report.blocks import AXIS_NAMES
from eval.report.comparison import is_coded, ranked
from eval.run.compare import Run
from eval.run.folder import Answer
from eval.testset import counts_for_exact
from index.records import AXES, CodeSystem

TitleOf = Callable[[CodeSystem, str], str]


class _Numbers:
    """Strings by the number under which they were first met; None is -1."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, value: str | None) -> int:
        return -1 if value is None else self.known.setdefault(value, len(self.known))


def payload(
    runs: Sequence[Run], texts: Mapping[str, str] | None = None, title_of: TitleOf | None = None
) -> dict[str, Any]:
    """The rows of one set with all variants' answers. `texts` by row id and `title_of` add what a reader needs to
    judge a row; they are the only texts in the page."""
    rows = runs[0].rows
    codes, notes, reasons = _Numbers(), _Numbers(), _Numbers()
    axes = [axis for axis in AXES if any(axis in row.gold for row in rows)]
    gold = [[codes.of(row.gold[axis] if is_coded(row, axis) else None) for row in rows] for axis in axes]
    answers = [[_column(run, axis, codes, reasons) for axis in axes] for run in runs]
    found = {
        "axes": [AXIS_NAMES[axis.value] for axis in axes],
        "variants": [run.variant for run in runs],
        "rows": [row.row for row in rows],
        "counted": [int(counts_for_exact(row.notes)) for row in rows],
        "noted": [[notes.of(note) for note in row.notes] for row in rows],
        "gold": gold,
        "answers": answers,
        "codes": list(codes.known),
        "notes": list(notes.known),
        "reasons": list(reasons.known),
    }
    if texts:
        found["texts"] = [texts.get(row.row, "") for row in rows]
    if title_of:
        found["titles"] = [[title_of(axis, code) for code in codes.known] for axis in axes]
    return found


def _column(run: Run, axis: CodeSystem, codes: _Numbers, reasons: _Numbers) -> dict[str, Any]:
    """One list per kind of value; confidences in thousandths, -1 where there is none. `open` is -2 where the
    variant commits itself, else the reason's number (-1: none given)."""
    given = [row.answers.get(axis, Answer(None)) for row in run.rows]
    return {
        "code": [codes.of(first_code(answer.code, axis)) for answer in given],
        "sure": [-1 if answer.confidence is None else round(1000 * answer.confidence) for answer in given],
        "open": [-2 if answer.committed else reasons.of(answer.reason) for answer in given],
        "top": [[codes.of(code) for code in ranked(answer)[1:]] for answer in given],
    }


def pack(values: Mapping[str, Any]) -> str:
    """JSON, gzip, base64: the same text for the same values."""
    raw = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()
