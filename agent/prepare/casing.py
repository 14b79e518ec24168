"""A text in capitals, or in small letters throughout, with the letters that its words have elsewhere.

recased("pca, gleason 4+5=9")          # 'PCa, Gleason 4+5=9'
recased("MAMMA-CA LI., PT2 PN1")       # 'Mamma-Ca li., pT2 pN1'

How words are written is known from the abbreviations, the built-in lexicon and the examples of the tables. No letter is
added or lost. A text that holds both is returned as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL
from agent.prepare.known_words import lexicon_texts
from agent.prepare.rules import rules
from agent.prepare.truncated import adjectives

_FEWEST = 6  # letters, below which capitals may be an abbreviation
_LETTERS = re.compile(r"[^\W\d_]+")
# The part of a word up to a hyphen or a stop, with the digits that an abbreviation may have.
_WORD = re.compile(r"[^\W_]+(?:/[^\W_]+)?")
_TNM = re.compile(
    r"(?<![^\W_])pn(?P<nerves>[01])(?![^\W_])(?=\W{1,2}[rg][0-3x])(?<=[lv][0-2x] pn[01])"
    r"|(?<![^\W_])(?P<before>[apcryu]{0,3})(?P<category>[tnm])(?P<value>is|[ax]|[0-4][a-d]?|\+)(?=[\W_]|[yapcru]{0,3}[tnm][0-4x]|\Z)"
    r"|(?<![^\W_])(?P<other>[lvrgs])(?P<rest>[0-3xh])(?![^\W_])",
    re.IGNORECASE | re.ASCII,
)
# Abbreviations that are words or units as well, and the short ones that are not.
_WORDS_TOO = frozenset(("ein", "alt", "per", "din", "mis", "act", "bra"))
_SHORT = frozenset(("ca", "tu", "lk", "sd", "nn", "ol", "ul", "hl", "ks", "bc", "gb", "hw", "vw", "sw", "nb"))
_LOWER_ENDS = (
    "ig",
    "isch",
    "lich",
    "ert",
    "iert",
    "en",
    "te",
    "tes",
    "ter",
    "är",
    "al",
    "ale",
    "ales",
    "aler",
    "ell",
    "ös",
    "em",
    "es",
    "os",
    "end",
)


def recased(text: str) -> str:
    """The text with the letters that its words have elsewhere, where it has but capitals or none."""
    if sum(map(str.isalpha, text)) < _FEWEST or not (text.isupper() or text.islower()):
        return text
    changed = _WORD.sub(lambda match: _word(match.group()), text)
    return recased_formula(changed)


def recased_formula(text: str) -> str:
    """TNM categories as they are written: `pTa` for `PTA` and `pta`."""
    return _TNM.sub(_category, text)


def _word(word: str) -> str:
    lowered = word.lower()
    if len(lowered) != len(word):
        return word
    known = _forms().get(lowered)
    if known is not None:
        return known
    if not word.isalpha() or len(word) < 4:
        return lowered if word.isupper() and len(word) > 5 else word
    capital = lowered[0].upper()
    return lowered if len(capital) != 1 or lowered.endswith(_LOWER_ENDS) else capital + lowered[1:]


def _category(match: re.Match[str]) -> str:
    if match["category"]:
        value = match["value"]
        return (
            f"{match['before'].lower()}{match['category'].upper()}{'X' if value in 'xX' else value.lower()}"
        )
    return f"Pn{match['nerves']}" if match["nerves"] else f"{match['other'].upper()}{match['rest'].upper()}"


@cache
def _forms() -> dict[str, str]:
    """How words are written, by their small letters: what is found oftenest, abbreviations as they are."""
    counted: dict[str, Counter[str]] = {}
    examples = [rule.example for rows in rules().values() for rule in rows]
    for text in (*lexicon_texts(), *examples):
        for number, word in enumerate(_LETTERS.findall(text)):
            # The first word of a line may have its capital from there.
            if len(word) > 1 and not (number == 0 and word.istitle() and word.lower() in adjectives()):
                counted.setdefault(word.lower(), Counter())[word] += 1
    forms = {lowered: max(found, key=found.__getitem__) for lowered, found in counted.items()}
    forms |= {word: word for word in adjectives()}
    shorts: dict[str, set[str]] = {}
    for short in (*ABBREVIATIONS, *CONTEXTUAL):
        shorts.setdefault(short.lower().removesuffix("."), set()).add(short.removesuffix("."))
    for lowered, found in shorts.items():
        # PNET and pNET are two tumours, PCa and PCA are one.
        meanings = {tuple(CONTEXTUAL.get(one, ())) or ABBREVIATIONS.get(one) for one in found}
        if lowered not in _WORDS_TOO and (len(lowered) > 2 or lowered in _SHORT) and len(meanings) < 2:
            forms[lowered] = max(found)
    return forms
