"""Where a tumour has spread to, by what is agreed: its regional lymph nodes, and the registries' short names in a formula.

    regional_nodes("C50.4")                               # 'C77.3'
    codes_of_formula("cT2 cN1 cM1c (BRA, ADR)", "C34.1")  # ['C77.1', 'C79.3', 'C79.7']

`regional_nodes.tsv` and `spread.tsv` hold the codes (ICD-10-GM); source of the short names: TNM classification of the UICC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from index.catalogue.overrides import table_rows

_HERE = Path(__file__).parent
_INVOLVED = re.compile(r"(?<![A-Za-z])[acpruy]{0,3}N(?:[1-3][a-c]?|\+)", re.ASCII)
_SPREAD = re.compile(r"(?<![A-Za-z])[acpruy]{0,3}M1[a-d]?", re.ASCII)


@lru_cache(maxsize=1)
def _stations() -> tuple[tuple[tuple[str, ...], str], ...]:
    rows = table_rows(_HERE / "regional_nodes.tsv", ("organs", "icd10"))
    return tuple((tuple(row["organs"].split(",")), row["icd10"]) for _, row in rows)


@lru_cache(maxsize=1)
def _sites() -> dict[str, str]:
    return {row["short"]: row["icd10"] for _, row in table_rows(_HERE / "spread.tsv", ("short", "icd10"))}


def regional_nodes(topography: str) -> str | None:
    """The code of metastases in the regional lymph nodes of a topography; None where there is no one station."""
    return next((code for organs, code in _stations() if topography.startswith(organs)), None)


# Codes of metastases whose place is not told, and what those begin with that tell one.
_UNPLACED = {"C77.9": "C77", "C79.9": "C7"}


def placed_only(codes: Iterable[str]) -> list[str]:
    """The codes, sorted, without those that tell no place where another one does."""
    every = set(codes)
    return sorted(
        code
        for code in every
        if code not in _UNPLACED or not any(o != code and o.startswith(_UNPLACED[code]) for o in every)
    )


def codes_of_formula(formula: str, topography: str | None) -> list[str]:
    """The codes of metastases that a TNM formula tells: N1 and above are the regional nodes of the tumour's
    topography, and behind M1 stand short names."""
    codes = []
    if topography is not None and _INVOLVED.search(formula) and (station := regional_nodes(topography)):
        codes.append(station)
    spread = _SPREAD.search(formula)
    if spread is not None:
        codes += [
            code for short, code in _sites().items() if re.search(rf"\b{short}\b", formula[spread.end() :])
        ]
    return codes
