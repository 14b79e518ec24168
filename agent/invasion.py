"""What a TNM formula says of behaviour: Tis and Ta have not grown into the tissue below, T1 to T4 have.

    invasion(("pTis",)), invasion(("pTa G1",))              # "in situ", "papillary"
    prior_of("in situ", ["C67.9", "D09.0"], ICD10GM)        # array([ 0., 12.])

The formula is set aside before a model reads the text, so its T category is told to the decision here. Only codes
of in-situ tumours are moved: tumours of uncertain behaviour are staged T1 to T4 as well. Ta is the papillary form
by its definition (UICC), Tis the flat one. What is staged after
treatment (yp) says nothing about the tumour as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from index.records import CodeSystem

Invasion = Literal["in situ", "papillary", "invasive"]
_NOT_INVASIVE: dict[str, Invasion] = {"is": "in situ", "a": "papillary"}
NATS = 12.0
PAPILLARY_NATS = 3.0
_PAPILLARY = ("8050/2", "8052/2", "8130/2")
_T = re.compile(r"(?<![A-Za-z])(?P<prefix>[acpru]{0,3}y?[cp]{0,2})T(?P<category>is|a|[1-4])[a-d]?(?![a-z])")


def invasion(formulae: Sequence[str]) -> Invasion | None:
    """What TNM formulae say; None where they say nothing, or both."""
    said: set[Invasion] = set()
    for formula in formulae:
        for found in _T.finditer(formula):
            if "y" not in found["prefix"]:
                said.add(_NOT_INVASIVE.get(found["category"], "invasive"))
    if said == {"in situ", "papillary"}:
        return "in situ"
    return said.pop() if len(said) == 1 else None


def prior_of(said: Invasion | None, codes: Sequence[str], axis: CodeSystem) -> np.ndarray | None:
    """What to add to each code's log-scores (m,), in nats; None where there is nothing to add."""
    if said is None or axis is CodeSystem.TOPOGRAPHY:
        return None
    moved = _in_situ(tuple(codes)) * (-NATS if said == "invasive" else NATS)
    if said == "papillary" and axis is CodeSystem.MORPHOLOGY:
        moved = moved + PAPILLARY_NATS * np.isin(codes, _PAPILLARY)
    return moved


@lru_cache(maxsize=8)
def _in_situ(codes: tuple[str, ...]) -> np.ndarray:
    """1 for the codes of in-situ tumours (D00 to D09; behaviour /2), else 0."""
    return np.array([float(code.startswith("D0") or code.endswith("/2")) for code in codes])
