"""Knowing when: whether a confidence is true, and how many answers may pass without a look.

    calibration = calibrated(confidences, hits, clusters)
    calibration.error, calibration.interval, calibration.brier
    curve = risk_coverage(confidences, hits)
    passing = honest_coverage(confidences, hits, clusters, error=0.02)

`eval.scoring.coverage_at_error` chooses a threshold on the answers that it is measured on, an upper bound;
`honest_coverage` chooses it on one half of the texts and measures it on the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.apps.shares import Interval, wilson
from eval.scoring import coverage_at_error
from eval.statistics import bootstrap_sums, cluster_bootstrap, cluster_numbers

BINS = 10
_SPLITS = 50
_DRAWS = 1000
_SEED = 13


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of neighbouring confidences: their number, mean confidence, and share that is right with Wilson's
    interval."""

    n: int
    confidence: float
    right: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error` is the expected calibration error, the mean over answers of how far a bin's mean confidence lies
    from its share of right answers; `by_chance` what it stays below in 95 of 100 samples like this one where the
    confidence is true; `brier` the mean squared difference of confidence and outcome."""

    n: int
    error: float
    interval: Interval
    by_chance: float
    brier: float
    brier_interval: Interval
    bins: tuple[Bin, ...]


def calibrated(
    confidences: Sequence[float], hits: Sequence[bool], clusters: Sequence[Hashable], bins: int = BINS
) -> Calibration:
    """Bins of about equal numbers of answers; equal confidences share a bin, so there may be fewer than asked for.

    The intervals come from whole clusters drawn again. A calibration error made of bins leans upwards, in the
    resamples once more than in the sample, so its interval is the basic one, 2 * error - quantile, which turns
    that lean round; it starts at 0 where the error is no larger than `by_chance`, for which answers are drawn
    right as often as their confidence says, near-duplicates alike (Bröcker and Smith 2007).

    Raises `ValueError` without answers, for lengths that differ or a confidence outside 0 to 1.
    """
    sure, right = np.asarray(confidences, dtype=float), np.asarray(hits, dtype=float)
    if not len(sure) or len(sure) != len(right) or sure.min() < 0 or sure.max() > 1:
        raise ValueError("needs as many confidences between 0 and 1 as answers, and at least one")
    edges = np.quantile(sure, np.linspace(0, 1, bins + 1))
    number = np.searchsorted(edges[1:-1], sure)
    used = np.unique(number)
    gaps = np.where(number[:, None] == used, (sure - right)[:, None], 0.0)
    error = float(np.abs(gaps.sum(axis=0)).sum() / len(sure))
    sums = bootstrap_sums(np.column_stack([gaps, np.ones(len(sure))]), clusters)
    low, high = np.quantile(np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1], [0.025, 0.975])
    by_chance = _error_by_chance(sure, number, clusters)
    lowest = 0.0 if error <= by_chance else max(0.0, 2 * error - float(high))
    squares = (sure - right) ** 2
    return Calibration(
        len(sure),
        error,
        Interval(lowest, max(lowest, 2 * error - float(low))),
        by_chance,
        float(squares.mean()),
        cluster_bootstrap(squares.tolist(), clusters),
        tuple(_bin(sure[number == one], right[number == one]) for one in used),
    )


def _error_by_chance(sure: np.ndarray, number: np.ndarray, clusters: Sequence[Hashable]) -> float:
    of_row = cluster_numbers(clusters)
    generator = np.random.default_rng(_SEED)
    errors = []
    for _ in range(_DRAWS):
        right = generator.random(of_row.max() + 1)[of_row] < sure
        errors.append(np.abs(np.bincount(number, weights=sure - right)).sum() / len(sure))
    return float(np.quantile(errors, 0.95))


def _bin(sure: np.ndarray, right: np.ndarray) -> Bin:
    hits = int(right.sum())
    return Bin(len(sure), float(sure.mean()), hits / len(sure), wilson(hits, len(sure)))


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The share of wrong answers (`risks`) among those that a threshold accepts, by the share that it accepts
    (`coverages`), one point per confidence. `area` is the mean risk over all shares accepted, `best` the area
    that the same answers would have with every right one above every wrong one."""

    coverages: tuple[float, ...]
    risks: tuple[float, ...]
    area: float
    best: float

    def risk_at(self, coverage: float) -> float:
        """The risk where at least that share is accepted."""
        return self.risks[int(np.searchsorted(self.coverages, coverage - 1e-12))]


def risk_coverage(confidences: Sequence[float], hits: Sequence[bool]) -> RiskCoverage:
    """The curve from the surest answer to all. Among equal confidences the wrong answers count as spread evenly,
    which is what a random order gives on average. Raises `ValueError` without answers or for lengths that differ."""
    if not len(confidences) or len(confidences) != len(hits):
        raise ValueError(f"{len(confidences)} confidences, {len(hits)} answers")
    _, group = np.unique(-np.asarray(confidences, dtype=float), return_inverse=True)
    sizes = np.bincount(group)
    wrong = np.bincount(group, weights=~np.asarray(hits, dtype=bool))
    n, accepted, errors = len(group), np.cumsum(sizes), np.cumsum(wrong)
    each = np.arange(1, n + 1)
    spread = np.interp(each, np.append(0, accepted), np.append(0, errors))
    at_best = np.maximum(0, each - (n - errors[-1]))
    return RiskCoverage(
        tuple((accepted / n).tolist()),
        tuple((errors / accepted).tolist()),
        float(np.mean(spread / each)),
        float(np.mean(at_best / each)),
    )


@dataclass(frozen=True, slots=True)
class HonestCoverage:
    """What a threshold reaches on texts that it was not chosen on.

    `coverage` is the mean share accepted and `between` holds 95 % of the halves; `error` is the share of wrong
    among all accepted, `exceeded` the share of halves with more wrong than was allowed. `threshold` is the
    median one, None where most halves gave none.
    """

    coverage: float
    between: Interval
    error: float
    exceeded: float
    threshold: float | None


def honest_coverage(
    confidences: Sequence[float],
    hits: Sequence[bool],
    clusters: Sequence[Hashable],
    error: float = 0.02,
    *,
    level: float | None = None,
    splits: int = _SPLITS,
    seed: int = _SEED,
) -> HonestCoverage | None:
    """The threshold of `coverage_at_error` (with `level`, that with a margin) chosen on a random half of the clusters and measured on the other, and
    the other way round, `splits` times. None where there are fewer than two clusters."""
    number = cluster_numbers(clusters)
    n_clusters = number.max(initial=-1) + 1
    if n_clusters < 2:
        return None
    sure, right = np.asarray(confidences, dtype=float), np.asarray(hits, dtype=bool)
    generator = np.random.default_rng(seed)
    shares, thresholds, accepted, wrong, exceeded = [], [], 0, 0, 0
    for _ in range(splits):
        first = (generator.permutation(n_clusters) < n_clusters // 2)[number]
        for chosen, measured in ((first, ~first), (~first, first)):
            found = coverage_at_error(sure[chosen], right[chosen], error, level=level)
            limit = np.inf if found.threshold is None else found.threshold
            passing = measured & (sure >= limit)
            n, bad = int(passing.sum()), int((passing & ~right).sum())
            shares.append(n / int(measured.sum()))
            thresholds.append(limit)
            accepted, wrong, exceeded = accepted + n, wrong + bad, exceeded + (bad > error * n)
    low, high = np.quantile(shares, [0.025, 0.975])
    # The upper of the two middle ones, since a mean with "none" is none.
    middle = sorted(thresholds)[len(thresholds) // 2]
    return HonestCoverage(
        float(np.mean(shares)),
        Interval(float(low), float(high)),
        wrong / accepted if accepted else 0.0,
        exceeded / len(shares),
        None if np.isinf(middle) else float(middle),
    )


@dataclass(frozen=True, slots=True)
class Abstaining:
    """What leaving answers open does: how many and why; how many wrong ones it holds back and how many right ones
    (the first choice is meant); and how many of the others are wrong."""

    n: int
    abstained: int
    reasons: dict[str, int]
    wrong_held_back: int
    right_held_back: int
    wrong_committed: int


def abstaining(committed: Sequence[bool], reasons: Sequence[str | None], hits: Sequence[bool]) -> Abstaining:
    """Count the abstentions. `hits` says whether the first choice is right. Raises `ValueError` for lengths that
    differ."""
    rows = list(zip(committed, reasons, hits, strict=True))
    held_back = [(reason, hit) for kept, reason, hit in rows if not kept]
    counted = Counter(reason or "no reason given" for reason, _ in held_back)
    return Abstaining(
        len(rows),
        len(held_back),
        dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))),
        sum(not hit for _, hit in held_back),
        sum(hit for _, hit in held_back),
        sum(kept and not hit for kept, _, hit in rows),
    )
