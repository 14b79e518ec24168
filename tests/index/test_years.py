"""Codes by the year of diagnosis, against the official lists where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.catalogue.catalogue import Catalogue
from index.catalogue.store import files_below
from index.catalogue.years import KNOWN_YEARS, MODELS_YEAR, Change, changes, in_year, title_in_year
from index.records import CodeSystem

LISTS = {2017: "catalogues/systematic-2017", 2024: "catalogues/systematic-2024", 2025: "editions/icd10gm-2025",
         2026: "editions/icd10gm-2026"}  # fmt: skip
MODELS = Catalogue.builtin().codable_codes(CodeSystem.ICD10GM)


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.code)
def test_each_row_decides_its_example_and_leads_back(change: Change) -> None:
    assert in_year(change.before, change.since, text=change.example, of=change.since - 1) == change.code
    assert in_year(change.code, change.since - 1, of=change.since) == change.before
    assert title_in_year(change.code) == change.title


def test_another_year_of_the_same_codes_changes_nothing() -> None:
    for code in MODELS:
        assert in_year(code, MODELS_YEAR) == in_year(code, 2025) == code


@pytest.mark.parametrize("year", LISTS)
def test_all_tumour_codes_of_an_official_list_are_reached_and_lead_back(shared: Path, year: int) -> None:
    if not (shared / LISTS[year]).is_dir():
        pytest.skip(f"no {shared / LISTS[year]}")
    listed = Catalogue.from_files(files_below([shared / LISTS[year]]), lexicon=False)
    official = set(listed.codable_codes(CodeSystem.ICD10GM))
    assert len(official) > 800
    texts = ["", *(change.example for change in changes())]
    assert {in_year(code, year, text=text) for code in MODELS for text in texts} == official
    back = {in_year(code, MODELS_YEAR, text=text, of=year) for code in official for text in texts}
    assert back == set(MODELS)
    assert year in KNOWN_YEARS
