"""Words as a line of text, and that line tidy: no one-sided brackets, dangling commas or connecting words at its ends.

render(tidy(words))                 # 'Mammakarzinom, nicht-kleinzelliges Bronchialkarzinom'
"""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import NamedTuple


class Word(NamedTuple):
    """A word or a punctuation mark with its place in the normalised text; `spaced`: a blank stands before."""

    text: str
    start: int
    end: int
    spaced: bool
    mark: bool = False


_OPEN, _CLOSE = "([", ")]"
_EDGE_WORDS = frozenset((
    "bei", "wegen", "mit", "und", "sowie", "aufgrund", "nach", "auf", "von", "vom", "u.", "u", "bzw.", "bzw",
    "am", "im", "an", "in", "unter", "seit", "zu", "zum", "zur", "als", "sowohl", "eines", "einer", "einem",
    "eine", "ein", "der", "die", "das", "des", "dem", "den", "ist", "hat", "hatte", "ca.", "ca", "etwa",
    "z.b.", "e.", "+", "/", "-", "&", ".", "..", "...", "--", "'", "aber", "jetzt", "zusätzlich", "außerdem",
    "ferner", "zudem", "daneben",
))  # fmt: skip
_ENDS_IN_POINT = re.compile(r"[^.]{2,}\.\Z")
_WORD_POINT = re.compile(r"\d+\.\Z|[IVX]+\.\Z")
_MOST_WITH_REPEATS = 200


def render(words: list[Word]) -> str:
    """The words as one line, with blanks where German typography has them."""
    parts: list[str] = []
    glue = True
    for word in words:
        if word.mark and word.text in ",:)]":
            parts.append(word.text)
            glue = False
            continue
        joins = not word.spaced and (
            word.text[0] == "(" or (parts and parts[-1] in _CLOSE and word.text[0] == "-")
        )
        if not glue and not joins:
            parts.append(" ")
        parts.append(word.text)
        glue = word.mark and word.text in _OPEN
    return "".join(parts)


def places_in(line: str, words: list[Word]) -> list[int]:
    """Where each of the words begins in the line that `render` makes of them."""
    places: list[int] = []
    end = 0
    for word in words:
        places.append(line.index(word.text, end))
        end = places[-1] + len(word.text)
    return places


def tidy(words: list[Word], done: int = 0) -> list[Word]:
    """Without empty or one-sided brackets, doubled or dangling commas, and connecting words at the edges. The first
    `done` words are tidy already."""
    kept = words[:done]
    for word in _without_repeats(kept, _balanced(words[done:])):
        if word.mark and word.text in ",:":
            if kept and not (kept[-1].mark and kept[-1].text in ",:" + _OPEN):
                kept.append(word)
            continue
        if word.mark and word.text in _CLOSE:
            while kept and kept[-1].mark and kept[-1].text in ",:":
                kept.pop()
            if kept and kept[-1].mark and kept[-1].text in _OPEN:
                kept.pop()
                continue
        kept.append(word)
    if not done:
        kept = [*dropwhile(_droppable, kept)]
    while kept and _droppable(kept[-1]):
        kept.pop()
    if kept and _ENDS_IN_POINT.match(kept[-1].text) and not _WORD_POINT.match(kept[-1].text):
        kept[-1] = kept[-1]._replace(text=kept[-1].text[:-1])
    return kept


def _droppable(word: Word) -> bool:
    if word.mark:
        return word.text in ",:"
    return word.text.lower() in _EDGE_WORDS or not any(map(str.isalnum, word.text))


def _balanced(words: list[Word]) -> list[Word]:
    stack: list[int] = []
    partners: set[int] = set()
    for place, word in enumerate(words):
        if not word.mark:
            continue
        if word.text in _OPEN:
            stack.append(place)
        elif word.text in _CLOSE and stack:
            opened = stack.pop()
            if _OPEN.index(words[opened].text) == _CLOSE.index(word.text):
                partners.update((opened, place))
    return [
        word
        for place, word in enumerate(words)
        if not (word.mark and word.text in _OPEN + _CLOSE) or place in partners
    ]


def _without_repeats(before: list[Word], words: list[Word]) -> list[Word]:
    """Drops a bracket that repeats the words before it: "Glioblastom (GBM)" after expansion."""
    if (
        not any(word.mark and word.text in _OPEN for word in words)
        or len(before) + len(words) > _MOST_WITH_REPEATS
    ):
        return words
    kept: list[Word] = []
    place = 0
    while place < len(words):
        word = words[place]
        if word.mark and word.text in _OPEN:
            close = next(
                (i for i in range(place + 1, len(words)) if words[i].mark and words[i].text in _CLOSE), None
            )
            if close is not None:
                inside = " ".join(w.text for w in words[place + 1 : close]).lower()
                said = " ".join(w.text for w in (*before, *kept)).lower()
                if not inside or (len(inside) > 3 and _stands_in(inside, said)):
                    place = close + 1
                    continue
        kept.append(word)
        place += 1
    return kept


def _stands_in(phrase: str, text: str) -> bool:
    """Whether a text holds a phrase whose first and last word are whole. No pattern: `re` would keep it, and with
    it the words."""
    place = text.find(phrase)
    while place >= 0:
        around = text[max(0, place - 1) : place] + text[place + len(phrase) : place + len(phrase) + 1]
        if not any(character.isalnum() or character == "_" for character in around):
            return True
        place = text.find(phrase, place + 1)
    return False
