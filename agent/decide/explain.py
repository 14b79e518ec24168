"""Puts an answer together: codes with confidence, the catalogue lines behind them, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from agent.decide.checks import checks_of
from agent.decide.confidence import confidence_of
from agent.prepare import Prepared, Segment, leading
from agent.resources import Resources
from agent.results import Alternative, CodedText, Coding, Evidence
from agent.state import Findings
from index.records import AXES, CatalogueLine, CodeSystem
from index.search.retriever import Retrieval
from index.text import normalise

_ALTERNATIVES = 5
_LINES = 3
_SHARED_STEM = 5

_UNNAMED = {
    CodeSystem.ICD10GM: ("Der Text bestimmt keinen ICD-10-GM-Kode.", ("Art des Tumors", "Sitz des Tumors")),
    CodeSystem.TOPOGRAPHY: ("Der Text nennt keinen Sitz.", ("Sitz des Primärtumors",)),
    CodeSystem.MORPHOLOGY: ("Der Text nennt keine Histologie.", ("Histologie und Dignität",)),
}
_PROBLEMS = {
    "time_limit": "Der Text ist nicht in der vorgesehenen Zeit zu lesen; bitte von Hand kodieren.",
    "unreadable": "Der Text ist nicht zu lesen; bitte von Hand kodieren.",
    "only_code": "Der Text ist ein Kode, keine Diagnose.",
    "refers_elsewhere": "Der Text verweist auf einen anderen; bitte dort nachsehen.",
}
_UNSURE = {
    CodeSystem.ICD10GM: ("Sitz und Art des Tumors, genauer benannt",),
    CodeSystem.TOPOGRAPHY: ("Sitz, genauer benannt",),
    CodeSystem.MORPHOLOGY: ("Histologie, genauer benannt",),
}


def coded_text(
    text: str,
    prepared: Prepared,
    found: Sequence[Findings],
    retrievals: Mapping[CodeSystem, Retrieval],
    near: Mapping[int, Sequence[CatalogueLine]],
    resources: Resources,
) -> CodedText:
    """The answer for a text: its leading diagnosis with the other tumours as `further`.

    `found` are the findings of its statements, in order. `near` holds, by a statement's number, the lines near what
    is no tumour: other diagnoses and procedures.
    """
    if not found or ("refers_elsewhere" in prepared.flags and not any(one.tumour for one in found)):
        return _uncoded(text, prepared)
    main = found[leading(text, [one.segment for one in found], [one.tumour for one in found])]
    others = [one for one in found if one.tumour and one is not main]

    def coded(one: Findings, further: tuple[CodedText, ...] = ()) -> CodedText:
        beside, words = near.get(one.number, ()), _compared(one.segment)
        icd10gm, topography, morphology = (
            _coding(one, axis, retrievals[axis], beside, words, resources) for axis in AXES
        )
        segment = one.segment
        return CodedText(
            text, one.tumour, one.tumour_probability, segment.certainty, segment.side,
            icd10gm, topography, morphology, segment.span, further,
        )  # fmt: skip

    return coded(main, tuple(map(coded, others)))


def _coding(
    one: Findings,
    axis: CodeSystem,
    found: Retrieval,
    near: Sequence[CatalogueLine],
    words: Sequence[tuple[str, tuple[int, int]]],
    resources: Resources,
) -> Coding:
    """The answer of one axis for one statement; `words` are what is compared with the lines'."""
    decision = one.decisions[axis]
    weights = resources.weights.axes[axis]
    code = one.agreement.codes.get(axis)
    confidence = confidence_of(one.signals[axis], weights.confidence) if one.tumour else decision.confidence
    ranked = decision.ranked(_ALTERNATIVES + 1, code, confidence)
    reason: str | None = None
    missing: tuple[str, ...] = ()
    if not one.tumour:
        reason = _no_tumour(one.segment)
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
    lines = near if axis is CodeSystem.ICD10GM else ()
    codes = [c for c in (shown, *(a.code for a in others)) if c]
    return Coding(
        system=axis,
        code=code,
        title=resources.catalogue.title(axis, code) if code else None,
        confidence=confidence if code else 0.0,
        abstained=code is None,
        reason=reason,
        missing=missing,
        alternatives=tuple(others[:_ALTERNATIVES]),
        evidence=tuple(
            _as_evidence(line, words) for line in lines or _lines(one.number, found, codes, resources)
        ),
        checks=checks_of(axis, one.checks),
    )


def _uncoded(text: str, prepared: Prepared) -> CodedText:
    problem = next((_PROBLEMS[flag] for flag in prepared.flags if flag in _PROBLEMS), None)
    if problem:
        reason = problem
    elif prepared.empty:
        reason = "Der Text ist leer."
    else:
        reason = "Der Text enthält keine Diagnose."
    icd10gm, topography, morphology = (
        Coding(axis, None, None, 0.0, abstained=True, reason=reason, missing=("Diagnose in Worten",))
        for axis in AXES
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


def _lines(row: int, found: Retrieval, codes: Sequence[str], resources: Resources) -> Iterator[CatalogueLine]:
    """The nearest lines of the first code, and the nearest of the second."""
    for code, limit in zip(codes[:2], (_LINES, 1), strict=False):
        matches = resources.retriever.matches(found, row, code)[:limit]
        yield from [match.line for match in matches] or resources.catalogue.lines_of(found.system, code)[:1]


def _compared(segment: Segment) -> list[tuple[str, tuple[int, int]]]:
    """A statement's words as they are compared with those of lines, and their places in the text."""
    words = ((normalise(word), (start, end)) for word, start, end in segment.words)
    return [(word, place) for word, place in words if len(word) > 2]


def _as_evidence(line: CatalogueLine, words: Sequence[tuple[str, tuple[int, int]]]) -> Evidence:
    others = _words_of(line.text)
    matched = tuple(dict.fromkeys(place for word, place in words if _shared(word, others)))
    return Evidence(line.line_id, line.text, line.code, line.system, line.edition, line.source, matched)


@lru_cache(maxsize=50_000)
def _words_of(line: str) -> tuple[str, ...]:
    """The words of a catalogue line that a text may share."""
    return tuple(word for word in normalise(line).split() if len(word) > 2)


def _shared(word: str, words: Sequence[str]) -> bool:
    """Whether a word is one of the line's, or shares its stem (Mamma, Mammakarzinom, Karzinoms)."""
    if word in words:
        return True
    long = len(word) >= _SHARED_STEM
    for other in words:
        if long and (word in other or word[:-2] == other[:-2]):
            return True
        if len(other) >= _SHARED_STEM and other in word:
            return True
    return False
