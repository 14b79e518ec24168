"""Lexical search over catalogue lines: BM25 on character four-grams of words.

    lexical = Lexical.build(["Mammakarzinom", "Kolonadenom"])
    lexical.search(["Mamma-Ca"], k=2)      # ([[0, 1]], row numbers, best first)

It adds candidates that the encoder misses (rare words, proper names). Its scores never rank codes: they
ignore behaviour (a Kolonadenom and a Kolonkarzinom share most of their letters).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import bm25s
import numpy as np

from index.io.language import say
from index.io.sealed import UNREADABLE, DamagedFile
from index.text import normalise

FILES = (
    "data.csc.index.npy",
    "indices.csc.index.npy",
    "indptr.csc.index.npy",
    "params.index.json",
    "vocab.index.json",
)
_METHOD = "lucene"
# What decides how it scores; the rest of the engine follows from the arrays.
_SETTINGS = ("k1", "b", "delta", "method", "idf_method", "dtype", "int_dtype", "backend")
_WIDTH = 4


def grams(text: str) -> list[str]:
    """Character four-grams of each word, the word's ends marked; short words stay whole."""
    found: list[str] = []
    for word in normalise(text).split():
        marked = f"<{word}>"
        found.extend(marked[i : i + _WIDTH] for i in range(max(1, len(marked) - _WIDTH + 1)))
    return found


class Lexical:
    """A BM25 index; rows are numbered as the texts that it was built from."""

    def __init__(self, engine: bm25s.BM25, size: int) -> None:
        self._engine = engine
        self._size = size

    @classmethod
    def build(cls, texts: Iterable[str]) -> Lexical:
        tokens = [grams(text) or ["<>"] for text in texts]
        engine = bm25s.BM25(method=_METHOD)
        engine.index(tokens, show_progress=False)
        return cls(engine, len(tokens))

    def search(self, texts: Sequence[str], k: int) -> list[list[int]]:
        """The k best rows per text, best first; fewer where fewer share a four-gram with it."""
        k = min(k, self._size)
        queries = [grams(text) for text in texts]
        asked = [i for i, query in enumerate(queries) if query]
        found: list[list[int]] = [[] for _ in texts]
        if not asked or k == 0:
            return found
        rows, scores = self._engine.retrieve([queries[i] for i in asked], k=k, show_progress=False)
        for i, row, score in zip(asked, np.asarray(rows), np.asarray(scores), strict=True):
            found[i] = [int(r) for r, s in zip(row, score, strict=True) if s > 0]
        return found

    def save(self, folder: Path) -> None:
        self._engine.save(str(folder), corpus=None, show_progress=False)

    @classmethod
    def load(cls, folder: Path, size: int) -> Lexical:
        """The index of `size` texts. Raises `DamagedFile` for one that is not as `build` makes them: its numbers lead
        into arrays."""
        try:
            engine = bm25s.BM25.load(str(folder), load_corpus=False, allow_pickle=False)
            sound = _sound(engine, size)
        except UNREADABLE as error:
            raise DamagedFile(folder, say("damaged-unreadable", kind=type(error).__name__)) from None
        if not sound:
            raise DamagedFile(folder, say("damaged-lexical-size", count=size))
        return cls(engine, size)


def _sound(engine: bm25s.BM25, size: int) -> bool:
    """Whether the arrays are a matrix of words by texts, and the vocabulary its columns."""
    ours = bm25s.BM25(method=_METHOD)
    data, rows, starts = (engine.scores[name] for name in ("data", "indices", "indptr"))
    arrays = (data, rows, starts)
    if any(getattr(engine, name) != getattr(ours, name) for name in _SETTINGS):
        return False
    if any(array.ndim != 1 for array in arrays) or data.dtype.kind != "f" or not np.isfinite(data).all():
        return False
    if rows.dtype.kind not in "iu" or starts.dtype.kind not in "iu" or len(data) != len(rows):
        return False
    if not len(starts) or starts[0] != 0 or starts[-1] != len(data) or (np.diff(starts) < 0).any():
        return False
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < size:
        return False
    words = engine.vocab_dict
    return (
        isinstance(words, dict)
        and engine.scores.get("num_docs") == size
        # The engine lists the empty word, which no text holds, without a column.
        and all(type(c) is int and (0 <= c < len(starts) - 1 or not word) for word, c in words.items())
    )
