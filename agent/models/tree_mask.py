"""The attention mask of prefix trees, for scoring and for training: a token sees its ancestors and itself.

mask = tree_mask(ends, position, dtype=torch.float32)     # (rows, 1, columns, columns), added to the attention scores
"""

from __future__ import annotations

from typing import Any

import torch

_SLIDING, _FULL = "sliding_attention", "full_attention"


def tree_mask(
    ends: torch.Tensor,
    position: torch.Tensor,
    *,
    dtype: torch.dtype,
    order: torch.Tensor | None = None,
    read: int = 0,
    before: int = 0,
    window: int | None = None,
    by_layer: bool = False,
) -> Any:
    """The additive mask of rows of trees, (rows, 1, columns - read, before + columns).

    `order` (rows, columns) is each column's place in preorder (None: columns are in preorder), `ends` where its
    descendants end there, `position` how deep in the text it is. The first `read` columns were read in an earlier pass:
    they are seen and see no more. `before` tokens stand in front of all columns, which see them. A `window` counts
    tokens of the text, not columns; with `by_layer` the result is a mask for each type of layer.
    """
    if order is None:
        order = torch.arange(ends.shape[1], device=ends.device)[None]
    seeing = order[:, read:, None]
    visible = (order[:, None, :] <= seeing) & (seeing < ends[:, None, :])
    if before:
        visible = torch.cat([visible.new_ones(*visible.shape[:2], before), visible], -1)
    whole = within = _additive(visible, dtype)
    if window is None:
        return whole
    if int(position.max()) >= window:
        column = torch.arange(before, device=ends.device).expand(len(ends), -1)
        column = torch.cat([column, position], -1)
        within = _additive(visible & (position[:, read:, None] - column[:, None, :] < window), dtype)
    return {_FULL: whole, _SLIDING: within} if by_layer else within


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]
