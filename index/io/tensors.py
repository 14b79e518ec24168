"""A folder of weights without torch: its settings, and its tensors as NumPy arrays (bf16 and half become float32).

read_settings(folder / "config.json")["hidden_size"]                     # 256
read_tensors(folder / "model.safetensors")["model.norm.weight"]          # float32 (256,)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from index.errors import ModelError

_REMEDY = "fetch or train the weights again"


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object. Raises `ModelError` that names the file where it is none."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ModelError(f"{path}: holds no settings; fetch or save the model again")
    return settings


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file, float32.

    Raises `ModelError` that names the file, and the tensor, for a file that is missing or damaged, and for values that
    are no numbers.
    """
    try:
        stored = deserialize(path.read_bytes())
        tensors = {name: _as_float32(one).reshape(one["shape"]) for name, one in stored}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); {_REMEDY}") from None
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise ModelError(f"{path}: the tensor {name} holds values that are no numbers; {_REMEDY}")
    return tensors


def _as_float32(stored: dict[str, object]) -> np.ndarray:
    data, kind = stored["data"], stored["dtype"]
    assert isinstance(data, bytes | bytearray)
    if kind == "BF16":
        # The upper half of a float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    if kind == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    if kind == "F32":
        return np.frombuffer(data, "<f4").astype(np.float32)
    raise ValueError(f"tensors of type {kind} are not read")
