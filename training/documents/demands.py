"""What the fixed words of a sentence say of the patient: a sex, or a tumour that has to be there.

    demand_of("Die Patientin nimmt Letrozol").sex, demand_of("Die Patientin nimmt Letrozol").organs      # 'f', ('C50',)

An author's sentence is put into documents of other patients; without this a man would have a uterus, and a patient
without a tumour its treatment. `demands.tsv` holds the words; each row's `example` is its test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from index.catalogue.overrides import table_rows
from training.documents.skeletons import HERE, SLOT

COLUMNS = ("words", "sex", "organs", "example", "why")
ANY_ORGAN, NO_TUMOUR = "*", "-"
_WOMEN, _MEN = ("C51", "C52", "C53", "C54", "C55", "C56", "C57", "C58"), ("C60", "C61", "C62", "C63")
_KIN = {
    "f": re.compile(r"\b(?:Groß|Stief|Schwieger)?(?:[Mm]utter|Mama)\b|\b(?:Schwester|Tante|Oma|Tochter|Nichte|Cousine|M)\b"),
    "m": re.compile(r"\b(?:Groß|Stief|Schwieger)?(?:[Vv]ater|Papa)\b|\b(?:Bruder|Onkel|Opa|Sohn|Neffe|Cousin|V)\b"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demand:
    """Of whom a sentence can be said: a patient of this `sex` (None: any), who has a tumour of one of these `organs`
    (prefixes of topographies, `*` for any; empty: of anybody), or who has none (`no_tumour`). A sentence of both sexes
    can be said of nobody."""

    sex: str | None = None
    organs: tuple[str, ...] = ()
    contradicts: bool = False
    no_tumour: bool = False

    def fits(self, sex: str, topographies: tuple[str, ...]) -> bool:
        """Whether it can be said of a patient of this sex with tumours at these topographies."""
        if self.contradicts or self.sex not in (None, sex) or (self.no_tumour and topographies):
            return False
        if not self.organs:
            return True
        return any(ANY_ORGAN in self.organs or place.startswith(self.organs) for place in topographies)


def sex_of(topography: str) -> str | None:
    """`f` or `m` for an organ that one sex has."""
    return "f" if topography.startswith(_WOMEN) else "m" if topography.startswith(_MEN) else None


def sex_of_kin(text: str) -> str | None:
    """`f` or `m` for the relative whom a sentence names first."""
    found = [(match.start(), sex) for sex, words in _KIN.items() if (match := words.search(text))]
    return min(found)[1] if found else None


@lru_cache(maxsize=65_536)
def demand_of(text: str) -> Demand:
    """What a sentence demands by its fixed words, slots left out."""
    said = SLOT.sub(" ", text)
    found = [(sex, organs) for words, sex, organs in _rows() if words.search(said)]
    sexes = {sex for sex, _ in found if sex}
    places = [organ for _, organs in found for organ in organs if organ != NO_TUMOUR]
    named = [organ for organ in places if organ != ANY_ORGAN]
    return Demand(
        sex=min(sexes, default=None),
        organs=tuple(dict.fromkeys(named or places)),
        contradicts=len(sexes) > 1,
        no_tumour=any(NO_TUMOUR in organs for _, organs in found),
    )


@lru_cache(maxsize=1)
def _rows() -> tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...]:
    return tuple(
        (re.compile(row["words"]), row["sex"], tuple(o for o in row["organs"].split(",") if o))
        for _, row in table_rows(HERE / "demands.tsv", COLUMNS)
    )
