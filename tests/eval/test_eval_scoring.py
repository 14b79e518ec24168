"""Scoring: which code an answer holds, exact and partial per axis, abstaining, and coverage."""

from __future__ import annotations

import random

import pytest
from scripted_agent import coding

from eval.scoring import coded, coverage_at_error, first_choice, first_code, first_confidence, score, stem
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
    assert [coded(c) for c in (sure, unsure, silent)] == ["C50.4", None, None]
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
