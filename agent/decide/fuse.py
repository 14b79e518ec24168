"""The decision on one axis: retrieval and language model fused into one calibrated distribution.

    decision = decide(("C50.9", "C50.4"), log_shares, log_probabilities, log_none, AxisWeights())
    decision.codes[decision.order[0]], decision.probabilities[decision.order[0]]

Adding the two log-scores beats either alone.
"""

from __future__ import annotations

import math

import numpy as np

from agent.decide.records import AxisWeights, Decision
from index.errors import ModelError


def decide(
    codes: tuple[str, ...],
    log_shares: np.ndarray,
    log_probabilities: np.ndarray | None,
    log_none: float | None,
    weights: AxisWeights,
    facts: np.ndarray | None = None,
) -> Decision:
    """Fuse one text's scores over m codes; `facts` (m,), in nats, is what neither arm has read: it is added to both.

    `log_shares` (m,) comes from retrieval, `log_probabilities` (m,) from the model (None: retrieval alone),
    `log_none` is the model's log-probability of "no code fits", on the same scale.

    Raises `ModelError` where a score is no number: it would become an empty or an absurd code.
    """
    if not len(codes):
        return Decision(codes, np.zeros(0, np.int64), np.zeros(0), 0.0, 0.0, False, np.zeros(0))
    none, agree = 0.0, True
    log_shares = log_shares.astype(np.float64)
    if facts is not None:
        log_shares = log_shares + facts
        log_shares -= np.logaddexp.reduce(log_shares)
        log_probabilities = None if log_probabilities is None else log_probabilities + facts
    if np.isnan(log_shares).any() or not np.isfinite(log_shares.max()):
        raise ModelError("retrieval gives scores that are no numbers; load encoder and index again")
    score = weights.retrieval * log_shares
    if log_probabilities is not None:
        total = np.logaddexp.reduce(log_probabilities)
        if not np.isfinite(total) or (log_none is not None and math.isnan(log_none)):
            raise ModelError("the language model gives scores that are no numbers; load it again")
        if log_none is not None:
            none = float(np.exp(log_none - np.logaddexp(total, log_none)))
        log_probabilities = log_probabilities - total
        score = score + weights.model * log_probabilities
        agree = int(np.argmax(log_shares)) == int(np.argmax(log_probabilities))
    probabilities = np.exp(score - np.logaddexp.reduce(score))
    order = np.argsort(-score, kind="stable")
    confidence = calibrated(float(probabilities[order[0]]), agree, weights)
    return Decision(codes, order, probabilities, confidence, none, agree, log_shares, log_probabilities)


def calibrated(probability: float, agree: bool, weights: AxisWeights) -> float:
    """The calibrated confidence of a first code with fused share `probability`."""
    return logistic(weights.slope * logit(probability) + weights.agreement * agree + weights.offset)


def logit(probability: float) -> float:
    """Log-odds, kept within those of a millionth."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))


def logistic(z: float) -> float:
    """The probability to log-odds. Nothing is certain: it stays off 0 and 1 by six millionths."""
    return float(1 / (1 + np.exp(-np.clip(z, -12, 12))))
