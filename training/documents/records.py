"""A patient's record, drawn before anything of it is written: tumours with their facts, and what is not there.

    record = draw_record(random.Random(1), composer)
    record.tumours[0].site.topography, record.tumours[0].status, record.tumours[0].spread

A solid tumour has a site and a morphology of the composer's tables; a *named* one (of blood, marrow, most lymphomas)
has one name that tells everything. What a document says of the record is decided when it is written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar

from agent.reading.spread import regional_nodes
from index.catalogue.overrides import table_rows
from index.icd import CHAPTER_GROUPS
from training.documents.demands import sex_of
from training.documents.skeletons import HERE
from training.texts.coding import METASTASIS_CODES, longest
from training.texts.compose import Composer, gender_of
from training.texts.phrasing import Entry, random_side
from training.texts.surroundings import has_formula, has_grade, is_nervous
from training.texts.tables import NamedDiagnosis, Site, values
from training.texts.wrappers import one

Status = Literal["now", "suspected", "past"]
_T = TypeVar("_T")
# How many tumours a patient has; a third of the documents has none.
_COUNTS = ((0, 0.33), (1, 0.48), (2, 0.16), (3, 0.03))
_SOLID = 0.82  # of the tumours
_DISTANT = 0.35  # of the malignant solid tumours that may spread
_STAYS = ("C44", "C69", "C42", "C77", "C80")  # hardly ever spreads, or has no regional nodes
# In a patient's document benign tumours are mostly told beside others; these are coded where they are found.
_CODED_BENIGN = ("C70", "C71", "C72", "C75")
_BENIGN_ELSEWHERE = 0.15
# How a patient's first tumour stands, and the others.
_FIRST: tuple[tuple[Status, float], ...] = (("now", 0.72), ("suspected", 0.13), ("past", 0.15))
_LATER: tuple[tuple[Status, float], ...] = (("past", 0.6), ("now", 0.36), ("suspected", 0.04))
_TRIES, _DRAWS = 20, 20_000  # tumours drawn until one is elsewhere, codes until a wish is granted
_ABSENT = 16  # so many that one fits the organ of a row, and the patient's sex
_SENTINEL = ("C43", "C44", "C50", "C51", "C60")


@dataclass(frozen=True, slots=True)
class MetastasisSite:
    """Where metastases are: a row of `metastasis_sites.tsv`."""

    topography: str
    icd10: str
    tnm: str
    weight: float
    nouns: tuple[str, ...]
    locatives: tuple[str, ...]
    genitives: tuple[str, ...]
    adjectives: tuple[str, ...]
    metastases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeStation:
    """The names of a station of lymph nodes: a row of `nodes.tsv`. Whose it is, `agent.reading.spread` says."""

    icd10: str
    names: tuple[str, ...]
    locatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tumour:
    """A tumour with all its facts. `site` and `entry` are those of a solid tumour, `named` and `term` those of one
    that its name tells; `organ` is the organ as such (`C34.9` of `C34.1`). `nodes` are involved (a station), free
    (`False`) or not spoken of (None)."""

    status: Status
    morphology: str
    site: Site | None
    organ: Site | None
    entry: Entry | None
    named: NamedDiagnosis | None
    term: str
    side: str | None
    spread: tuple[MetastasisSite, ...]
    nodes: NodeStation | Literal[False] | None
    relapsed: bool
    year: int
    formula: str | None
    grade: str | None

    @property
    def topography(self) -> str:
        """Its site's code; `C76.7` where its name tells none."""
        if self.site is not None:
            return self.site.topography
        return (self.named.topography if self.named else None) or "C76.7"

    @property
    def histology(self) -> int:
        return int(self.morphology[:4])

    @property
    def malignant(self) -> bool:
        return self.morphology[-1] == "3"

    @property
    def gender(self) -> str | None:
        """That of `term`, where it is known."""
        return gender_of(self.term)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tumour has to be: its status (None: any), codes that `fits` takes (topography, morphology), and the moves
    that `needs` holds, which have to be true of it."""

    status: Status | None = None
    fits: Callable[[str, str], bool] = lambda topography, morphology: True
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """A patient: the first tumour is the one that the document is about. `absent` are tumours that somebody else has,
    or that were thought of, of either sex; `year` is that of the document. `sex` is `f` or `m`."""

    tumours: tuple[Tumour, ...]
    absent: tuple[Tumour, ...]
    year: int
    age: int
    sex: str


@lru_cache(maxsize=1)
def metastasis_sites() -> tuple[MetastasisSite, ...]:
    """The rows of `metastasis_sites.tsv`."""
    columns = ("topography", "weight", "tnm", "nouns", "locatives", "genitives", "adjectives", "metastases")
    return tuple(
        MetastasisSite(
            row["topography"],
            longest(METASTASIS_CODES, row["topography"]) or "C79.88",
            row["tnm"],
            float(row["weight"]),
            *(values(row[form]) for form in columns[3:]),
        )
        for _, row in table_rows(HERE / "metastasis_sites.tsv", columns)
    )


@lru_cache(maxsize=1)
def node_stations() -> dict[str, NodeStation]:
    """The rows of `nodes.tsv` by their code."""
    return {
        row["icd10"]: NodeStation(row["icd10"], values(row["names"]), values(row["locatives"]))
        for _, row in table_rows(HERE / "nodes.tsv", ("icd10", "names", "locatives"))
    }


def draw_record(
    rng: random.Random,
    composer: Composer,
    wishes: Sequence[Wish] | None = None,
    absent_as: Wish | None = None,
) -> Record | None:
    """A record with as many tumours as patients have, or with a tumour for each wish; two are never in one organ, or of two sexes. One of
    the absent tumours is as `absent_as` wishes. None where a wish could not be granted."""
    year = 2008 + int(rng.random() * 17)
    if wishes is None:
        wishes = [Wish()] * _drawn(rng, _COUNTS)
    found: list[Tumour] = []
    for wish in wishes:
        tumour = _draw_other(rng, composer, found, wish, year)
        if tumour is None:
            return None
        found.append(tumour)
    sexes = [sex for one in found if (sex := sex_of(one.topography))]
    breast = any(one.topography.startswith("C50") for one in found)
    sex = sexes[0] if sexes else "f" if rng.random() < (0.97 if breast else 0.5) else "m"
    near = Wish("now", fits=_near(found[0])) if found else Wish("now")
    absent: list[Tumour] = []
    while len(absent) < _ABSENT:
        # What is thought of and excluded is mostly near to what it is, or nobody would have thought of it.
        wish = absent_as if not absent and absent_as is not None else near if len(absent) % 2 else Wish("now")
        tumour = _draw_tumour(rng, composer, wish, year)
        if tumour is None:
            return None
        another = all(tumour.topography[:3] != one.topography[:3] for one in found)
        if (another or wish is near) and (tumour.malignant or wish is absent_as):
            absent.append(tumour)
    return Record(tuple(found), tuple(absent), year, 18 + int(rng.triangular(0, 75, 50)), sex)


def _near(tumour: Tumour) -> Callable[[str, str], bool]:
    """Codes of another tumour in the same part of the body; another histology where it is the same organ."""
    part = next((group for group in CHAPTER_GROUPS if group[1] <= tumour.topography[:3] <= group[2]), None)

    def fits(topography: str, morphology: str) -> bool:
        if part is None:
            return True
        same = topography[:3] == tumour.topography[:3]
        return part[1] <= topography[:3] <= part[2] and not (same and morphology[:2] == tumour.morphology[:2])

    return fits


def _draw_other(
    rng: random.Random, composer: Composer, found: Sequence[Tumour], wish: Wish, year: int
) -> Tumour | None:
    for _ in range(_TRIES):
        status = wish.status or _drawn(rng, _LATER if found else _FIRST)
        tumour = _draw_tumour(rng, composer, replace(wish, status=status), year)
        if tumour is None:
            return None
        if _elsewhere(tumour, found) and (tumour.malignant or not found):
            return tumour
    return None


def _elsewhere(tumour: Tumour, others: Sequence[Tumour]) -> bool:
    """Whether a tumour is in another organ than the others, and not one of the other sex."""
    sexes = {sex_of(one.topography) for one in (tumour, *others)} - {None}
    return len(sexes) < 2 and all(tumour.topography[:3] != other.topography[:3] for other in others)


def _drawn(rng: random.Random, weighted: tuple[tuple[_T, float], ...]) -> _T:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _draw_tumour(rng: random.Random, composer: Composer, wish: Wish, year: int) -> Tumour | None:
    status = wish.status or "now"
    began = year - (2 + int(rng.random() * 20)) if status == "past" else year - int(rng.random() ** 3 * 6)
    relapsed = status == "now" and ("recurrence" in wish.needs or rng.random() < 0.1)
    for _ in range(_DRAWS):
        if rng.random() > _SOLID:
            named = composer.named(rng)
            morphology = named.morphology or ""
            if named.icd10 is None or morphology[-1:] not in ("3", "6"):
                continue
            if wish.fits(named.topography or "", morphology) and not wish.needs - {"recurrence"}:
                term = one(rng, named.terms)
                return Tumour(
                    status, morphology, None, None, None, named, term, None, (), None, relapsed, began, None, None
                )  # fmt: skip
            continue
        site, entry = composer.solid(rng)
        behaviour = entry.morphology.behaviour
        benign = behaviour in "01" and not site.topography.startswith(_CODED_BENIGN)
        if benign and (status == "past" or rng.random() > _BENIGN_ELSEWHERE):
            continue
        if not wish.fits(site.topography, entry.morphology.code):
            continue
        tumour = _solid(rng, composer, site, entry, status, wish, relapsed, began)
        if tumour is not None:
            return tumour
    return None


def _solid(
    rng: random.Random,
    composer: Composer,
    site: Site,
    entry: Entry,
    status: Status,
    wish: Wish,
    relapsed: bool,
    began: int,
) -> Tumour | None:
    """A solid tumour with its facts; None where it cannot have what the wish needs."""
    behaviour, histology = entry.morphology.behaviour, entry.morphology.histology
    unknown = site.topography.startswith("C80")
    melanoma = 8720 <= histology <= 8790
    spreads = behaviour == "3" and not is_nervous(site.topography, histology)
    spreads = spreads and (melanoma or unknown or not site.topography.startswith(_STAYS))
    station = node_stations().get(regional_nodes(site.topography) or "") if spreads else None
    nodes: NodeStation | Literal[False] | None = None
    spread: tuple[MetastasisSite, ...] = ()
    if station is not None:
        draw = rng.random()
        nodes = station if draw < 0.3 else False if draw < 0.75 else None
        nodes = station if "nodes" in wish.needs else False if "no_nodes" in wish.needs else nodes
    may = spreads and status == "now" and "no_metastasis" not in wish.needs
    if may and (unknown or "metastasis" in wish.needs or rng.random() < _DISTANT):
        spread = _spread(rng, site.topography)
    formula = None
    if has_formula(site.topography, histology, behaviour) and ("tnm" in wish.needs or rng.random() < 0.8):
        formula = _formula(rng, site.topography, behaviour, nodes, spread, status)
    has = {
        "nodes": bool(nodes),
        "no_nodes": nodes is False,
        "metastasis": bool(spread),
        "tnm": formula is not None,
    }
    if any(not has.get(need, True) for need in wish.needs):
        return None
    grade = None
    if behaviour == "3" and has_grade(site.topography, histology, entry.nouns[0].text):
        grade = one(rng, ("G1", "G2", "G2", "G3", "G3", "G 2", "G2-3", "G1-2"))
    return Tumour(
        status, entry.morphology.code, site, composer.site(f"{site.topography[:3]}.9"), entry, None, "",
        random_side(rng) if site.paired else None, spread, nodes, relapsed, began, formula, grade,
    )  # fmt: skip


def _spread(rng: random.Random, topography: str) -> tuple[MetastasisSite, ...]:
    sites = [s for s in metastasis_sites() if s.topography[:3] != topography[:3]]
    wanted = _drawn(rng, ((1, 0.55), (2, 0.3), (3, 0.15)))
    found: list[MetastasisSite] = []
    while len(found) < wanted:
        site = rng.choices(sites, [s.weight for s in sites])[0]
        if all(site.topography[:3] != other.topography[:3] for other in found):
            found.append(site)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class TnmCategories:
    """The categories above 0 that a formula of these organs may have: a row of `tnm_categories.tsv`, after the UICC."""

    organs: tuple[str, ...]
    t: tuple[str, ...]
    n: tuple[str, ...]
    m: tuple[str, ...]


_ANY = TnmCategories(("C",), ("1", "2", "3", "4"), ("1", "2"), ("1",))


@lru_cache(maxsize=1)
def tnm_categories() -> tuple[TnmCategories, ...]:
    """The rows of `tnm_categories.tsv`."""
    return tuple(
        TnmCategories(*(tuple(row[name].split(",")) for name in ("organs", "t", "n", "m")))
        for _, row in table_rows(HERE / "tnm_categories.tsv", ("organs", "t", "n", "m"))
    )


def _formula(
    rng: random.Random,
    topography: str,
    behaviour: str,
    nodes: NodeStation | Literal[False] | None,
    spread: tuple[MetastasisSite, ...],
    status: Status,
) -> str:
    """A formula that says of nodes and metastases what the record holds, and nothing else."""
    prefix = one(rng, ("p", "p", "p", "c", "c", "yp", "", "rp", "yc"))
    if behaviour == "2":
        return f"{prefix}Tis"
    known = next(row for row in (*tnm_categories(), _ANY) if topography.startswith(row.organs))
    parts = [f"{prefix}T{one(rng, known.t)}"]
    own = prefix if prefix in ("p", "c", "yp", "") else "c"
    if nodes is False:
        sentinel = ("(sn)",) if topography.startswith(_SENTINEL) else ()
        parts.append(f"{own}N0" + one(rng, ("", "", " (0/14)", *sentinel) if "p" in own else ("",)))
    elif nodes is not None:
        level = one(rng, (*known.n, *known.n, "+"))
        parts.append(f"{own}N{level}" + one(rng, ("", "", " (2/15)", " (4/22)") if "p" in own else ("",)))
    if spread:
        places = list(dict.fromkeys(site.tnm for site in spread))
        joined = one(rng, (", ", ",", "+", "/", " ")).join(places)
        parts.append(
            one(rng, ("", "c", "c", "p"))
            + f"M{one(rng, known.m)}"
            + (one(rng, (f" ({joined})", f" {joined}", f"({joined})")) if rng.random() < 0.55 else "")
        )
    elif status != "past" and rng.random() < 0.6:
        parts.append(one(rng, ("M0", "cM0", "cM0", "Mx")))
    if "p" in prefix and rng.random() < 0.6:
        parts.append(one(rng, ("L0 V0 R0", "R0", "L1 V0 Pn1 R0", "R1", "L0, V0, Pn0, R0", "Rx")))
    return one(rng, (" ", " ", " ", ", ")).join(parts)
