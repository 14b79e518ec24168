"""The coding rules of the composer beside crosswalk and overrides: metastases, codes that words decide.

longest(METASTASIS_CODES, "C38.4")                          # 'C78.2'
refined("C41.3", "Chondrosarkom des Sternums")              # 'C41.31'
dressed("D15.0", "8580/3")                                  # '8580/0'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from index.icd import chapter_behaviours, is_haematological
from training.texts.tables import SITE_FORMS, Morphology, Site

# how often a site is reached by metastases, by topography prefix
METASTATIC_SITES = {"C77": 6.0, "C34": 6.0, "C22": 8.0, "C41": 5.0, "C40": 1.0, "C71": 6.0, "C74": 2.0, "C44": 3.0,
                    "C48": 3.0, "C38.4": 3.0, "C42.2": 0.5, "C56": 1.0, "C64": 1.0, "C49": 1.0, "C50": 0.5, "C70": 1.0,
                    "C72.0": 0.5, "C38.0": 0.3, "C38.1": 0.5, "C18": 0.3, "C17": 0.5, "C16": 0.3, "C25": 0.5,
                    "C67": 0.4, "C51": 0.2, "C52": 0.4, "C61": 0.2, "C73": 0.3, "C07": 0.3, "C42.1": 1.0}  # fmt: skip
# ICD-10-GM 2024 by the longest prefix of the metastasis' site
METASTASIS_CODES = {
    "C77": "=", "C34": "C78.0", "C38.1": "C78.1", "C38.2": "C78.1", "C38.3": "C78.1", "C38.4": "C78.2", "C30": "C78.3",
    "C31": "C78.3", "C32": "C78.3", "C33": "C78.3", "C17": "C78.4", "C18": "C78.5", "C19": "C78.5", "C20": "C78.5",
    "C48": "C78.6", "C22": "C78.7", "C15": "C78.8", "C16": "C78.8", "C21": "C78.8", "C23": "C78.8", "C24": "C78.8",
    "C25": "C78.8", "C26": "C78.8", "C42.2": "C78.8", "C64": "C79.0", "C65": "C79.0", "C66": "C79.1", "C67": "C79.1",
    "C68": "C79.1", "C44": "C79.2", "C70.0": "C79.3", "C71": "C79.3", "C70": "C79.4", "C72": "C79.4", "C40": "C79.5",
    "C41": "C79.5", "C42.1": "C79.5", "C56": "C79.6", "C74": "C79.7", "C50": "C79.81", "C51": "C79.82", "C52": "C79.82",
    "C53": "C79.82", "C54": "C79.82", "C55": "C79.82", "C57": "C79.82", "C60": "C79.82", "C61": "C79.82",
    "C62": "C79.82", "C63": "C79.82", "C38.0": "C79.84", "C49.0": "C79.85", "C49.1": "C79.86", "C49.2": "C79.86",
}  # fmt: skip
# codes that ICD-10-GM splits finer than ICD-O: (pattern in the text, code), first hit; no hit, no label
_JAW = r"maxill|kiefer|gesicht|zygomat|joch|nasenbein|vomer|\bOK\b"
REFINEMENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "C41.0": ((_JAW, "C41.02"), ("", "C41.01")),
    "D16.4": ((_JAW, "D16.42"), ("", "D16.41")),
    "C41.3": (
        ("rippe|costa", "C41.30"),
        ("stern|brustbein", "C41.31"),
        ("klavik|clavic|schlüssel", "C41.32"),
    ),
    "D16.7": (
        ("rippe|costa", "D16.70"),
        ("stern|brustbein", "D16.71"),
        ("klavik|clavic|schlüssel", "D16.72"),
    ),
    "C44.5": (("perian", "C44.50"), ("", "C44.59")),
    "C79.84": (("perikard|herzbeutel|epikard", "C79.83"), ("", "C79.84")),
}
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
