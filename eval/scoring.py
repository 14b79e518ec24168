"""How an answer is scored: exact, partial, malformed, as the study does (arXiv 2510.13624), with a fixed n.

    scored = score(["C50.4", "C34.1"], ["Der Code ist C50.9.", None], CodeSystem.ICD10GM)
    scored.n, scored.exact, scored.partial, scored.malformed      # (2, 0, 1, 1)

An answer is free text, of which the first code counts, or a code, or None. *Exact*: the whole code is equal.
*Partial*: the part before the point is equal; for morphology, the four digits of the histology. *Malformed*:
no code in the answer; it counts as wrong, and n stays whole. An axis on which the agent abstains is wrong as
*coded*; as *first choice* its first alternative counts.

*Distance* counts the steps up the tree from the answer to the first branch that holds the right code too: 0 the
same code, 1 the same three characters (or histology), 2 the same chapter group, 3 none of these or malformed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import bdtr

from agent.models.generate import first_code, stem
from agent.results import Coding
from index.icd import CHAPTER_GROUPS
from index.records import CodeSystem


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over n answers; `exact_hits` and `partial_hits` say for each answer whether it was right, `found`
    which code it holds."""

    n: int
    exact: int
    partial: int
    malformed: int
    exact_hits: tuple[bool, ...]
    partial_hits: tuple[bool, ...]
    found: tuple[str | None, ...]


def score(gold: Sequence[str], answers: Sequence[str | None], system: CodeSystem) -> Score:
    """Score answers against the codes given. Raises `ValueError` where the two differ in length."""
    found = tuple(first_code(answer, system) for answer in answers)
    exact = tuple(code == right for code, right in zip(found, gold, strict=True))
    partial = tuple(
        code is not None and stem(code) == stem(right) for code, right in zip(found, gold, strict=True)
    )
    return Score(len(exact), sum(exact), sum(partial), found.count(None), exact, partial, found)


FARTHEST = 3


def distances(gold: Sequence[str], answers: Sequence[str | None], system: CodeSystem) -> tuple[int, ...]:
    """Steps from each answer to the right code, 0 to `FARTHEST`. Raises `ValueError` where the lengths differ."""
    found = [first_code(answer, system) for answer in answers]
    return tuple(_distance(said, right, system) for said, right in zip(found, gold, strict=True))


def _distance(said: str | None, right: str, system: CodeSystem) -> int:
    if said is None:
        return FARTHEST
    if stem(said) == stem(right):
        return int(said != right)
    group = chapter_group(right, system)
    return 2 if group is not None and chapter_group(said, system) == group else FARTHEST


@cache
def chapter_group(code: str, system: CodeSystem) -> str | None:
    """The branch above the three characters: the block of ICD-10 (C15-C26, ...), by which the sites of ICD-O
    are grouped too; for morphology the first three digits (814 adenomas and adenocarcinomas, ...). None for a
    code outside C00-D48."""
    if system is CodeSystem.MORPHOLOGY:
        return code[:3]
    return next((name for name, low, high in CHAPTER_GROUPS if low <= code[:3] <= high), None)


def top_k_hits(gold: Sequence[str], ranked: Sequence[Sequence[str]], k: int) -> tuple[bool, ...]:
    """Whether the right code is among the first k. Raises `ValueError` where the lengths differ."""
    return tuple(right in codes[:k] for codes, right in zip(ranked, gold, strict=True))


def macro_accuracy(gold: Sequence[str], hits: Sequence[bool]) -> float | None:
    """The mean over the given codes of the share that is right, so that rare codes weigh as much as frequent
    ones (scikit-learn: balanced accuracy, macro recall); None without rows."""
    by_code: dict[str, list[bool]] = defaultdict(list)
    for code, hit in zip(gold, hits, strict=True):
        by_code[code].append(hit)
    return float(np.mean([np.mean(found) for found in by_code.values()])) if by_code else None


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


def coverage_at_error(
    confidences: Sequence[float] | np.ndarray,
    hits: Sequence[bool] | np.ndarray,
    error: float = 0.02,
    *,
    level: float | None = None,
) -> Coverage:
    """The largest share of answers that one threshold accepts with at most `error` of them wrong.

    Answers of equal confidence are accepted together, as a threshold would. The threshold is chosen on the
    answers that it is measured on, so this is an upper bound of what a fixed threshold reaches. With `level`,
    not the share seen but its one-sided upper bound (Clopper and Pearson) must be at most `error`: as few
    wrong ones must be a surprise, of a probability below 1 - level, if the true share were larger.
    """
    if len(confidences) != len(hits):
        raise ValueError(f"{len(confidences)} confidences, {len(hits)} answers")
    sure = np.asarray(confidences, dtype=float)
    order = np.argsort(-sure, kind="stable")
    sure, wrong = sure[order], np.cumsum(~np.asarray(hits, dtype=bool)[order])
    accepted = np.arange(1, len(sure) + 1)
    group_ends = np.append(sure[1:] < sure[:-1], True)[: len(sure)]
    kept = wrong <= error * accepted
    if level is not None:
        kept &= bdtr(wrong, accepted, error) <= 1 - level
    [allowed] = np.nonzero(group_ends & kept)
    if not len(allowed):
        return Coverage(0, 0, len(sure), None)
    last = int(allowed[-1])
    return Coverage(last + 1, int(wrong[last]), len(sure), float(sure[last]))
