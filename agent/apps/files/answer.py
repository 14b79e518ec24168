"""A coded text as the columns of a table row, named and worded for documentation officers.

COLUMNS                          # ('onkokode_tumor', 'onkokode_icd10gm', ...)
answer_of(coded)                 # ['ja', 'C34.1', 'Lungenkarzinom im Oberlappen', 0.97, ...]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.results import CodedText, Coding
from index.records import AXES, CodeSystem

_PREFIX = "onkokode_"
AXIS_COLUMNS = {
    CodeSystem.ICD10GM: "icd10gm",
    CodeSystem.TOPOGRAPHY: "topographie",
    CodeSystem.MORPHOLOGY: "morphologie",
}
_PARTS = ("", "_titel", "_konfidenz", "_alternativen")
COLUMNS: tuple[str, ...] = (
    _PREFIX + "tumor",
    *(f"{_PREFIX}{name}{part}" for name in AXIS_COLUMNS.values() for part in _PARTS),
    *(
        _PREFIX + name
        for name in ("diagnosesicherheit", "seite", "weitere", "pruefungen", "ausgabe", "hinweis")
    ),
)
_ALTERNATIVES = 3


def answer_of(coded: CodedText, problem: str | None = None) -> list[Any]:
    """The values of COLUMNS: texts, numbers for confidences, None where there is nothing to say."""
    if coded.problem:
        return unread(" | ".join(filter(None, (problem, coded.problem))))
    answer: list[Any] = ["ja" if coded.tumour else "nein"]
    hints = [problem] if problem else []
    codings = [coded.coding(axis) for axis in AXES]
    for coding in codings:
        # An open axis has alternatives, and their share is no confidence in an answer.
        answer += [
            coding.code,
            coding.title,
            round(coding.confidence, 4) if coding.code else None,
            _alternatives(coding) if coded.tumour else None,
        ]
        if coding.abstained and (coded.tumour or coding.system is CodeSystem.ICD10GM):
            hints.append(_reason(coding) if coded.tumour else coding.reason or "")
    failed = [f"{c.number}: {c.message}" for coding in codings for c in coding.checks if not c.passed]
    answer += [
        coded.certainty if coded.tumour else None,
        coded.side,
        " | ".join(short(other.coding(axis).code for axis in AXES) for other in coded.further) or None,
        " | ".join(dict.fromkeys(failed)) or None,
        coded.edition,
        " | ".join(dict.fromkeys(filter(None, hints))) or None,
    ]
    return answer


def unread(problem: str) -> list[Any]:
    """The values of COLUMNS for a row that holds nothing to code."""
    return [None] * (len(COLUMNS) - 1) + [problem]


def _reason(coding: Coding) -> str:
    missing = f" (es fehlt: {', '.join(coding.missing)})" if coding.missing else ""
    return f"{AXIS_COLUMNS[coding.system]}: {coding.reason}{missing}"


def _alternatives(coding: Coding) -> str | None:
    return " | ".join(f"{a.code} {a.title}" for a in coding.alternatives[:_ALTERNATIVES]) or None


def short(codes: Iterable[str | None]) -> str:
    """The codes of a further diagnosis: `C61 (C61.9, 8140/3)`."""
    icd10gm, topography, morphology = (code or "?" for code in codes)
    return f"{icd10gm} ({topography}, {morphology})"
