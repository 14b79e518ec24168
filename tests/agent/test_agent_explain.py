"""Answers put together: evidence from the right lines, why there is no code, several diagnoses."""

from __future__ import annotations

import pytest

from agent.agent import CodingAgent
from agent.decide.records import AxisWeights, RecognitionWeights, Weights
from agent.prepare import core_of, leading, prepare
from agent.results import CodedText
from index.records import AXES, CodeSystem
from index.text import normalise
from tests.agent.tiny_agent import NO_TUMOURS, ScriptedModel, builtin, embedded_agent, resources_with

ICD10, TOPOGRAPHY, MORPHOLOGY, _ = CodeSystem
SURE = {"Mamma": {"C50.9": 0.97, "8500/3": 0.97}, "Prostata": {"C61": 0.9, "C61.9": 0.97, "8140/3": 0.97}}


def coded(text: str, script: dict[str, dict[str, float]] | None = None, **changes: object) -> CodedText:
    model = ScriptedModel(SURE if script is None else script, at_once=True)
    return CodingAgent(resources_with(model, **changes)).code(text)


def weights(**changes: float) -> Weights:
    return Weights(
        {axis: AxisWeights(**changes) for axis in AXES}, RecognitionWeights(n_grams=1.0, model=0.0)
    )


def test_a_code_comes_with_title_lines_and_alternatives() -> None:
    answer = coded("Mammakarzinom links")
    catalogue, _ = builtin()
    for axis, code in ((ICD10, "C50.9"), (TOPOGRAPHY, "C50.9"), (MORPHOLOGY, "8500/3")):
        coding = answer.coding(axis)
        assert coding.code == code and coding.title == catalogue.title(axis, code)
        assert not coding.abstained and coding.reason is None and coding.missing == ()
        assert coding.evidence[0].code == code
        assert {e.code for e in coding.evidence} <= {code, coding.alternatives[0].code}
        for evidence in coding.evidence:
            line = next(x for x in catalogue.lines_of(axis, evidence.code) if x.line_id == evidence.line_id)
            assert (line.text, line.edition, line.source) == (
                evidence.text,
                evidence.edition,
                evidence.source,
            )
        assert 1 <= len(coding.alternatives) <= 5
        assert code not in [other.code for other in coding.alternatives]
        assert all(other.title == catalogue.title(axis, other.code) for other in coding.alternatives)


def test_matched_words_are_places_in_the_original_text() -> None:
    text = "  Z.n. Mamma-Ca li.,  ED 2019"
    coding = coded(text).icd10gm
    words = {text[start:end] for evidence in coding.evidence for start, end in evidence.matched}
    assert words and all(word.strip() == word and word for word in words)
    assert any("mamma" in normalise(word) for word in words)
    assert not words & {"ED", "2019", "li.", "Z.n."}


def test_a_code_without_a_near_line_shows_its_own() -> None:
    answer = coded("Mammakarzinom", {"Mamma": {"C72.5": 1 - 1e-12}}, weights=weights(retrieval=0.0))
    assert answer.icd10gm.code == "C72.5"
    assert answer.icd10gm.evidence[0].code == "C72.5"


def test_no_tumour_no_code_but_the_nearest_codes() -> None:
    answer = coded("Mammakarzinom", recogniser=NO_TUMOURS)
    assert not answer.tumour and answer.tumour_probability < 0.05
    for axis in AXES:
        coding = answer.coding(axis)
        assert coding.abstained and coding.code is None and coding.title is None and coding.confidence == 0
        assert coding.reason == "Keine Tumordiagnose." and len(coding.alternatives) == 5
        assert coding.checks == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Ausschluss Mammakarzinom", "Der Text schließt die Diagnose aus."),
        ("Mutter mit Mammakarzinom", "Der Text spricht von Angehörigen."),
        ("", "Der Text ist leer."),
        (" \n\t", "Der Text ist leer."),
        ("C50.9", "Der Text ist ein Kode, keine Diagnose."),
    ],
)
def test_why_there_is_no_code(text: str, reason: str) -> None:
    answer = coded(text)
    assert not answer.tumour
    for axis in AXES:
        assert answer.coding(axis).reason == reason and answer.coding(axis).code is None


@pytest.mark.parametrize("text", ["C50.9", "siehe Arztbrief", "s. Anlage.", "Histologie steht noch aus"])
def test_what_tells_nothing_is_open_and_no_no(text: str) -> None:
    answer = embedded_agent().code(text)
    assert answer.problem and answer.tumour_probability == 0.5
    assert answer.icd10gm.code is None and answer.icd10gm.reason == answer.problem


def test_a_reference_behind_a_diagnosis_changes_nothing() -> None:
    assert embedded_agent().code("Mammakarzinom, siehe Arztbrief").icd10gm.code == "C50.9"


def test_an_axis_that_the_text_leaves_open_says_what_is_missing() -> None:
    answer = coded("Mammakarzinom", {"Mamma": {"C50.9": 0.9, "keiner": 0.99}})
    assert answer.tumour
    assert (
        answer.icdo_morphology.abstained
        and answer.icdo_morphology.reason == "Der Text nennt keine Histologie."
    )
    assert answer.icdo_morphology.missing == ("Histologie und Dignität",)
    assert len(answer.icdo_morphology.alternatives) == 5


def test_an_unsure_axis_names_the_codes_it_wavers_between() -> None:
    answer = coded(
        "Mammakarzinom",
        {"Mamma": {"C50.9": 0.5, "C50.8": 0.49}},
        weights=weights(retrieval=0.0, abstain_below=0.6),
    )
    coding = answer.icd10gm
    assert coding.abstained and coding.code is None and coding.confidence == 0
    assert (
        coding.reason is not None and coding.reason.startswith("Zu unsicher: ") and "C50.9" in coding.reason
    )
    assert coding.missing and "C50.9" in [other.code for other in coding.alternatives]


def test_a_failed_check_lowers_the_confidence_and_is_shown() -> None:
    good = coded("Mammakarzinom", {"Mamma": {"C50.9": 0.999, "8500/3": 0.999}})
    bad = coded("Mammakarzinom", {"Mamma": {"C50.9": 0.9999, "8500/2": 0.9999999}})
    assert all(check.passed for check in good.icd10gm.checks)
    assert bad.icd10gm.code == "C50.9" and bad.icdo_morphology.code == "8500/2"
    assert {check.number for check in bad.icd10gm.checks if not check.passed} == {"K04", "K05"}
    assert bad.icd10gm.confidence < good.icd10gm.confidence


def test_a_joint_decision_is_as_sure_as_the_codes_that_stand_together() -> None:
    answer = coded("Mammakarzinom", {"Mamma": {"C50.9": 0.5, "D05.9": 0.4, "8500/2": 0.9, "8500/3": 0.01}},
                   weights=weights(retrieval=0.0))  # fmt: skip
    assert (answer.icd10gm.code, answer.icdo_morphology.code) == ("D05.9", "8500/2")
    assert all(check.passed for check in answer.icd10gm.checks)
    assert 0 < answer.icd10gm.confidence <= 1
    assert "C50.9" in [other.code for other in answer.icd10gm.alternatives]


def test_more_diagnoses_come_as_further_with_their_place() -> None:
    text = "1. Mammakarzinom links\n2. Prostatakarzinom"
    answer = coded(text)
    assert answer.icd10gm.code == "C50.9" and text[slice(*answer.span)].endswith("Mammakarzinom links")
    [other] = answer.further
    assert other.icd10gm.code == "C61" and "Prostatakarzinom" in text[slice(*other.span)]
    assert "Mamma" not in text[slice(*other.span)] and "Prostata" not in text[slice(*answer.span)]
    assert other.further == () and other.text == text and (answer.side, other.side) == ("links", None)


def test_the_first_tumour_speaks_for_the_text() -> None:
    answer = coded("1. Ausschluss Mammakarzinom\n2. Prostatakarzinom")
    assert answer.tumour and answer.icd10gm.code == "C61" and answer.further == ()


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("Z.n. Mamma-Ca 2011, jetzt Rektum-Ca", "Rektumkarzinom"), ("Rektum-Ca; Z.n. Mamma-Ca 2011", "Rektumkarzinom"),
        ("Arterielle Hypertonie; Mamma-Ca links", "Mammakarzinom"), ("Kein Mamma-Ca; Rektum-Ca", "Rektumkarzinom"),
        ("Arterielle Hypertonie; Diabetes", "Arterielle Hypertonie"), ("C50.9", "C50.9"), ("", ""),
    ],
)  # fmt: skip
def test_one_rule_says_which_diagnosis_leads(text: str, core: str) -> None:
    """By words for training and ablation; the agent tells it which diagnoses are tumours."""
    assert core_of(text) == core
    diagnoses, coded = prepare(text).diagnoses, embedded_agent().code(text)
    if coded.tumour:
        assert diagnoses[leading(text, diagnoses)].span == coded.span
