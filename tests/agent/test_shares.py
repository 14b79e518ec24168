"""The interval of a share and Cohen's kappa against known values, another library and what the interval promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from agent.apps.shares import Interval, cohen_kappa, wilson

Z = 1.959963984540054


def test_wilson_known_values() -> None:
    # Values of statsmodels' proportion_confint(8, 10, method="wilson") and of R's prop.test without correction.
    assert wilson(8, 10).low == pytest.approx(0.4901625, abs=1e-6)
    assert wilson(8, 10).high == pytest.approx(0.9433178, abs=1e-6)
    assert wilson(0, 10).low == 0.0
    assert wilson(0, 10).high == pytest.approx(0.2775328, abs=1e-6)
    assert wilson(0, 0) == Interval(0.0, 1.0)


def test_wilson_bounds_solve_the_score_equation() -> None:
    for n in (1, 7, 25, 1286):
        for hits in {0, 1, n // 3, n - 1, n}:
            interval = wilson(hits, n)
            assert 0.0 <= interval.low <= hits / n <= interval.high <= 1.0
            for bound in (interval.low, interval.high):
                if 0.0 < bound < 1.0:
                    z = abs(hits / n - bound) / math.sqrt(bound * (1 - bound) / n)
                    assert z == pytest.approx(Z, rel=1e-6)


def test_wilson_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_kappa_is_that_of_scikit_learn() -> None:
    drawn = np.random.default_rng(3)
    for labels in (2, 5, 40):
        first = drawn.integers(labels, size=60)
        second = np.where(drawn.random(60) < 0.7, first, drawn.integers(labels, size=60))
        found = cohen_kappa(first.tolist(), second.tolist())
        assert found is not None and found.value == pytest.approx(cohen_kappa_score(first, second))
        assert -1 <= found.interval.low < found.value < found.interval.high < 1


def test_full_agreement_of_few_is_not_sure() -> None:
    found = cohen_kappa(["C61", "C50.9", None], ["C61", "C50.9", None])
    assert found is not None and (found.value, found.interval.high) == (1.0, 1.0)
    assert found.interval.low < 0.3


def test_two_that_disagree_on_all_are_worse_than_chance() -> None:
    found = cohen_kappa([1, 2] * 10, [2, 1] * 10)
    assert found is not None and found.value == -1.0 and found.interval.low == -1.0


@pytest.mark.parametrize("labels", [[], ["gesichert"] * 9])
def test_where_chance_agrees_on_all_there_is_no_kappa(labels: list[str]) -> None:
    assert cohen_kappa(labels, labels) is None


def test_labels_of_different_items_are_refused() -> None:
    with pytest.raises(ValueError):
        cohen_kappa([1, 2], [1])


@pytest.mark.parametrize(("n", "agreement"), [(20, 0.98), (20, 0.7), (50, 0.9)])
def test_the_interval_of_kappa_covers_what_it_promises(n: int, agreement: float) -> None:
    """Second readers who give the first one's label with a share that makes kappa known, else one by chance."""
    drawn, labels, rounds = np.random.default_rng(7), 5, 300
    true = (agreement - 1 / labels) / (1 - 1 / labels)
    covered = 0
    for _ in range(rounds):
        first = drawn.integers(labels, size=n)
        second = np.where(drawn.random(n) < true, first, drawn.integers(labels, size=n))
        found = cohen_kappa(first.tolist(), second.tolist())
        assert found is not None
        covered += found.interval.low <= true <= found.interval.high
    assert covered / rounds > 0.91
