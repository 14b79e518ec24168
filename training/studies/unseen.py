"""What a reader that has never seen a catalogue line makes of it: a lower estimate of what texts can decide.

    read = read_unseen(lines)                      # catalogue lines of one axis
    read.exact.mean(), read.partial.mean()

Two readers, both cheap. The first takes the line that is nearest by character n-grams (TF-IDF), with the line
and its near-duplicates left out. The second is our static encoder, trained on one half of the lines for a
short while to read the other half, near-duplicates on the same side. The better of the two on an axis counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from index.records import CatalogueLine, CodeSystem
from index.text import normalise
from training.leak import near_groups

_FOLDS = 2
_SEED = 13
_STEPS = 150
_CHUNK = 1000
# Fewer lines than this train no encoder: the n-grams alone read them.
_FEW = 50
Report = Callable[[float], None]


@dataclass(frozen=True)
class UnseenReading:
    """Per line whether the reader's code is right: exactly, and to the three-character code or the four-digit
    histology; `classes` is the number of codes."""

    exact: np.ndarray
    partial: np.ndarray
    classes: int

    def best_reader(self, rows: np.ndarray) -> float:
        """The share that the best possible reader would get right of `rows`, by the bound of Cover and Hart (1967).

        With endless lines a nearest-neighbour reader errs with at most E(2 - E M/(M - 1)), E being the least
        possible error and M the number of codes; solved for E. Lines are not endless, so this is an estimate.
        """
        if self.classes < 2:
            return 1.0
        most = self.classes / (self.classes - 1)
        error = 1 - float(self.exact[rows].mean())
        return 1 - (1 - max(0.0, 1 - most * error) ** 0.5) / most


def read_unseen(lines: Sequence[CatalogueLine], report: Report = lambda share: None) -> UnseenReading:
    """Read every line of an axis without it; `report` gets the share of the work done since it was last called."""
    names, codes = np.unique([line.code for line in lines], return_inverse=True)
    stems = np.unique([_stem(name, lines[0].system) for name in names], return_inverse=True)[1]
    group = near_groups([line.text for line in lines])
    guesses = [_nearest_by_letters(lines, codes, group, report)]
    if len(lines) >= _FEW:
        guesses.append(_nearest_by_encoder(lines, codes, group, report))
    best = max(guesses, key=lambda guess: int((guess == codes).sum()))
    # -1: no other line to be near to.
    known = best >= 0
    return UnseenReading(best == codes, known & (stems[best] == stems[codes]), len(names))


def _nearest_by_letters(
    lines: Sequence[CatalogueLine], codes: np.ndarray, group: np.ndarray, report: Report
) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
    vectors = vectorizer.fit_transform([normalise(line.text) or " - " for line in lines])
    columns = vectors.T.tocsr()
    guess = np.full(len(lines), -1)
    for start in range(0, len(lines), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(lines)))
        similarity = (vectors[rows] @ columns).toarray()
        similarity[group[rows, None] == group] = -1
        near = similarity.argmax(axis=1)
        guess[rows] = np.where(similarity[np.arange(len(rows)), near] >= 0, codes[near], -1)
        report(0.2 * len(rows) / len(lines))
    return guess


def _nearest_by_encoder(
    lines: Sequence[CatalogueLine], codes: np.ndarray, group: np.ndarray, report: Report
) -> np.ndarray:
    fold = np.random.default_rng(_SEED).permutation(int(group.max()) + 1)[group] % _FOLDS
    guess = np.full(len(lines), -1)
    for left_out in range(_FOLDS):
        known, asked = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        if not len(known) or not len(asked):
            continue
        bank, queries = _trained_vectors(lines, known, asked, report)
        for start in range(0, len(asked), _CHUNK):
            near = (queries[start : start + _CHUNK] @ bank.T).argmax(axis=1)
            guess[asked[start : start + _CHUNK]] = codes[known[near]]
    return guess


def _trained_vectors(
    lines: Sequence[CatalogueLine], known: np.ndarray, asked: np.ndarray, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the known and of the asked lines, of an encoder that saw the known ones only."""
    from training.compact.encoder import Settings, train_axis, train_tokenizer

    bank = [(lines[row].text, lines[row].code) for row in known]
    tokenizer = train_tokenizer(text for text, _ in bank)

    def draw(rng: random.Random, n: int) -> list[tuple[str, str, int]]:
        rows = [rng.randrange(len(bank)) for _ in range(n)]
        return [(*bank[row], row) for row in rows]

    table = train_axis(
        bank,
        draw,
        sorted({code for _, code in bank}),
        tokenizer,
        Settings(dimension=64, steps=_STEPS, prototypes_per_code=1, seed=_SEED),
        lambda step, loss: report(0.8 / _FOLDS / _STEPS),
    )
    weights = table.weights.numpy()

    def vectors(rows: np.ndarray) -> np.ndarray:
        ids = [
            e.ids for e in tokenizer.encode_batch([lines[row].text for row in rows], add_special_tokens=False)
        ]
        ends = np.cumsum([0, *map(len, ids)])
        pieces = np.fromiter((i for own in ids for i in own), dtype=np.int64, count=ends[-1])
        summed = (
            csr_matrix((np.ones(len(pieces), np.float32), pieces, ends), (len(rows), len(weights))) @ weights
        )
        return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)

    return vectors(known), vectors(asked)


def _stem(code: str, system: CodeSystem) -> str:
    return code.partition("/")[0] if system is CodeSystem.MORPHOLOGY else code[:3]
