"""Scoring: which code an answer holds, exact and partial per axis, abstaining, and coverage."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import binomtest
from scripted_agent import coding
from sklearn.metrics import accuracy_score, balanced_accuracy_score, top_k_accuracy_score

from eval.scoring import (
    chapter_group,
    coverage_at_error,
    distances,
    first_choice,
    first_code,
    first_confidence,
    macro_accuracy,
    score,
    stem,
    top_k_hits,
)
from index.records import CodeSystem

ICD, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.MORPHOLOGY


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("C50.4", "C50.4"),
        ("C20", "C20"),
        ("Der Code lautet C90.00, nicht C50.9.", "C90.00"),
        ("ICD-10: D05.1", "D05.1"),
        ("C50.4.", "C50.4"),
        ("C 50.4", None),
        ("c50.4", None),
        ("xC50.4", None),
        ("CC50.4", None),
        ("C50.-", "C50"),
        ("C50-", None),
        ("C50/3", None),
        ("C50.4.1", None),
        ("C50.444", None),
        ("pT2/N1", None),
        ("", None),
        (None, None),
    ],
)
def test_first_code_of_an_answer(answer: str | None, code: str | None) -> None:
    assert first_code(answer, ICD) == code
    assert first_code(answer, CodeSystem.TOPOGRAPHY) == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("8500/3", "8500/3"),
        ("M-8140/3 (G2)", None),
        ("ist 8140/3.", "8140/3"),
        ("18140/3", None),
        ("8140/33", None),
    ],
)
def test_first_morphology(answer: str, code: str | None) -> None:
    assert first_code(answer, MORPHOLOGY) == code


def test_partial_includes_exact_and_n_stays_whole() -> None:
    gold = ["C50.4", "C50.4", "C50.4", "C20", "C20"]
    found = score(gold, ["C50.4", "C50.9", "C34.1", "kein Code", None], ICD)
    assert (found.n, found.exact, found.partial, found.malformed) == (5, 1, 2, 2)
    assert found.exact_hits == (True, False, False, False, False)
    assert found.partial_hits == (True, True, False, False, False)


def test_partial_on_morphology_is_the_histology() -> None:
    found = score(["8500/3", "8500/3", "8500/3"], ["8500/3", "8500/2", "8501/3"], MORPHOLOGY)
    assert (found.exact, found.partial) == (1, 2)
    assert [stem(code) for code in ("C50.4", "C20", "8500/3")] == ["C50", "C20", "8500"]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError):
        score(["C50.4"], [], ICD)


def test_abstaining_is_wrong_as_coded_and_counts_as_first_choice() -> None:
    sure, unsure, silent = coding(ICD, "C50.4"), coding(ICD, None, 0.0, ["C50.9", "C50.4"]), coding(ICD)
    assert [c.code for c in (sure, unsure, silent)] == ["C50.4", None, None]
    assert [first_choice(c) for c in (sure, unsure, silent)] == ["C50.4", "C50.9", None]
    assert [first_confidence(c) for c in (sure, unsure, silent)] == [0.9, 0.3, 0.0]


def test_coverage_against_all_thresholds() -> None:
    rng = random.Random(5)
    for _ in range(200):
        n = rng.randrange(1, 60)
        confidences = [rng.randrange(8) / 8 for _ in range(n)]
        hits = [rng.random() < 0.6 + 0.4 * confidence for confidence in confidences]
        best = 0
        for threshold in set(confidences):
            accepted = [hit for hit, c in zip(hits, confidences, strict=True) if c >= threshold]
            if accepted.count(False) / len(accepted) <= 0.1:
                best = max(best, len(accepted))
        found = coverage_at_error(confidences, hits, 0.1)
        assert (found.accepted, found.n) == (best, n)
        if found.threshold is not None:
            assert sum(c >= found.threshold for c in confidences) == found.accepted


def test_coverage_of_nothing() -> None:
    assert coverage_at_error([], []).threshold is None
    assert coverage_at_error([0.9, 0.9], [True, False]).accepted == 0


def test_a_margin_is_the_bound_of_clopper_and_pearson() -> None:
    rng = random.Random(9)
    confidences = [rng.random() for _ in range(400)]
    hits = [rng.random() < 0.8 + 0.2 * confidence for confidence in confidences]
    best = 0
    for threshold in confidences:
        accepted = [hit for hit, c in zip(hits, confidences, strict=True) if c >= threshold]
        wrong, n = accepted.count(False), len(accepted)
        if binomtest(wrong, n, alternative="less").proportion_ci(0.95, method="exact").high <= 0.1:
            best = max(best, n)
    found = coverage_at_error(confidences, hits, 0.1, level=0.95)
    assert 0 < found.accepted == best < coverage_at_error(confidences, hits, 0.1).accepted
    # Without a single wrong one, 28 of 28 leave the true share open up to 10.2 %, 29 of 29 up to 9.8 %.
    assert [coverage_at_error([0.9] * n, [True] * n, 0.1, level=0.95).accepted for n in (28, 29)] == [0, 29]


def test_coverage_needs_a_hit_for_each_confidence() -> None:
    with pytest.raises(ValueError):
        coverage_at_error([0.9], [])


@pytest.mark.parametrize(
    ("right", "said", "system", "steps"),
    [
        ("C50.4", "C50.4", ICD, 0),
        ("C50.4", "C50.9", ICD, 1),
        ("C50.4", "C51.0", ICD, 3),
        ("C16.3", "C18.7", ICD, 2),
        ("C34.1", "J18.9", ICD, 3),
        ("J18.9", "J20.9", ICD, 3),
        ("C34.1", "der Code ist C34.1", ICD, 0),
        ("C34.1", None, ICD, 3),
        ("C34.1", "unklar", ICD, 3),
        ("C34.1", "C38.4", CodeSystem.TOPOGRAPHY, 2),
        ("8500/3", "8500/2", MORPHOLOGY, 1),
        ("8500/3", "8507/3", MORPHOLOGY, 2),
        ("8500/3", "8140/3", MORPHOLOGY, 3),
    ],
)
def test_distance_is_steps_up_the_tree(right: str, said: str | None, system: CodeSystem, steps: int) -> None:
    assert distances([right], [said], system) == (steps,)


def test_distance_agrees_with_exact_and_partial() -> None:
    rng = random.Random(3)
    codes = [f"C{block}.{place}" for block in (15, 16, 34, 50) for place in range(4)]
    gold, said = rng.choices(codes, k=200), rng.choices([*codes, None], k=200)
    steps, scored = distances(gold, said, ICD), score(gold, said, ICD)
    assert steps.count(0) == scored.exact and sum(step <= 1 for step in steps) == scored.partial


def test_chapter_group_of_a_code() -> None:
    assert (chapter_group("C18.7", ICD) or "").startswith("C15-C26")
    assert chapter_group("I10.90", ICD) is None


def test_metrics_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    codes = [f"C{number}.1" for number in range(10, 22)]
    gold = rng.integers(0, len(codes), 400)
    gold[: len(codes)] = range(len(codes))
    scores = rng.random((400, len(codes))) + np.eye(len(codes))[gold] * 0.3
    ranked = np.argsort(-scores, axis=1)
    right = [codes[n] for n in gold]
    scored = score(right, [codes[n] for n in ranked[:, 0]], ICD)
    assert scored.exact / scored.n == pytest.approx(accuracy_score(gold, ranked[:, 0]))
    assert macro_accuracy(right, scored.exact_hits) == pytest.approx(
        balanced_accuracy_score(gold, ranked[:, 0])
    )
    for k in (1, 3, 5, 10):
        hits = top_k_hits(right, [[codes[n] for n in order] for order in ranked], k)
        assert np.mean(hits) == pytest.approx(top_k_accuracy_score(gold, scores, k=k))


def test_macro_of_nothing() -> None:
    assert macro_accuracy([], []) is None
