"""Candidates for a text: which codes the catalogue lines speak for, and how strongly.

    retriever = Retriever(index, encoder)
    retriever.retrieve(["Mamma-Ca"], CodeSystem.ICD10GM, k=20)[0][0].code     # 'C50.9'

A code's score is the share it holds of a distribution over all codes of the axis: the sum of
exp(scale x cosine) over its nearest lines and its prototypes, as the encoder was trained. A sum, because
ten lines that are all quite near say more than one that is very near. A line that equals the text but
for spelling, blanks and hyphens decides by itself. Lexical search adds candidates, it never ranks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from index.catalogue.catalogue import Catalogue
from index.records import Candidate, CodeSystem, Match
from index.search.encoder import Encoder
from index.search.index import CONTEXT, Index, Space
from index.text import term_key

# Lines beyond the nearest 256 hold a vanishing share: exp(15 x difference of cosines).
_NEAREST = 256
# An exact line is worth this much more log-share than anything that is only near.
_EXACT_BONUS = 8.0
# Lexical finds among the candidates, at the end of the list.
_LEXICAL = 4
# One of this many candidates may come from lexical search.
_LEXICAL_FROM = 5
_MATCHES = 5


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Retrieval for a batch of n texts on an axis with m codes.

    `log_shares` is float32 (n, m) over `codes`; `similarity` and `rows` (n, k) are the nearest lines, best
    first (row -1: none), and `owners` (n, k) the codes that they belong to, as places among `codes` (-1: none); `exact` names the codes that have a line equal to the text. `lexical` names the codes of
    the lexically best lines, at most four per text; None where nobody asked for them.
    """

    system: CodeSystem
    codes: tuple[str, ...]
    log_shares: np.ndarray
    similarity: np.ndarray
    rows: np.ndarray
    owners: np.ndarray
    exact: tuple[tuple[str, ...], ...]
    lexical: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class _Prototypes:
    """The p prototypes of an axis whose codes the index holds: `vectors` (d, p), and which code each belongs to,
    `owners` (p, m), one 1 in each row."""

    vectors: np.ndarray
    owners: csr_array


class Retriever:
    """Searches an index with the encoder that built it."""

    def __init__(self, index: Index, encoder: Encoder) -> None:
        self.index = index
        self.encoder = encoder
        self._prototypes = {name: self._prototypes_of(space) for name, space in index.spaces.items()}

    @classmethod
    def over(cls, catalogue: Catalogue, encoder: Encoder) -> Retriever:
        """Over an index of the catalogue's lines that is made now."""
        return cls(Index.build(catalogue, encoder), encoder)

    def retrieve(self, texts: Sequence[str], system: CodeSystem, k: int = 20) -> list[list[Candidate]]:
        """The k best candidates per text, best first; the last few come from lexical search."""
        found = self.distribution(texts, system)
        if k >= _LEXICAL_FROM:
            found = self.with_lexical(found, texts)
        return [self.candidates(found, row, k) for row in range(len(texts))]

    def codes(self, system: CodeSystem) -> tuple[str, ...]:
        """All codes of an axis, in the order of a retrieval's columns."""
        return self.index.spaces[system.value].codes

    def candidates(self, found: Retrieval, row: int, k: int) -> list[Candidate]:
        """The k best candidates of text `row` of a retrieval; where it has lexical finds, the last few are theirs."""
        order = np.argsort(-found.log_shares[row], kind="stable")[:k].tolist()
        if found.lexical is not None and k >= _LEXICAL_FROM:
            numbers = [found.codes.index(code) for code in found.lexical[row]]
            extra = [number for number in numbers if number not in order][: k // _LEXICAL_FROM]
            order = order[: k - len(extra)] + extra
        return [self.candidate(found, row, found.codes[number]) for number in order]

    def distribution(self, texts: Sequence[str], system: CodeSystem) -> Retrieval:
        """Scores of all codes of an axis for a batch of texts."""
        return self.distributions(texts, [system])[0]

    def distributions(self, texts: Sequence[str], systems: Sequence[CodeSystem]) -> list[Retrieval]:
        """`distribution` on several axes, of texts that are read once."""
        terms = [term_key(text) for text in texts]
        vectors = self.encoder.encode_for(texts, systems)
        return [
            self._scored(system, queries, terms) for system, queries in zip(systems, vectors, strict=True)
        ]

    def _scored(self, system: CodeSystem, queries: np.ndarray, terms: Sequence[str]) -> Retrieval:
        space = self.index.spaces[system.value]
        similarity, rows = search(space, queries, _NEAREST)
        scale, texts, codes = self.encoder.scale, len(terms), len(space.codes)
        # Floor: a code without a near line is as far as the farthest line looked at, and a little farther.
        floor = np.exp(scale * (similarity[:, -1:] if similarity.shape[1] else np.zeros((texts, 1))) - 3.0)
        shares = np.repeat(floor, max(codes, 1), axis=1)[:, :codes].astype(np.float64)
        known = rows >= 0
        owners = np.where(known, space.code_of[rows], -1) if len(space.lines) else rows
        at = np.arange(texts)[:, None] * codes + owners
        near = np.exp(scale * similarity)
        shares += np.bincount(at[known], weights=near[known], minlength=texts * codes).reshape(shares.shape)
        prototypes = self._prototypes[space.name]
        if prototypes is not None:
            shares += np.exp(scale * (queries @ prototypes.vectors)) @ prototypes.owners
        exact = tuple(space.exact.get(term, ()) for term in terms)
        log_shares = np.log(shares)
        for i, codes_hit in enumerate(exact):
            for code in codes_hit:
                log_shares[i, space.number[code]] += _EXACT_BONUS
        if log_shares.size:
            highest = log_shares.max(1, keepdims=True)
            log_shares -= highest + np.log(np.exp(log_shares - highest).sum(1, keepdims=True))
        return Retrieval(system, space.codes, log_shares.astype(np.float32), similarity, rows, owners, exact)

    def candidate(self, found: Retrieval, i: int, code: str) -> Candidate:
        """The candidate for text i and a code, with its best lines."""
        share = float(found.log_shares[i, self.index.spaces[found.system.value].number[code]])
        return Candidate(code, found.system, share, code in found.exact[i], self.matches(found, i, code))

    def matches(self, found: Retrieval, i: int, code: str) -> tuple[Match, ...]:
        """The code's lines among those near text i, best first; at most five."""
        lines = self.index.spaces[found.system.value].lines
        own = np.flatnonzero(self.speaks_for(found, i, code))[:_MATCHES].tolist()
        return tuple(Match(lines[found.rows[i, n]], float(found.similarity[i, n])) for n in own)

    def speaks_for(self, found: Retrieval, i: int, code: str) -> np.ndarray:
        """Which of the lines near text i are lines of the code, as booleans."""
        return np.asarray(found.owners[i] == self.index.spaces[found.system.value].number[code])

    def with_lexical(self, found: Retrieval, texts: Sequence[str]) -> Retrieval:
        """The retrieval of the same texts with their lexical finds."""
        space = self.index.spaces[found.system.value]
        rows = space.lexical.search(texts, 4 * _LEXICAL) if space.lexical is not None else [()] * len(texts)
        codes = (tuple(dict.fromkeys(space.lines[row].code for row in of_text)) for of_text in rows)
        return replace(found, lexical=tuple(of_text[:_LEXICAL] for of_text in codes))

    def non_tumour_lines(self, texts: Sequence[str], k: int = 3) -> list[list[Match]]:
        """The nearest lines that are no tumour diagnosis (other diagnoses, procedures), best first."""
        space = self.index.spaces[CONTEXT]
        similarity, rows = search(space, self.encoder.encode(texts, CodeSystem.ICD10GM), k)
        return [
            [Match(space.lines[r], float(s)) for s, r in zip(sims, found, strict=True) if r >= 0]
            for sims, found in zip(similarity, rows, strict=True)
        ]

    def _prototypes_of(self, space: Space) -> _Prototypes | None:
        if space.name == CONTEXT:
            return None
        prototypes = self.encoder.prototypes(CodeSystem(space.name))
        if prototypes is None:
            return None
        number = space.number
        kept = [i for i, code in enumerate(prototypes.codes) if code in number]
        codes = np.array([number[prototypes.codes[i]] for i in kept], dtype=np.int64)
        owners = csr_array(
            (np.ones(len(kept), np.float32), (np.arange(len(kept)), codes)), shape=(len(kept), len(number))
        )
        return _Prototypes(np.ascontiguousarray(prototypes.vectors[kept].T), owners)


def search(space: Space, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact nearest lines: cosines and row numbers, both (n, min(k, lines)), best first."""
    k = min(k, len(space.lines))
    if k == 0 or not len(queries):
        return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
    return space.flat.search(np.ascontiguousarray(queries, dtype=np.float32), k)
