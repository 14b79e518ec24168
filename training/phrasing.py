"""How a site and a tumour name become one phrase, and how a phrase gets its clinical surroundings.

    core, gender = diagnosis_core(rng, site, entry)      # ('Adenokarzinom des Sigmas', 'n')
    wrapped(rng, core, gender, "C18.7", "8140/3")        # 'V.a. Adenokarzinom des Sigmas, cT3 cN+ cM0'

`gender` is None where the phrase cannot take an adjective or an article in front (`Sigma: Adeno-Ca`).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from training import wrappers
from training.tables import Morphology, Site, Term
from training.wrappers import one

SIDED = re.compile(r"\b(?:recht|link|beid|re\b|li\b|bds)|\bre\.|\bli\.|\d Uhr", re.IGNORECASE)
# tumour names that say the organ themselves: no "Schilddrüsenkarzinom der Schilddrüse"
NAMES_ORGAN = re.compile(
    "schilddrüse|SD-|mamma|bronchial|lunge|leberzell|hepat|nierenzell|NZK|ovarial|endometrium|hoden|thym|hypophys|"
    "nebennier|gallengang|pankreas|pleura|brust|haut|milchgang|chorio|retino|meningeom|gliom|gliobl|NNR|prostat",
    re.IGNORECASE,
)
_PLACE_FOR_SIDE = re.compile(r"((?:im|am|in der|an der|in dem|der|des) )(?=[A-ZÄÖÜ])")
_FIELDS = (
    "Lokalisation: {s}\nHistologie: {n}", "Lokalisation: {s}, Histologie: {n}", "Lokalisation {s}, Histologie {n}",
    "Lok.: {s}; Histo: {n}", "Histologie: {n}\nLokalisation: {s}", "Tumorlokalisation: {s} / Histologie: {n}",
    "{s}\n{n}", "Primärtumor: {s}; Histologie: {n}", "Histologie: {n}; Lokalisation: {s}", "Organ: {s}, Diagnose: {n}",
)  # fmt: skip
_SITE_FIRST = (
    "{s}: {n}",
    "{s}, {n}",
    "{s} {n}",
    "{s} - {n}",
    "{s}: {n}",
    "{s} / {n}",
    "{s}; {n}",
    "{s} = {n}",
)
_NAME_FIRST = (
    "{n}, {s}",
    "{n} {s}",
    "{n} ({s})",
    "{n} - {s}",
    "{n}, Lokalisation: {s}",
    "{n} Bereich {s}",
    "{n} {s}",
)
_LYMPHOMA = ("Ann Arbor IIIB", "Stadium IVA", "Stadium II nach Ann Arbor", "ED {m}/{y}", "Z.n. 6 Zyklen R-CHOP", "in CR",
             "Rezidiv {y}", "Erstdiagnose {d}.{m}.{y}", "ED {y}", "unter Therapie", "Z.n. autologer SZT {y}", "IPI 3")  # fmt: skip
_LEUKAEMIA = ("ED {m}/{y}", "in CR", "Rezidiv {y}", "Z.n. allogener SZT {y}", "Erstdiagnose {d}.{m}.{y}", "ED {y}",
              "unter Therapie", "Z.n. Chemotherapie", "refraktär", "progredient", "transfusionspflichtig")  # fmt: skip
_JOINTS = (", ", ", ", " ", " ", "; ", " - ", "\n", ". ", ",")


@dataclass(frozen=True, slots=True)
class Entry:
    """A morphology as it is written at one site, with the ICD-10 code that the two make."""

    morphology: Morphology
    icd10: str | None
    nouns: tuple[Term, ...]
    suffixes: tuple[Term, ...]
    abbreviations: tuple[Term, ...]


def random_side(rng: random.Random) -> str:
    draw = rng.random()
    return "links" if draw < 0.47 else "rechts" if draw < 0.94 else "beidseits"


def side_mark(rng: random.Random) -> str:
    """`li.`, `rechts`, `bds.` …"""
    return one(rng, wrappers.SIDE_FORMS[random_side(rng)])


def diagnosis_core(rng: random.Random, site: Site, entry: Entry) -> tuple[str, str | None]:
    """A site and a tumour name in one of the clinic's forms: compound, genitive, place, adjective,
    telegram, site first, form fields."""
    sided = site.paired and rng.random() < 0.6
    draw = rng.random()
    if entry.suffixes and site.compounds and draw < 0.5:
        return _compound(rng, site, entry, sided)
    if entry.abbreviations and rng.random() < 0.3:
        term, gender = one(rng, entry.abbreviations), None
    else:
        # the first name is the usual one
        term = entry.nouns[0] if rng.random() < 0.3 else one(rng, entry.nouns)
        gender = term.gender
    name = term.text
    form = rng.random()
    if NAMES_ORGAN.search(name):
        if site.topography.endswith(".9") and form < 0.7:
            return (f"{name} {side_mark(rng)}" if sided else name), gender
        form = 0.25 + 0.75 * form
    of_other = " eines " in name or " in " in name or " mit " in name
    if form < 0.23 and site.genitives and not of_other:
        return _placed(rng, name, one(rng, site.genitives), sided), gender
    if form < 0.38 and site.locatives:
        return _placed(rng, name, one(rng, site.locatives), sided), gender
    if form < 0.45 and site.adjectives and gender in ("n", "m", "f"):
        core = f"{one(rng, site.adjectives)}{wrappers.ENDINGS[gender]} {name}"
        return (f"{core} {side_mark(rng)}" if sided else core), gender
    if form < 0.5 and gender is None and site.compounds:
        core = f"{one(rng, site.compounds)}-{name}"
        return (f"{core} {side_mark(rng)}" if sided else core), None
    place = one(rng, site.abbreviations if site.abbreviations and rng.random() < 0.2 else site.nouns)
    if sided and not SIDED.search(place):
        mark = side_mark(rng)
        place = (
            f"{mark} {place}" if rng.random() < 0.12 else f"{place}{one(rng, (' ', ' ', ' ', ', '))}{mark}"
        )
    if form < 0.64:
        return one(rng, _NAME_FIRST).format(n=name, s=place), gender
    if form < 0.93:
        return one(rng, _SITE_FIRST).format(n=name, s=place), None
    return one(rng, _FIELDS).format(n=name, s=place), None


def _compound(rng: random.Random, site: Site, entry: Entry, sided: bool) -> tuple[str, str | None]:
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
        if rng.random() < 0.12 and gender:
            side = one(rng, ("links", "rechts"))
            return f"{side}seitig{wrappers.ENDINGS[gender]} {core}", gender
        core += f"{one(rng, (' ', ' ', ' ', ', '))}{side_mark(rng)}"
    return core, gender


def _placed(rng: random.Random, name: str, place: str, sided: bool) -> str:
    """`Karzinom` and `der Mamma`, with the side inside (`der linken Mamma`) or behind."""
    if sided and not SIDED.search(place):
        if rng.random() < 0.5:
            adjective = "linken" if rng.random() < 0.5 else "rechten"
            inside, count = _PLACE_FOR_SIDE.subn(rf"\g<1>{adjective} ", place, count=1)
            if count:
                return f"{name} {inside}"
        place = f"{place} {side_mark(rng)}"
    return f"{name} {place}"


def wrapped(rng: random.Random, core: str, gender: str | None, topography: str, morphology: str) -> str:
    """The phrase with adjective, recurrence or prefix in front and up to three remarks behind."""
    histology, behaviour = int(morphology[:4]), morphology[5]
    if core[0].islower() and core[1:2].islower() and rng.random() < 0.3:
        core = core[0].upper() + core[1:]
        adjectival = None
    else:
        adjectival = gender
    draw = rng.random()
    text = core
    if draw < 0.15 and adjectival:
        adjective = one(rng, _adjectives(topography, histology, behaviour))
        text = f"{wrappers.inflect(adjective, adjectival)} {core}"
        if rng.random() < 0.8:
            text = text[0].upper() + text[1:]
    elif draw < 0.2 and adjectival and behaviour in "36":
        text = f"{one(rng, wrappers.RECURRENCES)} {wrappers.genitive(core, adjectival)}"
    elif draw < 0.42:
        draw = rng.random()
        if ":" in core or "\n" in core or draw < 0.4:
            prefix = one(rng, wrappers.HEADERS)
        elif draw < 0.47 and behaviour == "3":
            prefix = one(rng, wrappers.MALIGNANT_PREFIXES)
        else:
            prefix = one(rng, wrappers.PREFIXES)
        text = prefix + (
            wrappers.accusative(core, adjectival) if adjectival and prefix == "Verdacht auf " else core
        )
    draw = rng.random()
    said: set[str] = set()
    for _ in range(0 if draw < 0.4 else 1 if draw < 0.75 else 2 if draw < 0.93 else 3):
        topic, remark = _remark(rng, topography, histology, behaviour)
        if topic not in said:
            said.add(topic)
            joint = one(rng, _JOINTS)
            text = f"{text}{joint.lstrip('.') if text.endswith('.') else joint}{remark}"
    return text


def _adjectives(topography: str, histology: int, behaviour: str) -> tuple[str, ...]:
    if histology >= 9590:
        return wrappers.HAEMATOLOGY_ADJECTIVES
    if behaviour != "3":
        return wrappers.BENIGN_ADJECTIVES
    if topography.startswith("C44"):
        return wrappers.SKIN_MALIGNANT
    return wrappers.LOCAL_ADJECTIVES if 9380 <= histology <= 9539 else wrappers.MALIGNANT_ADJECTIVES


def _remark(rng: random.Random, topography: str, histology: int, behaviour: str) -> tuple[str, str]:
    """A remark with its topic, so that no text gives two sizes or two TNM formulas."""
    draw = rng.random()
    if draw < 0.2:
        return "date", wrappers.fill(rng, one(rng, wrappers.DATES))
    if draw < 0.27:
        return "certainty", one(rng, wrappers.CERTAINTY)
    if histology >= 9590:
        return "therapy", wrappers.fill(rng, one(rng, _LYMPHOMA if histology < 9730 else _LEUKAEMIA))
    local = 8090 <= histology <= 8099 or 9380 <= histology <= 9539
    if draw < 0.45 and behaviour in "23" and not 9380 <= histology <= 9539 and topography[:3] != "C80":
        # the grade of a neuroendocrine tumour and of a non-invasive urothelial carcinoma changes the morphology
        neuroendocrine = 8150 <= histology <= 8159 or 8240 <= histology <= 8249
        return "tnm", wrappers.tnm(
            rng, behaviour, 8010 <= histology < 8810 and not neuroendocrine and not local
        )
    if draw < 0.6 and behaviour == "3" and (remark := wrappers.markers(rng, topography, histology)):
        return "markers", remark
    if draw < 0.7:
        return "size", wrappers.size(rng)
    if behaviour in "36" and not local:
        if draw < 0.78 and behaviour == "3":
            return "stage", wrappers.stage(rng, topography)
        if draw < 0.86 and behaviour == "3":
            return "metastases", one(rng, wrappers.METASTASES)
        return "therapy", wrappers.fill(rng, one(rng, wrappers.THERAPIES))
    return "therapy", wrappers.fill(rng, one(rng, wrappers.MILD_THERAPIES))
