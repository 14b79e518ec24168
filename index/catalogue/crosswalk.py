"""The registry crosswalk, compiled: which ICD-10-GM code a topography and a morphology make together.

    crosswalk = Crosswalk(rules, load_overrides())  # rules: index.layouts.parse(crosswalk file)
    crosswalk.icd10("C44.3", "8720/3")              # 'C43.3'
    crosswalk.excepts("D15.0", "C37.9", "8580/3")   # True: a plain thymoma, by the alphabet

The published rules are of 2019; where ICD-10-GM 2024 has split a code, the rule's code is carried to the
one terminal code that it can mean, or to None where topography and morphology leave several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from index.catalogue.overrides import NO_SITE, TOPOGRAPHY_CODE, Override
from index.records import CrosswalkRule
from index.tables import read_table, write_table

# The rules as codes only, derived by `training.publish`: what a fresh machine checks the axes with.
SHIPPED = Path(__file__).parent / "crosswalk.parquet"

SPLIT_CODES: dict[str, str | None] = {
    "C41.0": None,  # .01 craniofacial or .02 maxillofacial: C41.0 of ICD-O holds both
    "C41.3": None,  # rib, sternum, clavicle
    "C44.5": "C44.59",  # .50 is perianal skin, which has to be named
    "D16.4": None,
    "D16.7": None,
    "D25.7": "D25.9",  # the file's slip: there is no D25.7 in any edition
    "D37.7": "D37.78",  # .70 is the pancreas, see icd10()
}
_PANCREAS_UNCERTAIN = "D37.70"
_LITERAL_TOPOGRAPHY = re.compile(r"C\d\d\\?\.\d")


class Crosswalk:
    """Rules by topography, default rules first.

    Rules whose ICD-10 code is a pattern (`C*`) do not fix a code and are left out. Behaviour /6 is
    answered only where a rule names the morphology for a topography of its own (unknown primary): the
    code of a metastasis depends on the metastasis' site, which is not the crosswalk's business.
    `overrides` say where the alphabet decides otherwise.
    """

    def __init__(self, rules: Sequence[CrosswalkRule], overrides: Sequence[Override] = ()) -> None:
        self._overrides: dict[str, list[Override]] = {}
        for override in overrides:
            self._overrides.setdefault(override.icd10, []).append(override)
        self._by_topography: dict[str, list[CrosswalkRule]] = {}
        self._patterns: list[tuple[re.Pattern[str], CrosswalkRule]] = []
        for rule in sorted(rules, key=lambda rule: not rule.default):
            if "*" in rule.icd10:
                continue
            if _LITERAL_TOPOGRAPHY.fullmatch(rule.topography):
                self._by_topography.setdefault(rule.topography.replace("\\", ""), []).append(rule)
            elif rule.behaviour.lstrip("/") != "6":
                self._patterns.append((re.compile(rule.topography), rule))

    def icd10(self, topography: str, morphology: str) -> str | None:
        """The ICD-10-GM code of `C34.1` and `8140/3`, or None where the rules do not fix a terminal code.

        Args:
            topography: a topography code with its fourth character.
            morphology: histology and behaviour, `8140/3`.

        Source: crosswalk of the German registries, ICD-O-3.2 (2019) to ICD-10, solid tumours.
        """
        listed = self.listed(topography, morphology)
        if listed == "D37.7" and topography.startswith("C25"):
            return _PANCREAS_UNCERTAIN
        return SPLIT_CODES.get(listed, listed) if listed else None

    def excepts(self, icd10: str, topography: str | None, morphology: str) -> bool:
        """Whether the alphabet gives some text of this site (None: not named) and morphology this code, against
        the rules. Which words of the text decide is the model's business, not asked here."""
        site = topography or NO_SITE
        rules = self._overrides.get(icd10, [])
        if icd10 == site:
            rules = rules + self._overrides.get(TOPOGRAPHY_CODE, [])
        return any(rule.covers(site, morphology) for rule in rules)

    def listed(self, topography: str, morphology: str) -> str | None:
        """The code as the rules print it, which may be one that ICD-10-GM 2024 has split (`C41.0`)."""
        histology_text, _, behaviour = morphology.partition("/")
        if not histology_text.isdigit():
            return None
        histology = int(histology_text)
        for rule in self._by_topography.get(topography, []):
            if rule.covers(histology, behaviour):
                return rule.icd10
        for pattern, rule in self._patterns:
            if rule.covers(histology, behaviour) and pattern.fullmatch(topography):
                return rule.icd10
        return None


def save_rules(rules: Sequence[CrosswalkRule], path: Path = SHIPPED) -> None:
    """Write rules, codes only, in the order of what they lead to."""
    by_code = sorted(rules, key=lambda rule: (rule.icd10, rule.behaviour, rule.default, rule.morphologies))
    write_table("rules", by_code, path)


def shipped_rules(path: Path = SHIPPED) -> tuple[CrosswalkRule, ...]:
    """The rules that the package ships; none where it was built without weights."""
    return read_table("rules", path.read_bytes(), path) if path.is_file() else ()
