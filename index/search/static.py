"""The embedded encoder on NumPy: a table of token vectors per axis, whose mean is a text's vector.

    model = StaticModel.load(folder)
    model.vectors(["Mammakarzinom"], ["icd10gm", "icdo_topography"])      # one array (1, d) per route

sentence-transformers computes the same (and trains it); it takes four seconds to import, and reads a text again for
each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from index.errors import ModelError
from index.io.tensors import read_settings, read_tensors

_ROUTER = "router_config.json"
_KINDS = ("StaticEmbedding", "Normalize")
_TENSOR = "embedding.weight"
_REMEDY = "fetch or train the encoder again"


class StaticModel:
    """`tables` are float32 (tokens, d) by route. Safe for several threads."""

    def __init__(self, tokenizer: Tokenizer, tables: dict[str, np.ndarray]) -> None:
        self._tokenizer = tokenizer
        self._tables = tables

    @classmethod
    def load(cls, folder: Path) -> StaticModel:
        """Reads a folder of which `is_static` holds. Raises `ModelError` that names file and tensor for one that is
        incomplete or damaged, or whose routes have tokenizers of their own."""
        tokenizer, read, tables = None, None, {}
        for route, module in _tables_of(folder).items():
            path = folder / module / "tokenizer.json"
            try:
                stored = path.read_bytes()
                tokenizer = tokenizer or Tokenizer.from_buffer(stored)
            except Exception as error:  # whatever the library raises: it has no class of its own
                raise ModelError(f"{path}: holds no tokenizer ({error}); {_REMEDY}") from None
            if read not in (None, stored):
                raise ModelError(f"{path}: is another tokenizer than that of the other routes; {_REMEDY}")
            read = stored
            weights = folder / module / "model.safetensors"
            table = read_tensors(weights).get(_TENSOR)
            if table is None:
                raise ModelError(f"{weights}: the weights are incomplete ({_TENSOR} is missing)")
            if table.ndim != 2 or len(table) != tokenizer.get_vocab_size():
                raise ModelError(f"{weights}: the tensor {_TENSOR} has not one row per token; {_REMEDY}")
            tables[route] = table
        assert tokenizer is not None
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, tables)

    @property
    def routes(self) -> frozenset[str]:
        return frozenset(self._tables)

    def dimension(self, route: str) -> int:
        """Width of the vectors of a route."""
        return int(self._tables[route].shape[1])

    def vectors(self, texts: Sequence[str], routes: Sequence[str]) -> list[np.ndarray]:
        """The mean of each text's token vectors on each route, float32 (n, d); zero for a text without a known word."""
        encoded = [
            one.ids for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        lengths = np.array([len(ids) for ids in encoded])
        ids = (
            np.concatenate([np.asarray(ids, np.int64) for ids in encoded])
            if encoded
            else np.zeros(0, np.int64)
        )
        known = np.flatnonzero(lengths)
        starts = np.cumsum(lengths)[known] - lengths[known]
        found = []
        for route in routes:
            table = self._tables[route]
            means = np.zeros((len(encoded), table.shape[1]), np.float32)
            if len(known):
                means[known] = np.add.reduceat(table[ids], starts) / lengths[known, None].astype(np.float32)
            found.append(means)
        return found


def is_static(folder: Path) -> bool:
    """Whether a folder holds routes of a table and nothing behind it; whether they are sound, `load` finds out."""
    try:
        return bool(_tables_of(folder))
    except (ModelError, KeyError, TypeError, AttributeError, ValueError):
        return False


def _tables_of(folder: Path) -> dict[str, str]:
    """The folder of each route's table; empty where a route has other modules."""
    settings = read_settings(folder / _ROUTER)
    tables = {}
    for route, modules in settings["structure"].items():
        kinds = tuple(settings["types"][module].rpartition(".")[2] for module in modules)
        if kinds != _KINDS:
            return {}
        tables[route] = modules[0]
    return tables
