"""Answers in the edition of the year of diagnosis: the models know the codes of one year, a tumour has those of its own.

in_edition(coded, 2026, catalogue).icd10gm.code        # 'C43.59' for a melanoma of the back, which is C43.5 until 2025
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date as Day

from agent.prepare import core_of
from agent.results import Alternative, CodedText, Coding
from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts.source import year_of as year_in
from index.catalogue.years import KNOWN_YEARS, MODELS_YEAR, concerned, in_year
from index.records import CodeSystem


def current_year() -> int:
    """The year that counts where no date is given."""
    return Day.today().year


def edition_id(year: int) -> str:
    """The edition that answers of a year have: that of the year, as far as it is known."""
    return f"icd10gm-{min(max(year, KNOWN_YEARS[0]), KNOWN_YEARS[-1])}"


def in_edition(coded: CodedText, year: int, catalogue: Catalogue) -> CodedText:
    """A text's answer, as the graph gave it or of another edition, with the ICD-10-GM codes of that year."""
    own = coded.text[slice(*coded.span)] or coded.text
    return replace(
        coded,
        icd10gm=coding_in_edition(coded.icd10gm, year, own, catalogue, coded.edition),
        further=tuple(in_edition(one, year, catalogue) for one in coded.further),
        edition=edition_id(year),
    )


def coding_in_edition(
    coding: Coding, year: int, text: str, catalogue: Catalogue, edition: str | None
) -> Coding:
    """Codes, titles and evidence carried from an edition; None is that of the models."""
    of = (year_in(edition) if edition else None) or MODELS_YEAR

    def carried(code: str) -> str:
        return in_year(code, year, text=text, of=of)

    def title(code: str, known: str) -> str:
        return known if carried(code) == code else catalogue.title(CodeSystem.ICD10GM, carried(code))

    codes = [one for one in (coding.code, *(a.code for a in coding.alternatives)) if one is not None]
    if not any(concerned(code, year, of) for code in codes):
        return coding
    # What the text says beside its diagnosis decides nothing.
    text = core_of(text) or text
    alternatives: dict[str, Alternative] = {}
    for one in coding.alternatives:
        code = carried(one.code)
        if coding.code is None or code != carried(coding.code):
            alternatives.setdefault(code, replace(one, code=code, title=title(one.code, one.title)))
    own = coding.code and carried(coding.code)
    return replace(
        coding,
        code=own,
        title=title(coding.code, coding.title or "") if coding.code else coding.title,
        alternatives=tuple(alternatives.values()),
        evidence=tuple(
            replace(line, code=carried(line.code)) if line.system is CodeSystem.ICD10GM else line
            for line in coding.evidence
        ),
        # What a check says of the code holds for what it became.
        checks=tuple(
            replace(one, message=one.message.replace(coding.code, own)) if coding.code and own else one
            for one in coding.checks
        ),
    )
