"""The decision on one axis: retrieval and language model fused into one calibrated distribution.

    decision = decide(("C50.9", "C50.4"), log_shares, log_probabilities, log_none, AxisWeights())
    decision.codes[decision.order[0]], decision.probabilities[decision.order[0]]

Adding the two log-scores beats either alone.
"""

from __future__ import annotations

import math

import numpy as np

from agent.decide.records import RANKED, AxisWeights, Decision
from index.errors import ModelError


def decide(
    codes: tuple[str, ...],
    log_shares: np.ndarray,
    log_probabilities: np.ndarray | None,
    log_none: float | None,
    weights: AxisWeights,
    facts: np.ndarray | None = None,
) -> Decision:
    """Fuse one text's scores over m codes: `decide_rows` of one row, each array (m,)."""
    [decision] = decide_rows(
        codes,
        log_shares[None],
        None if log_probabilities is None else log_probabilities[None],
        None if log_none is None else np.array([log_none]),
        weights,
        None if facts is None else facts[None],
    )
    return decision


def decide_rows(
    codes: tuple[str, ...],
    log_shares: np.ndarray,
    log_probabilities: np.ndarray | None,
    log_none: np.ndarray | None,
    weights: AxisWeights,
    facts: np.ndarray | None = None,
) -> list[Decision]:
    """Fuse the scores of n texts over the same m codes.

    `log_shares` (n, m) comes from retrieval, `log_probabilities` (n, m) from the model (None: retrieval alone),
    `log_none` (n,) is the model's log-probability of "no code fits", on the same scale; `facts` (n, m), in nats, is what
    neither arm has read: it is added to both.

    Raises `ModelError` where a score is no number: it would become an empty or an absurd code.
    """
    rows = len(log_shares)
    if not len(codes) or not rows:
        nothing = Decision(codes, np.zeros(0, np.int64), np.zeros(0), 0.0, 0.0, False, np.zeros(0))
        return [nothing] * rows
    none, agree = np.zeros(rows), np.ones(rows, bool)
    log_shares = log_shares.astype(np.float64)
    if facts is not None:
        log_shares += facts
        log_shares -= _log_totals(log_shares)[:, None]
        log_probabilities = None if log_probabilities is None else log_probabilities + facts
    if np.isnan(log_shares).any() or not np.isfinite(log_shares.max(1)).all():
        raise ModelError("retrieval gives scores that are no numbers; load encoder and index again")
    score = weights.retrieval * log_shares
    if log_probabilities is not None:
        total = _log_totals(log_probabilities)
        if not np.isfinite(total).all() or (log_none is not None and np.isnan(log_none).any()):
            raise ModelError("the language model gives scores that are no numbers; load it again")
        if log_none is not None:
            none = np.exp(log_none - np.logaddexp(total, log_none))
        log_probabilities = log_probabilities - total[:, None]
        score += weights.model * log_probabilities
        agree = log_shares.argmax(1) == log_probabilities.argmax(1)
    probabilities = np.exp(score - _log_totals(score)[:, None])
    order = _best(score)
    first = probabilities[np.arange(rows), order[:, 0]]
    return [
        Decision(
            codes,
            order[row],
            probabilities[row],
            calibrated(float(first[row]), bool(agree[row]), weights),
            float(none[row]),
            bool(agree[row]),
            log_shares[row],
            None if log_probabilities is None else log_probabilities[row],
        )
        for row in range(rows)
    ]


def _log_totals(values: np.ndarray) -> np.ndarray:
    """The logarithm of each row's sum of exponentials; no number where a row has none."""
    highest = values.max(1)
    with np.errstate(invalid="ignore"):
        return np.asarray(highest + np.log(np.exp(values - highest[:, None]).sum(1)))


def _best(score: np.ndarray) -> np.ndarray:
    """Each row's best codes, best first; of equal ones the first of the catalogue."""
    if score.shape[1] > RANKED:
        best = np.sort(np.argpartition(-score, RANKED, axis=1)[:, :RANKED], axis=1)
    else:
        best = np.broadcast_to(np.arange(score.shape[1]), score.shape)
    ranking = np.argsort(-np.take_along_axis(score, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, ranking, 1)


def calibrated(probability: float, agree: bool, weights: AxisWeights) -> float:
    """The calibrated confidence of a first code with fused share `probability`."""
    return logistic(weights.slope * logit(probability) + weights.agreement * agree + weights.offset)


def logit(probability: float) -> float:
    """Log-odds, kept within those of a millionth."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def logistic(z: float) -> float:
    """The probability to log-odds. Nothing is certain: it stays off 0 and 1 by six millionths."""
    return 1 / (1 + math.exp(-min(max(z, -12.0), 12.0)))
