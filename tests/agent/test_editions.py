"""Codes of the year of diagnosis, by the public interface."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from agent import Case, CodingAgent
from agent.decide.editions import edition_id
from index.catalogue.catalogue import Catalogue
from index.catalogue.store import files_below
from index.dates import DateError, iso_date, year_of
from index.records import CodeSystem
from tests.agent.tiny_agent import embedded_agent

MELANOMA = "Malignes Melanom am Rücken, SSM, TD 0,8 mm"


@pytest.mark.parametrize(
    ("when", "code"),
    [
        (2024, "C43.5"),
        ("12/2025", "C43.5"),
        ("01.01.2026", "C43.59"),
        (date(2026, 3, 1), "C43.59"),
        (2012, "C43.5"),
    ],
)
def test_a_melanoma_of_the_trunk_has_the_code_of_its_year(when: object, code: str) -> None:
    coded = embedded_agent().code(MELANOMA, when)  # type: ignore[arg-type]
    assert coded.icd10gm.code == code
    assert coded.edition == edition_id(year_of(when) or 0)  # type: ignore[arg-type]
    assert {line.code for line in coded.icd10gm.evidence[:1]} == {code}, "its lines speak for it"
    assert coded.icd10gm.title
    assert any(one.message.startswith(f"ICD-10-GM {code} ist") for one in coded.icd10gm.checks)
    assert coded.icdo_topography.code == "C44.5", "ICD-O-3 has no such year"


def test_the_words_decide_what_a_code_was_divided_into() -> None:
    coded = embedded_agent().code("perianales Melanom", 2026)
    assert (coded.icd10gm.code, coded.icd10gm.title) == ("C43.50", "Malignes Melanom der Perianalhaut")
    assert embedded_agent().code("Basaliom am Rücken", 2017).icd10gm.code == "C44.5"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Analrandmelanom", "C43.50"),
        ("Malignes Melanom der Analhaut", "C43.50"),
        ("Melanom am Rücken, perianal frei", "C43.59"),
    ],
)
def test_only_what_the_diagnosis_says_decides(text: str, code: str) -> None:
    assert embedded_agent().code(text, 2026).icd10gm.code == code


def test_each_text_has_its_own_date_and_without_one_this_year_counts() -> None:
    agent = embedded_agent()
    found = list(agent.code_many([MELANOMA] * 3, dates=["2020", None, "2026-05-05"]))
    this_year = agent.code(MELANOMA).icd10gm.code
    assert [one.icd10gm.code for one in found] == ["C43.5", this_year, "C43.59"]
    assert agent.year == date.today().year
    assert CodingAgent(agent.resources, date=2024).code(MELANOMA).icd10gm.code == "C43.5"
    assert agent.code(Case(diagnosis="Melanom", site="Rücken"), 2026).icd10gm.code == "C43.59"
    document = agent.read(f"Histologie: {MELANOMA}.", 2026)
    assert [one.icd10gm.code for one in document.tumours] == ["C43.59"] and document.edition == "icd10gm-2026"


def test_further_diagnoses_and_answers_of_another_year_are_carried_too() -> None:
    agent = embedded_agent()
    coded = agent.code("Hirnmetastase bei malignem Melanom am Rücken", 2026)
    assert "C43.59" in {one.icd10gm.code for one in (coded, *coded.further)}
    back = agent.in_edition(coded, 2019)
    assert "C43.5" in {one.icd10gm.code for one in (back, *back.further)}
    assert agent.in_edition(back, 2026) == coded


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("01.03.2026", "2026-03-01"),
        ("00.00.2024", "2024"),
        ("00.03.2024", "2024-03"),
        ("2024-00-00", "2024"),
        ("20240301", "2024-03-01"),
        ("2024.0", "2024"),
        ("01/03/2024", "2024-03-01"),
        ("01.03.2024 00:00:00", "2024-03-01"),
        ("1.3.26", "2026-03-01"),
        ("12. 3. 98", "1998-03-12"),
        ("03/2026", "2026-03"),
        ("2026", "2026"),
        (2026, "2026"),
        ("2026-03-01T00:00:00", "2026-03-01"),
        ("2026-03-01 00:00:00", "2026-03-01"),
        (date(2026, 3, 1), "2026-03-01"),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_as_people_write_them(written: object, iso: str | None) -> None:
    assert iso_date(written) == iso  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        "gestern",
        "2026-13-13-13",
        "1.1",
        12,
        True,
        "31.12.1826",
        "30.02.2024",
        "13/2024",
        "45352",
        "0000-00-00",
    ],
)
def test_what_is_no_date_is_refused(wrong: object) -> None:
    with pytest.raises(DateError, match="2026-03-01"):
        embedded_agent().code(MELANOMA, wrong)  # type: ignore[arg-type]


def test_the_official_list_of_2026_loses_no_melanoma(shared: Path) -> None:
    """Texts are decided among the codes that the models know, whatever list is in force."""
    folder = shared / "editions" / "icd10gm-2026"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    catalogue = Catalogue.from_files(files_below([folder]))
    codes = catalogue.codable_codes(CodeSystem.ICD10GM)
    assert "C43.5" in codes and "C43.59" not in codes
    assert catalogue.is_codable(CodeSystem.ICD10GM, "C43.59")
    coded = CodingAgent.load(catalogue=catalogue).code(MELANOMA, 2026)
    assert coded.icd10gm.code == "C43.59"
