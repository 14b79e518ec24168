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

from index.text import normalise

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
        engine = bm25s.BM25(method="lucene")
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
        return cls(bm25s.BM25.load(str(folder), load_corpus=False, allow_pickle=False), size)
