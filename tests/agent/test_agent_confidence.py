"""Confidence from what speaks for and against a code; what a TNM formula tells the decision."""

from __future__ import annotations

import numpy as np
import pytest

from agent import CodingAgent
from agent.decide.confidence import confidence_of
from agent.decide.facts import DECISIVE_NATS, PREFERENCE_NATS, fact_scores, facts_of, invasion
from agent.decide.fuse import decide, logit
from agent.decide.records import WEIGHTS, AxisWeights, Weights
from agent.prepare import prepare
from agent.state import findings
from index.catalogue.catalogue import Catalogue
from index.records import AXES, CodeSystem

ICD10, TOPOGRAPHY, MORPHOLOGY, _ = CodeSystem


@pytest.fixture(scope="module")
def agent() -> CodingAgent:
    return CodingAgent.load(catalogue=Catalogue.builtin())


def test_without_fitted_coefficients_the_share_counts_and_failed_checks_lower_it() -> None:
    plain = AxisWeights().confidence
    assert confidence_of({"fused": logit(0.8), "failed": 0.0, "joint": 0.0}, plain) == pytest.approx(0.8)
    assert confidence_of({"fused": logit(0.8), "failed": 1.0, "joint": 0.0}, plain) < 0.5
    assert confidence_of({}, plain) == 0.0


def test_signals_that_are_not_there_are_left_out() -> None:
    assert confidence_of({"fused": 0.0}, {"fused": 1.0, "near": 5.0, "offset": 1.0}) == pytest.approx(
        0.731, abs=1e-3
    )


def test_shipped_weights_use_every_signal_that_the_agent_gives(agent: CodingAgent) -> None:
    from agent.graph import graph

    [one] = findings(graph.invoke({"texts": ["Mammakarzinom links"]}, context=agent.resources))
    for axis in AXES:
        assert set(Weights.load(WEIGHTS).axes[axis].confidence) == {*one.signals[axis], "offset"}
        assert all(np.isfinite(value) for value in one.signals[axis].values())


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("pTa G1", "papillary"), ("pTis", "in situ"), ("Tis N0", "in situ"), ("pTaG1", "papillary"),
        ("pT1 G3", "invasive"), ("cT2a N0", "invasive"), ("rpT2b", "invasive"), ("pT1a(m)", "invasive"),
        ("ypT0", None), ("ypTis", None), ("ycT2a", None), ("TX", None), ("pN1", None), ("", None),
    ],
)  # fmt: skip
def test_what_a_formula_says_of_invasion(formula: str, said: str | None) -> None:
    assert invasion((formula,)) == said


def test_formulae_that_contradict_each_other_say_nothing() -> None:
    assert invasion(("pTa", "pTis")) == "in situ"
    assert invasion(("pTis", "pT2")) is None and invasion(()) is None


def test_only_codes_of_in_situ_tumours_are_moved() -> None:
    codes = ("C67.9", "D09.0", "D41.4")
    in_situ, papillary = frozenset({"in situ"}), frozenset({"papillary"})
    assert fact_scores(in_situ, codes, ICD10).tolist() == [0, DECISIVE_NATS, 0]
    assert fact_scores(frozenset({"invasive"}), ("8120/3", "8120/2"), MORPHOLOGY).tolist() == [
        0,
        -DECISIVE_NATS,
    ]
    assert fact_scores(papillary, ("8120/3", "8120/2", "8130/2"), MORPHOLOGY).tolist() == [
        0,
        DECISIVE_NATS,
        DECISIVE_NATS + PREFERENCE_NATS,
    ]
    assert fact_scores(papillary, codes, ICD10).tolist() == [0, DECISIVE_NATS, 0]
    assert fact_scores(in_situ, codes, TOPOGRAPHY) is None and fact_scores(frozenset(), codes, ICD10) is None
    scores = np.log(np.array([0.6, 0.3, 0.1]))
    moved = decide(codes, scores, None, None, AxisWeights(), fact_scores(in_situ, codes, ICD10))
    assert moved.first == "D09.0"


def test_the_same_tumour_by_its_t_category(agent: CodingAgent) -> None:
    shallow, deep = agent.code("Urothelkarzinom der Blase pTa"), agent.code("Urothelkarzinom der Blase pT2")
    assert (shallow.icd10gm.code, shallow.icdo_morphology.code) == ("D09.0", "8130/2")
    assert (deep.icd10gm.code, deep.icdo_morphology.code) == ("C67.9", "8120/3")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Prostatakarzinom Gleason 3+4", {"glandular"}), ("Prostatakarzinom ISUP 4 pT2", {"glandular", "invasive"}),
        ("Nierenzellkarzinom ISUP 3", set()), ("CIS der Harnblase", {"urothelial"}),
        ("Urothelkarzinom pTis", {"in situ", "urothelial"}), ("CIS der Zervix", set()), ("CIS der Gallenblase", set()),
        ("Plattenepithelkarzinom, verhornend", {"keratinising"}), ("nicht verhornendes Plattenepithelkarzinom", set()),
    ],
)  # fmt: skip
def test_what_grade_and_organ_tell(text: str, told: set[str]) -> None:
    assert facts_of(prepare(text).diagnoses[0]) == told


def test_what_is_told_rules_out_the_names_that_say_less() -> None:
    codes = ("8010/3", "8140/3", "8041/3")
    moved = fact_scores(frozenset({"glandular"}), codes, MORPHOLOGY)
    assert moved is not None and moved.tolist() == [-DECISIVE_NATS, 0, 0]
    in_situ = fact_scores(frozenset({"urothelial"}), ("8010/2", "8120/2"), MORPHOLOGY)
    assert in_situ is not None and in_situ.tolist() == [-DECISIVE_NATS, 0]


def test_a_metastasis_has_the_histology_of_its_primary(agent: CodingAgent) -> None:
    def morphologies(text: str) -> list[str | None]:
        coded = agent.code(text)
        return [found.icdo_morphology.code for found in (coded, *coded.further)]

    assert morphologies("Lebermetastasen bei Urothelkarzinom der Harnblase") == ["8120/6", "8120/3"]
    # ICD-O-3 lists no 8430/6: its family's.
    assert morphologies("Lungenmetastasen bei Mukoepidermoidkarzinom der Parotis")[0] == "8010/6"
    assert morphologies("Lungenmetastasen, Primärtumor unbekannt") == ["8000/6"]
    # Two primaries, or a histology of its own: nothing is taken over.
    two = morphologies("Lungenmetastasen bei Prostatakarzinom und Rektumkarzinom; Z.n. malignem Melanom")
    assert two[0] == "8000/6"
