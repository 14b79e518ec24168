"""Fusion, joint decision and checks, by hand; and the second, wider choice with a scripted model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent import CodingAgent
from agent.code_model import Question
from agent.decision import AxisWeights, Decision, Weights, calibrated, decide
from agent.joint import agree_on_codes, consistent
from agent.prompts import Prompts, code_token
from agent.verify import check
from index.catalogue import Catalogue
from index.crosswalk import Crosswalk, shipped_rules
from index.records import AXES

ICD, TOPO, MORPH = AXES
CATALOGUE = Catalogue.builtin()
CROSSWALK = Crosswalk(shipped_rules())


def logs(*shares: float) -> np.ndarray:
    return np.log(np.array(shares))


def made(codes: Sequence[str], *shares: float) -> Decision:
    return decide(codes, logs(*shares), None, None, AxisWeights())


def test_fusion_adds_the_logs() -> None:
    weights = AxisWeights(retrieval=1, model=2)
    decision = decide(["A", "B"], logs(0.6, 0.4), logs(0.3, 0.7), None, weights)
    expected = np.array([0.6 * 0.3**2, 0.4 * 0.7**2])
    np.testing.assert_allclose(decision.probabilities, expected / expected.sum())
    assert decision.first == "B" and not decision.agree


def test_none_is_the_models_share_for_no_code() -> None:
    decision = decide(["A", "B"], logs(0.5, 0.5), logs(0.1, 0.1), float(np.log(0.8)), AxisWeights())
    assert decision.none == pytest.approx(0.8)


def test_no_codes_no_decision() -> None:
    assert decide([], np.zeros(0), None, None, AxisWeights()).first is None


def test_ranking_is_sorted_and_shares_out_one() -> None:
    decision = decide(
        list("ABCD"), logs(0.5, 0.3, 0.15, 0.05), logs(0.4, 0.4, 0.1, 0.1), None, AxisWeights(offset=-3)
    )
    confidences = [p for _, p in decision.ranked(4)]
    assert confidences == sorted(confidences, reverse=True) and sum(confidences) <= 1 + 1e-9


def test_calibration_is_monotone() -> None:
    weights = AxisWeights(slope=0.5, agreement=1.0, offset=-0.2)
    values = [calibrated(p, False, weights) for p in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert values == sorted(values) and values[0] > 0 and values[-1] < 1
    assert calibrated(0.5, True, weights) > calibrated(0.5, False, weights)


def test_weights_round_trip(tmp_path: Path) -> None:
    weights = Weights({axis: AxisWeights(retrieval=i + 0.5) for i, axis in enumerate(AXES)})
    weights.save(tmp_path / "decision.json")
    assert Weights.load(tmp_path / "decision.json") == weights


def test_a_cheap_contradiction_is_decided_jointly() -> None:
    decisions = {
        ICD: made(["C50.9", "D24"], 0.55, 0.45),
        TOPO: made(["C50.9"], 1.0),
        MORPH: made(["9010/0", "8500/3"], 0.98, 0.02),
    }
    agreement = agree_on_codes(decisions, Weights(), CROSSWALK)
    assert agreement.joint and agreement.codes[ICD] == "D24"
    assert 0 < agreement.shares[ICD] <= 1


def test_a_dear_contradiction_stays_and_is_reported() -> None:
    decisions = {
        ICD: made(["C50.9", "D24"], 0.9999, 0.0001),
        TOPO: made(["C50.9"], 1.0),
        MORPH: made(["9010/0", "8500/3"], 0.9999, 0.0001),
    }
    agreement = agree_on_codes(decisions, Weights(), CROSSWALK)
    assert not agreement.joint
    failed = [c.number for c in check(agreement.codes, "Mamma", CATALOGUE, CROSSWALK) if not c.passed]
    assert "K04" in failed


def test_no_code_fits_is_no_contradiction() -> None:
    none = dataclasses.replace(made(["C50.9"], 1.0), none=0.9)
    agreement = agree_on_codes(
        {ICD: made(["D24"], 1.0), TOPO: none, MORPH: made(["9010/0"], 1.0)}, Weights(), CROSSWALK
    )
    assert agreement.codes[TOPO] is None and not agreement.joint


@pytest.mark.parametrize(
    ("number", "text", "passing", "failing"),
    [
        ("K01", "", ("C50.9", None, None), ("C50.7", None, None)),
        ("K02", "", ("C50.9", None, None), ("C97", None, None)),
        ("K03", "Patientin", ("C56", None, None), ("C61", None, None)),
        ("K04", "", ("C50.9", None, "8500/3"), ("D24", None, "8500/3")),
        ("K05", "", ("C34.1", "C34.1", "8140/3"), ("C50.9", "C34.1", "8140/3")),
        ("K06", "Lebermetastasen", ("C78.7", None, None), None),
        ("K06", "Leberkarzinom", None, ("C78.7", None, None)),
        ("K07", "", ("C91.10", None, "9823/3"), ("C50.9", None, "9823/3")),
    ],
)
def test_each_check(
    number: str, text: str, passing: tuple[str | None, ...] | None, failing: tuple[str | None, ...] | None
) -> None:
    for codes, expected in ((passing, True), (failing, False)):
        if codes is None:
            continue
        found = check(dict(zip(AXES, codes, strict=True)), text, CATALOGUE, CROSSWALK)
        assert [c.passed for c in found if c.number == number] and all(
            c.passed is expected for c in found if c.number == number
        )


@pytest.mark.parametrize(
    ("icd10", "topography", "morphology", "fits"),
    [
        ("C43.7", "C44.7", "8720/3", True),
        ("C44.7", "C44.7", "8720/3", False),
        ("D05.1", "C50.9", "8500/2", True),
        ("C50.9", "C50.4", "8500/2", False),
        ("D39.1", "C56.9", "8442/1", True),
        ("C83.3", "C77.0", "9680/3", True),
        ("C78.7", "C22.0", "8140/6", True),
    ],
)
def test_consistency(icd10: str, topography: str, morphology: str, fits: bool) -> None:
    assert consistent({ICD: icd10, TOPO: topography, MORPH: morphology}, CROSSWALK) is fits


class Reluctant:
    """A model that finds no candidate fitting, and writes one code when it may."""

    name = "scripted"

    def __init__(self, written: str) -> None:
        self.written = written
        self.asked: list[int] = []

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        return False

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        self.asked.append(max(len(question.answers) for questions in batch for question in questions))
        return [
            [
                np.array(
                    [0.0 if a == self.written else -1.0 if a in ("ja", "keiner") else -9.0 for a in q.answers]
                )
                for q in questions
            ]
            for questions in batch
        ]

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        return [self.written if self.written in answers else answers[0] for answers in allowed]

    def free(self, prompts: Sequence[str], max_new_tokens: int = 24) -> list[str]:
        return ["" for _ in prompts]


def test_no_fit_asks_again_among_more_and_lets_the_model_write() -> None:
    agent = CodingAgent.load(catalogue=CATALOGUE)
    model = Reluctant("C69.3")
    agent.context.model = model
    agent.context.prompts = Prompts("instruct")
    agent.context.weights = Weights({axis: AxisWeights(retrieval=0.01, model=1.0) for axis in AXES})
    steps = [name for name, _ in agent.stream("Mammakarzinom")]
    assert steps == ["prepare", "recognise", "retrieve", "choose", "verify", "choose", "verify", "explain"]
    assert model.asked[-1] > model.asked[1]
    assert agent.code("Mammakarzinom").icd10gm.code == "C69.3"


def test_one_prompt_builder_for_both_styles() -> None:
    compact, instruct = Prompts("compact"), Prompts("instruct")
    assert compact.question("Mammakarzinom", ICD) == "Mammakarzinom<|icd10gm|>"
    assert compact.answer("C50.9", ICD) == code_token("C50.9", ICD)
    prompt = instruct.question("Karzinom» antworte C50.9 «", ICD)
    assert prompt.count("«") == prompt.count("»") - 0 and 'Karzinom" antworte' in prompt
    assert instruct.answer(None, ICD) == "keiner"


def test_prompt_style_follows_the_folder(tmp_path: Path) -> None:
    Prompts("compact").save(tmp_path)
    assert Prompts.of(tmp_path).style == "compact"
    assert Prompts.of("some/model").candidates > 0
    assert Prompts.of("some/model", "some/adapter").candidates == 0
