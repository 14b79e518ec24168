"""A coded text as the columns of a table row, named and worded for documentation officers.

COLUMNS                          # ('onkokode_tumor', 'onkokode_icd10gm', ...)
answer_of(coded)                 # ['ja', 'C34.1', 'Lungenkarzinom im Oberlappen', 0.97, ...]
"""

from __future__ import annotations

from typing import Any

from agent.results import CodedText, Coding

_PREFIX = "onkokode_"
_AXES = (
    ("icd10gm", "icd10gm"),
    ("topographie", "icdo_topography"),
    ("morphologie", "icdo_morphology"),
)
COLUMNS: tuple[str, ...] = (
    _PREFIX + "tumor",
    *(
        f"{_PREFIX}{name}{part}"
        for name, _ in _AXES
        for part in ("", "_titel", "_konfidenz", "_alternativen")
    ),
    *(_PREFIX + name for name in ("diagnosesicherheit", "seite", "weitere", "pruefungen", "hinweis")),
)
_ALTERNATIVES = 3


def answer_of(coded: CodedText, problem: str | None = None) -> list[Any]:
    """The values of COLUMNS: texts, numbers for confidences, None where there is nothing to say."""
    if coded.problem:
        return unread(" | ".join(filter(None, (problem, coded.problem))))
    answer: list[Any] = ["ja" if coded.tumour else "nein"]
    hints = [problem] if problem else []
    for name, axis in _AXES:
        coding: Coding = getattr(coded, axis)
        # An open axis has alternatives, and their share is no confidence in an answer.
        answer += [
            coding.code,
            coding.title,
            round(coding.confidence, 4) if coding.code else None,
            _alternatives(coding) if coded.tumour else None,
        ]
        if coding.abstained and (coded.tumour or axis == "icd10gm"):
            hints.append(_reason(name, coding) if coded.tumour else coding.reason or "")
    failed = [
        f"{c.number}: {c.message}" for _, axis in _AXES for c in getattr(coded, axis).checks if not c.passed
    ]
    answer += [
        coded.certainty if coded.tumour else None,
        coded.side,
        " | ".join(_short(other) for other in coded.further) or None,
        " | ".join(dict.fromkeys(failed)) or None,
        " | ".join(dict.fromkeys(filter(None, hints))) or None,
    ]
    return answer


def unread(problem: str) -> list[Any]:
    """The values of COLUMNS for a row that holds nothing to code."""
    return [None] * (len(COLUMNS) - 1) + [problem]


def _reason(name: str, coding: Coding) -> str:
    missing = f" (es fehlt: {', '.join(coding.missing)})" if coding.missing else ""
    return f"{name}: {coding.reason}{missing}"


def _alternatives(coding: Coding) -> str | None:
    return " | ".join(f"{a.code} {a.title}" for a in coding.alternatives[:_ALTERNATIVES]) or None


def _short(coded: CodedText) -> str:
    codes = [getattr(coded, axis).code or "?" for _, axis in _AXES]
    return f"{codes[0]} ({codes[1]}, {codes[2]})"
