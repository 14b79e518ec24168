"""How sure a diagnosis is, on which side, of whom, and whether words name a tumour or a place.

    find_certainty("V.a. Mammakarzinom")        # ('Verdacht', [(0, 4)])
    find_side("Mammakarzinom li.")              # ('links', [(14, 17)])

All patterns take linear time; spans count characters of the text that is passed in.
"""

from __future__ import annotations

import re

from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL
from agent.prepare.alternatives import by_first_letter
from agent.prepare.mentions import Mentions
from agent.prepare.records import Certainty, Side
from agent.prepare.rules import labels_under, pattern, source

Span = tuple[int, int]

# Of the abbreviations with several readings only those that name a tumour in each; "PA" or "OS" may be anything.
_TUMOUR_ABBREVIATIONS = by_first_letter(
    "|".join(
        re.escape(short)
        for short in sorted((*ABBREVIATIONS, *CONTEXTUAL), key=len, reverse=True)
        if len(short) > (1 if short in ABBREVIATIONS else 2) or short in ("MM", "ET", "PV", "HL", "FL")
        if all(
            pattern("tumour").search(reading.expansion)
            for reading in (CONTEXTUAL.get(short) or (ABBREVIATIONS[short],))
        )
    ),
    cased=True,
)
_TUMOUR = rf"{source('tumour')}|(?<![A-Za-zÄÖÜäöü])(?:{_TUMOUR_ABBREVIATIONS})(?![A-Za-zÄÖÜäöü])"
TUMOUR = re.compile(_TUMOUR)
METASTASIS = pattern("metastasis")
METASTATIC = pattern("metastatic")
TOPOGRAPHY = pattern("place")
# A histology that says nothing about the organ; after a tumour with its organ it is that tumour's histology.
HISTOLOGY = pattern("histology")
# Words that name a finding, not yet a diagnosis: "Lungentumor, V.a. Bronchialkarzinom" is one diagnosis.
_GENERIC = pattern("generic")
# Words of one organ, by organ; what may belong to several (Kopf, Hals, Körper, Lappen) is none of them.
_ORGANS = {name: pattern(f"organ.{name}") for name in labels_under("organ")}

# "kein sicheres Karzinom": what is denied is a tumour or what may come of one.
_DENIED = rf"{source('exclusion_word')} (?=(?:[\w-]{{1,30}} ){{0,2}}[\w-]{{0,30}}(?:{_TUMOUR}|{source('deniable')}))"
_EXCLUSION_LEAD = rf"{source('exclusion_lead')}|{_DENIED}"
EXCLUDED = re.compile(rf"{_EXCLUSION_LEAD}|{source('exclusion_end')}")
EXCLUSION_START = re.compile(rf"[\s,]{{0,4}}(?:{_EXCLUSION_LEAD})")
# Words that start a new statement inside a line, where a diagnosis stands before them.
STATEMENT = re.compile(rf"{_EXCLUSION_LEAD}|{source('begins_statement')}")
FAMILY_STATEMENT = pattern("family")
_MARK = re.compile(r"[\[(] ?([AVZGavzg]) ?[\])](?=[\s,.;]*$)")
MARK_MEANS: dict[str, Certainty] = {
    "A": "ausgeschlossen",
    "V": "Verdacht",
    "Z": "Zustand nach",
    "G": "gesichert",
}

_SIDE = re.compile(
    rf"(?P<both>{source('both_sides')}|\(B\))|(?P<left>{source('left')}|\(L\))|(?P<right>{source('right')}|\(R\))"
)
_LAST_LETTER = re.compile(r"(?<=[a-zäöü.] )(?:(?P<left>L)|(?P<right>R))(?=\s*(?:$|[,;]))")
_SIDES: dict[str | None, Side] = {"both": "beidseits", "left": "links", "right": "rechts"}
# What may come of a tumour that is named before, up to the end of its clause.
_OF_IT = re.compile(rf" ?(?:[\w-]{{1,30}} ){{0,3}}[\w-]{{0,20}}{source('of_it')}[^,;.\n]{{0,80}}")


def find_certainty(text: str) -> tuple[Certainty, list[Span]]:
    """The certainty that a phrase states, and the words that state it. An exclusion outweighs a past
    tumour, a past tumour a suspicion."""
    mark = None
    spans: list[Span] = []
    if "(" in text or "[" in text:
        for match in _MARK.finditer(text):
            mark = MARK_MEANS[match.group(1).upper()]
            spans.append(match.span())
    spans += _spans("secured", text)
    excluded = []
    tumours = Mentions(TUMOUR.finditer(text))
    for m in EXCLUDED.finditer(text):
        # "Sigmakarzinom, kein Rezidiv": the tumour is there, what could have come of it is not.
        of_it = _OF_IT.match(text, m.end()) if tumours.between(0, m.start()) else None
        if of_it is None:
            excluded.append(m.span())
        else:
            spans.append((m.start(), of_it.end()))
    suspected, former = _spans("suspected", text), _spans("former", text)
    spans += excluded + suspected + former
    certainty: Certainty = "gesichert"
    if excluded or mark == "ausgeschlossen":
        certainty = "ausgeschlossen"
    elif suspected or mark == "Verdacht" or pattern("suspicion_in_word").search(text):
        certainty = "Verdacht"
    elif former or mark == "Zustand nach":
        certainty = "Zustand nach"
    return certainty, spans


def _spans(label: str, text: str) -> list[Span]:
    return [match.span() for match in pattern(label).finditer(text)]


def find_family(text: str) -> list[Span]:
    """The words that say that a phrase speaks of a relative."""
    return _spans("family", text)


def find_side(text: str) -> tuple[Side | None, list[Span]]:
    """The side that a phrase states (the first one; both together are `beidseits`) and its words."""
    found = [*_SIDE.finditer(text), *_LAST_LETTER.finditer(text)]
    return (_SIDES[found[0].lastgroup] if found else None), [match.span() for match in found]


def organs_of(text: str) -> frozenset[str]:
    """The organs that a phrase names; two phrases without a common one speak of two places."""
    return frozenset(name for name, words in _ORGANS.items() if words.search(text))


def side_decides(text: str) -> bool:
    """Whether the side is part of the place in this phrase, so that it has to stay in `core`."""
    return pattern("side_decides").search(text) is not None


def names_tumour(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether a stretch names a tumour, by a word or an abbreviation."""
    return TUMOUR.search(text, start, len(text) if end is None else end) is not None


def names_definite_tumour(text: str) -> bool:
    """Like `names_tumour`, but "Tumor", "Polyp" or "Raumforderung" alone do not count."""
    return TUMOUR.search(without_generic(text)) is not None


def without_generic(text: str) -> str:
    """The text with "Tumor", "Polyp", "Raumforderung" blanked, as long as before."""
    return _GENERIC.sub(lambda match: " " * len(match.group()), text)


def names_primary_first(text: str) -> bool:
    """Whether a tumour is named before the first metastasis: "Sigmakarzinom, Lebermetastasen"."""
    found = METASTASIS.search(text)
    if found is None:
        return False
    before = text[: text.rfind(" ", 0, found.start()) + 1]
    return names_definite_tumour(before) or METASTATIC.search(before) is not None
