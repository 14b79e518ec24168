"""Draws training batches from the corpus: tokenised once, mixed by origin, dropped-out pieces each time.

source = BatchSource(rows, tokenizer, shares={"catalogue": 0.45, "composed": 0.42, "other": 0.13})
for batch in source.batches(256, seed=13): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from agent.prompts import Prompts, code_token
from index.records import AXES
from training.base_model import IGNORED, Batch
from training.corpus import NONE, UNKNOWN, Row

_COMPACT = Prompts("compact")
LONGEST = 64


class BatchSource:
    """Rows by pool; a batch holds each pool's share. `pool_of` maps a row's origin to a pool."""

    def __init__(self, pools: Mapping[str, Sequence[Row]], tokenizer: PreTrainedTokenizerFast) -> None:
        self._pad = tokenizer.pad_token_id
        self._pools = {name: _tokenise(rows, tokenizer) for name, rows in pools.items()}

    def batches(
        self, shares: Mapping[str, float], size: int, *, seed: int, dropout: float = 0.1
    ) -> Iterator[Batch]:
        """An endless stream; similar lengths share a batch, so little is padding."""
        rng = np.random.default_rng(seed)
        counts = {name: round(size * share) for name, share in shares.items()}
        window = 8
        while True:
            ids: list[np.ndarray] = []
            labels = []
            for name, count in counts.items():
                texts, answers = self._pools[name]
                drawn = rng.integers(0, len(texts), count * window)
                ids.extend(texts[i] for i in drawn)
                labels.append(answers[drawn])
            answers = np.concatenate(labels)
            order = np.argsort([len(text) for text in ids], kind="stable")
            for start in rng.permutation(np.arange(0, len(order) - size + 1, size)):
                chosen = order[start : start + size]
                yield self._batch([ids[i] for i in chosen], answers[chosen], rng, dropout)

    def _batch(
        self, ids: list[np.ndarray], labels: np.ndarray, rng: np.random.Generator, dropout: float
    ) -> Batch:
        kept = [text[rng.random(len(text)) >= dropout] if dropout else text for text in ids]
        kept = [k if len(k) else text for k, text in zip(kept, ids, strict=True)]
        longest = max(len(text) for text in kept)
        padded = np.full((len(kept), longest), self._pad, dtype=np.int64)
        for row, text in zip(padded, kept, strict=True):
            row[: len(text)] = text
        lengths = torch.tensor([len(text) for text in kept])
        return Batch(torch.from_numpy(padded), lengths, torch.from_numpy(labels))


def label_ids(rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Answer token ids, int64 (n, 4) in the order of QUESTIONS; -100 where a label is unknown."""
    vocabulary = tokenizer.get_vocab()
    labels = np.full((len(rows), 4), IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        for j, (axis, code) in enumerate(zip(AXES, row.codes, strict=True)):
            if code != UNKNOWN:
                # A code that the vocabulary lacks (not codable in this edition) stays unknown.
                labels[i, j] = vocabulary.get(code_token(None if code == NONE else code, axis), IGNORED)
        if row.tumour >= 0:
            labels[i, 3] = vocabulary[_COMPACT.tumour_answer(row.tumour == 1)]
    return labels


def _tokenise(rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> tuple[list[np.ndarray], np.ndarray]:
    encoded = tokenizer.backend_tokenizer.encode_batch([row.core for row in rows], add_special_tokens=False)
    unknown = tokenizer.unk_token_id
    ids = [np.array(e.ids[:LONGEST] or [unknown], dtype=np.int64) for e in encoded]
    return ids, label_ids(rows, tokenizer)
