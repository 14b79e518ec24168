"""The clauses of a statement that speak of the tumour: what else a note says beside it is set aside.

    kept, dropped = focused(read_words("Harnblasenkarzinom, Port-Anlage geplant, Pat. informiert", 0, 56))
    render(tidy(kept))              # 'Harnblasenkarzinom'

A clause (between commas) that names the tumour stays, and so does one that names a place or a histology, unless
it tells what is done, found or planned. What a tumour grows into, presses on or leads to is no place of it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from agent.prepare import context
from agent.prepare.known_words import names_known_word
from agent.prepare.rules import pattern, source
from agent.prepare.tidy import Word, places_in, render

_REACHED = source("reached")
_BESIDE = f"(?:{_REACHED}|{source('disease')}|{source('comorbidity')})"
_PHRASE = re.compile(
    rf"(?:(?<=\s)|\A){source('phrase_lead')} (?:[\w.°-]+ ){{0,3}}[\w-]{{0,30}}"
    rf"{_BESIDE}(?: (?i:von|des|der|in|im|am|die|das|den)(?: [\w-]+){{1,2}})?"
)
# Where metastases are, by an adjective: "jetzt ossär u. hepatisch", and in brackets: "(Metastasierung 2021 BWS)".
_SPREAD = re.compile(rf"(?>(?:{source('spread_word')}|/|\+)[., ]{{0,2}}){{1,8}}\Z")
_OF_METASTASES = re.compile(rf"\([^()]{{0,60}}{source('metastasis_word')}[^()]{{0,60}}\)")
# Shares of a mixed tumour are no diagnosis of their own.
_SHARES = re.compile(r"(?<=tumor )\([^()]{0,120}\d ?%[^()]{0,60}\)", re.I)
_DIGIT = re.compile(r"\d")
_NO_PART = tuple(map(pattern, ("act", "reached", "comorbidity", "disease")))
# "laut Histologie": says whence it is known.
_SOURCE = re.compile(r"(?<!\w)(?i:lt\.|laut) [\w.-]{2,30}")
_DASHES = ("-", "–", "=", "->")
_REACHED_FIRST = re.compile(rf"\A[\w-]{{0,30}}{_REACHED}(?: [\w.-]+){{0,4}} (?i:durch|bei|infolge) (?=\w)")

# What goes from the clauses that are kept, in this order, and whether it may name a tumour itself.
_ASIDE = (
    (_SOURCE, False),
    (_REACHED_FIRST, False),
    (_PHRASE, False),
    (_OF_METASTASES, True),
    (_SHARES, True),
)


def focused(words: list[Word]) -> tuple[list[Word], list[Word]]:
    """The words of the clauses that speak of the tumour, and the others. Without a tumour, all words are kept."""
    whole = render(words)
    if len(words) < 2 or not context.names_tumour(whole):
        return words, []
    kept: list[Word] = []
    dropped: list[Word] = []
    has_place = context.TOPOGRAPHY.search(whole) is not None
    for clause in _clauses(words):
        said = render(clause)
        spread = has_place and _SPREAD.match(said) is not None
        (kept if _speaks(said) and not spread else dropped).extend(clause)
    if dropped and not context.names_tumour(render(kept)):
        return words, []
    for stretch, holds_tumours in _ASIDE:
        if stretch is _SHARES and not pattern("mixed").search(render(kept)):
            continue
        kept, aside = _without(kept, stretch, holds_tumours)
        dropped += aside
    return kept, sorted(dropped, key=lambda word: word.start)


def _clauses(words: list[Word]) -> list[list[Word]]:
    """The words between commas or dashes that stand in no bracket; the comma belongs to the clause before it. A colon
    parts them where it follows the tumour; before it, it may follow its place."""
    depth, borders = 0, [0]
    named = not any(word.mark and word.text == ":" for word in words)  # asked of a colon only
    for place, word in enumerate(words):
        named = named or context.names_tumour(word.text)
        if word.mark:
            depth += (word.text in "([") - (word.text in ")]")
            if (word.text == "," or (word.text == ":" and named)) and depth <= 0:
                borders.append(place + 1)
        elif word.text in _DASHES and depth <= 0:
            borders.append(place + 1)
    return [words[a:b] for a, b in pairwise([*borders, len(words)]) if b > a]


def _speaks(clause: str) -> bool:
    if context.names_tumour(clause) or pattern("telling").search(clause) or context.HISTOLOGY.search(clause):
        return True
    if _DIGIT.search(clause) or any(one.search(clause) for one in _NO_PART):
        return False
    # A word or two of a name may be a type or a place.
    return context.TOPOGRAPHY.search(clause) is not None or (
        len(clause.split()) <= 2 and names_known_word(clause)
    )


def _without(
    words: list[Word], stretch: re.Pattern[str], holds_tumours: bool
) -> tuple[list[Word], list[Word]]:
    """The words without those of the pattern's first match, if a tumour is still named without them; a match that
    names one itself goes only where `holds_tumours` says that the pattern is made for it."""
    text = render(words)
    match = stretch.search(text)
    if (
        match is None
        or (not holds_tumours and context.names_tumour(match.group()))
        or re.search(r"(?i:lymphom|leuk|myel)", text)
    ):
        return words, []
    rest: list[Word] = []
    taken: list[Word] = []
    for word, place in zip(words, places_in(text, words), strict=True):
        (taken if match.start() <= place < match.end() else rest).append(word)
    return (rest, taken) if context.names_tumour(render(rest)) else (words, [])
