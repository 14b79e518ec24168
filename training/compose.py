"""Clinical diagnosis texts with their codes, composed from hand-written tables and the registry crosswalk.

    rules = index.layouts.parse(crosswalk_file)
    for text in compose(rules, seed=1, count=200_000, holdout=Holdout()):
        text.text, text.icd10, text.topography, text.morphology
        # 'V.a. Sigma-Ca, cT3 cN+ cM0', 'C18.7', 'C18.7', '8010/3'

A label is None where the text does not determine that axis. Pairs of topography and morphology that the
`Holdout` claims never occur in training texts, so they can measure what was not learned by heart.
"""

from __future__ import annotations

import hashlib
import random
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from index.crosswalk import Crosswalk
from index.records import CrosswalkRule
from training import wrappers
from training.hashing import SPAN, hash64
from training.noise import perturb
from training.phrasing import SIDED, Entry, diagnosis_core, side_mark, wrapped
from training.tables import Morphology, NamedDiagnosis, Site, load_diagnoses, load_morphologies, load_sites
from training.wrappers import one

BEHAVIOURS = (("3", 0.72), ("2", 0.08), ("0", 0.14), ("1", 0.06))
KINDS = (("composed", 0.58), ("diagnosis", 0.25), ("morphology", 0.08), ("metastasis", 0.04), ("site", 0.05))
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
_CODED_WITHOUT_SITE = {"3": ((9050, 9055), (9140, 9140)), "0": ((8850, 8881), (9120, 9161), (9170, 9175))}
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
    composer = _Composer(rules, load_sites(), load_morphologies(), load_diagnoses(), holdout, only_holdout)
    rng = random.Random(seed)
    for _ in range(count):
        yield composer.draw(rng)


def distinct_texts(
    rules: Sequence[CrosswalkRule], seed: int, allowed: Callable[[str], bool]
) -> Iterator[ComposedText]:
    """An endless stream of texts that are all different, half of them with clinical noise. Memory grows by a
    hash per text (about 100 bytes); everything else is constant."""
    rng = random.Random(f"noise:{seed}")
    seen: set[int] = set()
    for made in compose(rules, seed=seed, count=2**62, holdout=Holdout()):
        text = perturb(made.text, rng) if rng.random() < 0.5 else made.text
        number = hash64(text)
        if number not in seen and allowed(made.text):
            seen.add(number)
            yield replace(made, text=text)


def write_texts(
    texts: Iterator[ComposedText], count: int, path: Path, progress: Callable[[int], None] = lambda n: None
) -> str:
    """Stream `count` texts to a Parquet file; returns the SHA-256 of its rows."""
    names = ("text", "icd10", "topography", "morphology", "kind")
    schema = pa.schema([(name, pa.string()) for name in names])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    digest = hashlib.sha256()
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while count > 0:
            chunk = list(islice(texts, min(count, 20_000)))
            columns = {name: [getattr(made, name) for made in chunk] for name in names}
            for row in zip(*columns.values(), strict=True):
                digest.update(repr(row).encode())
            writer.write_table(pa.table(columns, schema=schema))
            count -= len(chunk)
            progress(len(chunk))
    temporary.replace(path)
    return digest.hexdigest()


class _Composer:
    def __init__(
        self,
        rules: Sequence[CrosswalkRule],
        sites: Sequence[Site],
        morphologies: Sequence[Morphology],
        diagnoses: Sequence[NamedDiagnosis],
        holdout: Holdout | None,
        only_holdout: bool,
    ) -> None:
        self._crosswalk = Crosswalk(rules)
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
                drawable.append((site, site.weight**0.5))
        metastases = [m for m in morphologies if m.behaviour == "6"]
        self._metastases: dict[str, _Weighted[Morphology]] = {}
        reached = []
        for site in sites:
            weight = _longest(METASTATIC_SITES, site.topography) or 0.0
            plausible = [(m, m.weight * m.plausibility(site.topography)) for m in metastases
                         if weight and not only_holdout and wanted(site.topography, m.code)]  # fmt: skip
            if any(weight for _, weight in plausible):
                self._metastases[site.topography] = _Weighted(plausible)
                reached.append((site, weight))
        named = [
            (d, d.weight**0.75 * len(d.terms) ** 0.5) for d in diagnoses if wanted(d.topography, d.morphology)
        ]
        alone = [(m, m.weight**0.6) for m in morphologies
                 if m.behaviour != "6" and wanted(self._implied_site(m.site_weights), m.code)]  # fmt: skip
        self._sites = _Weighted(drawable)
        self._metastatic_sites = _Weighted(reached)
        self._diagnoses, self._morphologies = _Weighted(named), _Weighted(alone)
        self._behaviours = _Weighted(BEHAVIOURS)
        self._bare_sites = _Weighted([(site, site.weight**0.5) for site in sites])
        pools: dict[str, Sequence[object]] = {
            "composed": drawable, "diagnosis": named, "morphology": [] if only_holdout else alone, "metastasis": reached,
            "site": () if only_holdout else sites,
        }  # fmt: skip
        self._kinds = _Weighted([(kind, weight if pools[kind] else 0.0) for kind, weight in KINDS])
        self._makers: dict[str, Callable[[random.Random], ComposedText]] = {
            "composed": self._composed, "diagnosis": self._diagnosis, "morphology": self._morphology,
            "metastasis": self._metastasis, "site": self._bare_site,
        }  # fmt: skip

    def draw(self, rng: random.Random) -> ComposedText:
        return self._makers[self._kinds.draw(rng)](rng)

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
            if icd10 is None or not wanted(topography, morphology.code):
                continue
            usable = [tuple(term for term in terms if term.used_at(topography))
                      for terms in (morphology.nouns, morphology.suffixes, morphology.abbreviations)]  # fmt: skip
            if usable[0]:
                pairs.append((Entry(morphology, icd10, *usable), weight))
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

    def _composed(self, rng: random.Random) -> ComposedText:
        site = self._sites.draw(rng)
        weighted = self._entries.get((site.topography, self._behaviours.draw(rng)))
        while weighted is None:
            weighted = self._entries.get((site.topography, self._behaviours.draw(rng)))
        entry = weighted.draw(rng)
        core, gender = diagnosis_core(rng, site, entry)
        code = entry.morphology.code
        icd10 = _refined(entry.icd10, core)
        return ComposedText(
            wrapped(rng, core, gender, site.topography, code), icd10, site.topography, code, "composed"
        )

    def _diagnosis(self, rng: random.Random) -> ComposedText:
        diagnosis = self._diagnoses.draw(rng)
        term = one(rng, diagnosis.terms)
        gender = next((gender for ending, gender in _HEAD_GENDERS if term.endswith(ending)), None)
        site = self._site_by_code.get(diagnosis.topography or "")
        core = term
        if site and site.paired and rng.random() < 0.4 and not SIDED.search(term):
            core = f"{term} {side_mark(rng)}"
        code = diagnosis.morphology or "8000/" + ("3" if (diagnosis.icd10 or "C")[0] == "C" else "1")
        text = wrapped(rng, core, gender, diagnosis.topography or "", code)
        return ComposedText(text, diagnosis.icd10, diagnosis.topography, diagnosis.morphology, "diagnosis")

    def _morphology(self, rng: random.Random) -> ComposedText:
        morphology = self._morphologies.draw(rng)
        use_abbreviation = morphology.abbreviations and rng.random() < 0.3
        term = one(rng, morphology.abbreviations if use_abbreviation else morphology.nouns)
        restricted = dict.fromkeys(term.sites, 1.0)
        implied = self._implied_site(restricted or morphology.site_weights)
        spans = _CODED_WITHOUT_SITE.get(morphology.behaviour, ())
        if not restricted and any(low <= morphology.histology <= high for low, high in spans):
            implied = "C80.9"
        icd10 = self._crosswalk.icd10(implied, morphology.code) if implied else None
        text = wrapped(
            rng, term.text, None if use_abbreviation else term.gender, implied or "", morphology.code
        )
        return ComposedText(
            text, icd10, implied if icd10 and implied != "C80.9" else None, morphology.code, "morphology"
        )

    def _metastasis(self, rng: random.Random) -> ComposedText:
        site = self._metastatic_sites.draw(rng)
        morphology = self._metastases[site.topography].draw(rng)
        entry = Entry(morphology, None, morphology.nouns, morphology.suffixes, morphology.abbreviations)
        core, gender = diagnosis_core(rng, site, entry)
        code = _longest(METASTASIS_CODES, site.topography) or "C79.88"
        icd10 = _refined(site.topography if code == "=" else code, core)
        topography: str | None = site.topography
        primary = self._sites.draw(rng)
        generic = (
            morphology.code == "8000/6"
            and primary.compounds
            and not primary.topography.startswith(("C71", "C4"))
        )
        morphology_code = morphology.code
        if generic and primary.topography[:3] != site.topography[:3] and rng.random() < 0.4:
            tumour = one(rng, primary.compounds) + "karzinom"
            tail = one(
                rng, (f"eines {tumour}s", f"bei {tumour}", f"eines bekannten {tumour}s", f"bei bek. {tumour}")
            )
            # with the primary named, ICD-O topography may mean either site
            core, topography, morphology_code = f"{core} {tail}", None, "8010/6"
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


def _longest(values: Mapping[str, _T], topography: str) -> _T | None:
    """The value of the longest prefix of a topography code."""
    return next((values[topography[:n]] for n in (5, 3) if topography[:n] in values), None)


def _refined(icd10: str | None, text: str) -> str | None:
    """The finer code that the words decide where ICD-10-GM splits what ICD-O keeps together."""
    if icd10 not in REFINEMENTS:
        return icd10
    hits = (code for pattern, code in REFINEMENTS[icd10] if re.search(pattern, text, re.IGNORECASE))
    return next(hits, None)


# true negatives of tumour recognition: nothing in them says that the patient has or had the tumour
NEGATIVE_FRAMES = (
    "Ausschluss {t}", "kein Anhalt für {t}", "Kein Hinweis auf {t}", "Familienanamnese: {t}", "FA positiv für {t}",
    "Mutter: {t}", "Vater verstorben an {t}", "Schwester mit {t}", "Familiäre Belastung ({t})", "Vorsorge {t}",
    "Screening auf {t}", "Früherkennung {t}", "Aufklärung über {t}", "{t} ausgeschlossen", "Angst vor {t}",
    "kein Nachweis von {t}", "Z.A. {t}", "Zum Ausschluss {t}", "{t} histologisch nicht bestätigt", "Impfung gegen {t}",
    "Risiko für {t} erhöht", "Beratung bei familiärem {t}", "Bruder: {t}", "Informationsgespräch {t}",
    "Teilnahme an Studie zur Prävention von {t}", "{t} beim Ehemann", "Vorsorge auf {t}", "DD {t} ausgeschlossen",
    "Verdacht auf {t} nicht bestätigt", "V.a. {t}, Histologie: kein Malignitätsnachweis", "Tumorsuche bei Gewichtsverlust",
)  # fmt: skip
PROCEDURES = (
    "Hemikolektomie rechts", "Biopsie der Mamma", "Nachsorge unauffällig", "Koloskopie ohne Befund", "TUR-Blase",
    "Portimplantation", "Portexplantation", "Mammographie-Screening BI-RADS 1", "Stanzbiopsie Prostata, 12 Zylinder",
    "Lymphknotenexstirpation zervikal", "Gastroskopie mit PE", "Anlage eines Ileostomas", "CT Thorax/Abdomen nativ",
    "Hautkrebsscreening unauffällig", "Exzision einer Hautveränderung", "Bronchoskopie mit BAL", "Thyreoidektomie",
    "Laparoskopische Cholezystektomie", "PSA-Kontrolle", "Wächterlymphknotenbiopsie", "Knochenmarkpunktion",
    "Mastektomie mit Sofortrekonstruktion", "Radikale Prostatektomie nach Retzius", "Lobektomie Oberlappen links",
    "Polypektomie im Sigma", "Konisation", "Abrasio uteri", "Verabreichung von Cisplatin", "Strahlentherapieplanung",
    "Ernährungsberatung", "Wundkontrolle nach Exzision", "Nephrektomie rechts", "Restaging-CT", "PET-CT ganzer Körper",
    "BI-RADS 2 beidseits", "Pleurapunktion", "Narbenhernie", "Hepatitis B", "Sigmadivertikulitis", "Leberzirrhose Child A",
    "Nierenzyste links", "Refluxösophagitis", "Struma nodosa, euthyreot", "Hämorrhoiden II. Grades", "Mastopathie",
    "Gynäkomastie", "BPH", "Prostatitis", "Chemotherapiezyklus 3 ohne Komplikation", "Lungenembolie", "Fettleber",
    "Mammareduktionsplastik", "Zustand nach Appendektomie", "Pneumonie rechter Unterlappen", "Lymphödem des Armes",
)  # fmt: skip


def non_tumour_contexts(rng: random.Random, tumour_text: str) -> str:
    """A hard negative for tumour recognition: the text's tumour negated, feared, screened for or somebody
    else's (two in three), or a procedure or finding of the same wards (one in three). `tumour_text` should
    be a plain term without TNM or therapy (`NSCLC`, `Mammakarzinom links`); a leading `V.a.` is cut."""
    if rng.random() < 0.34:
        text = one(rng, PROCEDURES)
        return (
            f"{text} {1 + int(rng.random() * 12):02d}/{2008 + int(rng.random() * 17)}"
            if rng.random() < 0.3
            else text
        )
    start = next((len(prefix) for prefix in wrappers.ALL_PREFIXES if tumour_text.startswith(prefix)), 0)
    return one(rng, NEGATIVE_FRAMES).format(t=tumour_text[start:] or tumour_text)
