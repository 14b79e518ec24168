"""Several pairs in a row: what the trainer hands to a network whose attention has no kernel for packed rows.

    collate = PackedRows(pad_token_id=tokenizer.pad_token_id)
    collate([{"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, -100, -100, 5], "seq_lengths": [2, 3]}])

TRL's own collator flattens a whole batch into one row, which its variable-length flash kernels want. With PyTorch's
attention that row's mask grows with the square of the batch. Here a batch stays a batch of rows: transformers tells
the pairs of a row apart by their positions, and the mask grows with the square of a row alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

_IGNORED = -100


class PackedRows:
    """A collator for rows of whole pairs (`seq_lengths`), or for single pairs where that is missing."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `labels` and `position_ids`, each (rows, longest row), padded on the right."""
        width = max(len(example["input_ids"]) for example in examples)
        ids = torch.full((len(examples), width), self.pad_token_id)
        labels = torch.full_like(ids, _IGNORED)
        # Padding stands at position 0 throughout: each pad is a sequence of its own, which nothing else sees.
        position = torch.zeros_like(ids)
        for row, example in enumerate(examples):
            length = len(example["input_ids"])
            ids[row, :length] = torch.tensor(example["input_ids"])
            labels[row, :length] = torch.tensor(example["labels"])
            lengths = example.get("seq_lengths") or [length]
            position[row, :length] = torch.cat([torch.arange(n) for n in lengths])
            # A pair's first token must not be predicted from the pair before it.
            starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
            labels[row, starts] = _IGNORED
        return {"input_ids": ids, "labels": labels, "position_ids": position}


def real_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """How many tokens of a batch are no padding, as a tensor on its device (reading it waits for the device)."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum()
    if "cu_seq_lens_q" in batch or "position_ids" not in batch:
        return torch.tensor(batch["input_ids"].numel(), device=batch["input_ids"].device)
    moved = batch["position_ids"] > 0
    # The last token of a row is never at position 0, since a pair has a question and an answer.
    return (moved.shape[1] - moved.flip(1).int().argmax(1)).sum()
