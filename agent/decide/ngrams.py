"""The n-grams of a text, hashed: what the recogniser weighs.

    buckets_of("Mamma-Ca")                # int64 (n,), one of 2^18 buckets per n-gram, each as often as it occurs

Two to five letters within a word and the blanks around it, as scikit-learn's `char_wb` has them; hashed as its
`HashingVectorizer` does, by MurmurHash3 (Austin Appleby, public domain). `features` is that vectoriser, for training;
texts are read without it, since importing it takes longer than reading ten thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from index.text import normalise

BUCKETS = 2**18
_SHORTEST, _LONGEST = 2, 5
_WORD = 0xFFFFFFFF


def features(texts: Sequence[str]) -> Any:
    """Sparse (n, 2^18) matrix of hashed n-grams, rows of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(_SHORTEST, _LONGEST),
        n_features=BUCKETS,
        alternate_sign=False,
        norm="l2",
        lowercase=False,
    )
    return vectoriser.transform([normalise(text) for text in texts])


def buckets_of(text: str) -> np.ndarray:
    """The bucket of each n-gram of a text."""
    return np.array([_bucket(piece) for piece in _n_grams(normalise(text))], dtype=np.int64)


def _n_grams(text: str) -> Iterator[str]:
    for word in text.split():
        spaced = f" {word} "
        for size in range(_SHORTEST, _LONGEST + 1):
            if size >= len(spaced):
                yield spaced  # a short word counts once
                break
            for start in range(len(spaced) - size + 1):
                yield spaced[start : start + size]


# Parts of words, so that no word of a text is kept.
@lru_cache(maxsize=2**17)
def _bucket(piece: str) -> int:
    signed = murmur3(piece.encode("utf-8"))
    return (signed if signed < 2**31 else 2**32 - signed) % BUCKETS


def murmur3(data: bytes) -> int:
    """MurmurHash3 of 32 bits, seed 0, as an unsigned number."""
    value, whole = 0, len(data) & ~3
    for start in range(0, whole, 4):
        value ^= _mixed(int.from_bytes(data[start : start + 4], "little"))
        value = (_turned(value, 13) * 5 + 0xE6546B64) & _WORD
    if whole < len(data):
        value ^= _mixed(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & _WORD
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & _WORD
    return value ^ (value >> 16)


def _mixed(block: int) -> int:
    return (_turned((block * 0xCC9E2D51) & _WORD, 15) * 0x1B873593) & _WORD


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _WORD
