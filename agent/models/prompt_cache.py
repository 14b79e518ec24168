"""Keys and values of what prompts begin with, computed once: an instruction, examples of hundreds of tokens.

    kept = PromptCache(decoder)
    prefix = kept.prefix_of(prompts, texts=len(batch))     # None where they share too little
    cache = prefix.for_rows(8)                             # a fresh cache for a batch of eight rows

What a call's prompts share is their instruction where they are of several texts; of one text, it is what this call
shares with the one before. A kept prefix that is too long for a call is cut, which is exact: a token's keys and values
depend on what stands before it only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agent.models.prefix_tree import common_prefix
from agent.models.token_head import changes

# Below it, reading a prefix again costs no more than handing it on. Above the upper bound memory is what it costs.
SHORTEST = 24
_LONGEST = 8192


@dataclass(frozen=True, eq=False)
class Prefix:
    """The first tokens of prompts, and per layer their keys and values, each (1, heads, tokens, width)."""

    tokens: tuple[int, ...]
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, length: int) -> Prefix:
        """Its first `length` tokens. The copy lets go of the memory of the others."""
        return Prefix(
            self.tokens[:length],
            tuple(
                (keys[:, :, :length].clone(), values[:, :, :length].clone()) for keys, values in self.layers
            ),
        )

    def for_rows(self, rows: int) -> Any:
        """A cache that `rows` rows may continue; what they add to it is theirs. Layers with a sliding window keep all
        tokens in it, since a mask says what they see."""
        return _cache(
            (keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in self.layers
        )


def empty_cache() -> Any:
    """A cache that any rows may begin. Made without a configuration, it drops nothing that lies behind a sliding
    window."""
    return _cache(())


def cache_of_rows(cache: Any, rows: torch.Tensor) -> Any:
    """A cache of some of its rows; what is added to it is not added to the other."""
    return _cache((layer.keys[rows], layer.values[rows]) for layer in cache.layers)


def _cache(layers: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Any:
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    cache: Any = DynamicCache()
    for keys, values in layers:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


class PromptCache:
    """The last few prefixes of a decoder. Safe for several threads.

    Args:
        decoder: a `transformers` decoder, in eval mode.
        keep: how many prefixes at most are kept.
    """

    def __init__(self, decoder: Any, keep: int = 2) -> None:
        self._decoder = decoder
        self._keep = keep
        self._kept: list[Prefix] = []
        self._before: tuple[int, ...] = ()
        self._version = -1
        self._lock = threading.Lock()

    def prefix_of(self, prompts: Sequence[tuple[int, ...]], *, texts: int) -> Prefix | None:
        """What all prompts begin with, as far as it is worth keeping; each has at least one token after it."""
        lowest, highest = min(prompts), max(prompts)
        shared = lowest[: min(common_prefix(lowest, highest), min(map(len, prompts)) - 1, _LONGEST)]
        with self._lock:
            self._forget_after_training()
            again = len(shared) if texts > 1 else common_prefix(self._before, shared)
            self._before = shared
            # Of those that serve equally well, the one that is cut least.
            usable, _, best = max(
                ((common_prefix(kept.tokens, shared), -len(kept), kept) for kept in self._kept),
                key=lambda found: found[:2],
                default=(0, 0, None),
            )
            others = [kept for kept in self._kept if kept is not best]
            if best is not None and usable >= max(SHORTEST, again - SHORTEST):
                if usable < len(best):
                    # Much longer ones belong to prompts of another kind, which will come again.
                    others = [best, *others] if usable < len(best) - SHORTEST else others
                    best = best.cut(usable)
            elif again >= SHORTEST:
                best, others = self._compute(shared[:again]), self._kept
            else:
                return None
            self._kept = [best, *others][: self._keep]
            return best

    def _forget_after_training(self) -> None:
        """Tensors count their changes; a network that is being trained makes what was kept worthless."""
        version = sum(changes(weight) for weight in self._decoder.parameters())
        if version != self._version:
            self._kept.clear()
            self._version = version

    def _compute(self, tokens: tuple[int, ...]) -> Prefix:
        device = next(self._decoder.parameters()).device
        cache = empty_cache()
        ids = torch.tensor([tokens], device=device)
        self._decoder(input_ids=ids, past_key_values=cache, use_cache=True)
        return Prefix(tokens, tuple((layer.keys, layer.values) for layer in cache.layers))
