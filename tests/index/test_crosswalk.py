"""The compiled crosswalk: default rules first, terminal codes only."""

from __future__ import annotations

import pytest

from index.catalogue.crosswalk import Crosswalk
from index.catalogue.overrides import load_overrides
from index.records import CrosswalkRule

ALL = ((8000, 9589),)
CROSSWALK = Crosswalk(
    [
        CrosswalkRule(r"C(?!80\.9)\d\d\.\d", ALL, "6", "C*", False),
        CrosswalkRule(r"C(?!80\.9)\d\d\.\d", ALL, "6", "C80.9", True),
        CrosswalkRule(r"C44\.3", ((8000, 8719), (8800, 9589)), "3", "C44.9", False),
        CrosswalkRule(r"C44\.3", ((8000, 8719), (8800, 9589)), "3", "C44.3", True),
        CrosswalkRule(r"C44\.3", ((8720, 8790),), "/3", "C43.3", True),
        CrosswalkRule(r"C44\.5", ((8000, 8719),), "3", "C44.5", True),
        CrosswalkRule(r"C41\.0", ALL, "3", "C41.0", True),
        CrosswalkRule(r"C15\.3", ALL, "1", "D37.7", True),
        CrosswalkRule(r"C25\.3", ALL, "1", "D37.7", True),
        CrosswalkRule(r"C4\d\.\d", ((9140, 9140),), "3", "C46.9", True),
    ]
)


@pytest.mark.parametrize(
    ("topography", "morphology", "icd10"),
    [
        ("C44.3", "8090/3", "C44.3"),
        ("C44.3", "8720/3", "C43.3"),
        ("C44.3", "8720/2", None),
        ("C44.5", "8070/3", "C44.59"),
        ("C41.0", "9180/3", None),
        ("C15.3", "8000/1", "D37.78"),
        ("C25.3", "8000/1", "D37.70"),
        ("C49.1", "9140/3", "C46.9"),
        ("C34.1", "8140/6", None),
        ("C34.1", "8140/3", None),
        ("C34.1", "Adenokarzinom", None),
    ],
)
def test_code_of_a_pair(topography: str, morphology: str, icd10: str | None) -> None:
    assert CROSSWALK.icd10(topography, morphology) == icd10


@pytest.mark.parametrize(
    ("icd10", "topography", "morphology", "excepted"),
    [
        ("C22.9", "C22.0", "8010/3", True),
        ("C22.7", "C22.0", "8010/3", False),  # the rules' own code is no exception
        ("C22.9", "C22.0", "8170/3", False),
        ("D15.0", "C37.9", "8580/3", True),
        ("D15.0", None, "8580/3", True),
        ("D15.0", "C34.1", "8580/3", False),
        ("C71.4", "C71.4", "9421/1", True),  # the topography's own code
        ("C71.5", "C71.4", "9421/1", False),
    ],
)
def test_codes_that_the_alphabet_gives_against_the_rules(
    icd10: str, topography: str | None, morphology: str, excepted: bool
) -> None:
    assert Crosswalk([], load_overrides()).excepts(icd10, topography, morphology) is excepted
    assert not Crosswalk([]).excepts(icd10, topography, morphology)
