"""Facts that decide for or against codes although no model reads them, or reads them otherwise than registries do.

    facts = facts_of(segment)                                 # frozenset({"in situ"}), of "Harnblasenkarzinom pTis"
    fact_scores(facts, ("C67.9", "D09.0"), ICD10GM)             # array([ 0., 12.])

TNM formula and grade are set aside before a model reads the text, so what they say is given to the decision here.
- *T category*: Tis and Ta have not grown into the tissue below, T1 to T4 have. Only codes of in-situ tumours are
  moved: tumours of uncertain behaviour are staged T1 to T4 as well. Ta is the papillary form by its definition
  (UICC), Tis the flat one. What is staged after treatment (yp) says nothing about the tumour as it was.
- *Gleason*: the score grades adenocarcinomas of the prostate; whoever writes it down has seen glands.
- *Verhornend* behind the name ("Plattenepithelkarzinom, verhornend") is the subtype 8071/3.
- *Carcinoma in situ of the urinary tract* is the flat urothelial lesion (WHO): 8120/2, not 8010/2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from agent.prepare import Segment
from agent.prepare.casing import recased_formula
from agent.prepare.rules import pattern
from index.icd import is_in_situ
from index.records import CodeSystem

Fact = Literal["in situ", "papillary", "invasive", "glandular", "keratinising", "urothelial"]
_NOT_INVASIVE: dict[str, Fact] = {"is": "in situ", "a": "papillary"}
# A decisive fact outweighs what retrieval and language model say together; a preference moves near ties.
DECISIVE_NATS = 12.0
PREFERENCE_NATS = 3.0
_PAPILLARY = ("8050/2", "8052/2", "8130/2")
_T = re.compile(r"(?<![A-Za-z])(?P<prefix>[acpru]{0,3}y?[cp]{0,2})T(?P<category>is|a|[1-4])[a-d]?(?![a-z])")
_GLEASON = re.compile(r"\b(?:Gleason|Gl|GS)\b", re.I)
_IN_SITU = re.compile(r"in situ", re.I)
# The names that the fact in question replaces by a more precise one.
_REPLACED: dict[Fact, tuple[str, ...]] = {
    "glandular": ("8000/3", "8010/3"),
    "keratinising": ("8000/3", "8010/3", "8070/3"),
    "urothelial": ("8000/2", "8010/2"),
}


def facts_of(segment: Segment) -> frozenset[Fact]:
    """What formulae, grades and the words of a diagnosis tell of its behaviour and histology."""
    facts: set[Fact] = set()
    category = invasion(segment.set_aside.get("tnm", ()))
    if category is not None:
        facts.add(category)
    grades = " ".join(segment.set_aside.get("grade", ()))
    if _GLEASON.search(grades) or ("ISUP" in grades and "rostat" in segment.core):
        facts.add("glandular")
    if pattern("keratinising").search(segment.core):
        facts.add("keratinising")
    if pattern("urinary").search(segment.core) and (category == "in situ" or _IN_SITU.search(segment.core)):
        facts.add("urothelial")
    return frozenset(facts)


def invasion(formulae: Sequence[str]) -> Fact | None:
    """What TNM formulae say of invasion; None where they say nothing, or both."""
    said: set[Fact] = set()
    for formula in formulae:
        for found in _T.finditer(recased_formula(formula)):
            if "y" not in found["prefix"]:
                said.add(_NOT_INVASIVE.get(found["category"], "invasive"))
    if said == {"in situ", "papillary"}:
        return "in situ"
    return said.pop() if len(said) == 1 else None


def fact_scores(facts: frozenset[Fact], codes: tuple[str, ...], axis: CodeSystem) -> np.ndarray | None:
    """What to add to each code's log-scores (m,), in nats; None where there is nothing to add."""
    if not facts or axis is CodeSystem.TOPOGRAPHY:
        return None
    moved = np.zeros(len(codes))
    if facts & {"in situ", "papillary"}:
        moved += DECISIVE_NATS * _in_situ(codes)
    elif "invasive" in facts:
        moved -= DECISIVE_NATS * _in_situ(codes)
    if axis is CodeSystem.MORPHOLOGY:
        if "papillary" in facts:
            moved += PREFERENCE_NATS * np.isin(codes, _PAPILLARY)
        for fact in facts & _REPLACED.keys():
            moved -= DECISIVE_NATS * np.isin(codes, _REPLACED[fact])
    return moved


@lru_cache(maxsize=8)
def _in_situ(codes: tuple[str, ...]) -> np.ndarray:
    return np.array([float(is_in_situ(code)) for code in codes])
