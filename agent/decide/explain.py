"""Puts an answer together: codes with confidence, the catalogue lines behind them, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from agent.decide.checks import checks_of
from agent.decide.confidence import confidence_of
from agent.prepare import Prepared, Segment
from agent.prepare.context import names_definite_tumour
from agent.resources import Resources
from agent.results import Alternative, CodedText, Coding, Evidence
from agent.state import Unit
from index.records import CatalogueLine, CodeSystem
from index.search.retriever import Retrieval
from index.text import normalise

_ALTERNATIVES = 5
_LINES = 3
_SHARED_STEM = 5

# What begins the second of two diagnoses when it is the one of today.
_TODAY = re.compile(r"\b(?:jetzt|nun|aktuell|neu)\b|\bZweit", re.I)
_UNNAMED = {
    CodeSystem.ICD10GM: ("Der Text bestimmt keinen ICD-10-GM-Kode.", ("Art des Tumors", "Sitz des Tumors")),
    CodeSystem.TOPOGRAPHY: ("Der Text nennt keinen Sitz.", ("Sitz des Primärtumors",)),
    CodeSystem.MORPHOLOGY: ("Der Text nennt keine Histologie.", ("Histologie und Dignität",)),
}
_PROBLEMS = {
    "time_limit": "Der Text ist nicht in der vorgesehenen Zeit zu lesen; bitte von Hand kodieren.",
    "unreadable": "Der Text ist nicht zu lesen; bitte von Hand kodieren.",
}
_UNSURE = {
    CodeSystem.ICD10GM: ("Sitz und Art des Tumors, genauer benannt",),
    CodeSystem.TOPOGRAPHY: ("Sitz, genauer benannt",),
    CodeSystem.MORPHOLOGY: ("Histologie, genauer benannt",),
}


def coding_of(unit: Unit, axis: CodeSystem, row: int, found: Retrieval, resources: Resources) -> Coding:
    """The answer of one axis for one diagnosis."""
    decision = unit.decisions[axis]
    weights = resources.weights.axes[axis]
    code = unit.agreement.codes.get(axis) if unit.tumour else None
    confidence = confidence_of(unit.signals[axis], weights.confidence) if unit.tumour else decision.confidence
    ranked = decision.ranked(_ALTERNATIVES + 1, code, confidence)
    reason: str | None = None
    missing: tuple[str, ...] = ()
    if not unit.tumour:
        reason = _no_tumour(unit.segment)
    elif code is None:
        reason, missing = _UNNAMED[axis]
    elif confidence < weights.abstain_below:
        first, second = code, next((c for c, _ in ranked if c != code), "")
        reason = f"Zu unsicher: {first} oder {second}?" if second else "Zu unsicher."
        missing, code = _UNSURE[axis], None
    shown = code or (ranked[0][0] if ranked else None)
    others = [
        Alternative(c, resources.catalogue.title(axis, c), p) for c, p in ranked if code is None or c != code
    ]
    if axis is CodeSystem.ICD10GM and unit.beside:
        evidence = tuple(_as_evidence(match.line, unit.segment) for match in unit.beside)
    else:
        evidence = _evidence(
            unit, row, found, resources, [c for c in (shown, *(a.code for a in others)) if c]
        )
    return Coding(
        system=axis,
        code=code,
        title=resources.catalogue.title(axis, code) if code else None,
        confidence=confidence if code else 0.0,
        abstained=code is None,
        reason=reason,
        missing=missing,
        alternatives=tuple(others[:_ALTERNATIVES]),
        evidence=evidence,
        checks=checks_of(axis, unit.checks),
    )


def coded_text(text: str, prepared: Prepared, units: Sequence[Unit], resources: Resources) -> CodedText:
    """The answer for a text: its leading tumour (or its first diagnosis) with the other tumours as `further`."""
    if not units:
        return _uncoded(text, prepared)
    tumours = [unit for unit in units if unit.tumour]
    main = _leading(text, tumours) if tumours else units[0]
    further = tuple(_of_unit(text, unit, ()) for unit in tumours if unit is not main)
    return _of_unit(text, main, further)


def _leading(text: str, tumours: Sequence[Unit]) -> Unit:
    """The first tumour that a word names; one of today before one of the past, where the text says so."""
    named = [unit for unit in tumours if names_definite_tumour(unit.segment.core)] or tumours
    if named[0].segment.certainty == "Zustand nach":
        for unit in named[1:]:
            first, word = unit.segment.span[0], unit.segment.words[0][1]
            if unit.segment.metastasis_context != "metastasis" and _TODAY.search(
                text[max(0, first - 8) : word + 8]
            ):
                return unit
    return named[0]


def _of_unit(text: str, unit: Unit, further: tuple[CodedText, ...]) -> CodedText:
    return CodedText(
        text=text,
        tumour=unit.tumour,
        tumour_probability=unit.tumour_probability,
        certainty=unit.segment.certainty,
        side=unit.segment.side,
        icd10gm=unit.codings[CodeSystem.ICD10GM],
        icdo_topography=unit.codings[CodeSystem.TOPOGRAPHY],
        icdo_morphology=unit.codings[CodeSystem.MORPHOLOGY],
        span=unit.segment.span,
        further=further,
    )


def _uncoded(text: str, prepared: Prepared) -> CodedText:
    problem = next((_PROBLEMS[flag] for flag in prepared.flags if flag in _PROBLEMS), None)
    if problem:
        reason = problem
    elif prepared.empty:
        reason = "Der Text ist leer."
    elif prepared.only_code:
        reason = "Der Text ist ein Kode, keine Diagnose."
    else:
        reason = "Der Text enthält keine Diagnose."
    icd10gm, topography, morphology = (
        Coding(axis, None, None, 0.0, abstained=True, reason=reason, missing=("Diagnose in Worten",))
        for axis in (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY)
    )
    # What was not read may be a tumour or not: a person has to look.
    probability = 0.5 if problem else 0.0
    span = (0, len(text))
    return CodedText(
        text, False, probability, "gesichert", None, icd10gm, topography, morphology, span, problem=problem
    )


def _no_tumour(segment: Segment) -> str:
    if segment.family:
        return "Der Text spricht von Angehörigen."
    if segment.negated:
        return "Der Text schließt die Diagnose aus."
    return "Keine Tumordiagnose."


def _evidence(
    unit: Unit, row: int, found: Retrieval, resources: Resources, codes: Sequence[str]
) -> tuple[Evidence, ...]:
    """The nearest lines of the first code, and the nearest of the second."""
    evidence: list[Evidence] = []
    for code, limit in zip(codes[:2], (_LINES, 1), strict=False):
        matches = resources.retriever.candidate(found, row, code).matches[:limit]
        lines = [match.line for match in matches] or list(
            resources.catalogue.lines_of(found.system, code)[:1]
        )
        evidence += [_as_evidence(line, unit.segment) for line in lines]
    return tuple(evidence)


def _as_evidence(line: CatalogueLine, segment: Segment) -> Evidence:
    words = _words_of(line.text)
    matched = tuple(
        dict.fromkeys((start, end) for word, start, end in segment.words if _shared(normalise(word), words))
    )
    return Evidence(line.line_id, line.text, line.code, line.system, line.edition, line.source, matched)


@lru_cache(maxsize=50_000)
def _words_of(line: str) -> tuple[str, ...]:
    """The words of a catalogue line that a text may share."""
    return tuple(word for word in normalise(line).split() if len(word) > 2)


def _shared(word: str, words: Sequence[str]) -> bool:
    """Whether a word is one of the line's, or shares its stem (Mamma, Mammakarzinom, Karzinoms)."""
    if len(word) < 3:
        return False
    return any(
        word == other
        or (len(word) >= _SHARED_STEM and (word in other or word[:-2] == other[:-2]))
        or (len(other) >= _SHARED_STEM and other in word)
        for other in words
    )
