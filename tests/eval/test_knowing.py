"""Calibration against scikit-learn, risk and coverage against brute force, thresholds on texts of their own."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from eval.report.knowing import abstaining, calibrated, honest_coverage, risk_coverage
from eval.scoring import coverage_at_error


def _answers(n: int, seed: int = 1, lean: float = 0.0) -> tuple[list[float], list[bool]]:
    """Answers that are right as often as their confidence says, less `lean`."""
    rng = random.Random(seed)
    sure = [rng.random() for _ in range(n)]
    return sure, [rng.random() < confidence - lean for confidence in sure]


def test_bins_and_brier_agree_with_scikit_learn() -> None:
    sure, hits = _answers(500)
    sure = [round(confidence, 2) for confidence in sure]
    found = calibrated(sure, hits, range(500))
    right, confidence = calibration_curve(hits, sure, n_bins=10, strategy="quantile")
    assert [b.right for b in found.bins] == pytest.approx(right.tolist())
    assert [b.confidence for b in found.bins] == pytest.approx(confidence.tolist())
    assert found.brier == pytest.approx(brier_score_loss(hits, sure))
    by_hand = sum(b.n * abs(b.right - b.confidence) for b in found.bins) / 500
    assert found.error == pytest.approx(by_hand)


def test_true_confidences_have_an_interval_down_to_zero_and_false_ones_do_not() -> None:
    true = calibrated(*_answers(2000), range(2000))
    false = calibrated(*_answers(2000, lean=0.2), range(2000))
    assert true.interval.low == 0.0 and 0 < true.error <= true.by_chance < 0.05
    assert (
        false.error > 2 * false.by_chance
        and false.interval.low > 0.1
        and false.interval.low <= false.error <= false.interval.high + 0.01
    )


def test_near_duplicates_err_together_by_chance_too() -> None:
    sure, hits = _answers(300)
    alone, together = (
        calibrated(sure * 2, hits * 2, clusters).by_chance for clusters in (range(600), [*range(300)] * 2)
    )
    assert together > 1.2 * alone


def test_equal_confidences_share_a_bin() -> None:
    found = calibrated([1.0] * 90 + [0.5] * 10, [True] * 95 + [False] * 5, range(100))
    assert [(b.n, b.confidence) for b in found.bins] == [(10, 0.5), (90, 1.0)]
    assert found.error == pytest.approx(0.0)


@pytest.mark.parametrize(("sure", "hits"), [([], []), ([1.2], [True]), ([0.5, 0.5], [True])])
def test_calibration_refuses_what_is_no_confidence(sure: list[float], hits: list[bool]) -> None:
    with pytest.raises(ValueError):
        calibrated(sure, hits, range(len(hits)))


def test_area_is_the_mean_over_random_orders_of_equal_confidences() -> None:
    rng = random.Random(2)
    sure = [rng.randrange(4) / 4 for _ in range(12)]
    hits = [rng.random() < 0.6 for _ in range(12)]
    areas = []
    for _ in range(4000):
        order = sorted(range(12), key=lambda i: (-sure[i], rng.random()))
        risks = [sum(not hits[i] for i in order[:k]) / k for k in range(1, 13)]
        areas.append(sum(risks) / 12)
    assert risk_coverage(sure, hits).area == pytest.approx(np.mean(areas), abs=0.01)


def test_curve_ends_at_the_error_of_all_answers_and_best_is_a_lower_bound() -> None:
    curve = risk_coverage([0.9, 0.8, 0.8, 0.1], [True, False, True, True])
    assert curve.coverages == (0.25, 0.75, 1.0)
    assert curve.risks == pytest.approx((0.0, 1 / 3, 0.25))
    assert curve.risk_at(0.5) == pytest.approx(1 / 3) and curve.risk_at(1.0) == 0.25
    assert curve.best == pytest.approx((0 + 0 + 0 + 1 / 4) / 4) and curve.best <= curve.area
    ordered = risk_coverage([0.9, 0.8, 0.7, 0.1], [True, True, True, False])
    assert ordered.area == ordered.best
    with pytest.raises(ValueError):
        risk_coverage([], [])


def test_honest_coverage_keeps_the_error_on_average_and_says_how_often_it_does_not() -> None:
    rng = random.Random(4)
    sure = [rng.random() for _ in range(4000)]
    hits = [rng.random() < 0.7 + 0.3 * confidence for confidence in sure]
    found = honest_coverage(sure, hits, range(4000), 0.05)
    assert found is not None and found.threshold is not None
    assert found.error == pytest.approx(0.05, abs=0.01)
    assert 0.1 < found.exceeded < 0.9
    assert found.between.low <= found.coverage <= found.between.high
    assert found == honest_coverage(sure, hits, range(4000), 0.05)


def test_a_margin_lets_fewer_pass_and_holds_more_often() -> None:
    rng = random.Random(4)
    sure = [rng.random() for _ in range(4000)]
    hits = [rng.random() < 0.7 + 0.3 * confidence for confidence in sure]
    plain = honest_coverage(sure, hits, range(4000), 0.05)
    margin = honest_coverage(sure, hits, range(4000), 0.05, level=0.95)
    assert plain is not None and margin is not None
    assert 0 < margin.coverage < plain.coverage and margin.error < plain.error
    assert margin.exceeded < 0.15 < plain.exceeded


def test_honest_coverage_of_noise_is_below_the_upper_bound() -> None:
    rng = random.Random(6)
    sure, hits = [rng.random() for _ in range(60)], [rng.random() < 0.9 for _ in range(60)]
    upper, found = coverage_at_error(sure, hits, 0.05), honest_coverage(sure, hits, range(60), 0.05)
    assert found is not None and found.error > 0.05 and upper.wrong <= 0.05 * upper.accepted


def test_near_duplicates_are_on_one_side_of_a_split() -> None:
    # Two clusters: the threshold is chosen on one of them and measured on the other.
    found = honest_coverage([0.9] * 5 + [0.8] * 5, [True] * 5 + [False] * 5, ["a"] * 5 + ["b"] * 5, 0.0)
    assert found is not None
    # From a: 0.9, and nothing of b passes. From b: no threshold, and nothing of a passes.
    assert (found.coverage, found.error) == (0.0, 0.0)
    assert honest_coverage([0.9] * 5, [True] * 5, ["a"] * 5) is None


def test_thresholds_that_most_halves_do_not_have_are_none() -> None:
    found = honest_coverage([0.5] * 40, [False] * 40, range(40), 0.02)
    assert found is not None and found.threshold is None and found.coverage == 0.0


def test_abstaining_is_counted_by_reason() -> None:
    found = abstaining(
        [True, True, False, False, False],
        [None, None, "unsure", None, "unsure"],
        [True, False, False, True, False],
    )
    assert (found.n, found.abstained) == (5, 3)
    assert found.reasons == {"unsure": 2, "no reason given": 1}
    assert (found.wrong_held_back, found.right_held_back, found.wrong_committed) == (2, 1, 1)
    with pytest.raises(ValueError):
        abstaining([True], [], [])
