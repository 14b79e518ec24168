"""Adjectives that are written down to their stem and a full stop: "kleinzell. Ca", "retroperit. Sarkom".

    full_word("kleinzell.")        # 'kleinzellig'
    full_word("bekannt.")          # None: a whole word, and the stop ends a sentence

`adjectives.txt` holds the whole words, one a line, without their endings; where a stem begins several, the first
one of the file is meant.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path

_SHORTEST, _LONGEST = 4, 100
# Stems too short for the rule, and words that begin an adjective and are whole by themselves ("").
_SHORT = {
    "mult": "multiple", "hep": "hepatisch", "oss": "ossär", "lap": "laparoskopisch", "dist": "distal", "prox": "proximal", "pulm": "pulmonal",
    "dors": "dorsal", "ventr": "ventral", "kran": "kranial", "kaud": "kaudal", "occ": "okzipital", "okz": "okzipital",
    "occip": "okzipital", "fol": "follikulär", "nod": "nodulär", "skl": "sklerosierend", "seb": "seborrhoisch", "pap": "papillär", "muz": "muzinös", "unt": "unterer", "ob": "oberer",
    "äuß": "äußerer", "inn": "innerer", "mittl": "mittlerer", "oberfl": "oberflächlich",
    **dict.fromkeys(("obere", "supra", "extra", "intra", "klein", "groß", "rein", "hell", "inter", "peri", "para", "retro", "multi", "spät",
                     "früh", "anti", "endo", "meta", "niedrig", "hoch", "fest", "weich", "flach", "rand", "ober", "unter", "mittel", "vorder", "hinter"), ""),
}  # fmt: skip
_TOKEN_BEFORE = re.compile(r"[A-Za-zÄÖÜäöüß]+(?>-[A-Za-zäöüß]+)*\Z")
# No German word that could end a sentence ends so.
_NO_END = re.compile(r"(?:[^aeiouyäöühlnr]l|[bcdfgkmpt]r|chr|ll|pl|[jpqvwx])\Z")
_NO_NOUN = re.compile(r"[bdfhkmpstz]g\Z")  # Neubildg, Absiedlg
_ADJECTIVE = re.compile(r"(?:ig|är|al|ell|isch|ös|gen|iv|end|oid|morph|bar|ant|ert)\Z")
_ENDINGS = ((re.compile(r"(?:tumor|näv\w+|polyp|herd)\Z", re.I), "er"), (re.compile(r"(?:om|rezidiv|malignom|ca\.?)\Z", re.I), "es"),
            (re.compile(r"(?:ung|ie|ose|ase|asen|ion|ome)\Z", re.I), "e"))  # fmt: skip


@lru_cache(maxsize=1)
def _adjectives() -> tuple[tuple[str, ...], dict[str, int]]:
    """Sorted, and the line of each."""
    listed = (Path(__file__).parent / "adjectives.txt").read_text(encoding="utf-8").split()
    rank = {word: n for n, word in reversed([*enumerate(listed)])}
    return tuple(sorted(rank)), rank


def adjectives() -> frozenset[str]:
    """The whole words, without their endings."""
    return frozenset(_adjectives()[0])


def full_word(token: str) -> str | None:
    """The adjective that a token with a final stop stands for, with the token's capital; None where it is no
    such stem. In "parieto-occ." only the last part counts."""
    if not token.endswith(".") or len(token) > _LONGEST:
        return None
    head, hyphen, stem = token[:-1].rpartition("-")
    if head.endswith("."):
        head = full_word(head) or head
    lowered = stem.lower().replace("cell", "zell")
    known = _SHORT.get(lowered)
    if known is None and len(lowered) >= _SHORTEST:
        words, rank = _adjectives()
        if lowered in rank:
            return None
        start = bisect_left(words, lowered)
        begun = [w for w in words[start : start + 40] if w.startswith(lowered)]
        known = min(begun, key=rank.__getitem__, default=None)
    if not known:
        return None
    return head + hyphen + (known.capitalize() if stem[:1].isupper() and not hyphen else known)


def inflected(word: str, noun: str) -> str:
    """An adjective before a noun with the noun's ending, as the catalogues write it: kleinzelliges Karzinom."""
    if noun[:1].isupper() and _ADJECTIVE.search(word):
        for pattern, ending in _ENDINGS:
            if pattern.search(noun):
                return word + ending
    return word


def is_truncated(before: str) -> bool:
    """Whether a text that a stop follows ends with a stem, so that the stop ends no sentence."""
    match = _TOKEN_BEFORE.search(before)
    if match is None:
        return False
    word = match.group()
    if full_word(f"{word}.") is not None or _NO_NOUN.search(word) is not None:
        return True
    return len(word) > 4 and word[0].islower() and _NO_END.search(word) is not None
