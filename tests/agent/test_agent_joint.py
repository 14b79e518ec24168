"""Three axes that contradict each other: decided together where that is cheap, left and reported where it is dear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from agent.decide.fuse import decide
from agent.decide.reconcile import LARGEST_LOSS, agree_on_codes, consistent
from agent.decide.records import AxisWeights, Decision, Weights
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.catalogue.overrides import load_overrides
from index.records import AXES, CodeSystem

ICD10, TOPOGRAPHY, MORPHOLOGY, _ = CodeSystem
CROSSWALK = Crosswalk(Catalogue.builtin().rules)


def decision(none: float = 0.0, **shares: float) -> Decision:
    """`C50_4=0.6` stands for the code C50.4, `m8500_3` for 8500/3."""
    codes = [
        name[1:].replace("_", "/") if name.startswith("m") else name.replace("_", ".") for name in shares
    ]
    values = np.log(np.array(list(shares.values())))
    made = decide(codes, values, None, None, AxisWeights())
    return replace(made, none=none, agree=True)


def decisions(icd10: Decision, topography: Decision, morphology: Decision) -> Mapping[CodeSystem, Decision]:
    return dict(zip(AXES, (icd10, topography, morphology), strict=True))


def test_codes_that_stand_together_stay() -> None:
    given = decisions(decision(C50_4=0.9, C50_9=0.1), decision(C50_4=1.0), decision(m8500_3=1.0))
    agreed = agree_on_codes(given, Weights(), CROSSWALK)
    assert agreed.codes == {ICD10: "C50.4", TOPOGRAPHY: "C50.4", MORPHOLOGY: "8500/3"}
    assert not agreed.joint


def test_a_cheap_contradiction_is_decided_anew() -> None:
    given = decisions(
        decision(C50_4=0.55, D05_1=0.45), decision(C50_4=1.0), decision(m8500_2=0.9, m8500_3=0.1)
    )
    agreed = agree_on_codes(given, Weights(), CROSSWALK)
    assert agreed.joint
    assert agreed.codes == {ICD10: "D05.1", TOPOGRAPHY: "C50.4", MORPHOLOGY: "8500/2"}
    # Two triples can stand together: 0.45 x 0.9 for the in-situ tumour, 0.55 x 0.1 for the invasive one.
    assert agreed.shares[ICD10] == pytest.approx(0.45 * 0.9 / (0.45 * 0.9 + 0.55 * 0.1), abs=1e-6)
    assert agreed.shares[TOPOGRAPHY] == pytest.approx(1.0)


def test_the_likeliest_triple_wins_whichever_axis_it_changes() -> None:
    given = decisions(
        decision(C50_4=0.95, D05_1=0.05), decision(C50_4=1.0), decision(m8500_2=0.55, m8500_3=0.45)
    )
    agreed = agree_on_codes(given, Weights(), CROSSWALK)
    assert agreed.joint and agreed.codes[ICD10] == "C50.4" and agreed.codes[MORPHOLOGY] == "8500/3"


def test_a_dear_contradiction_stays_as_the_axes_chose() -> None:
    given = decisions(
        decision(C50_4=0.999, D05_1=0.001), decision(C50_4=1.0), decision(m8500_2=0.999, m8500_3=0.001)
    )
    agreed = agree_on_codes(given, Weights(), CROSSWALK)
    assert not agreed.joint and agreed.shares == {}
    assert agreed.codes == {ICD10: "C50.4", TOPOGRAPHY: "C50.4", MORPHOLOGY: "8500/2"}
    assert not consistent(agreed.codes, CROSSWALK)


@pytest.mark.parametrize(("price", "joint"), [(LARGEST_LOSS - 0.1, True), (LARGEST_LOSS + 0.1, False)])
def test_the_price_of_a_change_is_limited(price: float, joint: bool) -> None:
    other = float(np.exp(-price))
    given = decisions(decision(C50_4=1.0, D05_1=other), decision(C50_4=1.0), decision(m8500_2=1.0))
    assert agree_on_codes(given, Weights(), CROSSWALK).joint is joint


def test_no_triple_fits() -> None:
    given = decisions(decision(C50_4=1.0), decision(C50_4=1.0), decision(m8500_2=1.0))
    agreed = agree_on_codes(given, Weights(), CROSSWALK)
    assert not agreed.joint and agreed.codes[ICD10] == "C50.4"


def test_an_axis_that_nothing_fits_stays_empty_and_contradicts_nothing() -> None:
    fitted = Weights({axis: AxisWeights(none_above=0.5) for axis in AXES})
    given = decisions(decision(C50_4=1.0), decision(C50_4=1.0), decision(0.9, m8500_2=1.0))
    agreed = agree_on_codes(given, fitted, CROSSWALK)
    assert agreed.codes == {ICD10: "C50.4", TOPOGRAPHY: "C50.4", MORPHOLOGY: None} and not agreed.joint
    without_icd10 = decisions(decision(0.9, C50_4=1.0), decision(C34_1=1.0), decision(m8500_2=1.0))
    agreed = agree_on_codes(without_icd10, fitted, CROSSWALK)
    assert agreed.codes == {ICD10: None, TOPOGRAPHY: "C34.1", MORPHOLOGY: "8500/2"} and not agreed.joint


def test_an_axis_without_codes() -> None:
    empty = decide((), np.zeros(0), None, None, AxisWeights())
    agreed = agree_on_codes(decisions(decision(C50_4=1.0), empty, empty), Weights(), CROSSWALK)
    assert agreed.codes == {ICD10: "C50.4", TOPOGRAPHY: None, MORPHOLOGY: None}


def test_none_above_is_the_axis_own() -> None:
    given = decisions(decision(0.4, C50_4=1.0), decision(0.4, C50_4=1.0), decision(0.4, m8500_3=1.0))
    weights = Weights({axis: AxisWeights(none_above=0.3 if axis is TOPOGRAPHY else 0.5) for axis in AXES})
    codes = agree_on_codes(given, weights, CROSSWALK).codes
    assert [axis for axis in AXES if codes[axis] is None] == [TOPOGRAPHY]


@pytest.mark.parametrize(
    ("icd10", "topography", "morphology", "fits"),
    [
        ("C50.4", "C50.4", "8500/3", True),
        ("C50.9", "C50.4", "8500/3", True),
        ("C34.1", "C50.4", "8500/3", False),
        ("C43.3", "C44.3", "8720/3", True),
        ("C44.3", "C44.3", "8720/3", False),
        ("C83.3", "C50.4", "9680/3", True),
        ("C50.4", "C50.4", "9680/3", False),
        ("C83.3", "C50.4", "8500/3", False),
        ("C78.7", "C22.0", "8140/6", True),
        ("D05.1", "C50.4", "8500/3", False),
        (None, "C50.4", "8500/3", True),
        ("C50.4", None, "8500/3", True),
        ("C50.4", None, "8500/2", False),
        ("C34.1", "C50.4", None, True),
    ],
)
def test_what_can_stand_together(
    icd10: str | None, topography: str | None, morphology: str | None, fits: bool
) -> None:
    assert consistent({ICD10: icd10, TOPOGRAPHY: topography, MORPHOLOGY: morphology}, CROSSWALK) is fits


def test_a_code_of_the_alphabet_is_not_turned_back_to_that_of_the_crosswalk() -> None:
    given = decisions(decision(D15_0=0.6, C37=0.4), decision(C37_9=1.0), decision(m8580_3=1.0))
    assert agree_on_codes(given, Weights(), CROSSWALK).codes[ICD10] == "C37"
    exceptions = Crosswalk(Catalogue.builtin().rules, load_overrides())
    agreed = agree_on_codes(given, Weights(), exceptions)
    assert agreed.codes[ICD10] == "D15.0" and not agreed.joint
