"""Of which edition a code is, as the registry schemas write it.

version_of(agent, CodeSystem.ICD10GM, "C34.1")         # '10 2024 GM'
version_of(agent, CodeSystem.MORPHOLOGY, "8140/3")     # '33', ICD-O-3 of 2019
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from index.records import CodeSystem

if TYPE_CHECKING:
    from agent.agent import CodingAgent

# ICD-O-3 in German: first edition, first and second revision, as both schemas number them.
_ICDO = ((2019, "33"), (2014, "32"), (2003, "31"))


def version_of(agent: CodingAgent, system: CodeSystem, code: str) -> str | None:
    """The version to write beside a code; None where the edition has no year or the schemas no number."""
    year = year_of_code(agent, system, code)
    if year is None:
        return None
    if system is CodeSystem.ICD10GM:
        return f"10 {year} GM"
    return next((number for first, number in _ICDO if year >= first), None)


def year_of_code(agent: CodingAgent, system: CodeSystem, code: str) -> int | None:
    """The year of the edition that the agent has the code from."""
    from index.catalogue.layouts.source import year_of
    from index.catalogue.lexicon import EDITION, YEAR

    found = agent.resources.catalogue.code(system, code)
    if found is None:
        return None
    return YEAR[system] if found.edition == EDITION else year_of(found.edition)
