"""How a GGUF file scales the positions, as a setting of transformers, which reads the base frequency alone: without
it a Llama 3.1 or a Gemma 3 4B would load, and answer a little wrong.

    with_rope_scaling(config, file)             # config.rope_parameters has it now

Two places hold it: keys named `rope.scaling.…`, and the tensor `rope_freqs.weight`, the divisors that llama.cpp
computes of Llama 3.1's scaling.
"""

from __future__ import annotations

import math
from typing import Any

from agent.models.store.gguf_file import GgufFile
from index.errors import ModelError

DIVISORS = "rope_freqs.weight"
# The scaling of Llama 3.1 to 3.3 but for its factor, which is the largest divisor.
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_YARN = {
    "factor": "factor",
    "original_context_length": "original_max_position_embeddings",
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}
_PREFIX = "rope.scaling."


def with_rope_scaling(config: Any, file: GgufFile) -> None:
    """Puts the file's scaling into the configuration. Raises `ModelError` for one that transformers could not keep."""
    parameters = (
        config.rope_parameters if isinstance(getattr(config, "rope_parameters", None), dict) else None
    )
    # Of a model with two kinds of layers the global ones are scaled.
    globally = parameters.get("full_attention", parameters) if parameters is not None else {}
    locally = parameters.get("sliding_attention") if parameters is not None else None
    if locally is not None and (base := file.own("rope.freq_base_swa")):
        locally["rope_theta"] = float(base)
    if globally.get("rope_type", "default") != "default":
        return  # transformers has read it
    scaling = _scaling(file, globally)
    if scaling is None:
        return
    if parameters is None:
        raise _lost(file, "for an architecture that has none in transformers")
    globally.update(scaling)


def _scaling(file: GgufFile, parameters: dict[str, Any]) -> dict[str, Any] | None:
    if DIVISORS in file.tensors:
        return _llama3(file, float(parameters.get("rope_theta", 0)))
    if any(name.startswith("rope_factors_") for name in file.tensors):
        raise _lost(file, "by a list of factors (longrope)")
    prefix = f"{file.architecture}.{_PREFIX}"
    given = {
        key.removeprefix(prefix): value for key, value in file.metadata.items() if key.startswith(prefix)
    }
    kind = given.pop("type", "linear" if given.get("factor") else "none")
    factor = given.get("factor", file.own("rope.scale_linear", 1.0))
    given.pop("finetuned", None)
    if kind == "none" or (kind == "linear" and factor in (0.0, 1.0)):
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": float(factor)}
    if kind == "yarn" and given.keys() <= _YARN.keys() and "original_context_length" in given:
        return {"rope_type": "yarn", **{_YARN[key]: value for key, value in given.items()}}
    raise _lost(file, f"in a way ({str(kind)[:20]}) that does not say all that transformers needs")


def _llama3(file: GgufFile, base: float) -> dict[str, Any]:
    divisors = file.floats(DIVISORS)
    scaling = {"rope_type": "llama3", "factor": max(divisors, default=1.0), **_LLAMA3}
    if base <= 1 or not all(
        math.isclose(found, wanted, rel_tol=1e-3)
        for found, wanted in zip(divisors, _divisors(len(divisors), base, scaling), strict=True)
    ):
        raise _lost(file, "by divisors that are not Llama 3's")
    return scaling


def _divisors(count: int, base: float, scaling: dict[str, Any]) -> list[float]:
    """What Llama 3's rule divides each of `count` frequencies by."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    divisors = []
    for number in range(count):
        turns = scaling["original_max_position_embeddings"] / (2 * math.pi * base ** (number / count))
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        divisors.append(1 / ((1 - share) / scaling["factor"] + share))
    return divisors


def _lost(file: GgufFile, how: str) -> ModelError:
    return ModelError(
        f"{file.path}: scales positions {how}, which would be lost; use the model's folder of safetensors, or a model "
        "server (--server)"
    )
