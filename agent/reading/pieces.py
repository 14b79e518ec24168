"""A text in pieces, with what the retrieval encoder knows of their words.

    pieces = pieces_of("Die PE ergab ein Adenokarzinom.", tokenizer, Lexicon(Encoder.load()))
    pieces.ids, pieces.offsets, pieces.words, pieces.vectors

A word's vectors on the three axes tell what a reader never saw in training: that only catalogues hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Regex, Tokenizer, pre_tokenizers

from index.records import AXES
from index.search.encoder import Encoder

_MOST_WORDS = 200_000  # kept by a lexicon
# How SentencePiece writes the blank before a word.
_BLANK = "\u2581"


class Lexicon:
    """What an encoder knows of words: their vectors on the axes, side by side; each word is asked for once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}
        self.width = sum(encoder.dimension(axis) for axis in AXES)

    def vectors(self, words: Sequence[str]) -> np.ndarray:
        """float32 (n, width)."""
        new = list(dict.fromkeys(word for word in words if word not in self._vectors))
        if len(self._vectors) + len(new) > _MOST_WORDS:
            self._vectors.clear()
            new = list(dict.fromkeys(words))
        if new:
            found = np.concatenate(self._encoder.encode_for(new, AXES), axis=1)
            self._vectors.update(zip(new, found, strict=True))
        if not words:
            return np.zeros((0, self.width), np.float32)
        return np.stack([self._vectors[word] for word in words])


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces: `ids` (n,), `offsets` (n, 2), the number of each piece's word (n,), and the words' `vectors`
    (words, width)."""

    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray
    vectors: np.ndarray


def pieces_of(text: str, tokenizer: Tokenizer, lexicon: Lexicon) -> Pieces:
    """The pieces of a text with what is known of their words."""
    # Tokenizers refuse lone surrogates, which broken encodings leave behind; places stay.
    text = text.encode("utf-8", "replace").decode("utf-8")
    encoded = tokenizer.encode(text, add_special_tokens=False)
    offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
    words = np.array(encoded.word_ids, dtype=np.int64)
    # A blank before a word belongs to its first piece, but to no mention.
    offsets[:, 0] += np.array([text[start:end][:1] == " " for start, end in offsets], dtype=np.int64)
    firsts = np.flatnonzero(np.diff(words, prepend=-1))
    lasts = np.append(firsts[1:], len(words))[: len(firsts)] - 1
    spelt = [text[offsets[a, 0] : offsets[b, 1]] for a, b in zip(firsts, lasts, strict=True)]
    numbers = np.repeat(np.arange(len(firsts)), lasts - firsts + 1)
    return Pieces(np.array(encoded.ids, dtype=np.int64), offsets, numbers, lexicon.vectors(spelt))


def word_splitter(before: str = "") -> pre_tokenizers.PreTokenizer:
    """Divides a text into words, single digits, marks and line breaks, each with what may stand `before` it; blanks
    are no pieces."""
    pattern = rf"\n|{before}\p{{L}}+|{before}\p{{N}}|{before}[^\s\p{{L}}\p{{N}}{_BLANK}]"
    return pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)


def by_words(tokenizer: Tokenizer) -> Tokenizer:
    """A language model's tokenizer, made to divide a text at its words first, each with the blank before it, with which
    the model learnt it: SentencePiece's sign for it, or that of byte-level pieces."""
    if "ByteLevel" in str(tokenizer.pre_tokenizer):
        bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([word_splitter(" ?"), bytewise])
    else:
        marked = tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str(" ") == _BLANK
        tokenizer.pre_tokenizer = word_splitter(f"{_BLANK}?" if marked else "")
    return tokenizer
