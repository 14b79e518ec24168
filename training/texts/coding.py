"""The coding rules of the composer beside crosswalk and overrides: metastases, codes that words decide.

longest(METASTASIS_CODES, "C38.4")                          # 'C78.2'
refined("C41.3", "Chondrosarkom des Sternums")              # 'C41.31'
dressed("D15.0", "8580/3")                                  # '8580/0'
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from index.catalogue.overrides import table_rows
from index.icd import chapter_behaviours, is_haematological
from training.texts.tables import SITE_FORMS, TABLES, Morphology, Site

_METASTASES = [row for _, row in table_rows(TABLES / "metastases.tsv", ("topography", "icd10", "weight"))]
# how often a site is reached by metastases, by topography prefix
METASTATIC_SITES = {row["topography"]: float(row["weight"]) for row in _METASTASES if row["weight"]}
# ICD-10-GM 2024 by the longest prefix of the metastasis' site; `=` is the site's own code
METASTASIS_CODES = {row["topography"]: row["icd10"] for row in _METASTASES if row["icd10"]}
# codes that ICD-10-GM splits finer than ICD-O: (pattern in the text, code), first hit; no hit, no label
REFINEMENTS: dict[str, list[tuple[str, str]]] = defaultdict(list)
for _, _row in table_rows(TABLES / "refinements.tsv", ("icd10", "words", "refined")):
    REFINEMENTS[_row["icd10"]].append((_row["words"], _row["refined"]))
# ICD-10 gives these a code of their own even without a site: mesothelioma, Kaposi, lipoma, haemangioma
CODED_WITHOUT_SITE = {"3": ((9050, 9055), (9140, 9140)), "0": ((8850, 8881), (9120, 9161), (9170, 9175))}
# a region of the body without its tissue ("maligner Tumor der Hand", "Fibrom am Arm") has other codes than its
# skin or its soft tissue: (topographies, histologies that do not name the tissue, words that do)
_TISSUES: tuple[tuple[tuple[str, ...], tuple[tuple[int, int], ...], re.Pattern[str]], ...] = (
    (
        ("C44.3", "C44.4", "C44.5", "C44.6", "C44.7", "C44.8"),
        ((8000, 8049), (8800, 8829), (8830, 8830), (8840, 8849), (8890, 8899), (9120, 9120), (9133, 9133), (9170, 9179),
         (9540, 9549), (9580, 9580)),
        re.compile(r"haut|kutan|derm|[ck]utis|skalp|kopfschwarte|[ck]apillit|glatze|perianal|analrand", re.IGNORECASE),
    ),
    (
        ("C49.0", "C49.1", "C49.2", "C49.3", "C49.4", "C49.5", "C49.6"),
        ((8000, 8009),),
        re.compile(r"weich|\bWT\b|mus[ck]|\bM\. |sub(?:kut|fasz)|bizeps|fett|loge|scheide|fossa", re.IGNORECASE),
    ),
)  # fmt: skip
_T = TypeVar("_T")


def worded(site: Site, morphology: Morphology) -> Site | None:
    """The site with those of its names that say the tissue, where the tumour's name does not; None where
    nothing is left."""
    for topographies, spans, words in _TISSUES:
        if site.topography in topographies and any(
            low <= morphology.histology <= high for low, high in spans
        ):
            names: dict[str, Any] = {
                form: tuple(filter(words.search, getattr(site, form))) for form in SITE_FORMS
            }
            return replace(site, **names) if names["nouns"] else None
    return site


def dressed(icd10: str | None, morphology: str) -> str:
    """The morphology with the behaviour that ICD-10 gives the diagnosis: no TNM for what is coded as benign."""
    if icd10 is None or icd10[0] != "D" or is_haematological(morphology):
        return morphology
    return morphology[:5] + chapter_behaviours(icd10)


def longest(values: Mapping[str, _T], topography: str) -> _T | None:
    """The value of the longest prefix of a topography code."""
    return next((values[topography[:n]] for n in (5, 3) if topography[:n] in values), None)


def refined(icd10: str | None, text: str) -> str | None:
    """The finer code that the words decide where ICD-10-GM splits what ICD-O keeps together."""
    if icd10 not in REFINEMENTS:
        return icd10
    hits = (code for pattern, code in REFINEMENTS[icd10] if re.search(pattern, text, re.IGNORECASE))
    return next(hits, None)
