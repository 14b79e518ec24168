"""The embedded model's decoder (a Qwen3 of four layers) in NumPy: what it costs is its matrix products.

    network = CompactNetwork.load(folder, adapter)
    states = network.states(ids, depth, order, end, where)        # (len(where), width), of a batch of prefix trees

On a model this small, a general framework spends most of its time between the products, and a second and a half on
being imported. The rows of a batch are packed, so that nothing is computed for padding outside of attention; the
normalisations' gains are folded into the matrices behind them; the last layer is computed for the tokens that are
asked for only. The result is that of `transformers` but for the rounding of float32 sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import ModelError
from index.io.tensors import read_settings, read_tensors

KIND = "qwen3"
_HIDDEN = np.float32(-1e30)  # what attention adds for tokens that are not seen
_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_OF_PEFT = "base_model.model."
# Settings of adapters and models that change what is computed; anything else than this is left to the libraries.
_PLAIN_ADAPTER: dict[str, Any] = {
    "peft_type": "LORA", "bias": "none", "fan_in_fan_out": False, "use_rslora": False, "use_dora": False,
    "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {}, "layer_replication": None, "lora_bias": False,
}  # fmt: skip
_PLAIN_MODEL: dict[str, Any] = {
    "model_type": KIND, "attention_bias": False, "hidden_act": "silu", "tie_word_embeddings": True,
    "use_sliding_window": False,
}  # fmt: skip


@dataclass(frozen=True)
class _Layer:
    """Matrices as they are multiplied from the right; the gains of queries hold the scale of attention."""

    attention_in: np.ndarray
    gain_of_queries: np.ndarray
    gain_of_keys: np.ndarray
    attention_out: np.ndarray
    gate_and_up: np.ndarray
    down: np.ndarray


class CompactNetwork:
    """A decoder's weights. Safe for several threads: nothing is written after loading."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        self._heads, self._groups = config["num_attention_heads"], config["num_key_value_heads"]
        self._width = config["head_dim"]
        self._epsilon = np.float32(config["rms_norm_eps"])
        self._embeddings = tensors["model.embed_tokens.weight"]
        self._layers = [self._layer(tensors, n) for n in range(config["num_hidden_layers"])]
        self._head = np.ascontiguousarray((self._embeddings * tensors["model.norm.weight"]).T)
        base = config["rope_parameters"]["rope_theta"]
        frequencies = base ** -(np.arange(0, self._width, 2) / self._width)
        angles = np.outer(np.arange(config["max_position_embeddings"]), frequencies)
        self._cosines = np.cos(angles).astype(np.float32)[:, None]
        self._sines = np.sin(angles).astype(np.float32)[:, None]

    @classmethod
    def load(cls, folder: Path, adapter: Path | None = None) -> CompactNetwork:
        """Reads a model folder, and an adapter's, whose product is added to the weights.

        Raises:
            ModelError: a file or tensor is missing, of another shape, or holds values that are no numbers.
        """
        tensors = read_tensors(folder / "model.safetensors")
        source = folder / "model.safetensors"
        try:
            if adapter is not None:
                source = adapter / _ADAPTER_WEIGHTS
                tensors = _with_adapter(
                    tensors, read_tensors(source), read_settings(adapter / _ADAPTER_CONFIG)
                )
            return cls(read_settings(folder / "config.json"), tensors)
        except KeyError as error:
            raise ModelError(f"{source}: {error} is missing; fetch or train the weights again") from None
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"{source}: the weights do not fit their settings ({error}); fetch or train them again"
            ) from None

    def states(
        self,
        ids: Sequence[np.ndarray],
        depth: Sequence[np.ndarray],
        order: Sequence[np.ndarray],
        end: Sequence[np.ndarray],
        where: np.ndarray,
    ) -> np.ndarray:
        """What the decoder makes of tokens, float32 (len(where), width), before the last gain, which `logits` has.

        Args:
            ids: per row its tokens.
            depth: how many tokens each has before it in its text.
            order, end: their places in preorder and where their descendants end there: a token sees its ancestors and
                itself.
            where: which tokens are asked for, as numbers among those of all rows one after the other.
        """
        lengths = [len(row) for row in ids]
        rows, longest = len(ids), max(lengths)
        row = np.repeat(np.arange(rows), lengths)
        column = np.concatenate([np.arange(length) for length in lengths])
        mask = _mask(order, end, longest)
        position = np.concatenate(depth)
        turned = self._cosines[position], self._sines[position]
        x = self._embeddings[np.concatenate(ids)]
        queries, keys = self._heads * self._width, self._groups * self._width
        for layer in self._layers:
            y = self._normalised(x) @ layer.attention_in
            q = self._in_heads(y[:, :queries], layer.gain_of_queries, turned)
            k = self._in_heads(y[:, queries : queries + keys], layer.gain_of_keys, turned)
            v = y[:, queries + keys :].reshape(-1, self._groups, self._width)
            seen = self._attention(q, k, v, row, column, mask)
            if layer is self._layers[-1]:
                x, seen = x[where], seen[where]
            x = x + seen @ layer.attention_out
            y = self._normalised(x) @ layer.gate_and_up
            gate, up = np.split(y, 2, axis=1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ layer.down
        return self._normalised(x)

    def logits(self, states: np.ndarray) -> np.ndarray:
        """One value per token of the vocabulary, float32 (n, vocabulary)."""
        return states @ self._head

    def _layer(self, tensors: Mapping[str, np.ndarray], number: int) -> _Layer:
        def named(name: str) -> np.ndarray:
            return tensors[f"model.layers.{number}.{name}.weight"]

        attention = np.concatenate([named(f"self_attn.{one}_proj") for one in "qkv"])
        feed_forward = np.concatenate([named("mlp.gate_proj"), named("mlp.up_proj")])
        expected = (self._heads + 2 * self._groups) * self._width
        if len(attention) != expected:
            raise ValueError(f"layer {number} has {len(attention)} rows of attention instead of {expected}")
        return _Layer(
            np.ascontiguousarray((attention * named("input_layernorm")).T),
            named("self_attn.q_norm") / np.float32(np.sqrt(self._width)),
            named("self_attn.k_norm"),
            np.ascontiguousarray(named("self_attn.o_proj").T),
            np.ascontiguousarray((feed_forward * named("post_attention_layernorm")).T),
            np.ascontiguousarray(named("mlp.down_proj").T),
        )

    def _normalised(self, x: np.ndarray) -> np.ndarray:
        """Rows of mean square 1."""
        return x * (1 / np.sqrt(np.einsum("ij,ij->i", x, x) / x.shape[1] + self._epsilon))[:, None]

    def _in_heads(self, y: np.ndarray, gain: np.ndarray, turned: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(n, heads, width): each head normalised and turned by its token's place."""
        x = y.reshape(len(y), -1, self._width)
        length = np.sqrt(np.einsum("nhd,nhd->nh", x, x) / self._width + self._epsilon)
        first, second = np.split(x * (gain / length[:, :, None]), 2, axis=2)
        cosines, sines = turned
        return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=2)

    def _attention(
        self,
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        mask: np.ndarray,
    ) -> np.ndarray:
        """(n, heads x width). Of queries, keys and values (n, heads, width), laid out in rows for the time of it."""
        rows, longest, _ = mask.shape
        groups, width, each = self._groups, self._width, self._heads // self._groups

        def padded(values: np.ndarray) -> np.ndarray:
            laid = np.zeros((rows, longest, *values.shape[1:]), np.float32)
            laid[row, column] = values
            return laid

        asking = padded(q).reshape(rows, longest, groups, each, width).transpose(0, 2, 3, 1, 4)
        keys, values = padded(k).transpose(0, 2, 3, 1), padded(v).transpose(0, 2, 1, 3)
        scores = asking.reshape(rows, groups, each * longest, width) @ keys
        scores = scores.reshape(rows, groups, each, longest, longest)
        scores += mask[:, None, None]
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        seen = scores.reshape(rows, groups, each * longest, longest) @ values
        seen = seen.reshape(rows, groups, each, longest, width).transpose(0, 3, 1, 2, 4)
        return seen.reshape(rows, longest, groups * each * width)[row, column]


def is_compact(folder: Path, adapter: Path | None) -> bool:
    """Whether the folders hold a model and an adapter of the kind that is read here; whether they are sound, `load`
    finds out."""
    try:
        model = read_settings(folder / "config.json")
        plain = all(model.get(name, value) == value for name, value in _PLAIN_MODEL.items())
        plain = plain and model["rope_parameters"]["rope_type"] == "default"
        if plain and adapter is not None:
            settings = read_settings(adapter / _ADAPTER_CONFIG)
            plain = all(settings.get(name, value) == value for name, value in _PLAIN_ADAPTER.items())
    except (ModelError, KeyError, TypeError):
        return False
    return plain and (folder / "model.safetensors").is_file()


def _with_adapter(
    tensors: Mapping[str, np.ndarray], adapter: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The weights with the adapter's products added."""
    merged, used = dict(tensors), set()
    scale = np.float32(settings["lora_alpha"] / settings["r"])
    for name in tensors:
        module = name.removesuffix(".weight")
        if module.rpartition(".")[2] in settings["target_modules"]:
            pair = [f"{_OF_PEFT}{module}.lora_{side}.weight" for side in "BA"]
            merged[name] = tensors[name] + scale * (adapter[pair[0]] @ adapter[pair[1]])
            used.update(pair)
    for name in sorted(adapter.keys() - used):
        raise ValueError(f"the tensor {name} belongs to no layer of the model")
    return merged


def _mask(order: Sequence[np.ndarray], end: Sequence[np.ndarray], longest: int) -> np.ndarray:
    """What attention adds, float32 (rows, longest, longest). What fills a row sees everything; nobody asks it."""
    mask = np.zeros((len(order), longest, longest), np.float32)
    for number, (place, last) in enumerate(zip(order, end, strict=True)):
        size = len(place)
        seen = (place[None, :] <= place[:, None]) & (place[:, None] < last[None, :])
        mask[number, :size] = _HIDDEN
        mask[number, :size, :size][seen] = 0
    return mask
