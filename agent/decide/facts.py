"""What tells a code although no model reads it, or reads it otherwise than registries do.

    told = told_by(segment)                                 # frozenset({"in situ"}), of "Harnblasenkarzinom pTis"
    prior_of(told, ["C67.9", "D09.0"], ICD10GM)             # array([ 0., 12.])

TNM formula and grade are set aside before a model reads the text, so what they say is told to the decision here.
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
from index.records import CodeSystem

Told = Literal["in situ", "papillary", "invasive", "glandular", "keratinising", "urothelial"]
_NOT_INVASIVE: dict[str, Told] = {"is": "in situ", "a": "papillary"}
NATS = 12.0
PAPILLARY_NATS = 3.0
_PAPILLARY = ("8050/2", "8052/2", "8130/2")
_T = re.compile(r"(?<![A-Za-z])(?P<prefix>[acpru]{0,3}y?[cp]{0,2})T(?P<category>is|a|[1-4])[a-d]?(?![a-z])")
_GLEASON = re.compile(r"\b(?:Gleason|Gl|GS)\b", re.I)
_URINARY = re.compile(r"(?<!gallen)blase|ureter|harnleiter|nierenbecken|urethra|harnröhre|urothel", re.I)
_KERATINISING = re.compile(r"(?<!nicht)(?<!nicht )(?<!nicht-)verhornend", re.I)
_IN_SITU = re.compile(r"in situ", re.I)
# The names that the fact in question replaces by a more precise one.
_UNSPECIFIC: dict[Told, tuple[str, ...]] = {
    "glandular": ("8000/3", "8010/3"),
    "keratinising": ("8000/3", "8010/3", "8070/3"),
    "urothelial": ("8000/2", "8010/2"),
}


def told_by(segment: Segment) -> frozenset[Told]:
    """What formulae, grades and the words of a diagnosis tell of its behaviour and histology."""
    told: set[Told] = set()
    category = invasion(segment.set_aside.get("tnm", ()))
    if category is not None:
        told.add(category)
    grades = " ".join(segment.set_aside.get("grade", ()))
    if _GLEASON.search(grades) or ("ISUP" in grades and "rostat" in segment.core):
        told.add("glandular")
    if _KERATINISING.search(segment.core):
        told.add("keratinising")
    if _URINARY.search(segment.core) and (category == "in situ" or _IN_SITU.search(segment.core)):
        told.add("urothelial")
    return frozenset(told)


def invasion(formulae: Sequence[str]) -> Told | None:
    """What TNM formulae say of invasion; None where they say nothing, or both."""
    said: set[Told] = set()
    for formula in formulae:
        for found in _T.finditer(formula):
            if "y" not in found["prefix"]:
                said.add(_NOT_INVASIVE.get(found["category"], "invasive"))
    if said == {"in situ", "papillary"}:
        return "in situ"
    return said.pop() if len(said) == 1 else None


def prior_of(told: frozenset[Told], codes: Sequence[str], axis: CodeSystem) -> np.ndarray | None:
    """What to add to each code's log-scores (m,), in nats; None where there is nothing to add."""
    if not told or axis is CodeSystem.TOPOGRAPHY:
        return None
    moved = np.zeros(len(codes))
    if told & {"in situ", "papillary"}:
        moved += NATS * _in_situ(tuple(codes))
    elif "invasive" in told:
        moved -= NATS * _in_situ(tuple(codes))
    if axis is CodeSystem.MORPHOLOGY:
        if "papillary" in told:
            moved += PAPILLARY_NATS * np.isin(codes, _PAPILLARY)
        for fact in told & _UNSPECIFIC.keys():
            moved -= NATS * np.isin(codes, _UNSPECIFIC[fact])
    return moved


@lru_cache(maxsize=8)
def _in_situ(codes: tuple[str, ...]) -> np.ndarray:
    """1 for the codes of in-situ tumours (D00 to D09; behaviour /2), else 0."""
    return np.array([float(code.startswith("D0") or code.endswith("/2")) for code in codes])
