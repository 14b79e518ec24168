"""What of an invasive tumour is still in situ decides no code: "Seminom, GCNIS", "Adenokarzinom der Zervix mit AIS".

kept, in_situ = invasive_part(words)        # 'Seminom', 'Keimzellneoplasie in situ des Hodens'

A name that leaves the tissue open is another matter: "Mammakarzinom, DCIS" says of the carcinoma that it is in situ.
"""

from __future__ import annotations

from agent.prepare import context
from agent.prepare.rules import pattern
from agent.prepare.tidy import Word, places_in, render

_AND = frozenset(("und", "mit", "sowie", "neben", "plus", "+", "u.", "m.", "daneben", "begleitend", "nebst"))
_IN_SITU, _INVASIVE, _TISSUE = pattern("in_situ"), pattern("invasive"), pattern("invasive_tissue")


def invasive_part(words: list[Word]) -> tuple[list[Word], list[Word]]:
    """The words without those of a part in situ, where the others name an invasive tumour by its tissue, or join both
    by a word such as "mit"; and the words that were taken out. What tells the place stays, if nothing else does."""
    if _IN_SITU.search(render(words)) is None:
        return words, []
    parts = _parts(words)
    early = [_IN_SITU.search(render(part)) is not None for part in parts]
    rest = render(
        [word for part, is_early in zip(parts, early, strict=True) if not is_early for word in part]
    )
    joined = any(_joins(part[-1]) and early[n] != early[n + 1] for n, part in enumerate(parts[:-1]))
    if _INVASIVE.search(rest) is None or (_TISSUE.search(rest) is None and not joined):
        return words, []
    kept: list[Word] = []
    for part, is_early in zip(parts, early, strict=True):
        if not is_early:
            kept += part
            continue
        while kept and _joins(kept[-1]):
            kept.pop()
        if context.TOPOGRAPHY.search(rest) is None:
            kept += _place_behind(part)
    stays = {word.start for word in kept}
    return kept, [word for word in words if word.start not in stays]


def _place_behind(part: list[Word]) -> list[Word]:
    """What follows on the name of what is in situ, if it tells a place: "der Haut" of "M. Bowen der Haut"."""
    text = render(part)
    named = next(_IN_SITU.finditer(text)).end()
    behind = [word for word, place in zip(part, places_in(text, part), strict=True) if place >= named]
    return behind if context.TOPOGRAPHY.search(render(behind)) else []


def _joins(word: Word) -> bool:
    return word.text.lower() in _AND


def _parts(words: list[Word]) -> list[list[Word]]:
    """The words between commas and words that join, which end the part before them; brackets stay in one part."""
    parts: list[list[Word]] = [[]]
    depth = 0
    for word in words:
        parts[-1].append(word)
        if word.mark:
            depth += (word.text in "([") - (word.text in ")]")
        if depth <= 0 and (_joins(word) or (word.mark and word.text == ",")):
            parts.append([])
    return [part for part in parts if part]
