"""From a stretch of text to the words of `core`: spelling, abbreviations, punctuation.

    words = read_words("Mamma-Ca, NSCLC", 0, 15)
    render(words)                       # 'Mammakarzinom, nicht-kleinzelliges Bronchialkarzinom'

Expansion goes in two rounds, because an abbreviation that needs a context (OL beside a lung) may find it in
the expansion of another one (NSCLC). A stretch that is already expanded comes out as it went in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial

from agent.prepare.abbreviations import (
    ABBREVIATIONS,
    COMPOUND_HEADS,
    COMPOUND_STEMS,
    CONTEXTS,
    CONTEXTUAL,
    SPELLINGS,
    speaks,
)
from agent.prepare.context import TOPOGRAPHY, names_tumour
from agent.prepare.patterns import CODE_LEFT, MASK
from agent.prepare.records import Side
from agent.prepare.rules import pattern
from agent.prepare.tidy import Word, render, tidy
from agent.prepare.truncated import full_word, inflected

# A karyotype is one word: t(9;22)(q34;q11.2), inv(16), (p13;q22).
_TOKEN = re.compile(
    r"(?:t|inv|del|der|ins|dup)\([\dv][^\s,]{0,40}|\([pq]\d[^\s()]{0,30}\)"
    r"|[()\[\],;:!\"=<>|{}*_~^#?]|[^\s()\[\],;:!\"=<>|{}*_~^#?]+"
)
_SPELLING_HINT = re.compile("|".join(f"(?:{spelling})" for spelling, _ in SPELLINGS), re.I)
_SPELLINGS = tuple((re.compile(spelling, re.I), text) for spelling, text in SPELLINGS)
_GLUED = re.compile(r"([A-ZÄÖÜa-zäöü][a-zäöü]{3,20})(?:Ca|CA|ca|Tu|karz)\.?\Z")
# "Gallenbl.-Ca", "Ov.-Tumor"
_CUT_COMPOUND = re.compile(
    r"([A-Za-zÄÖÜäöü]{2,20})\.-(Ca|CA|ca|Karzinom|Karz|Tu|TU|Tumor|Metastasen?|Metas|Filiae)\.?\Z"
)
_WHOLE_HEADS = ("tumor", "karzinom", "metastase", "metastasen", "rezidiv")
_SORTED_STEMS = sorted(COMPOUND_STEMS.items(), key=lambda item: (len(item[0]), item[0]))
_FILIAE_IN_WORD = re.compile(r"([A-ZÄÖÜ][a-zäöüß]{2,20}|LK)-?(?:filiae|[Mm]etas|[Mm]ets?|[Mm]etast|filia)\Z")
_SHOUTED = re.compile(r"[A-ZÄÖÜẞ]{8,}(?>-[A-ZÄÖÜ]{3,})*\Z")
_QUADRANT: dict[tuple[str, ...], str] = {
    pair: f"{height} {half} Quadrant"
    for above, height in (("oben", "oberer"), ("unten", "unterer"))
    for beside, half in (("außen", "äußerer"), ("innen", "innerer"))
    for pair in ((above, beside), (beside, above))
}
# A number that ends a code; a few rounds at most look at what comes to stand before it.
_NUMBER_OF_CODE = re.compile(r"\d\d[.,]\d")
_ROUNDS = 8
_BEFORE_A_PLACE = ("in", "im", "der", "des", "am", "an", "bei", "b.", "eines", "einer", "von", "und", "u.")
_BETWEEN_LETTERS = re.compile(r"[^\W\d_]")


def read_words(masked: str, start: int, end: int, around: str = "") -> list[Word]:
    """The expanded words of `masked[start:end]`, where `MASK` and blanks separate words. `around` is what else may
    tell what an abbreviation means."""
    words: list[Word] = []
    for match in _TOKEN.finditer(masked, start, end):
        begin, stop = match.span()
        text = match.group()
        spaced = begin > start and masked[begin - 1].isspace()
        if len(text) == 1 and text in '()[],;:!"=<>|{}*_~^#?':
            if text in "()[],;:":
                words.append(Word("," if text == ";" else text, begin, stop, spaced, True))
            continue
        if not text.strip("."):
            continue
        if text[-1] == "-" and len(text) > 2 and masked[stop : stop + 1] == MASK:
            text = text[:-1]  # "PCA-ED 2018" without its date
        words.append(Word(_spell(text), begin, stop, spaced))
    return tidy(_expand(words, around))


def _spell(text: str) -> str:
    if _SHOUTED.match(text):
        text = "-".join(part.capitalize() for part in text.split("-"))
    if _SPELLING_HINT.search(text) is None:
        return text
    for spelling, replacement in _SPELLINGS:
        text = spelling.sub(_with_capital(replacement), text)
    return text


def _with_capital(replacement: str) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        if match.group()[0].isupper():
            return replacement[0].upper() + replacement[1:]
        return replacement

    return replace


def _expand(words: list[Word], around: str) -> list[Word]:
    expanded: list[Word] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else None
        text = word.text
        if word.mark or text[0] == MASK:
            expanded.append(word)
            continue
        last = expanded[-1] if expanded and not expanded[-1].mark else None
        is_carcinoma = _is_carcinoma(text, following, last)
        if is_carcinoma and last is not None and word.start - last.end <= 1:
            stem = COMPOUND_STEMS.get(last.text.lower())
            if stem is not None:
                expanded[-1] = Word(f"{stem}karzinom", last.start, word.end, last.spaced)
                continue
        if is_carcinoma:
            latin = following is not None and following.text.lower() in ("in", "insitu")
            new = "Carcinoma" if latin else "Karzinom"
        elif (
            text == "M." and following is not None and following.text[0].isupper() and len(following.text) > 3
        ):
            new = "Morbus"
        elif text in ("Met.", "met.", "Metast.", "metast.") and _names_tumour_next(words, place):
            new = "metastasiertes"
        else:
            new = _expansion(text)
            if following is not None and new == full_word(text):
                new = inflected(new, _expansion(following.text))
        expanded += [word] if new == text else _spelt_out(word, new)
    contextual = [w for w in expanded if _bare(w.text).split("-")[0] in CONTEXTUAL]
    lowered = {w.text.lower() for w in expanded}
    if contextual or ("Grad" not in lowered and lowered & {"oben", "unten"}):
        return _expand_in_context(expanded, around)
    return expanded


def _names_tumour_next(words: list[Word], place: int) -> bool:
    """Whether one of the next three words names a tumour, with no mark and no preposition before it: "Met. pap. RCC"."""
    for word in words[place + 1 : place + 4]:
        if word.mark or word.text.lower() in _BEFORE_A_PLACE:
            return False
        if names_tumour(word.text):
            return True
    return False


def _is_carcinoma(text: str, following: Word | None, last: Word | None) -> bool:
    """Whether a word is a free-standing Ca, and not of the marker CA 19-9 or of "ca. 3"."""
    if text not in ("Ca", "CA", "Ca.", "CA.", "ca", "ca.", "Karz."):
        return False
    if following is not None and following.text[:1].isdigit():
        return False
    return text[0] != "c" or (last is not None and _BETWEEN_LETTERS.match(last.text) is not None)


def _spelt_out(word: Word, new: str) -> list[Word]:
    """The words that a word stands for, each at its place."""
    return [word._replace(text=part, spaced=word.spaced or i > 0) for i, part in enumerate(new.split(" "))]


def _bare(text: str) -> str:
    return text[:-1] if text.endswith(".") else text


def _expansion(text: str) -> str:
    """What a word stands for in any context; the word itself where it stands for nothing else."""
    bare = _bare(text)
    for key in (text, bare):
        if key in ABBREVIATIONS and key not in ("Ca", "CA", "Ca."):
            return ABBREVIATIONS[key].expansion
    spelt = None
    if bare not in ABBREVIATIONS:
        spelt = _of_hyphens(text, bare)
    return spelt or _of_cut_compound(text) or _of_glued(text, bare) or full_word(text) or text


def _of_hyphens(text: str, bare: str) -> str | None:
    """ "Mamma-Ca", "NSCLC-Metastasen", "Zungengrund-Ca": the first part with the head that it is written with."""
    if bare.count("-") == 2 and bare.lower().endswith("-ca"):
        return f"{bare[:-3]}-Karzinom"
    first, hyphen, last = text.partition("-")
    head = COMPOUND_HEADS.get(last.lower())
    if not hyphen or head is None:
        return None
    stem = COMPOUND_STEMS.get(first.lower())
    if stem is not None:
        return stem + head
    if first in ABBREVIATIONS:
        known = ABBREVIATIONS[first]
        own = head in ("tumor", "karzinom") and names_tumour(known.expansion)
        return known.expansion if own else f"{known.expansion} {head.capitalize()}"
    if last.lower() in ("ca", "ca."):
        if any(end.end() == len(first) for end in pattern("organ_end").finditer(first)):
            return first + head
        if first.isalnum():
            return f"{first}-Karzinom"
    whole = last.lower() in _WHOLE_HEADS or not first.isalpha()
    return None if whole else f"{first}-{head.capitalize()}"


def _of_cut_compound(text: str) -> str | None:
    """ "Gallenbl.-Ca", "Ov.-Tumor"."""
    cut = _CUT_COMPOUND.match(text)
    if cut is None:
        return None
    head = COMPOUND_HEADS[cut.group(2).lower()]
    stem = next((s for k, s in _SORTED_STEMS if k.startswith(cut.group(1).lower())), None)
    if stem is not None:
        return stem + head
    adjective = full_word(f"{cut.group(1)}.")
    if adjective is None:
        return None
    return f"{inflected(adjective[0].lower() + adjective[1:], head.capitalize())} {head.capitalize()}"


def _of_glued(text: str, bare: str) -> str | None:
    """ "MammaCa", "Lungenfiliae"."""
    glued = _GLUED.match(text)
    if glued is not None:
        stem = COMPOUND_STEMS.get(glued.group(1).lower())
        if stem is None and TOPOGRAPHY.search(glued.group(1)) is not None:
            stem = glued.group(1)
        if stem is not None:
            return stem + ("tumor" if text.rstrip(".").endswith("Tu") else "karzinom")
    filiae = _FILIAE_IN_WORD.match(bare)
    if filiae is None:
        return None
    stem = COMPOUND_STEMS.get(filiae.group(1).lower(), filiae.group(1))
    return stem + ("metastase" if bare.endswith("filia") else "metastasen")


def _expand_in_context(words: list[Word], around: str) -> list[Word]:
    # An abbreviation that needs a context is no context for another one.
    others = " ".join([around, *(word.text for word in words if _bare(word.text) not in CONTEXTUAL)])
    holds = cache(partial(speaks, words=others))
    content = [word for word in words if not word.mark]
    result: list[Word] = []
    place = 0
    while place < len(words):
        word = words[place]
        bare = _bare(word.text)
        first, _, rest = bare.partition("-")
        readings = CONTEXTUAL.get(bare) or (
            CONTEXTUAL.get(first, ()) if rest.lower() in ("tumor", "karzinom", "ca") else ()
        )
        for reading in readings:
            alone = reading.when.endswith("_or_alone") and len(content) == 1
            if alone or holds(reading.when):
                new = reading.expansion
                if rest and bare not in CONTEXTUAL and not names_tumour(new):
                    stem, head = COMPOUND_STEMS.get(new.lower()), COMPOUND_HEADS[rest.lower()]
                    new = stem + head if stem is not None else f"{new}-{head.capitalize()}"
                result += _spelt_out(word, new)
                break
        else:
            pair = tuple(one.text.lower() for one in words[place : place + 2])
            if pair in _QUADRANT and holds("breast"):
                result += _spelt_out(word._replace(end=words[place + 1].end), _QUADRANT[pair])
                place += 1
            else:
                result.append(word)
        place += 1
    return result


def by_the_clock(words: list[Word], side: Side | None) -> list[Word]:
    """ "2 Uhr" of a breast as its quadrant, seen from the front; 12, 3, 6 and 9 o'clock lie between two."""
    places = [i for i, word in enumerate(words) if word.text == "Uhr" and i and words[i - 1].text.isdigit()]
    if side not in ("links", "rechts") or not places or not CONTEXTS["breast"].search(render(words)):
        return words
    place = places[0]
    quarter, rest = divmod(int(words[place - 1].text) % 12, 3)
    if not rest:
        return words
    # From the front, the left breast has its outer half from 12 to 6, the right one its inner half.
    half = "oben" if quarter in (0, 3) else "unten"
    outer = (quarter < 2) == (side == "links")
    spelt = _QUADRANT[half, "außen" if outer else "innen"]
    made = _spelt_out(words[place - 1]._replace(end=words[place].end), spelt)
    return [*words[: place - 1], *made, *words[place + 1 :]]


def without_codes(words: list[Word]) -> list[Word]:
    """Drops what would read as a code after all (two fragments that met when a word between them went)."""
    if CODE_LEFT.search(render(words)) is None:
        return words
    kept = [word for word in words if CODE_LEFT.search(word.text) is None]
    for _ in range(_ROUNDS):
        match = CODE_LEFT.search(render(kept))
        if match is None:
            return kept
        found = set(match.group().split())
        kept = [word for word in kept if word.text not in found and word.text not in match.group()]
    return [word for word in kept if _NUMBER_OF_CODE.search(word.text) is None]
