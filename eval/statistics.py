"""Intervals and tests: Wilson, exact McNemar, and a bootstrap over clusters, without a statistics package.

wilson(88, 100)                                      # Interval(low=0.802, high=0.930)
mcnemar([True, True, False], [True, False, False])   # McNemar(only_first=1, only_second=0, p=1.0)
cluster_bootstrap([1, 1, 0, 1], ["a", "a", "b", "c"])
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval of a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two variants on the same texts: how many only the first, and only the second, has right; two-sided p."""

    only_first: int
    only_second: int
    p: float


def wilson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of `hits` among `n` (without continuity correction); (0, 1) for n = 0.

    Raises `ValueError` where hits are not between 0 and n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits among {n}")
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the bound is exactly 0 or 1; the arithmetic is off by a rounding error.
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == n else (centre + spread) / scale
    return Interval(low, high)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The exact test of two variants on the same texts: the discordant pairs against a fair coin."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    discordant = only_first + only_second
    # Integers, since 2**-n is zero as a float for a few thousand pairs.
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**discordant))


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
    number = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    sums, sizes = np.zeros(len(number)), np.zeros(len(number))
    for value, cluster in zip(values, clusters, strict=True):
        sums[number[cluster]] += value
        sizes[number[cluster]] += 1
    drawn = np.random.default_rng(seed).integers(0, len(number), size=(repeats, len(number)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
