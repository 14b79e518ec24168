"""How a site and a tumour name become one phrase; `training.texts.surroundings` puts the rest around it.

    core, gender = diagnosis_core(rng, site, entry)      # ('Adenokarzinom des Sigmas', 'n')

`gender` is None where the phrase cannot take an adjective or an article in front (`Sigma: Adeno-Ca`).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import lru_cache

from index.catalogue.overrides import Override, table_rows
from training.texts import wrappers
from training.texts.tables import PHRASES, TABLES, Morphology, Site, Term
from training.texts.wrappers import one

SIDED = re.compile(r"\b(?:recht|link|beid|re\b|li\b|bds)|\bre\.|\bli\.|\d Uhr", re.IGNORECASE)
# tumour names that say the organ themselves, with its topography: no "Schilddrüsenkarzinom der Schilddrüse",
# and never a bare "Metastase eines Nierenzellkarzinoms" for one in the lung
_NAMED_ORGANS = tuple(
    (row["words"], row["topography"])
    for _, row in table_rows(TABLES / "named_organs.tsv", ("words", "topography"))
)
NAMES_ORGAN = re.compile("|".join(pattern for pattern, _ in _NAMED_ORGANS), re.IGNORECASE)
_PLACE_FOR_SIDE = re.compile(r"((?:im|am|in der|an der|in dem|der|des) )(?=[A-ZÄÖÜ])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A morphology as it is written at one site, with the ICD-10 code that the two make."""

    morphology: Morphology
    icd10: str | None
    nouns: tuple[Term, ...]
    suffixes: tuple[Term, ...]
    abbreviations: tuple[Term, ...]
    overrides: tuple[Override, ...] = ()
    # the site with only those of its names that decide this code, where not all do
    site: Site | None = None


def random_side(rng: random.Random) -> str:
    draw = rng.random()
    return "links" if draw < 0.47 else "rechts" if draw < 0.94 else "beidseits"


def side_mark(rng: random.Random, side: str | None = None) -> str:
    """`li.`, `rechts`, `bds.` …, of any side where none is given."""
    return one(rng, wrappers.SIDE_FORMS[side or random_side(rng)])


def diagnosis_core(
    rng: random.Random, site: Site, entry: Entry, side: str | None = None
) -> tuple[str, str | None]:
    """A site and a tumour name in one of the clinic's forms: compound, genitive, place, adjective,
    telegram, site first, form fields. A paired site has a side in most, `side` where it is given."""
    sided = site.paired and rng.random() < 0.6
    draw = rng.random()
    if entry.suffixes and site.compounds and draw < 0.5:
        return _compound(rng, site, entry, sided, side)
    if entry.abbreviations and rng.random() < 0.3:
        term, gender = one(rng, entry.abbreviations), None
    else:
        # the first name is the usual one
        term = entry.nouns[0] if rng.random() < 0.3 else one(rng, entry.nouns)
        gender = term.gender
    name = term.text
    form = rng.random()
    if NAMES_ORGAN.search(name):
        if form < 0.7 and _names(name, site.topography):
            return (f"{name} {side_mark(rng, side)}" if sided else name), gender
        form = 0.25 + 0.75 * form
    of_other = " eines " in name or " in " in name or " mit " in name
    if form < 0.23 and site.genitives and not of_other:
        return _placed(rng, name, one(rng, site.genitives), sided, side), gender
    if form < 0.38 and site.locatives:
        return _placed(rng, name, one(rng, site.locatives), sided, side), gender
    if form < 0.45 and site.adjectives and gender in ("n", "m", "f"):
        core = f"{one(rng, site.adjectives)}{wrappers.ENDINGS[gender]} {name}"
        return (f"{core} {side_mark(rng, side)}" if sided else core), gender
    if form < 0.5 and gender is None and site.compounds:
        core = f"{one(rng, site.compounds)}-{name}"
        return (f"{core} {side_mark(rng, side)}" if sided else core), None
    place = one(rng, site.abbreviations if site.abbreviations and rng.random() < 0.2 else site.nouns)
    if sided and not SIDED.search(place):
        mark = side_mark(rng, side)
        place = (
            f"{mark} {place}" if rng.random() < 0.12 else f"{place}{one(rng, (' ', ' ', ' ', ', '))}{mark}"
        )
    if form < 0.64:
        return one(rng, PHRASES["name first"]).format(n=name, s=place), gender
    if form < 0.93:
        return one(rng, PHRASES["site first"]).format(n=name, s=place), None
    return one(rng, PHRASES["form fields"]).format(n=name, s=place), None


@lru_cache(maxsize=4096)
def _names(name: str, topography: str) -> bool:
    """Whether a tumour's name alone says this topography, which then need not be written."""
    return any(
        topography.startswith(organ) and re.search(pattern, name, re.IGNORECASE)
        for pattern, organ in _NAMED_ORGANS
        if len(organ) == 5 or topography[-1] == "9"
    )


def _compound(
    rng: random.Random, site: Site, entry: Entry, sided: bool, given: str | None
) -> tuple[str, str | None]:
    first, suffix = one(rng, site.compounds), one(rng, entry.suffixes)
    second = suffix.text
    draw = rng.random()
    gender: str | None = suffix.gender
    if second == "ca":
        core = first + one(rng, ("-Ca", "-Ca.", " Ca", "Ca", "-CA", "ca", " CA", "-Ca"))
        gender = "n"
    elif second[0] == "-":
        core = first + second
    elif draw < 0.15 or " " in first or first[-1].isupper() or second[0].isupper():
        core = f"{first}-{second[0].upper()}{second[1:]}"
    elif draw < 0.2:
        core = f"{first} {second[0].upper()}{second[1:]}"
    else:
        core = first + second
    if sided and not SIDED.search(first):
        if rng.random() < 0.12 and gender and given != "beidseits":
            side = given or one(rng, ("links", "rechts"))
            return f"{side}seitig{wrappers.ENDINGS[gender]} {core}", gender
        core += f"{one(rng, (' ', ' ', ' ', ', '))}{side_mark(rng, given)}"
    return core, gender


def _placed(rng: random.Random, name: str, place: str, sided: bool, side: str | None) -> str:
    """`Karzinom` and `der Mamma`, with the side inside (`der linken Mamma`) or behind."""
    return f"{name} {sided_place(rng, place, side) if sided else place}"


def sided_place(rng: random.Random, place: str, side: str | None = None) -> str:
    """`der linken Mamma` or `der Mamma li.`; a place that says a side stays as it is."""
    if SIDED.search(place):
        return place
    if rng.random() < 0.5 and side != "beidseits":
        chosen = side or ("links" if rng.random() < 0.5 else "rechts")
        inside, count = _PLACE_FOR_SIDE.subn(rf"\g<1>{chosen[:-1]}en ", place, count=1)
        if count:
            return inside
    return f"{place} {side_mark(rng, side)}"
