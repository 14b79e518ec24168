"""Draws training batches from the corpus: tokenised once, mixed by origin, dropped-out pieces each time.

source = BatchSource({"catalogue": rows, "composed": more}, tokenizer)
for batch in source.batches({"catalogue": 0.5, "composed": 0.5}, 256, seed=13): ...
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


class BatchSource:
    """Rows by pool; a batch holds each pool's share. The rows lie on `device`, and batches are made there."""

    def __init__(
        self, pools: Mapping[str, Sequence[Row]], tokenizer: PreTrainedTokenizerFast, device: str = "cpu"
    ) -> None:
        self._pad = tokenizer.pad_token_id
        self._device = device
        self._pools = {
            name: tuple(torch.from_numpy(part).to(device) for part in _tokenise(rows, tokenizer))
            for name, rows in pools.items()
        }

    def batches(
        self, shares: Mapping[str, float], size: int, *, seed: int, dropout: float = 0.1
    ) -> Iterator[Batch]:
        """An endless stream; similar lengths share a batch, so little is padding."""
        rng = torch.Generator(self._device).manual_seed(seed)
        window = 8
        while True:
            drawn = []
            for name, share in shares.items():
                ids, lengths, labels = self._pools[name]
                count = round(size * share) * window
                rows = torch.randint(len(ids), (count,), generator=rng, device=self._device)
                drawn.append((ids[rows], lengths[rows], labels[rows]))
            ids, lengths, labels = (torch.cat(parts) for parts in zip(*drawn, strict=True))
            order = lengths.argsort(stable=True)
            starts = torch.arange(0, len(order) - size + 1, size)
            for start in starts[
                torch.randperm(len(starts), generator=rng, device=self._device).cpu()
            ].tolist():
                chosen = order[start : start + size]
                yield self._batch(ids[chosen], lengths[chosen], labels[chosen].long(), rng, dropout)

    def _batch(
        self,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        labels: torch.Tensor,
        rng: torch.Generator,
        dropout: float,
    ) -> Batch:
        """Leave out each piece by chance, but never all of a text, and close the gaps."""
        ids = ids[:, : int(lengths.max())].long()
        there = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        kept = there & (torch.rand(ids.shape, generator=rng, device=ids.device) >= dropout)
        kept |= there & ~kept.any(1, keepdim=True)
        ids = ids.masked_fill(~kept, self._pad).gather(1, (~kept).to(torch.uint8).argsort(dim=1, stable=True))
        lengths = kept.sum(1)
        return Batch(ids[:, : int(lengths.max())], lengths, labels)


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
