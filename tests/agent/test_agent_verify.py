"""Each numbered check has a case that passes and one that fails."""

from __future__ import annotations

import pytest

from agent.decide.checks import check, checks_of
from agent.results import AXIS_NAMES, Check
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.catalogue.overrides import load_overrides
from index.icd import behaviour_fits, is_haematological, same_code
from index.records import AXES, CodeSystem

CATALOGUE = Catalogue.builtin()
CROSSWALK = Crosswalk(CATALOGUE.rules, load_overrides())
ICD10, TOPOGRAPHY, MORPHOLOGY, _ = CodeSystem


def found(
    icd10: str | None = None, topography: str | None = None, morphology: str | None = None, *, text: str = ""
) -> tuple[Check, ...]:
    codes = {ICD10: icd10, TOPOGRAPHY: topography, MORPHOLOGY: morphology}
    return check(codes, text, CATALOGUE, CROSSWALK)


def failed(*codes: str | None, text: str = "") -> set[str]:
    return {c.number for c in found(*codes, text=text) if not c.passed}


def numbers(*codes: str | None, text: str = "") -> list[str]:
    return [c.number for c in found(*codes, text=text)]


def test_what_fits_passes_every_check_that_applies() -> None:
    checks = found("C53.9", "C53.9", "8070/3", text="Patientin mit Zervixkarzinom")
    assert all(c.passed for c in checks)
    assert [c.number for c in checks] == ["K01", "K02"] * 3 + ["K03", "K04", "K07", "K05"]


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        ("K01", ("C50.7", None, None)),
        ("K01", (None, "C99.9", None)),
        ("K01", (None, None, "1234/3")),
        ("K02", ("C50", None, None)),
        ("K02", ("C97", None, None)),
        ("K02", (None, "C50", None)),
    ],
)
def test_a_code_that_may_not_be_given(number: str, codes: tuple[str | None, ...]) -> None:
    assert number in failed(*codes)


def test_an_additional_code_exists_but_is_not_codable() -> None:
    assert failed("C97") == {"K02"}


@pytest.mark.parametrize(
    ("icd10", "text", "fails"),
    [
        ("C61", "Prostata-Ca, Herr M.", False),
        ("C61", "Patientin mit Karzinom", True),
        ("C53.9", "weiblich, Zervixkarzinom", False),
        ("C53.9", "Mann mit Karzinom", True),
    ],
)
def test_sex(icd10: str, text: str, fails: bool) -> None:
    assert "K03" in numbers(icd10, text=text)
    assert ("K03" in failed(icd10, text=text)) is fails


@pytest.mark.parametrize(
    ("icd10", "text"),
    [
        ("C61", "Prostatakarzinom"),
        ("C61", "Frau und Mann"),
        ("C34.1", "Patientin"),
        ("C50.9", "Herrmannstadt"),
    ],
)
def test_sex_is_not_checked_where_text_or_code_leave_it_open(icd10: str, text: str) -> None:
    assert "K03" not in numbers(icd10, text=text)


@pytest.mark.parametrize(
    ("icd10", "morphology", "fits"),
    [
        ("C50.9", "8500/3", True),
        ("C50.9", "8500/2", False),
        ("C50.9", "8010/0", False),
        ("C78.0", "8140/6", True),
        ("D05.1", "8500/2", True),
        ("D05.1", "8500/3", False),
        ("D24", "9010/0", True),
        ("D24", "9020/1", False),
        ("D48.6", "9020/1", True),
        ("D48.6", "8500/3", False),
        ("D36.9", "8000/0", True),
        ("D37.6", "8000/0", False),
        ("D09.9", "8010/2", True),
        ("D10.0", "8010/2", False),
    ],
)
def test_chapter_and_behaviour(icd10: str, morphology: str, fits: bool) -> None:
    assert behaviour_fits(icd10, morphology) is fits
    assert ("K04" in failed(icd10, None, morphology)) is not fits


def test_the_crosswalk() -> None:
    assert "K05" not in failed("C43.3", "C44.3", "8720/3")
    assert "K05" in failed("C44.3", "C44.3", "8720/3")
    message = next(c.message for c in found("C34.1", "C50.4", "8500/3") if c.number == "K05")
    assert "C50.4" in message and "C34.1" in message
    assert "K05" not in numbers("C77.3", "C77.3", "8140/6")


def test_where_the_alphabet_differs_from_the_crosswalk() -> None:
    assert not failed("D15.0", "C37.9", "8580/3") & {"K04", "K05"}
    assert "K05" in failed("D15.0", "C37.9", "8140/3")
    message = next(c.message for c in found("D15.0", None, "8580/3") if c.number == "K05")
    assert "Alphabet" in message and "D15.0" in message and "None" not in message


@pytest.mark.parametrize(
    ("icd10", "expected", "same"),
    [
        ("C50.4", "C50.4", True),
        ("C50.4", "C50.9", True),
        ("C50.9", "C50.4", True),
        ("C50.4", "C50.5", False),
        ("C50.9", "C51.9", False),
        ("C44.59", "C44.5", True),
        ("C61", "C61", True),
        ("C61", "C62.9", False),
    ],
)
def test_an_unspecified_code_contradicts_nothing_in_its_category(
    icd10: str, expected: str, same: bool
) -> None:
    assert same_code(icd10, expected) is same


@pytest.mark.parametrize(
    "text", ["Lebermetastase", "Filiae hepatis", "Peritonealkarzinose", "V.a. Mets Leber"]
)
def test_a_secondary_code_where_the_text_names_a_metastasis(text: str) -> None:
    assert "K06" in numbers("C78.7", text=text) and "K06" not in failed("C78.7", text=text)


def test_a_secondary_code_without_a_metastasis_in_the_text() -> None:
    assert failed("C78.7", text="Leberkarzinom") == {"K06"}
    assert "K06" not in numbers("C22.0", text="Leberkarzinom")


@pytest.mark.parametrize(
    ("icd10", "morphology", "fits"),
    [
        ("C83.3", "9680/3", True),
        ("C50.9", "9680/3", False),
        ("C83.3", "8500/3", False),
        ("C92.0", "9861/3", True),
        ("D46.9", "9989/3", True),
        ("D47.2", "9765/1", True),
        ("D48.6", "9765/1", False),
        ("C50.9", "8500/3", True),
        ("C46.9", "9140/3", True),
    ],
)
def test_lymphoma_and_leukaemia(icd10: str, morphology: str, fits: bool) -> None:
    assert ("K07" in failed(icd10, None, morphology)) is not fits
    assert "K07" in numbers(icd10, None, morphology)


def test_where_lymphomas_begin() -> None:
    assert [is_haematological(m) for m in ("9589/3", "9590/3", "9993/3", "8000/3")] == [
        False,
        True,
        True,
        False,
    ]


def test_no_code_no_check() -> None:
    assert found() == ()
    assert numbers(None, "C50.4", "8500/3") == ["K01", "K02", "K01", "K02"]


def test_each_axis_shows_its_own_checks_and_icd10_those_across() -> None:
    checks = found("C78.7", "C50.4", "8500/2", text="Leberkarzinom")
    shown = {axis: checks_of(axis, checks) for axis in AXES}
    assert [c.number for c in shown[TOPOGRAPHY]] == [c.number for c in shown[MORPHOLOGY]] == ["K01", "K02"]
    assert {c.number for c in shown[ICD10]} >= {"K01", "K02", "K04", "K06", "K07"}
    assert sorted(c.message for axis in AXES for c in shown[axis]) == sorted(c.message for c in checks)
    for axis in (TOPOGRAPHY, MORPHOLOGY):
        assert all(c.message.startswith(AXIS_NAMES[axis]) for c in shown[axis])


def test_a_check_says_whose_code_it_checks() -> None:
    checks = found("C50.9", "C50.9", "8500/2", text="Frau")
    assert {c.axis for c in checks if c.number in ("K01", "K02")} == set(AXES)
    assert {c.number: c.axis for c in checks if c.number not in ("K01", "K02")} == {
        "K04": None, "K05": None, "K07": None, **({"K03": ICD10} if "K03" in {c.number for c in checks} else {}),
    }  # fmt: skip
    assert [c.axis for c in found("C78.7") if c.number == "K06"] == [ICD10]
