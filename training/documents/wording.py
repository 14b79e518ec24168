"""Slots of a skeleton become words, and it is noted where each stands.

filled = Filler(rng, record).filled(sentence, tumour)
filled.text, filled.mentions          # 'Die CT zeigt im Sigma …', (Mention(13, 22, 'place', …),)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.prepare.context import find_side
from agent.reading.spread import codes_of_formula, regional_nodes
from training.documents.records import (
    MetastasisSite,
    Record,
    Tumour,
    metastasis_sites,
    node_stations,
)
from training.documents.skeletons import SLOT, Sentence, parted
from training.texts import wrappers
from training.texts.phrasing import SIDED, diagnosis_core, side_mark, sided_place
from training.texts.tables import Site
from training.texts.wrappers import one

ROLES = ("name", "place", "side", "metastasis", "metastasis_place", "nodes", "formula", "other")
_MONTHS = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
           "Dezember")  # fmt: skip
_CAPITALISED = ("T", "H", "X", "S", "O", "M", "MS", "N")  # at the beginning of a sentence
_NOT_SURE = ("no_metastasis", "possible_spread")
# Ways to put place and name together that a list has, and no running sentence.
_OF_A_LIST = re.compile(r":| [-–/=] |nicht näher bezeichnet|übergreifend")
_TRIES = 12  # draws until a phrase has the wanted form


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of text that names something of a tumour: `role` is one of `ROLES`. `says` are the facts that it
    tells: `name`, `site`, `organ`, `side:links`, and the ICD-10 codes of metastases."""

    start: int
    end: int
    role: str
    says: tuple[str, ...] = ()

    def moved(self, by: int) -> Mention:
        return replace(self, start=self.start + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Filled:
    """A sentence with its slots filled."""

    text: str
    mentions: tuple[Mention, ...]


class Unfillable(Exception):
    """The tumour has nothing to put into a slot."""


class Filler:
    """Fills the slots of one document; remembers which metastases it has told."""

    def __init__(self, rng: random.Random, record: Record) -> None:
        self._rng, self._record = rng, record
        self.told: set[MetastasisSite] = set()

    def filled(self, sentence: Sentence, tumour: Tumour | None, absent: Tumour) -> Filled:
        """The sentence about `tumour`; `absent` is what `{X}` names. Raises `Unfillable`; what was told by then counts
        as told until the caller takes it back."""
        about = tumour if tumour is not None else absent
        parts: list[str] = []
        mentions: list[Mention] = []
        length = last = 0
        has_side = any(name == "side" for name, _ in sentence.slots)
        for match in SLOT.finditer(sentence.text):
            parts.append(_behind(parts, sentence.text[last : match.start()]))
            length += len(parts[-1])
            name, form = parted(match.group(1))
            text, role, says = self._slot(name, form, absent if name == "X" else about, sentence, has_side)
            if not parts[-1] and len(parts) == 1 and name in _CAPITALISED:
                text = text[0].upper() + text[1:]
            if role:
                mentions.append(Mention(length, length + len(text), role, says))
            parts.append(text)
            length += len(text)
            last = match.end()
        parts.append(_behind(parts, sentence.text[last:]))
        return Filled("".join(parts), tuple(mentions))

    def _slot(
        self, name: str, form: str, about: Tumour, sentence: Sentence, has_side: bool
    ) -> tuple[str, str, tuple[str, ...]]:
        rng = self._rng
        if name in ("T", "X"):
            text = self._tumour(about, form, running=sentence.runs)
            said = ("name", "site", *_side_in(text))
            return text, "name" if name == "T" else "other", said
        if name == "H":
            return self._histology(about, form), "name", ("name",)
        if name in ("S", "O"):
            apart = has_side or about.side is None or rng.random() < (0.45 if name == "S" else 0.7)
            text = self._place(about.site if name == "S" else about.organ, form)
            sided = not apart and SIDED.search(text) is None
            text = sided_place(rng, text, about.side) if sided else text
            known = about.site is not None and about.organ is not None
            fact = "site" if name == "S" or (known and about.site == about.organ) else "organ"
            return text, "place", (fact, *_side_in(text))
        if name == "side":
            text = self._side(about, form)
            return text, "side", (f"side:{about.side}",) if form != "other" else ()
        if name in ("M", "MS"):
            return self._metastases(name, form, about, denied=sentence.move in _NOT_SURE)
        if name == "N":
            station = about.nodes or node_stations().get(regional_nodes(about.topography) or "")
            if not station:
                raise Unfillable
            says = (station.icd10,) if sentence.move == "nodes" else ()
            return one(rng, station.names if not form else station.locatives), "nodes", says
        if name == "tnm":
            if about.formula is None:
                raise Unfillable
            return about.formula, "formula", _formula_says(about)
        return self._value(name, about), "", ()

    def _tumour(self, tumour: Tumour, form: str, *, running: bool) -> str:
        if tumour.site is None or tumour.entry is None:
            return self._histology(tumour, form)
        site = tumour.site if tumour.side is not None else replace(tumour.site, paired=False)
        for _ in range(_TRIES):
            core, gender = diagnosis_core(self._rng, site, tumour.entry, tumour.side)
            if "\n" in core or (form and gender is None) or (running and _OF_A_LIST.search(core)):
                continue
            if tumour.side is not None and find_side(core)[0] not in (None, tumour.side):
                continue
            return wrappers.declined(core, gender or "n", form)
        raise Unfillable

    def _histology(self, tumour: Tumour, form: str) -> str:
        rng = self._rng
        if tumour.entry is None:
            gender = tumour.gender
            if form and gender is None:
                if form not in ("dat", "acc") or not tumour.term[:1].isupper():
                    raise Unfillable
                return tumour.term
            return wrappers.declined(tumour.term, gender or "n", form)
        if form in ("", "dat", "acc") and tumour.entry.abbreviations and rng.random() < 0.25:
            return one(rng, tumour.entry.abbreviations).text
        term = tumour.entry.nouns[0] if rng.random() < 0.4 else one(rng, tumour.entry.nouns)
        return wrappers.declined(term.text, term.gender, form)

    def _place(self, site: Site | None, form: str) -> str:
        if site is None:
            raise Unfillable
        rng = self._rng
        if not form:
            short = site.abbreviations and rng.random() < 0.12
            return one(rng, site.abbreviations if short else site.nouns)
        places = site.locatives if form == "im" else site.genitives
        if not places:
            raise Unfillable
        return one(rng, places)

    def _side(self, tumour: Tumour, form: str) -> str:
        side = tumour.side
        if side is None or (form and side == "beidseits"):
            raise Unfillable
        if form == "other":
            side = "links" if side == "rechts" else "rechts"
        if form == "adj":
            return f"{side[:-1]}en"
        return f"{side}seitig" if form == "seitig" else side_mark(self._rng, side)

    def _metastases(
        self, name: str, form: str, tumour: Tumour, *, denied: bool
    ) -> tuple[str, str, tuple[str, ...]]:
        rng = self._rng
        if denied:
            sites = [s for s in metastasis_sites() if s not in tumour.spread and s.weight >= 2]
            sites = [s for s in sites if s.topography[:3] != tumour.topography[:3]]
            told = [one(rng, tuple(sites))]
        else:
            told = [site for site in tumour.spread if site not in self.told]
            if not told:
                raise Unfillable
            if name == "MS" or rng.random() < 0.4:
                told = told[:1]
            self.told.update(told)
        if name == "MS":
            forms = {"": "nouns", "im": "locatives", "des": "genitives", "adj": "adjectives"}
            words: tuple[str, ...] = getattr(told[0], forms[form])
            if not words:
                raise Unfillable
            texts = [one(rng, words)]
        else:
            texts = [one(rng, site.metastases) for site in told]
        text = texts[0]
        for number, more in enumerate(texts[1:], start=2):
            text += (one(rng, (" und ", " sowie ", ", ")) if number == len(texts) else ", ") + more
        says = () if denied else tuple(site.icd10 for site in told)
        return text, "metastasis" if name == "M" else "metastasis_place", says

    def _value(self, name: str, tumour: Tumour) -> str:
        rng, record = self._rng, self._record

        def number(low: int, high: int) -> int:
            return low + int(rng.random() * (high - low + 1))

        def date() -> str:
            day, month, year = number(1, 28), number(1, 12), record.year
            return one(
                rng,
                (
                    f"{day:02d}.{month:02d}.{year}",
                    f"{day}.{month}.{year % 100:02d}",
                    f"{day:02d}.{month:02d}.",
                ),
            )

        def month() -> str:
            n, year = number(1, 12), tumour.year
            return one(rng, (f"{n:02d}/{year}", f"{_MONTHS[n - 1]} {year}", f"{n}/{year % 100:02d}"))

        def stage() -> str:
            if tumour.formula is None:
                raise Unfillable
            group = "IV" if tumour.spread else "III" if tumour.nodes else one(rng, ("I", "II"))
            return wrappers.stage(rng, tumour.topography, group)[0]

        def markers() -> str:
            found = wrappers.markers(rng, tumour.topography, tumour.histology) if tumour.malignant else None
            if found is None:
                raise Unfillable
            return found

        def grade() -> str:
            if tumour.grade is None:
                raise Unfillable
            return tumour.grade

        ways: dict[str, Callable[[], str]] = {
            "size": lambda: one(rng, (f"{number(1, 8)},{number(0, 9)} cm", f"{number(9, 85)} mm", f"{number(1, 9)} x {number(1, 7)} cm")),
            "mm": lambda: f"{number(2, 14)} mm",
            "grade": grade, "markers": markers, "stage": stage, "date": date, "month": month,
            "year": lambda: str(tumour.year), "past": lambda: str(tumour.year if tumour.status == "past" else record.year - number(3, 20)),
            "age": lambda: str(record.age), "count": lambda: str(number(2, 12)), "weeks": lambda: str(number(2, 12)),
            "pos": lambda: str(number(1, 6)), "total": lambda: str(number(7, 28)), "percent": lambda: str(5 * number(1, 19)),
        }  # fmt: skip
        return ways[name]()


def _behind(parts: list[str], text: str) -> str:
    """What stands behind a filled slot: an abbreviation's full stop ends the sentence too."""
    return text[1:] if text.startswith(".") and parts and parts[-1].endswith(".") else text


def _side_in(text: str) -> tuple[str, ...]:
    """The fact of a side, where words tell one."""
    side = find_side(text)[0]
    return (f"side:{side}",) if side else ()


def _formula_says(tumour: Tumour) -> tuple[str, ...]:
    """The codes of metastases that a formula tells: N+ by the tumour's own station, M1 by its abbreviations."""
    return tuple(codes_of_formula(tumour.formula or "", tumour.topography))
