"""Cuts a text into the statements that it makes: lines, list items, fields of a form, sentences.

    fragments("1. Mammakarzinom\\n2. Hypertonie", ...)      # two fragments, both starting an item

A cut is `hard` where what follows is a diagnosis of its own (a list item, "V.a." after a diagnosis) and soft
where it may as well go on with the one before (a line, a semicolon, a form field); `pipeline` decides on
soft cuts when it knows what the pieces say.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from itertools import pairwise
from typing import NamedTuple

from agent.prepare.context import (
    EXCLUDED,
    EXCLUSION_START,
    FAMILY_STATEMENT,
    METASTASIS,
    STATEMENT,
    TOPOGRAPHY,
    TUMOUR,
    find_side,
    names_definite_tumour,
    names_tumour,
    organs_of,
    without_generic,
)
from agent.prepare.known_words import names_known_word
from agent.prepare.lead_in import last_match, lead_in, lead_to_name
from agent.prepare.mentions import Mentions
from agent.prepare.patterns import MASK
from agent.prepare.rules import labels_under, pattern, source
from agent.prepare.truncated import is_truncated

MAX_FRAGMENTS = 200


class Fragment(NamedTuple):
    """A statement: `start` to `end` of the normalised text, the form field that it fills (or ""), where its
    heading or list marker begins (`lead`), whether it starts a diagnosis (`hard`) and what it follows."""

    start: int
    end: int
    lead: int
    field: str = ""
    hard: bool = False
    after: str = "line"


_FIELDS = "|".join(f"(?P<{name}>{source(f'field.{name}')})" for name in labels_under("field"))
FIELD = re.compile(rf"(?<![\w-])(?:{_FIELDS})\.?(?:/n|\(n\))? ?: ?")
_ITEM = re.compile(
    r"(?m)^[ \t]{0,12}(?:\d{1,2}[.)](?=[ \tA-ZÄÖÜ])(?! ?Grad)|[-*>+](?=[ \tA-ZÄÖÜ])|[a-h]\)|(?:I{1,3}|IV|V)[.)](?! ?Grad| ?a\b)(?= ))[ \t]{0,8}"
)
_INLINE_ITEM = re.compile(r"(?<=[\s,;])\d{1,2}[.)] (?=[A-ZÄÖÜ]|[a-zäöü]{4})(?!Grad|Zykl)")
_BREAK = re.compile(
    r"\n+|;|(?<=[a-zäöüßA-ZÄÖÜ).\x1f])\. {1,3}(?=[A-ZÄÖÜ])|(?<=[?!]) (?=[A-ZÄÖÜ])| \| |[*#=~]{2,}"
)
# No phrase of a tumour begins so.
_BEGINS = re.compile(rf"(?:{source('begins_sentence')}|{source('relative')}|[A-ZÄÖÜ][\w-]{{1,20}}:) ")
_MAY_END = re.compile(r"(?<!\w)[A-ZÄÖÜ]{2,30}\Z|[a-zäöüß]{4}ca\Z")
_RUNS_ON = re.compile(
    rf"(?:{source('runs_on')}|{source('state_after')}|{source('suspected')}|{source('reason_lead')}|,)[ \t]*\Z"
)
_BRACKET = re.compile(r"\([^()\n]{0,80}\)|\[[^\[\]\n]{0,80}\]")
_OPENING, _CLOSING = re.compile(r"\("), re.compile(r"\)")
_PLACED_METASTASIS = re.compile(r"[A-ZÄÖÜa-zäöü]{4}(?:metastas|filia)\w{0,3}\Z|karzinose\Z", re.I)
_CONJUNCTION = re.compile(
    rf"(?:,? (?:{source('besides')}|jetzt|nun)| (?:und|u\.|mit|bei|eine[sr])|,| [+/&]) (?=\s{{0,80}}\S)"
)
# What a note says before it names the tumour: an ailment "bei" it, the examination that found it.
_REASON = re.compile(rf"{source('reason')} ")
_EXAMINATION = re.compile(
    rf"\b[\w-]{{0,20}}{source('examination')}(?:[- ][\w.]{{2,12}}){{0,3}}[ \x1f]{{0,16}}: "
)
_SENTENCES = re.compile(r"(?<=[\w)]{3})\. +[A-ZÄÖÜ]")
# The "Z.n." itself is needed for the certainty: only the comma before it leads in.
_FORMER_LISTED = re.compile(rf", (?={source('state_after')} )")
_NEAR = 80
_EDGE = 24  # no word for a tumour is longer
_OWN_END = re.compile(r"(?<!-),|(?<!-) (?:und|sowie|oder|bei|mit) ")
_ABBREVIATED = re.compile(rf"(?:{source('abbreviated')}|(?i:(?<![a-zäöüß])[a-zäöüß]{{1,3}}))\Z")


def fragments(text: str, masked: str) -> tuple[list[Fragment], bool]:
    """The fragments of a normalised text in order, and whether there were more than `MAX_FRAGMENTS`
    (the last one then holds the rest). `masked` is the text with everything set aside blanked out."""
    pieces = _pieces(masked)
    if len(pieces) >= MAX_FRAGMENTS:
        return _first_ones(pieces, len(text)), len(pieces) > MAX_FRAGMENTS
    result: list[Fragment] = []
    is_note = len(pieces) > 1 or _SENTENCES.search(text) is not None
    for piece in pieces:
        result.extend(_statements(masked, piece, is_note))
        if len(result) >= MAX_FRAGMENTS:
            return _first_ones(result, len(text)), True
    return result, False


def _first_ones(pieces: list[Fragment], end: int) -> list[Fragment]:
    """As many as are made, the last one up to the end of the text."""
    return [*pieces[: MAX_FRAGMENTS - 1], pieces[MAX_FRAGMENTS - 1]._replace(end=end)]


def _pieces(text: str) -> list[Fragment]:
    """The fragments of a text before it is looked for statements within them."""
    found = {0: Fragment(0, len(text), 0, hard=True, after="start")}
    brackets = [match.span() for match in _BRACKET.finditer(text)] if "(" in text or "[" in text else []
    opens = [span[0] for span in brackets]

    def inside(place: int) -> bool:
        before = bisect_left(opens, place) - 1
        return before >= 0 and place < brackets[before][1]

    def cut(match: re.Match[str], after: str, *, field: str = "", hard: bool = False) -> None:
        found[match.end()] = Fragment(match.end(), len(text), match.start(), field, hard, after)

    for match in _BREAK.finditer(text):
        mark = match.group()
        if mark[0] == "." and _goes_on(text, match):
            continue
        if inside(match.start()):
            continue
        if mark[0] == "\n" and _RUNS_ON.search(text, max(0, match.start() - 12), match.start()):
            continue
        cut(match, {"\n": "line", ";": "semicolon"}.get(mark[0], "sentence"))
    items = [*_ITEM.finditer(text)]
    if items and items[0].start() == 0 and items[0].group().strip() in ("1.", "1)"):
        items += _INLINE_ITEM.finditer(text)
    for match in items:
        found.pop(match.start(), None)
        cut(match, "item", hard=True)
    if ":" in text:
        for match in FIELD.finditer(text):
            field = match.lastgroup or ""
            before = found.pop(match.start(), None)
            if field == "heading":
                cut(match, "heading", hard=True)
            else:
                cut(match, "field", field=field, hard=before is not None and before.after == "item")
    pieces = [found[place] for place in sorted(found)]
    return [*(one._replace(end=following.lead) for one, following in pairwise(pieces)), pieces[-1]]


def _goes_on(text: str, stop: re.Match[str]) -> bool:
    """Whether a stop ends an abbreviation and no sentence; behind capitals and a name only where the tumour may go on."""
    before = text[max(0, stop.start() - 30) : stop.start()]
    if before.endswith(".") or _BEGINS.match(text, stop.end()):
        return False
    if _MAY_END.search(before):
        following = text[stop.end() : stop.end() + 40].split(maxsplit=1)[0]
        return (
            names_tumour(following) or TOPOGRAPHY.search(following) is not None or names_known_word(following)
        )
    return before[-1:].isupper() or _ABBREVIATED.search(before) is not None or is_truncated(before)


def _statements(text: str, piece: Fragment, is_note: bool) -> list[Fragment]:
    """One fragment cut where a second statement begins: another certainty, a relative, a metastasis, a
    second tumour with its own organ, or the first tumour after words that name none."""
    start, end = piece.start, piece.end
    if piece.field not in ("", "tumour") or end - start < 12:
        return [piece]
    tumours = Mentions(TUMOUR.finditer(text, start, end))
    last_tumour = tumours.last(start, end)
    if last_tumour is None:
        return [piece._replace(start=lead_to_name(text, start, end))]
    definite = Mentions(TUMOUR.finditer(without_generic(text[start:end])), start)
    brackets = _Brackets(text, start, end)
    # In order; no more are found than fragments are made.
    places: list[int] = []
    led: dict[int, int] = {}  # where a statement's words begin, by where it is led in
    for begins in (STATEMENT, FAMILY_STATEMENT):
        for match in begins.finditer(text, start, end):
            if match.end() > last_tumour or len(places) >= MAX_FRAGMENTS:
                break
            last = places[-1] if places else start
            place = match.start()
            if start + 2 < place > last and definite.between(last, place) and not brackets.open_at(place):
                places.append(place)
    for match in _CONJUNCTION.finditer(text, start, end):
        if len(places) >= MAX_FRAGMENTS:
            break
        next_place = bisect_right(places, match.start())
        last = places[next_place - 1] if next_place else start
        following = places[next_place] if next_place < len(places) else end
        if _separates(text, match, last, following, tumours) and not brackets.open_at(match.start()):
            # What was done to the second tumour is said before it.
            done = match.start()
            while text[done - 1] == MASK and done > last:
                done -= 1
            place = match.end() if done == match.start() else done
            if place not in places:
                insort(places, place)
    tumour = tumours.first(start, places[0] if places else end)
    if tumour is not None:
        piece, led = _led(text, piece, tumour, places, brackets, is_note=is_note)
    if not places:
        return [piece]
    borders = [*places, end]
    first = piece._replace(end=borders[0])
    rest = [Fragment(led.get(a, a), b, a, "", True, "statement") for a, b in pairwise(borders)]
    return [first, *rest]


def _led(
    text: str, piece: Fragment, tumour: int, places: list[int], brackets: _Brackets, *, is_note: bool
) -> tuple[Fragment, dict[int, int]]:
    """The piece without what leads in its first tumour; where that is told beside it, the place is added to `places` and
    returned with that of the words behind it."""
    start = piece.start
    lead = _reason(text, start, tumour, is_note)
    begin = lead_in(text, lead.end() if lead is not None else start, tumour)
    if lead is not None and text[start : lead.start()].strip(" ,.;"):
        if lead.start() not in places:
            insort(places, lead.start())
        return piece, {lead.start(): begin}
    return (piece if brackets.open_at(begin) else piece._replace(start=begin)), {}


class _Brackets:
    """Where the brackets of a stretch open and close."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._opening = [match.start() for match in _OPENING.finditer(text, start, end)]
        self._closing = [match.start() for match in _CLOSING.finditer(text, start, end)]

    def open_at(self, place: int) -> bool:
        """Whether more brackets open than close before `place`."""
        return bisect_left(self._opening, place) > bisect_left(self._closing, place)


def _reason(text: str, start: int, tumour: int, is_note: bool) -> re.Match[str] | None:
    """What leads to the first tumour of a statement, unhedged, and is told beside it: an ailment, an examination."""
    # "Hemikolektomie bei Kolonkarzinom" by itself is one statement; in a note it tells the reason.
    for leads in (*((_REASON,) if is_note else ()), _EXAMINATION, _FORMER_LISTED):
        lead = last_match(leads, text, start, tumour)
        if lead is None or tumour - lead.end() > _NEAR:
            continue
        before = text[max(start, lead.start() - 160) : tumour]
        if names_definite_tumour(text[lead.end() : tumour + _NEAR]) and not any(
            hedge.search(before) for hedge in (EXCLUDED, FAMILY_STATEMENT)
        ):
            return lead
    return None


def _separates(text: str, match: re.Match[str], start: int, end: int, tumours: Mentions) -> bool:
    """Whether a conjunction stands between two full diagnoses. Only the 160 characters around it count."""
    before, after = max(start, match.start() - 160), min(end, match.end() + 160)
    # Where the stretch ends within a word, that part of a word counts.
    if not tumours.between(match.end(), after) and not names_tumour(
        text, max(match.end(), after - _EDGE), after
    ):
        return False
    left, right = text[before : match.start()], text[match.end() : after]
    word = match.group().strip(" ,") or ","
    # What is ruled out may be the recurrence of a tumour that was there.
    excluded_again = EXCLUSION_START.match(left) is not None and pattern("again").search(left) is not None
    if (
        left.endswith("-")
        or not (tumours.between(before + _EDGE, match.start()) or names_tumour(left) or excluded_again)
        or pattern("together").search(left)
    ):
        return False
    own = _OWN_END.split(right, maxsplit=1)[0]
    left_metastasis = METASTASIS.search(left) is not None
    if word in ("eines", "einer"):
        # "Lebermetastase eines Kolonkarzinoms" names two tumours; "Lebermetastase eines Melanoms" one and its
        # histology.
        if not names_definite_tumour(own) or not organs_of(own):
            return False
        if left.endswith(MASK):
            # "Urothelkarzinom bei Z.n. Radiatio eines Prostatakarzinoms": what was treated is another tumour.
            return not organs_of(own) & organs_of(left)
        return _PLACED_METASTASIS.search(left) is not None
    if word == "bei":
        # What an exclusion or a metastasis is said of is a diagnosis of its own.
        return (EXCLUSION_START.match(left) is not None or left_metastasis) and names_definite_tumour(own)
    if METASTASIS.search(own) is not None:
        return (names_definite_tumour(left) and not (left_metastasis and word != ",")) or left_metastasis
    own_left = _OWN_END.split(left)[-1]
    if names_definite_tumour(own_left) and names_definite_tumour(own):
        sides = (find_side(own_left)[0], find_side(own)[0])
        if None not in sides and sides[0] != sides[1]:
            return True
        if word == "," and all(organs := (organs_of(own_left), organs_of(own))) and not organs[0] & organs[1]:
            return True
    if word in (",", "mit"):
        return word == "," and EXCLUSION_START.match(left) is not None and " oder " not in right
    if word in ("und", "u.", "/", "+", "&"):
        return all(
            TOPOGRAPHY.search(side) is not None and names_definite_tumour(side) for side in (own_left, own)
        )
    return names_definite_tumour(left) and names_definite_tumour(own)
