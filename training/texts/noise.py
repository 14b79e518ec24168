"""Clinical noise: how the same diagnosis looks when somebody types it between two patients.

    perturb("Plattenepithelkarzinom des Larynx links", random.Random(3))
    # 'PE-Ca Larynx li.'

Nothing that carries a label is touched: roman grades, everything with a digit, `in situ`, negations.
Used on composed texts and on catalogue lines alike.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from index.catalogue.overrides import table_rows
from training.texts.tables import TABLES, values
from training.texts.wrappers import one

_PROTECTED = re.compile(
    r"(\S*\d\S*|\b[a-z]{0,2}[TNM][xX]\b"
    r"|\b[IVX]+[ABCabc]?\b"
    r"|\b[Ii]n[ -][Ss]itu\b"
    r"|\b(?:[Kk]ein\w*|[Nn]icht\w*|[Oo]hne|[Aa]usschluss|[Aa]usgeschlossen|[Nn]eg(?:ativ\w*|\.)|[Pp]os(?:itiv\w*|\.))"
    r"|[+-](?=\s|$))"
)
# casing leaves only what would be misread: formulas and roman grades
_CASELESS = re.compile(r"(\S*\d\S*|\b[a-z]{0,2}[TNM][xX]\b|\b[IVX]+[ABCabc]?\b)")
_FORMS: dict[str, dict[str, tuple[str, ...]]] = {"abbreviation": {}, "spelling": {}}
for _, _row in table_rows(TABLES / "noise.tsv", ("kind", "word", "forms")):
    _FORMS[_row["kind"]][_row["word"]] = values(_row["forms"])
_ABBREVIATIONS, _SPELLINGS = _FORMS["abbreviation"], _FORMS["spelling"]
_ABBREVIATION_PATTERN = re.compile("|".join(re.escape(t) if t in ("karzinom", "Schilddrüsen") else rf"\b{re.escape(t)}\b"
                                            for t in sorted(_ABBREVIATIONS, key=len, reverse=True)))  # fmt: skip
_SPELLING_PATTERN = re.compile("|".join(sorted(_SPELLINGS, key=len, reverse=True)), re.IGNORECASE)
_COMPOUND = re.compile(r"(?<=[a-zäöüß]{4})(karzinom|tumor|metastasen?|sarkom|lymphom|krebs|adenom|melanom)")
_ARTICLES = re.compile(r" (?:der|des|eines|einer|im|in der|am|an der) (?=[a-zA-ZÄÖÜäöü])")
_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{7,}")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})
_BARE = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "Ä": "A", "Ö": "O", "Ü": "U", "ß": "s"})
_FIXED_ORDER = re.compile(
    r"[:\n]|\b(?:kein|ohne|nicht|Ausschluss|bei|eine[rs]|V\. ?a|Va|Verdacht|Z\. ?n|Zn|Zustand|St\.p)",
    re.IGNORECASE,
)


def perturb(text: str, rng: random.Random, strength: float = 1.0) -> str:
    """The text as somebody might have typed it; never empty unless the text was.

    Args:
        strength: 0 leaves the text alone, 1 changes about three texts in five, 2 nearly every one.
    """
    if not text or strength <= 0:
        return text
    if "," in text and rng.random() < 0.07 * strength and not _FIXED_ORDER.search(text):
        parts = [part for part in text.split(", ") if part]
        rng.shuffle(parts)
        text = ", ".join(parts)
    pieces = _PROTECTED.split(text)
    # odd pieces are the protected ones
    for change, probability in _CHANGES:
        if rng.random() < probability * strength:
            pieces[::2] = [change(piece, rng) if piece.strip() else piece for piece in pieces[::2]]
    noisy = "".join(pieces)
    if rng.random() < 0.25 * strength:
        casing = one(rng, _CASINGS)
        pieces = _CASELESS.split(noisy)
        pieces[::2] = [casing(piece) for piece in pieces[::2]]
        noisy = "".join(pieces)
    return noisy if noisy.strip() else text


def _abbreviate(piece: str, rng: random.Random) -> str:
    return _ABBREVIATION_PATTERN.sub(
        lambda hit: one(rng, _ABBREVIATIONS[hit.group()]) if rng.random() < 0.7 else hit.group(), piece
    )


def _respell(piece: str, rng: random.Random) -> str:
    def other(hit: re.Match[str]) -> str:
        found = hit.group()
        if rng.random() < 0.3:
            return found
        spelling = one(rng, _SPELLINGS[found.lower()])
        return (
            spelling.upper() if found.isupper() else spelling.capitalize() if found[0].isupper() else spelling
        )

    return _SPELLING_PATTERN.sub(other, piece)


def _split_compound(piece: str, rng: random.Random) -> str:
    joint = one(rng, (" ", "-", "-", "- "))
    capital = rng.random() < 0.6
    return _COMPOUND.sub(lambda hit: joint + (hit.group().capitalize() if capital else hit.group()), piece)


def _hyphens(piece: str, rng: random.Random) -> str:
    joint = one(rng, ("", " ", " "))
    return re.sub(r"(?<=[A-Za-zäöüß])-(?=[A-Za-zÄÖÜäöü])", joint, piece)


def _typo(piece: str, rng: random.Random) -> str:
    """One slip of the finger in one long word, never in its first two letters."""
    words = list(_WORD.finditer(piece))
    if not words:
        return piece
    word = words[int(rng.random() * len(words))]
    at = word.start() + 2 + int(rng.random() * (word.end() - word.start() - 3))
    slip = rng.random()
    if slip < 0.35:
        return piece[:at] + piece[at + 1] + piece[at] + piece[at + 2 :]
    if slip < 0.7:
        return piece[:at] + piece[at + 1 :]
    return piece[:at] + piece[at] + piece[at:]


def _articles(piece: str, rng: random.Random) -> str:
    return _ARTICLES.sub(" ", piece)


def _punctuation(piece: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.4:
        return piece.replace(", ", " ")
    if draw < 0.6:
        return piece.replace(", ", ",").replace(". ", ".")
    if draw < 0.75:
        return piece.replace(" ", "  ", 1)
    if draw < 0.9:
        return piece.replace(".", "")
    return piece.replace(", ", "; ")


_CHANGES: tuple[tuple[Callable[[str, random.Random], str], float], ...] = (
    (_abbreviate, 0.35),
    (_respell, 0.2),
    (_articles, 0.1),
    (_split_compound, 0.1),
    (_hyphens, 0.12),
    (_punctuation, 0.2),
    (_typo, 0.14),
    (lambda piece, rng: piece.translate(_UMLAUTS), 0.1),
    (lambda piece, rng: piece.translate(_BARE), 0.015),
)
_CASINGS: tuple[Callable[[str], str], ...] = (str.lower,) * 7 + (str.upper,) * 2 + (str.title,)
