"""A tumour that is told in fields: diagnosis, site, histology, side, behaviour belong to one tumour, and none is lost.

    case = Case(diagnosis="Mamma-Ca", site="oben außen; retroareolär", histology="NST", side="links")
    prepared_case(case, worker.read).diagnoses[0].core
    # 'Mammakarzinom, oben außen, retroareolär, Karzinom vom nicht speziellen Typ'

Each field is read by itself, so a semicolon in one of them parts no diagnosis from another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from agent.prepare.context import names_definite_tumour
from agent.prepare.records import Certainty, Prepared, Segment, Side
from index.errors import OnkokodeError
from index.io.language import say

# What a behaviour of ICD-O-3 says in words, where no other field names a tumour.
_BEHAVIOURS = {
    "0": "gutartige Neubildung", "1": "Neubildung unsicheren Verhaltens", "2": "Carcinoma in situ",
    "3": "bösartige Neubildung", "6": "Metastase", "9": "bösartige Neubildung",
}  # fmt: skip
_SIDES: dict[str, Side] = {
    **dict.fromkeys(("l", "li", "li.", "links"), "links"), **dict.fromkeys(("r", "re", "re.", "rechts"), "rechts"),
    **dict.fromkeys(("b", "bds", "bds.", "beidseits", "beidseitig"), "beidseits"),
}  # fmt: skip
_UNKNOWN_SIDES = ("", "m", "mittellinie", "u", "unbekannt", "t", "trifft nicht zu")


class CaseError(OnkokodeError):
    """A case with a field that says nothing that is known; the message names field and remedy."""

    translated = True


@dataclass(frozen=True, slots=True)
class Case:
    """One tumour in fields, as a registry or a tumour documentation has it; each may be empty.

    `side` is `links`, `rechts`, `beidseits` (or L, R, B as in oBDS), `behaviour` a digit of ICD-O-3. `tumour` says
    whether it is one, where that is known: a record of a registry that holds a site alone is a tumour all the same.
    """

    diagnosis: str = ""
    site: str = ""
    histology: str = ""
    side: str = ""
    behaviour: str = ""
    tumour: bool | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "tumour" and not isinstance(value, str):
                raise TypeError(f"{one.name} takes a text, not {type(value).__name__}")
        if self.behaviour.strip().lstrip("/") not in ("", *_BEHAVIOURS):
            raise CaseError(say("case-behaviour", allowed=", ".join(_BEHAVIOURS)))
        if self.side.strip().lower() not in (*_SIDES, *_UNKNOWN_SIDES):
            raise CaseError(say("case-side"))

    @property
    def texts(self) -> tuple[str, ...]:
        """Diagnosis, site and histology, those that say something."""
        return tuple(text for text in (self.diagnosis, self.site, self.histology) if text.strip())

    @property
    def text(self) -> str:
        """The fields' texts, a line each: what offsets of the answer count."""
        return "\n".join(self.texts)


def prepared_case(case: Case, read: Callable[[Sequence[str]], list[Prepared]]) -> Prepared:
    """The one diagnosis that the fields tell together. `read` prepares texts (`agent.prepare.worker.read`)."""
    found = read(case.texts)
    if not found:
        return Prepared("", (), True, False, False, False, ("empty",))
    cores: list[str] = []
    words: list[tuple[str, int, int]] = []
    aside: dict[str, tuple[str, ...]] = {}
    start = 0
    for text, prepared in zip(case.texts, found, strict=True):
        for one in prepared.diagnoses:
            if one.core and one.core.casefold() not in map(str.casefold, cores):
                cores.append(one.core)
            words += [(word, start + first, start + last) for word, first, last in one.words]
            for kind, said in one.set_aside.items():
                aside[kind] = aside.get(kind, ()) + said
        start += len(text) + 1
    behaviour = case.behaviour.strip().lstrip("/")
    if behaviour and not names_definite_tumour(", ".join(cores)):
        cores.insert(0, _BEHAVIOURS[behaviour])
    every = [one for prepared in found for one in prepared.diagnoses]
    first = every[0] if every else Segment((0, len(case.text)), "")
    certainty: Certainty = next((one.certainty for one in every if one.certainty != "gesichert"), "gesichert")
    whole = Segment(
        span=(0, len(case.text)),
        core=", ".join(cores),
        certainty=certainty,
        side=_SIDES.get(case.side.strip().lower()) or next((one.side for one in every if one.side), None),
        negated=first.negated,
        family=first.family,
        metastasis_context=next((one.metastasis_context for one in every if one.metastasis_context), None),
        set_aside=aside,
        words=tuple(words),
        wording=case.text,
    )
    flags = tuple(dict.fromkeys(flag for prepared in found for flag in prepared.flags))
    return Prepared(
        case.text, (whole,), False, any(p.truncated for p in found), any(p.has_letters for p in found),
        all(p.only_code for p in found), flags,
    )  # fmt: skip
