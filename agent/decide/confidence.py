"""How sure a chosen code is, once all three axes are decided: a logistic model on what speaks for and against it.

    signals = signals_of(axis, segment, decisions, agreement, failed, retrieval, row, retriever)
    confidence_of(signals, weights.confidence)                  # 0.94 of {"fused": 2.2, "near": 0.91, "failed": 0.0, ...}

The share that a code holds after fusion does not know how near its catalogue lines are, whether the other axes
agree with it, or whether a check failed. `training/fit.py` fits the coefficients on development lines and on
composed texts of pairs that no training saw; they ship in `weights/decision.json`. Without fitted ones the
share is lowered by failed checks, and is a ranking rather than a probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from agent.decide.fuse import logistic, logit
from agent.decide.records import Agreement, Decision
from agent.prepare import Segment
from index.records import AXES, CodeSystem
from index.search.retriever import Retrieval, Retriever

_NEIGHBOURS, _NEAREST = 10, 3
_BEST = 20  # codes that may share the category of the chosen one
_LOWEST_MARGIN = -3.0
_LOWEST_LOG_SHARE = -12.0  # log-shares below this say the same


def signals_of(
    axis: CodeSystem,
    segment: Segment,
    decisions: Mapping[CodeSystem, Decision],
    agreement: Agreement,
    failed: int,
    found: Retrieval,
    row: int,
    retriever: Retriever,
) -> dict[str, float]:
    """What speaks for and against the code that a statement agrees on for the axis (where none was chosen: its first
    one); `failed` of its checks failed, and it is `row` of the retrieval."""
    decision = decisions[axis]
    if decision.first is None:
        return {}
    code = agreement.codes.get(axis) or decision.first
    place = decision.place(code)
    joint = agreement.joint and code != decision.first
    share = agreement.shares[axis] if joint else float(decision.probabilities[place])
    best = decision.order[:_BEST]
    category = sum(
        share
        for i, share in zip(best.tolist(), decision.probabilities[best].tolist(), strict=True)
        if decision.codes[i].startswith(code[:3])
    )
    near, rival, held, nearest = _lines_near(found, row, code, retriever)
    others = [decisions[other] for other in AXES if other is not axis]
    model = decision.log_probabilities
    return {
        "fused": logit(share),
        "agree": float(decision.agree and not joint),
        "retrieval": max(float(decision.log_shares[place]), _LOWEST_LOG_SHARE),
        "model": max(float(model[place]), _LOWEST_LOG_SHARE) if model is not None else 0.0,
        "margin": _margin(model, place) if model is not None else 0.0,
        "category": logit(category),
        "near": near,
        "rival": rival,
        "held": held,
        "nearest": nearest,
        "words": math.log1p(len(segment.core.split())),
        "none": decision.none,
        "others": _mean([logit(float(other.probabilities[other.order[0]])) for other in others if len(other.order)]),
        "others_none": _mean([other.none for other in others]),
        "joint": float(joint),
        "failed": float(failed),
    }  # fmt: skip


def confidence_of(signals: Mapping[str, float], coefficients: Mapping[str, float]) -> float:
    """The probability that the code is right; `coefficients` name signals and may hold an `offset`."""
    if not signals:
        return 0.0
    z = coefficients.get("offset", 0.0)
    return logistic(
        z + sum(weight * signals[name] for name, weight in coefficients.items() if name in signals)
    )


def _margin(log_probabilities: np.ndarray, place: int) -> float:
    """By how much the model prefers the code to every other one (below 0: to which it prefers another). What the
    other arm or a TNM formula decided against the model by far is no worse for it."""
    parts = log_probabilities[:place], log_probabilities[place + 1 :]
    rest = max((float(part.max()) for part in parts if len(part)), default=_LOWEST_LOG_SHARE)
    return min(max(float(log_probabilities[place]) - rest, _LOWEST_MARGIN), -_LOWEST_LOG_SHARE)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _lines_near(
    found: Retrieval, row: int, code: str, retriever: Retriever
) -> tuple[float, float, float, float]:
    """Cosines of the code's nearest line and of the nearest line of another code, and the shares of the ten and of
    the three nearest lines that the code holds."""
    similarity = found.similarity[row]
    own = retriever.speaks_for(found, row, code)
    rest = ~own & (found.owners[row] >= 0)
    # The nearest lines come first.
    near, rival = (float(similarity[which.argmax()]) if which.any() else 0.0 for which in (own, rest))
    held, nearest = (_mean(own[:n].tolist()) for n in (_NEIGHBOURS, _NEAREST))
    return near, rival, held, nearest
