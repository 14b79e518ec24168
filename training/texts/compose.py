"""Clinical diagnosis texts with their codes, composed from hand-written tables and the registry crosswalk.

    rules = index.layouts.parse(crosswalk_file)
    for text in compose(rules, seed=1, count=200_000, holdout=Holdout()):
        text.text, text.icd10, text.topography, text.morphology
        # 'V.a. Sigma-Ca, cT3 cN+ cM0', 'C18.7', 'C18.7', '8010/3'

A label is None where the text does not determine that axis. Pairs of topography and morphology that the
`Holdout` claims never occur in training texts, so they can measure what was not learned by heart.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from index.catalogue.crosswalk import Crosswalk
from index.catalogue.overrides import NO_SITE, NOT_COMPOSED, load_overrides
from index.records import CrosswalkRule
from training.split import SPAN, hash64
from training.texts.coding import (
    CODED_WITHOUT_SITE,
    METASTASIS_CODES,
    METASTATIC_SITES,
    REFINEMENTS,
    dressed,
    longest,
    refined,
    worded,
)
from training.texts.phrasing import SIDED, Entry, diagnosis_core, side_mark
from training.texts.surroundings import wrapped
from training.texts.tables import (
    PHRASES,
    Morphology,
    NamedDiagnosis,
    Site,
    Term,
    load_diagnoses,
    load_morphologies,
    load_sites,
)
from training.texts.wrappers import one

BEHAVIOURS = (("3", 0.72), ("2", 0.08), ("0", 0.14), ("1", 0.06))
KINDS = (("composed", 0.58), ("diagnosis", 0.25), ("morphology", 0.08), ("metastasis", 0.04), ("site", 0.05))
_HEAD_GENDERS = (("om", "n"), ("ämie", "f"), ("ose", "f"), ("asie", "f"), ("tase", "f"), ("tumor", "m"))
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ComposedText:
    """A text with what it determines; `kind` is one of `KINDS`."""

    text: str
    icd10: str | None
    topography: str | None
    morphology: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class Holdout:
    """Which pairs of topography and morphology are kept for measuring; the hash decides, so the split
    is the same on every machine and does not move when the tables grow."""

    fraction: float = 0.05
    seed: int = 13

    def holds(self, topography: str, morphology: str) -> bool:
        return hash64(f"{self.seed}:{topography}:{morphology}") < self.fraction * SPAN


class _Weighted(Generic[_T]):
    """Items with cumulated weights; `draw` is one random number and a bisection."""

    __slots__ = ("_bounds", "_items")

    def __init__(self, pairs: Sequence[tuple[_T, float]]) -> None:
        kept = [(item, weight) for item, weight in pairs if weight > 0]
        self._bounds = list(accumulate(weight for _, weight in kept))
        self._items = [item for item, _ in kept]

    def draw(self, rng: random.Random) -> _T:
        return self._items[min(bisect(self._bounds, rng.random() * self._bounds[-1]), len(self._items) - 1)]


def compose(
    rules: Sequence[CrosswalkRule],
    *,
    seed: int,
    count: int,
    holdout: Holdout | None = None,
    only_holdout: bool = False,
) -> Iterator[ComposedText]:
    """Yields `count` texts, the same for the same seed and tables; texts may repeat (few per cent).

    Args:
        rules: the crosswalk; a pair that it does not know is not composed.
        holdout: pairs to leave out.
        only_holdout: compose just the pairs that `holdout` claims (no bare sites, no metastases).
    """
    if only_holdout and holdout is None:
        raise ValueError("only_holdout needs a holdout")
    composer = Composer(rules, holdout, only_holdout=only_holdout)
    rng = random.Random(seed)
    for _ in range(count):
        yield composer.draw(rng)


class Composer:
    """Draws tumours and texts from the tables; see `compose` for the arguments."""

    def __init__(
        self, rules: Sequence[CrosswalkRule], holdout: Holdout | None = None, *, only_holdout: bool = False
    ) -> None:
        sites, morphologies, diagnoses = load_sites(), load_morphologies(), load_diagnoses()
        self._crosswalk = Crosswalk(rules)
        self._overrides = load_overrides()
        self._site_by_code = {site.topography: site for site in sites}

        def wanted(topography: str | None, morphology: str | None) -> bool:
            held = bool(holdout and topography and morphology and holdout.holds(topography, morphology))
            return held == only_holdout

        self._entries: dict[tuple[str, str], _Weighted[Entry]] = {}
        drawable = []
        for site in sites:
            for behaviour, _ in BEHAVIOURS:
                if weighted := self._entries_at(site, behaviour, morphologies, wanted):
                    self._entries[site.topography, behaviour] = weighted
            if any((site.topography, behaviour) in self._entries for behaviour, _ in BEHAVIOURS):
                # the square root lifts rare sites, which real data would hardly show
                # lymph nodes have hardly anything but lymphomas, which are composed as diagnoses
                rare = 0.05 if site.topography.startswith("C77") else 1.0
                drawable.append((site, site.weight**0.5 * rare))
        metastases = [m for m in morphologies if m.behaviour == "6"]
        self._metastases: dict[str, _Weighted[Morphology]] = {}
        reached = []
        for site in sites:
            weight = longest(METASTATIC_SITES, site.topography) or 0.0
            plausible = [(m, m.weight * m.plausibility(site.topography)) for m in metastases
                         if weight and not only_holdout and wanted(site.topography, m.code)]  # fmt: skip
            if any(weight for _, weight in plausible):
                self._metastases[site.topography] = _Weighted(plausible)
                reached.append((site, weight))
        named = [
            (d, d.weight**0.75 * len(d.terms) ** 0.5) for d in diagnoses if wanted(d.topography, d.morphology)
        ]
        alone = self._alone(morphologies, diagnoses, wanted)
        self._sites = _Weighted(drawable)
        self._metastatic_sites = _Weighted(reached)
        self._diagnoses, self._terms = _Weighted(named), _Weighted(alone)
        self._behaviours = _Weighted(BEHAVIOURS)
        self._bare_sites = _Weighted([(site, site.weight**0.5) for site in sites])
        makers: dict[str, tuple[Sequence[object], Callable[[random.Random], ComposedText]]] = {
            "composed": (drawable, self._composed),
            "diagnosis": (named, self._diagnosis),
            "morphology": ([] if only_holdout else alone, self._morphology),
            "metastasis": (reached, self._metastasis),
            "site": ([] if only_holdout else sites, self._bare_site),
        }
        self._makers = _Weighted(
            [(make, weight if pool else 0.0) for kind, weight in KINDS for pool, make in [makers[kind]]]
        )

    def draw(self, rng: random.Random) -> ComposedText:
        """A text of any kind."""
        return self._makers.draw(rng)(rng)

    def solid(self, rng: random.Random) -> tuple[Site, Entry]:
        """A site and a tumour that grows there, as often as in the tables."""
        site = self._sites.draw(rng)
        while True:
            weighted = self._entries.get((site.topography, self._behaviours.draw(rng)))
            if weighted is not None:
                entry = weighted.draw(rng)
                return entry.site or site, entry

    def named(self, rng: random.Random) -> NamedDiagnosis:
        """A diagnosis whose codes do not follow from site and morphology."""
        return self._diagnoses.draw(rng)

    def site(self, topography: str) -> Site | None:
        """The names of a topography."""
        return self._site_by_code.get(topography)

    def icd10(self, topography: str, morphology: str, text: str) -> str | None:
        """The code of a site and a tumour that `text` names; None where they do not determine one."""
        rules = (rule for rule in self._overrides if rule.covers(topography, morphology))
        code = next((code for rule in rules if (code := rule.code(topography, text))), None)
        if code is None:
            listed = self._crosswalk.listed(topography, morphology)
            code = listed if listed in REFINEMENTS else self._crosswalk.icd10(topography, morphology)
        return None if code == NOT_COMPOSED else refined(code, text)

    def _entries_at(
        self,
        site: Site,
        behaviour: str,
        morphologies: Sequence[Morphology],
        wanted: Callable[[str, str], bool],
    ) -> _Weighted[Entry] | None:
        topography = site.topography
        nodal = topography.startswith(("C42", "C77"))
        pairs = []
        for morphology in morphologies:
            weight = morphology.weight * morphology.plausibility(topography)
            if not weight or morphology.behaviour != behaviour or (nodal and morphology.everywhere):
                continue
            icd10 = self._crosswalk.listed(topography, morphology.code)
            if icd10 not in REFINEMENTS:
                icd10 = self._crosswalk.icd10(topography, morphology.code)
            if topography == "C80.9" and behaviour == "3":
                icd10 = "C80.0"  # the table's nouns all say that the primary is unknown
            overrides = tuple(rule for rule in self._overrides if rule.covers(topography, morphology.code))
            named = worded(site, morphology)
            if icd10 is None or named is None or not wanted(topography, morphology.code):
                continue
            if overrides and not overrides[0].words and overrides[0].icd10 == NOT_COMPOSED:
                continue
            nouns, suffixes, abbreviations = (
                tuple(term for term in terms if term.used_at(topography))
                for terms in (morphology.nouns, morphology.suffixes, morphology.abbreviations)
            )
            if nouns:
                entry = Entry(morphology, icd10, nouns, suffixes, abbreviations, overrides, named)
                pairs.append((entry, weight))
        return _Weighted(pairs) if pairs else None

    def _implied_site(self, site_weights: dict[str, float]) -> str | None:
        """The topography that a morphology alone determines: its one organ, unspecified part."""
        organs: dict[str, float] = {}
        for prefix, weight in site_weights.items():
            organs[prefix[:3]] = organs.get(prefix[:3], 0.0) + weight
        if not organs:
            return None
        organ, weight = max(organs.items(), key=lambda item: item[1])
        if weight < 0.735 * sum(organs.values()):
            return None
        named = [prefix for prefix in site_weights if prefix.startswith(organ)]
        if len(named) == 1 and len(named[0]) == 5:
            return named[0]
        return f"{organ}.9" if f"{organ}.9" in self._site_by_code else None

    def _alone(
        self,
        morphologies: Sequence[Morphology],
        diagnoses: Sequence[NamedDiagnosis],
        wanted: Callable[[str | None, str | None], bool],
    ) -> list[tuple[tuple[Term, str | None, str | None, str, bool], float]]:
        """Every tumour name that may stand without a site, with what it says: (term, ICD-10, topography,
        morphology, whether it is an abbreviation). A name that two rows give different codes is left out."""
        named: dict[str, set[tuple[str | None, str | None, str | None]]] = {}
        for diagnosis in diagnoses:
            for text in diagnosis.terms:
                codes = (diagnosis.icd10, diagnosis.topography, diagnosis.morphology)
                named.setdefault(text.casefold(), set()).add(codes)
        owners: dict[str, set[str]] = {}
        for m in morphologies:
            for term in (*m.nouns, *m.abbreviations):
                owners.setdefault(term.text.casefold(), set()).add(m.code)
        found = []
        for m in morphologies:
            if m.behaviour == "6":
                continue
            for terms, share in ((m.nouns, 0.7 if m.abbreviations else 1.0), (m.abbreviations, 0.3)):
                for term in terms:
                    known = named.get(term.text.casefold(), set())
                    if len(owners[term.text.casefold()]) > 1 or len(known) > 1:
                        continue
                    if known:
                        icd10, topography, morphology = next(iter(known))
                        if morphology != m.code:
                            continue
                    else:
                        icd10, topography = self._said_alone(term, m)
                    if wanted(topography, m.code):
                        weight = m.weight**0.6 * share / len(terms)
                        found.append(((term, icd10, topography, m.code, terms is m.abbreviations), weight))
        return found

    def _said_alone(self, term: Term, morphology: Morphology) -> tuple[str | None, str | None]:
        """ICD-10 and topography of a tumour name without a site."""
        topography = term.implied
        if topography is None and term.sites:
            topography = self._implied_site(dict.fromkeys(term.sites, 1.0))
        rules = [rule for rule in self._overrides if rule.covers(topography or NO_SITE, morphology.code)]
        if topography is None:
            codes = (rule.code(NO_SITE, term.text) for rule in rules)
            if code := next((code for code in codes if code), None):
                return (None if code == NO_SITE else code), None
            spans = CODED_WITHOUT_SITE.get(morphology.behaviour, ())
            if any(low <= morphology.histology <= high for low, high in spans):
                return self._crosswalk.icd10("C80.9", morphology.code), None
            topography = None if morphology.everywhere else self._implied_site(morphology.site_weights)
            rules = [
                rule for rule in self._overrides if topography and rule.covers(topography, morphology.code)
            ]
        if topography is None or topography == NO_SITE:
            return None, None
        codes = (rule.code(topography, term.text) for rule in rules)
        icd10 = next((code for code in codes if code), None) or self._crosswalk.icd10(
            topography, morphology.code
        )
        return (icd10, topography) if icd10 and icd10 != NOT_COMPOSED else (None, None)

    def _composed(self, rng: random.Random) -> ComposedText:
        while True:
            site, entry = self.solid(rng)
            core, gender = diagnosis_core(rng, site, entry)
            codes = (rule.code(site.topography, core) for rule in entry.overrides)
            icd10 = refined(next((code for code in codes if code), entry.icd10), core)
            if icd10 != NOT_COMPOSED:
                break
        code = entry.morphology.code
        text = wrapped(rng, core, gender, site.topography, dressed(icd10, code))
        return ComposedText(text, icd10, site.topography, code, "composed")

    def _diagnosis(self, rng: random.Random) -> ComposedText:
        diagnosis = self._diagnoses.draw(rng)
        term = one(rng, diagnosis.terms)
        gender = gender_of(term)
        site = self._site_by_code.get(diagnosis.topography or "")
        core = term
        if site and site.paired and rng.random() < 0.4 and not SIDED.search(term):
            core = f"{term} {side_mark(rng)}"
        code = diagnosis.morphology or "8000/3"
        text = wrapped(rng, core, gender, diagnosis.topography or "", dressed(diagnosis.icd10, code))
        return ComposedText(text, diagnosis.icd10, diagnosis.topography, diagnosis.morphology, "diagnosis")

    def _morphology(self, rng: random.Random) -> ComposedText:
        term, icd10, topography, code, abbreviated = self._terms.draw(rng)
        gender = None if abbreviated else term.gender
        text = wrapped(rng, term.text, gender, topography or "", dressed(icd10, code))
        return ComposedText(text, icd10, topography, code, "morphology")

    def _metastasis(self, rng: random.Random) -> ComposedText:
        site = self._metastatic_sites.draw(rng)
        morphology = self._metastases[site.topography].draw(rng)
        entry = Entry(morphology, None, morphology.nouns, morphology.suffixes, morphology.abbreviations)
        core, gender = diagnosis_core(rng, site, entry)
        code = longest(METASTASIS_CODES, site.topography) or "C79.88"
        icd10 = refined(site.topography if code == "=" else code, core)
        topography: str | None = site.topography
        primary = self._sites.draw(rng)
        generic = (
            morphology.code == "8000/6"
            and primary.compounds
            and not primary.topography.startswith(("C71", "C4", "C69", "C70", "C72", "C75", "C76"))
        )
        morphology_code = morphology.code
        if generic and primary.topography[:3] != site.topography[:3] and rng.random() < 0.4:
            tumour = one(rng, primary.compounds)
            tumour += "-Karzinom" if tumour[-1].isupper() or " " in tumour else "karzinom"
            tail = one(rng, PHRASES["of a primary"]).format(t=tumour)
            # with the primary named, ICD-O topography may mean either site
            core, topography, morphology_code = f"{core} {tail}".replace(" ,", ","), None, "8010/6"
        text = wrapped(rng, core, gender, site.topography, morphology_code)
        return ComposedText(text, icd10, topography, morphology_code, "metastasis")

    def _bare_site(self, rng: random.Random) -> ComposedText:
        site = self._bare_sites.draw(rng)
        text = one(rng, site.abbreviations if site.abbreviations and rng.random() < 0.2 else site.nouns)
        if site.paired and rng.random() < 0.5 and not SIDED.search(text):
            text += one(rng, (" ", ", ")) + side_mark(rng)
        if rng.random() < 0.2:
            text = one(rng, ("Lokalisation: ", "Lok.: ", "Lokalisation ", "Tumorsitz: ")) + text
        return ComposedText(text, None, site.topography, None, "site")


def gender_of(term: str) -> str | None:
    """The gender of a diagnosis by the ending of its noun or of the adjective in front."""
    if found := next((gender for ending, gender in _HEAD_GENDERS if term.endswith(ending)), None):
        return found
    first = term.split(" ")[0]
    if not first.islower() or "," in term or " " not in term:
        return None
    return {"es": "n", "er": "m"}.get(first[-2:]) or (
        "f" if first[-1] == "e" and term[-1] not in "ns" else None
    )
