"""Draws training batches from the corpus: tokenised once, mixed by origin, dropped-out pieces each time.

for batch in batches({"catalogue": rows, "composed": more}, {"catalogue": 0.5, "composed": 0.5}, tokenizer, 256, 13): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from agent.models.prompts import Prompts, code_token
from index.records import AXES
from training.compact.model import IGNORED, Batch
from training.corpus import NONE, UNKNOWN, Row

_COMPACT = Prompts("compact")
LONGEST = 64
_DROPOUT = 0.1  # of the pieces of a text


def batches(
    pools: Mapping[str, Sequence[Row]],
    shares: Mapping[str, float],
    tokenizer: PreTrainedTokenizerFast,
    size: int,
    seed: int,
) -> Iterator[Batch]:
    """An endless stream of batches that hold each pool's share; similar lengths share one, so little is padding."""
    tokenised = {
        name: tuple(map(torch.from_numpy, _tokenise(rows, tokenizer))) for name, rows in pools.items()
    }
    rng = torch.Generator().manual_seed(seed)
    window = 8
    while True:
        drawn = []
        for name, share in shares.items():
            ids, lengths, labels = tokenised[name]
            rows = torch.randint(len(ids), (round(size * share) * window,), generator=rng)
            drawn.append((ids[rows], lengths[rows], labels[rows]))
        ids, lengths, labels = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        order = lengths.argsort(stable=True)
        starts = torch.arange(0, len(order) - size + 1, size)
        for start in starts[torch.randperm(len(starts), generator=rng)].tolist():
            chosen = order[start : start + size]
            kept = _dropped_out(ids[chosen], lengths[chosen], tokenizer.pad_token_id, rng)
            yield Batch(*kept, labels[chosen].long())


def _dropped_out(
    ids: torch.Tensor, lengths: torch.Tensor, pad: int, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave out each piece by chance, but never all of a text, and close the gaps; ids and lengths."""
    ids = ids[:, : int(lengths.max())].long()
    there = torch.arange(ids.shape[1]) < lengths[:, None]
    kept = there & (torch.rand(ids.shape, generator=rng) >= _DROPOUT)
    kept |= there & ~kept.any(1, keepdim=True)
    ids = ids.masked_fill(~kept, pad).gather(1, (~kept).to(torch.uint8).argsort(dim=1, stable=True))
    lengths = kept.sum(1)
    return ids[:, : int(lengths.max())], lengths


def label_ids(rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Answer token ids, int32 (n, 4) in the order of QUESTIONS; -100 where a label is unknown."""
    vocabulary = tokenizer.get_vocab()
    labels = np.full((len(rows), 4), IGNORED, dtype=np.int32)
    for i, row in enumerate(rows):
        for j, (axis, code) in enumerate(zip(AXES, row.codes, strict=True)):
            if code != UNKNOWN:
                # A code that the vocabulary lacks (not codable in this edition) stays unknown.
                labels[i, j] = vocabulary.get(code_token(None if code == NONE else code, axis), IGNORED)
        if row.tumour >= 0:
            labels[i, 3] = vocabulary[_COMPACT.tumour_answer(row.tumour == 1)]
    return labels


def _tokenise(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Piece ids (n, longest) right-padded, lengths (n,), labels (n, 4)."""
    encoded = tokenizer.backend_tokenizer.encode_batch([row.core for row in rows], add_special_tokens=False)
    pieces = [e.ids[:LONGEST] or [tokenizer.unk_token_id] for e in encoded]
    lengths = np.array([len(row) for row in pieces], dtype=np.int64)
    # Vocabularies here have a few thousand pieces, and a corpus millions of rows.
    ids = np.full((len(rows), LONGEST), tokenizer.pad_token_id, dtype=np.int16)
    for row, text in zip(ids, pieces, strict=True):
        row[: len(text)] = text
    return ids, lengths, label_ids(rows, tokenizer)
