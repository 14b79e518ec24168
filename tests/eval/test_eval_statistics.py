"""Intervals and tests against known values and brute force."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from agent.apps.shares import Interval, wilson
from eval.statistics import (
    bootstrap_sums,
    cluster_bootstrap,
    holm,
    mcnemar,
    mcnemar_power,
    smallest_difference,
)

Z = 1.959963984540054


def test_mcnemar_known_value() -> None:
    first = [True] * 9 + [False] + [True] * 5
    second = [False] * 9 + [True] + [True] * 5
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 1)
    assert found.p == pytest.approx(2 * (1 + 10) / 1024)


def test_mcnemar_by_enumeration() -> None:
    for only_first, only_second in product(range(5), range(5)):
        n = only_first + only_second
        extreme = max(only_first, only_second)
        flips = [sum(flip) for flip in product((0, 1), repeat=n)]
        p = sum(max(k, n - k) >= extreme for k in flips) / len(flips)
        found = mcnemar(
            [True] * only_first + [False] * only_second, [False] * only_first + [True] * only_second
        )
        assert found.p == pytest.approx(p)


def test_mcnemar_of_many_pairs() -> None:
    found = mcnemar([True] * 3000 + [False] * 3000, [False] * 3000 + [True] * 3000)
    assert found.p == 1.0


def test_bootstrap_of_few_clusters_reaches_the_extremes() -> None:
    # Of three clusters each resample is one of 27, so both extremes weigh 1/27 > 2.5 %.
    values = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    clusters = ["a", "a", "b", "b", "c", "c"]
    means = [sum(draw) / 3 for draw in product((1.0, 0.5, 0.0), repeat=3)]
    assert cluster_bootstrap(values, clusters) == Interval(min(means), max(means))


def test_bootstrap_of_single_rows_is_near_wilson() -> None:
    values = [1.0] * 300 + [0.0] * 100
    found, expected = cluster_bootstrap(values, range(400)), wilson(300, 400)
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)
    assert found == cluster_bootstrap(values, range(400))


def test_bootstrap_is_wider_for_duplicates() -> None:
    values = [float(i % 2) for i in range(40) for _ in range(5)]
    clusters = [i for i in range(40) for _ in range(5)]
    wide, narrow = cluster_bootstrap(values, clusters), cluster_bootstrap(values, range(200))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_bootstrap_edges() -> None:
    assert cluster_bootstrap([], []) == Interval(0.0, 1.0)
    assert cluster_bootstrap([1.0, 0.0], ["a", "a"]) == Interval(0.5, 0.5)
    with pytest.raises(ValueError):
        cluster_bootstrap([1.0], [])


def test_holm_agrees_with_the_published_procedure() -> None:
    # Ranked 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never below an earlier one.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_mcnemar_agrees_with_scipy() -> None:
    for only_first, only_second in ((0, 0), (3, 11), (40, 41), (700, 900), (0, 30)):
        found = mcnemar(
            [True] * only_first + [False] * only_second, [False] * only_first + [True] * only_second
        )
        n = only_first + only_second
        assert found.p == pytest.approx(binomtest(only_first, n).pvalue if n else 1.0, rel=1e-9)


def test_power_by_enumeration() -> None:
    # Each of 7 rows favours one variant (q * psi), the other, or none.
    n, psi, delta = 7, 0.8, 0.7
    first, second = (psi + delta) / 2, (psi - delta) / 2
    power = 0.0
    for outcome in product((1, -1, 0), repeat=n):
        chance = math.prod({1: first, -1: second, 0: 1 - psi}[row] for row in outcome)
        if mcnemar([row == 1 for row in outcome], [row == -1 for row in outcome]).p <= 0.05:
            power += chance
    assert mcnemar_power(n, psi, delta) == pytest.approx(power, abs=1e-9)


def test_smallest_difference_is_near_the_normal_approximation() -> None:
    # Connor (1987): sqrt(n) delta = z(alpha/2) sqrt(psi) + z(beta) sqrt(psi - delta^2).
    for n, psi in ((1286, 0.1), (5000, 0.2)):
        delta = smallest_difference(n, psi)
        assert delta is not None
        needed = norm.ppf(0.975) * math.sqrt(psi) + norm.ppf(0.8) * math.sqrt(psi - delta**2)
        assert delta == pytest.approx(needed / math.sqrt(n), rel=0.05)
        assert mcnemar_power(n, psi, delta) == pytest.approx(0.8, abs=0.01)


def test_smallest_difference_grows_with_stricter_tests_and_fewer_rows() -> None:
    base, stricter, fewer = (
        smallest_difference(n, 0.2, alpha) for n, alpha in ((1000, 0.05), (1000, 0.005), (300, 0.05))
    )
    assert base is not None and stricter is not None and fewer is not None
    assert base < stricter and base < fewer


def test_no_difference_can_be_shown_on_too_few_rows() -> None:
    assert smallest_difference(5, 1.0) is None  # 5 of 5 gives p = 0.0625
    assert smallest_difference(100, 0.02) is None
    assert smallest_difference(0, 0.1) is None and smallest_difference(100, 0.0) is None


def test_power_refuses_impossible_shares() -> None:
    with pytest.raises(ValueError):
        mcnemar_power(10, 0.1, 0.2)


def test_bootstrap_sums_draw_whole_clusters() -> None:
    columns = np.column_stack([[1.0, 2.0, 10.0], [1.0, 1.0, 1.0]])
    sums = bootstrap_sums(columns, ["a", "a", "b"], repeats=200)
    assert {tuple(line) for line in sums.tolist()} == {(6.0, 4.0), (13.0, 3.0), (20.0, 2.0)}
