"""From a decoder's states to log-probabilities of tokens, over all tokens of the vocabulary or over some.

    head = TokenHead(model.get_output_embeddings())
    values = head.log_probabilities(states, edge_row, edge_token)       # one value per (state, token) pair

A vocabulary of 262,144 tokens costs more than the layers below it. On a CPU it is gone through in slices that stay in
the processor's cache, each added to a running logarithm of the sum; the values are the same. Where a model was
trained to choose among the tokens of answers only, the rows of those tokens are taken out once and kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from agent.models.tree_rows import MAX_CELLS

# Columns of a slice, and rows of one pass: fp32 and half-precision buffers of both are 12 MiB.
_COLUMNS = 4096
_ROWS = 512


class TokenHead:
    """A model's output embeddings. Safe for several threads."""

    def __init__(self, module: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._module = module
        self._rows: tuple[bytes, int, nn.Linear] | None = None

    def log_probabilities(
        self,
        states: torch.Tensor,
        edge_row: np.ndarray,
        edge_token: np.ndarray,
        vocabulary: np.ndarray | None = None,
    ) -> np.ndarray:
        """Log-probability of `edge_token[i]` after `states[edge_row[i]]`; `edge_row` is ascending.

        Args:
            states: (n, width).
            vocabulary: ascending token ids that hold all of `edge_token`; None is the whole vocabulary.
        """
        module = self._module
        if vocabulary is None:
            if type(module) is nn.Linear and _large(module, states):
                return _in_slices(module, states, edge_row, edge_token)
            return edge_log_probabilities(states, module, edge_row, edge_token)
        columns = np.searchsorted(vocabulary, edge_token)
        if type(module) is nn.Linear:
            return edge_log_probabilities(states, self._rows_of(module, vocabulary), edge_row, columns)
        chosen = torch.from_numpy(vocabulary).to(states.device)
        return edge_log_probabilities(states, lambda rows: module(rows)[:, chosen], edge_row, columns)

    def _rows_of(self, module: nn.Linear, vocabulary: np.ndarray) -> nn.Linear:
        # The counter of changes: rows that were taken before a training step are not those after it.
        key, version = vocabulary.tobytes(), changes(module.weight)
        kept = self._rows
        if kept is not None and kept[:2] == (key, version):
            return kept[2]
        chosen = torch.from_numpy(vocabulary).to(module.weight.device)
        rows = nn.Linear(1, 1, bias=module.bias is not None, device="meta")
        rows.weight = nn.Parameter(module.weight[chosen], requires_grad=False)
        if module.bias is not None:
            rows.bias = nn.Parameter(module.bias[chosen], requires_grad=False)
        self._rows = (key, version, rows)
        return rows


def changes(weight: torch.Tensor) -> int:
    """How often a tensor was changed in place, as by a step of training."""
    return 0 if weight.is_inference() else weight._version


def edge_log_probabilities(
    states: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    edge_row: np.ndarray,
    edge_token: np.ndarray,
) -> np.ndarray:
    """Log-softmax of what `head` makes of each state, gathered at the edges. `edge_row` is ascending."""
    values = np.empty(len(edge_row))
    step = 0
    start = 0
    while start < len(states):
        # The first row tells how wide the vocabulary is; after it, as many rows as the bound allows.
        stop = min(start + max(1, step), len(states))
        logits = head(states[start:stop]).float()
        step = max(1, MAX_CELLS // logits.shape[-1])
        low, high = np.searchsorted(edge_row, [start, stop])
        rows = torch.from_numpy(edge_row[low:high] - start).to(logits.device)
        tokens = torch.from_numpy(edge_token[low:high]).to(logits.device)
        chosen = logits[rows, tokens] - torch.logsumexp(logits, dim=-1)[rows]
        values[low:high] = chosen.double().cpu().numpy()
        start = stop
    return values


def _large(head: nn.Linear, states: torch.Tensor) -> bool:
    return states.device.type == "cpu" and head.out_features > 4 * _COLUMNS


def _in_slices(
    head: nn.Linear, states: torch.Tensor, edge_row: np.ndarray, edge_token: np.ndarray
) -> np.ndarray:
    """As `edge_log_probabilities`, but no more than 4,096 columns of logits exist at a time."""
    chosen = np.empty(len(edge_row), dtype=np.float32)
    normaliser = np.empty(len(states), dtype=np.float32)
    for start in range(0, len(states), _ROWS):
        part = states[start : start + _ROWS]
        low, high = np.searchsorted(edge_row, [start, start + len(part)])
        order = low + np.argsort(edge_token[low:high], kind="stable")
        tokens = edge_token[order]
        # New memory costs more than what is computed in it, so every slice is written over the last.
        raw = torch.empty(len(part), _COLUMNS, dtype=states.dtype)
        logits = torch.empty(len(part), _COLUMNS)
        top = torch.full((len(part), 1), -torch.inf)
        total = torch.zeros(len(part), 1)
        for column in range(0, head.out_features, _COLUMNS):
            weight = head.weight[column : column + _COLUMNS]
            width = len(weight)
            if width < _COLUMNS:
                raw, logits = raw.new_empty(len(part), width), logits.new_empty(len(part), width)
            torch.mm(part, weight.T, out=raw)
            logits.copy_(raw)
            if head.bias is not None:
                logits += head.bias[column : column + width]
            first, last = np.searchsorted(tokens, [column, column + width])
            if first < last:
                here = order[first:last]
                rows = torch.from_numpy(edge_row[here] - start)
                chosen[here] = logits[rows, torch.from_numpy(tokens[first:last] - column)].numpy()
            higher = torch.maximum(top, logits.amax(-1, keepdim=True))
            logits.sub_(higher).exp_()
            total = total * (top - higher).exp() + logits.sum(-1, keepdim=True)
            top = higher
        normaliser[start : start + len(part)] = (top + total.log()).squeeze(1).numpy()
    return chosen.astype(np.float64) - normaliser[edge_row]
