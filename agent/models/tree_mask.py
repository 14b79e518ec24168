"""Attention masks in which a token of a prefix tree sees its ancestors and itself.

mask = tree_mask(ends, depth, dtype=torch.float32)     # (rows, 1, columns, columns), added to the attention scores
"""

from __future__ import annotations

from typing import Any

import torch


def tree_masks(network: Any, ends: torch.Tensor, depth: torch.Tensor) -> Any:
    """The mask of a network for rows of trees in preorder: `ends` and `depth` are (rows, columns), where the
    descendants of column i are the columns up to `ends[i]`. For a network whose layers differ in what they see, a
    mask for each kind of layer, in which a window counts tokens of the text and not columns."""
    config = network.config
    kinds = set(getattr(config, "layer_types", None) or ())
    full = tree_mask(ends, network.dtype)
    if "sliding_attention" not in kinds:
        return full
    window = config.sliding_window
    if depth.shape[1] <= window:
        return dict.fromkeys(kinds, full)
    far = depth[:, None, :, None] - depth[:, None, None, :] >= window
    near = full.masked_fill(far, torch.finfo(full.dtype).min)
    return {kind: near if kind == "sliding_attention" else full for kind in kinds}


def tree_mask(ends: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The additive mask (rows, 1, columns, columns)."""
    index = torch.arange(ends.shape[1], device=ends.device)
    visible = (index[None, None, :] <= index[None, :, None]) & (index[None, :, None] < ends[:, None, :])
    mask = torch.zeros(visible.shape, dtype=dtype, device=ends.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]
