"""A tumour in fields: they belong to one tumour, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent import Case, CodingAgent
from agent.prepare import CaseError, Prepared, prepare, prepared_case


def read(texts: Sequence[str]) -> list[Prepared]:
    return [prepare(text) for text in texts]


@pytest.mark.parametrize(
    "case, core",
    [
        (
            Case("Mamma-Ca", "oberer äußerer Quadrant; Areola"),
            "Mammakarzinom, oberer äußerer Quadrant, Areola",
        ),
        (Case("Colon-Ca", "Sigma", "Adenokarzinom; muzinös"), "Kolonkarzinom, Sigma, Adenokarzinom, muzinös"),
        (Case(site="Unterlappen der Lunge", behaviour="3"), "bösartige Neubildung, Unterlappen der Lunge"),
        (Case("Mamma-Ca", "Mamma", "Mamma-Ca"), "Mammakarzinom, Mamma"),
        (Case(histology="Melanom", behaviour="/3"), "Melanom"),
    ],
)
def test_fields_become_one_diagnosis(case: Case, core: str) -> None:
    (one,) = prepared_case(case, read).diagnoses
    assert one.core == core


def test_words_stand_where_the_fields_stand() -> None:
    case = Case("Mamma-Ca", "Oberer äußerer Quadrant", "NST")
    (one,) = prepared_case(case, read).diagnoses
    assert one.span == (0, len(case.text))
    assert {case.text[start:end] for _, start, end in one.words} >= {"Mamma-Ca", "Oberer", "NST"}


@pytest.mark.parametrize(
    "side, known", [("L", "links"), ("rechts", "rechts"), ("bds.", "beidseits"), ("U", None)]
)
def test_sides_as_registries_write_them(side: str, known: str | None) -> None:
    assert prepared_case(Case("Mamma-Ca", side=side), read).diagnoses[0].side == known


def test_a_case_of_nothing_is_empty() -> None:
    assert prepared_case(Case(), read).empty


@pytest.mark.parametrize("wrong", [{"side": "oben"}, {"behaviour": "7"}])
def test_a_field_that_says_nothing_known_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(CaseError, match=next(iter(wrong))):
        Case("Mamma-Ca", **wrong)
    with pytest.raises(TypeError, match="site takes a text"):
        Case(site=3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def agent() -> CodingAgent:
    return CodingAgent.load()


def test_a_case_is_coded_as_one_tumour(agent: CodingAgent) -> None:
    coded = agent.code(Case("Bronchial-Ca", "Oberlappen; Segment 3", "Adenokarzinom; TTF1+", side="L"))
    assert (coded.icd10gm.code, coded.icdo_morphology.code, coded.side) == ("C34.1", "8140/3", "links")
    assert coded.further == ()


def test_a_record_with_a_site_alone_is_a_tumour(agent: CodingAgent) -> None:
    case = Case(site="Unterlappen der Lunge", behaviour="3", tumour=True)
    known, *others = agent.code_many([case, "Hypertonie", Case("Mamma-Ca", tumour=False)])
    assert known.tumour and known.icd10gm.code == "C34.3"
    assert [one.tumour for one in others] == [False, False]
