"""Text normalisation: the one form in which catalogue terms and diagnosis texts are compared for equality.

normalise("Nicht-kleinzelliges  Bronchial-Carcinom")    # 'nicht kleinzelliges bronchial karzinom'
term_key("Mamma-Karzinom") == term_key("Mammakarzinom") # True
"""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD = re.compile(r"[\W_]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
# A run of combining marks is put in order in quadratic time; no letter has more than a few, and all are dropped.
_MOST_MARKS = 8
_SHORT = 200

# German letters are written out, because both spellings occur in one and the same hospital system.
_FOLD = str.maketrans({
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "oe", "ł": "l",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "κ": "kappa", "λ": "lambda",
})  # fmt: skip

# Latin and German spellings of one word stem. Only stems that stay distinct from every other word are
# here; "coli" (colon or the bacterium), for one, would not be.
_SPELLINGS: tuple[tuple[str, str], ...] = (
    ("carcin", "karzin"), ("sarcom", "sarkom"), ("leucaem", "leukaem"), ("cyst", "zyst"), ("cyto", "zyto"),
    ("cytaer", "zytaer"), ("cellul", "zellul"), ("cervi", "zervi"), ("zervical", "zervikal"),
    ("rectum", "rektum"), ("rectal", "rektal"), ("colon", "kolon"), ("colorekt", "kolorekt"),
    ("pancrea", "pankrea"), ("coecum", "zoekum"), ("caecum", "zoekum"), ("zaekum", "zoekum"),
    ("ductal", "duktal"), ("acinaer", "azinaer"), ("vascul", "vaskul"),
)  # fmt: skip


def normalise(text: str) -> str:
    """The comparable form of `text`: lower case, ASCII where German allows it, words one space apart.

    Runs in linear time, is idempotent, and survives lone surrogates and control characters (they count
    as spaces). Returns an empty string for a text without letters and digits.
    """
    if len(text) > _SHORT and not text.isascii():
        text = _with_few_marks(text)
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_FOLD)
    if not folded.isascii():
        # Remaining accents (é, ñ) are dropped: they are typed or left out at random.
        decomposed = unicodedata.normalize("NFKD", folded)
        folded = "".join(ch for ch in decomposed if not unicodedata.combining(ch)).casefold().translate(_FOLD)
    folded = _NOT_WORD.sub(" ", folded).strip()
    for latin, german in _SPELLINGS:
        if latin in folded:
            folded = folded.replace(latin, german)
    return folded


def _with_few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def term_key(text: str) -> str:
    """`normalise` without the spaces, so that hyphenation and compounding do not tell two terms apart."""
    return normalise(text).replace(" ", "")


def writable(text: str) -> str:
    """A text that every file and database can hold: halves of letters, which JSON can hold, are replaced one by
    one, so that offsets stay right."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
