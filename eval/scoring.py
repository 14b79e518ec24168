"""How an answer is scored: exact, partial, malformed, as the study does (arXiv 2510.13624), with a fixed n.

    scored = score(["C50.4", "C34.1"], ["Der Code ist C50.9.", None], CodeSystem.ICD10GM)
    scored.n, scored.exact, scored.partial, scored.malformed      # (2, 0, 1, 1)

An answer is free text, of which the first code counts, or a code, or None. *Exact*: the whole code is equal.
*Partial*: the part before the point is equal; for morphology, the four digits of the histology. *Malformed*:
no code in the answer; it counts as wrong, and n stays whole. An axis on which the agent abstains is wrong as
*coded*; as *first choice* its first alternative counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.answers import first_code, stem
from agent.results import Coding
from index.records import CodeSystem


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over n answers; `exact_hits` and `partial_hits` say for each answer whether it was right."""

    n: int
    exact: int
    partial: int
    malformed: int
    exact_hits: tuple[bool, ...]
    partial_hits: tuple[bool, ...]


def score(gold: Sequence[str], answers: Sequence[str | None], system: CodeSystem) -> Score:
    """Score answers against the codes given. Raises `ValueError` where the two differ in length."""
    found = [first_code(answer, system) for answer in answers]
    exact = tuple(code == right for code, right in zip(found, gold, strict=True))
    partial = tuple(
        code is not None and stem(code) == stem(right) for code, right in zip(found, gold, strict=True)
    )
    return Score(len(exact), sum(exact), sum(partial), found.count(None), exact, partial)


def coded(coding: Coding) -> str | None:
    """The code that the agent commits itself to; None where it abstains."""
    return None if coding.abstained else coding.code


def first_choice(coding: Coding) -> str | None:
    """The code that the agent thinks likeliest, whether it commits itself or not."""
    if coding.code is not None and not coding.abstained:
        return coding.code
    return coding.alternatives[0].code if coding.alternatives else None


def first_confidence(coding: Coding) -> float:
    """The confidence that belongs to `first_choice`."""
    if coding.abstained or coding.code is None:
        return coding.alternatives[0].confidence if coding.alternatives else 0.0
    return coding.confidence


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many answers a threshold on the confidence accepts, and how many of those are wrong."""

    accepted: int
    wrong: int
    n: int
    threshold: float | None


def coverage_at_error(confidences: Sequence[float], hits: Sequence[bool], error: float = 0.02) -> Coverage:
    """The largest share of answers that one threshold accepts with at most `error` of them wrong.

    Answers of equal confidence are accepted together, as a threshold would. The threshold is chosen on the
    answers that it is measured on, so this is an upper bound of what a fixed threshold reaches.
    """
    ranked = sorted(zip(confidences, hits, strict=True), key=lambda pair: -pair[0])
    best = Coverage(0, 0, len(ranked), None)
    wrong = 0
    for accepted, (confidence, hit) in enumerate(ranked, start=1):
        wrong += not hit
        group_ends = accepted == len(ranked) or ranked[accepted][0] < confidence
        if group_ends and wrong <= error * accepted:
            best = Coverage(accepted, wrong, len(ranked), confidence)
    return best
