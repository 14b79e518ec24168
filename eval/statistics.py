"""Tests and intervals: exact McNemar with what it can show, Holm, and a bootstrap over clusters; Wilson's interval stands
in `agent.apps.shares`.

mcnemar([True, True, False], [True, False, False])   # McNemar(only_first=1, only_second=0, p=1.0)
cluster_bootstrap([1, 1, 0, 1], ["a", "a", "b", "c"])
smallest_difference(1286, discordant=0.10)           # 0.0253: 2.5 points
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import binom, binomtest

from agent.apps.shares import Interval


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two variants on the same texts: how many only the first, and only the second, has right; two-sided p."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The exact test of two variants on the same texts: the discordant pairs against a fair coin."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    discordant = only_first + only_second
    if not discordant:
        return McNemar(0, 0, 1.0)
    return McNemar(only_first, only_second, float(binomtest(only_first, discordant).pvalue))


def mcnemar_power(n: int, discordant: float, difference: float, alpha: float = 0.05) -> float:
    """The probability that `mcnemar` finds p <= alpha among n rows.

    Two variants disagree on a share psi = `discordant` of the rows and differ by delta = `difference`
    (|delta| <= psi). Then d rows disagree with probability Bin(d; n, psi), and of these each favours the better
    variant with probability q = (1 + delta / psi) / 2. With c(d) the largest count for which the exact test
    rejects, 2 P(Bin(d, 1/2) <= c) <= alpha:

        power = sum over d of  Bin(d; n, psi) * [P(Bin(d, q) <= c(d)) + P(Bin(d, q) >= d - c(d))]

    Raises `ValueError` for shares that are none, or a difference beyond the discordant share.
    """
    if not 0 <= abs(difference) <= discordant <= 1:
        raise ValueError(f"a difference of {difference} with {discordant} discordant")
    if n == 0 or discordant == 0:
        return 0.0
    pairs = np.arange(n + 1)
    weights = binom.pmf(pairs, n, discordant)
    kept = weights > 1e-12
    pairs, weights = pairs[kept], weights[kept]
    critical = binom.ppf(alpha / 2, pairs, 0.5)
    critical -= binom.cdf(critical, pairs, 0.5) > alpha / 2
    better = (1 + difference / discordant) / 2
    rejects = binom.cdf(critical, pairs, better) + binom.sf(pairs - critical - 1, pairs, better)
    return float(weights @ np.where(critical >= 0, rejects, 0.0))


def smallest_difference(n: int, discordant: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest difference of two shares that `mcnemar` shows on n rows with at least that power, when the
    variants disagree on the share `discordant` of them; None where even the largest possible one is too small
    to be shown. Found by bisection of `mcnemar_power`, to a thousandth of a point."""
    if mcnemar_power(n, discordant, discordant, alpha) < power:
        return None
    low, high = 0.0, discordant
    while high - low > 1e-5:
        middle = (low + high) / 2
        if mcnemar_power(n, discordant, middle, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number by Holm's step-down procedure (1979), in their own order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 13,
) -> Interval:
    """The percentile interval of the mean when whole clusters are drawn, as near-duplicates call for.

    Clusters keep their sizes, so the mean is a ratio of sums. (0, 1) without values.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values, {len(clusters)} clusters")
    if not values:
        return Interval(0.0, 1.0)
    sums = bootstrap_sums(np.column_stack([values, np.ones(len(values))]), clusters, repeats, seed)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_sums(
    columns: np.ndarray, clusters: Sequence[Hashable], repeats: int = 2000, seed: int = 13
) -> np.ndarray:
    """The sums (repeats, m) of the columns (n, m) in each resample of whole clusters, as many as there are.

    Two calls with as many clusters draw the same ones, so that what is made of their sums can be paired.
    """
    number = cluster_numbers(clusters)
    by_cluster = np.zeros((number.max(initial=-1) + 1, columns.shape[1]))
    np.add.at(by_cluster, number, columns)
    drawn = _times_drawn(len(by_cluster), repeats, seed)
    # In parts, since the whole matrix as floats would be four times as large.
    return np.concatenate([part.astype(float) @ by_cluster for part in np.array_split(drawn, 20)])


def cluster_numbers(clusters: Sequence[Hashable]) -> np.ndarray:
    """Each row's cluster (n,) by a number from 0, in the order in which they are met."""
    place = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    return np.array([place[cluster] for cluster in clusters], dtype=int)


@lru_cache(maxsize=4)
def _times_drawn(clusters: int, repeats: int, seed: int) -> np.ndarray:
    """How often each cluster is drawn in each resample, (repeats, clusters)."""
    drawn = np.random.default_rng(seed).integers(0, clusters, size=(repeats, clusters))
    return np.stack([np.bincount(row, minlength=clusters) for row in drawn]).astype(np.uint16)
