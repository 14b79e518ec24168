"""Fusing two arms into one distribution: the arithmetic by hand, and what confidence must obey."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decide.fuse import calibrated, decide
from agent.decide.records import WEIGHTS, AxisWeights, Decision, RecognitionWeights, Weights
from index.records import AXES

CODES = ("C50.4", "C50.9", "D05.1")
SHARES = np.log(np.array([0.5, 0.3, 0.2]))
MODEL = np.log(np.array([0.2, 0.4, 0.2]))  # and 0.2 for "no code fits"
NONE = math.log(0.2)

axis_weights = st.builds(
    AxisWeights,
    retrieval=st.floats(0, 3),
    model=st.floats(0, 3),
    slope=st.floats(0.1, 4),
    agreement=st.floats(-3, 3),
    offset=st.floats(-3, 3),
)
log_scores = st.integers(1, 8).flatmap(
    lambda n: st.tuples(*(st.lists(st.floats(-40, 0), min_size=n, max_size=n) for _ in range(2)))
)


def test_fusion_multiplies_powers_of_both_shares() -> None:
    decision = decide(CODES, SHARES, MODEL, NONE, AxisWeights(retrieval=0.5, model=2.0))
    # the model's shares among the codes alone: 0.25, 0.5, 0.25
    weights = [0.5**0.5 * 0.25**2, 0.3**0.5 * 0.5**2, 0.2**0.5 * 0.25**2]
    np.testing.assert_allclose(decision.probabilities, np.array(weights) / sum(weights), atol=1e-12)
    assert [decision.codes[i] for i in decision.order] == ["C50.9", "C50.4", "D05.1"]
    assert decision.first == "C50.9" and not decision.agree


def test_the_probability_that_none_fits_is_the_models() -> None:
    assert decide(CODES, SHARES, MODEL, NONE, AxisWeights()).none == pytest.approx(0.2)
    assert decide(CODES, SHARES, MODEL, None, AxisWeights()).none == 0
    # On whatever scale the log-probabilities come, only their ratio counts.
    assert decide(CODES, SHARES, MODEL - 900, NONE - 900, AxisWeights()).none == pytest.approx(0.2)


def test_saying_none_does_not_change_the_order_of_the_codes() -> None:
    sure, unsure = (decide(CODES, SHARES, MODEL, none, AxisWeights()) for none in (-50.0, 5.0))
    np.testing.assert_allclose(sure.probabilities, unsure.probabilities)
    assert unsure.none > 0.99 > 0.01 > sure.none


def test_retrieval_alone_decides_without_a_model() -> None:
    decision = decide(CODES, SHARES, None, None, AxisWeights())
    np.testing.assert_allclose(decision.probabilities, [0.5, 0.3, 0.2])
    assert decision.first == "C50.4" and decision.agree and decision.none == 0


def test_an_arm_of_weight_nought_says_nothing() -> None:
    np.testing.assert_allclose(
        decide(CODES, SHARES, MODEL, NONE, AxisWeights(model=0)).probabilities, [0.5, 0.3, 0.2]
    )
    np.testing.assert_allclose(
        decide(CODES, SHARES, MODEL, NONE, AxisWeights(retrieval=0)).probabilities, [0.25, 0.5, 0.25]
    )


def test_agreement_of_both_arms_moves_the_confidence_only() -> None:
    weights = AxisWeights(agreement=2.0)
    apart = decide(CODES, SHARES, MODEL, NONE, weights)
    together = decide(CODES, SHARES[[1, 0, 2]], MODEL, NONE, weights)
    assert together.agree and not apart.agree
    p = float(together.probabilities.max())
    assert together.confidence == pytest.approx(1 / (1 + math.exp(-(math.log(p / (1 - p)) + 2.0))))
    assert apart.confidence == pytest.approx(float(apart.probabilities.max()))


def test_a_code_other_than_the_first_may_lead() -> None:
    decision = decide(CODES, SHARES, MODEL, NONE, AxisWeights(model=0))
    other = decision.codes[int(decision.order[1])]
    ranked = decision.ranked(3, other, 0.6)
    assert ranked[0] == (other, 0.6) and ranked[1][0] == decision.first
    # 0.5 and 0.2 are left of the shares, and 0.4 of the confidence.
    assert [p for _, p in ranked[1:]] == pytest.approx([0.4 * 0.5 / 0.7, 0.4 * 0.2 / 0.7])


def test_no_code_at_all() -> None:
    decision = decide((), np.zeros(0), None, None, AxisWeights())
    assert decision.first is None and decision.ranked(5) == [] and decision.confidence == 0


def test_equal_scores_keep_the_order_of_the_codes() -> None:
    decision = decide(CODES, np.zeros(3), np.zeros(3), None, AxisWeights())
    assert [decision.codes[i] for i in decision.order] == list(CODES)


@settings(max_examples=60, deadline=None)
@given(log_scores, axis_weights, st.floats(-40, 5), st.integers(1, 12))
def test_ranked_confidences_are_sorted_and_leave_room_for_the_rest(
    scores: tuple[list[float], list[float]], weights: AxisWeights, none: float, k: int
) -> None:
    shares, model = map(np.array, scores)
    decision = decide([f"C{n:02}.9" for n in range(len(shares))], shares, model, none, weights)
    assert decision.probabilities.sum() == pytest.approx(1)
    assert 0 <= decision.none <= 1 and 0 <= decision.confidence <= 1
    ranked = decision.ranked(k)
    confidences = [confidence for _, confidence in ranked]
    assert len({code for code, _ in ranked}) == len(ranked) == min(k, len(shares))
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1 + 1e-9 and min(confidences) >= 0
    assert ranked[0] == (decision.first, decision.confidence)


@settings(max_examples=60, deadline=None)
@given(axis_weights, st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_calibration_is_monotone(weights: AxisWeights, one: float, other: float, agree: bool) -> None:
    low, high = sorted((one, other))
    assert 0 <= calibrated(low, agree, weights) <= calibrated(high, agree, weights) <= 1


def test_neutral_weights_leave_a_probability_as_it_is() -> None:
    for p in (0.01, 0.5, 0.999):
        assert calibrated(p, True, AxisWeights()) == pytest.approx(p)
    assert 0 < calibrated(0.0, False, AxisWeights()) < 1e-5
    assert 1 - 1e-5 < calibrated(1.0, False, AxisWeights()) < 1


def test_weights_come_back_from_json(tmp_path: Path) -> None:
    axes = {axis: AxisWeights(retrieval=n + 0.25, none_above=0.1 * n) for n, axis in enumerate(AXES)}
    weights = Weights(axes, RecognitionWeights(n_grams=0.5, model=0.25, offset=-1.0))
    weights.save(tmp_path / "decision.json")
    assert Weights.load(tmp_path / "decision.json") == weights
    assert set(json.loads((tmp_path / "decision.json").read_text())) == {*AXES, "recognition"}


def test_without_fitted_weights_they_are_neutral(tmp_path: Path) -> None:
    assert Weights.load(tmp_path / "none.json") == Weights()


def test_the_shipped_weights_use_both_arms_on_each_axis() -> None:
    weights = Weights.load(WEIGHTS)
    for axis in AXES:
        assert weights.axes[axis].retrieval > 0 and weights.axes[axis].model > 0
        assert weights.axes[axis].slope > 0 and 0 < weights.axes[axis].none_above <= 1
        assert 0 <= weights.axes[axis].abstain_below < 1
    assert weights.recognition.n_grams > 0


def test_runners_up_never_pass_an_unsure_first() -> None:
    decision = Decision(CODES, np.array([0, 1, 2]), np.array([0.5, 0.45, 0.05]), 0.1, 0.0, True, np.zeros(3))
    (_, first), (_, second), (_, third) = decision.ranked(3)
    assert first == 0.1 >= second >= third
