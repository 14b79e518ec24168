"""A causal language model from disk: folder checks, weights, adapter, and what is checked once they are loaded.

    network, tokenizer, name = load_network("Qwen/Qwen3-8B", "adapters/icd10gm")

Only safetensors weights are read and no code from a model folder runs. What was loaded is complete (every tensor of
model and adapter came from a file) and consists of numbers.
"""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open

from index.errors import ModelError
from index.io.weights import (
    LOADING_ERRORS,
    check_folder,
    check_numbers,
    only_safetensors,
    pickled,
    stored_snapshot,
)

# Below this size a CPU computes in fp32: bf16 saves memory there, but no time. On one that has instructions for bf16
# it saves time from a smaller size on (Gemma 3 270M reads 1,330 tokens/s instead of 780).
_TINY_PARAMETERS, _TINY_WITH_BF16 = 500_000_000, 100_000_000
_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def load_network(
    model: str | Path,
    adapter: str | Path | None = None,
    *,
    device: str | None = None,
    dtype: str = "auto",
    quantise: Literal["4bit", "8bit"] | None = None,
    bidirectional: bool = False,
) -> tuple[Any, Any, str]:
    """The network on its device, its tokenizer, and a name for provenance. Arguments and errors are those of
    `LocalModel.load`; `bidirectional` lets each token see those behind it, in models that can."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    source = _checked_folder(model, weights="model")
    device = device or _default_device()
    loading: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    if quantise is not None:
        loading |= {"quantization_config": _quantisation(quantise), "device_map": {"": device}}
    try:
        with only_safetensors(source):
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            if bidirectional:
                config.use_bidirectional_attention = True
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            kind = _dtype(dtype, device, config)
            # SDPA takes the mask of a prefix tree; flash attention does not.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                config=config,
                dtype=kind,
                attn_implementation="sdpa",
                output_loading_info=True,
                **loading,
            )
    except ModelError:
        raise
    except LOADING_ERRORS as error:
        raise ModelError(_unusable(source, error)) from error
    network, report = loaded
    if report["missing_keys"]:
        # transformers would fill them with random numbers and only warn.
        raise ModelError(f"{source}: the weights are incomplete ({min(report['missing_keys'])} is missing)")
    name = Path(source).name if Path(source).is_dir() else source
    if adapter is not None:
        network, adapter_name = with_adapter(network, adapter, merge=quantise is None)
        name = f"{name}+{adapter_name}"
    if quantise is None:
        network = network.to(device)
    check_numbers(network, source if adapter is None else f"{source} with the adapter {adapter}")
    return network, tokenizer, name


def _checked_folder(source: str | Path, *, weights: Literal["model", "adapter_model"]) -> str:
    """A folder with safetensors weights as a string, or a hub name as it is."""
    path = Path(source).expanduser()
    if not path.is_dir():
        looks_local = (
            isinstance(source, Path) or str(source).startswith((".", "/", "~")) or str(source).count("/") != 1
        )
        if looks_local or path.exists():
            raise ModelError(
                f"{path}: no such model folder; give a folder made by save_pretrained, a GGUF file, a hub name, or "
                "a name of `onkokode model list`"
            )
        stored = stored_snapshot(str(source))
        if stored is not None:
            check_folder(stored)
        return str(source)
    if not (path / ("config.json" if weights == "model" else _ADAPTER_CONFIG)).is_file():
        raise ModelError(f"{path}: holds no {'model' if weights == 'model' else 'adapter'} configuration")
    if not any(path.glob(f"{weights}*.safetensors")):
        pickles = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        if pickles:
            raise pickled(pickles[0])
        raise ModelError(f"{path}: holds no {weights}.safetensors")
    if weights == "model" and not any(path.glob("tokenizer*")):
        raise ModelError(f"{path}: holds no tokenizer; save it there with tokenizer.save_pretrained()")
    if weights == "model" and (path / _ADAPTER_CONFIG).exists():
        # transformers would attach it unasked, without any of our checks.
        raise ModelError(
            f"{path}: holds an adapter beside the model; give it a folder of its own, and --adapter"
        )
    check_folder(path)
    return str(path)


def with_adapter(
    network: Any, adapter: str | Path, *, merge: bool, trainable: bool = False
) -> tuple[Any, str]:
    """Attaches an adapter, to be trained on, or merged into weights that are not quantised: so it costs nothing at inference, and in bf16 no
    accuracy (Gemma 3 270M: on average 0.07 nats off fp32 either way)."""
    from huggingface_hub import snapshot_download
    from peft import PeftModel

    source = _checked_folder(adapter, weights="adapter_model")
    name = Path(source).name if Path(source).is_dir() else source
    try:
        if not Path(source).is_dir():
            # Only these two files: PEFT itself would go on to a pickle file where safetensors are missing.
            wanted = [_ADAPTER_CONFIG, _ADAPTER_WEIGHTS]
            source = _checked_folder(
                Path(snapshot_download(source, allow_patterns=wanted)), weights="adapter_model"
            )
        with only_safetensors(source), warnings.catch_warnings():
            # PEFT 0.21 asks transformers for a name that it has deprecated; nobody here can act on that. What it
            # says of missing tensors is an error below.
            warnings.simplefilter("ignore")
            network = PeftModel.from_pretrained(network, source, is_trainable=trainable)
    except ModelError:
        raise
    except LOADING_ERRORS as error:
        raise ModelError(f"{_unusable(source, error)} (was the adapter trained for this model?)") from error
    if network.active_peft_config.is_prompt_learning:
        raise ModelError(f"{source}: an adapter that learns a prompt is not supported; train a LoRA adapter")
    _check_adapter(network, Path(source) / _ADAPTER_WEIGHTS)
    return (network.merge_and_unload() if merge else network), name


def _check_adapter(network: Any, file: Path) -> None:
    """Raises `ModelError` where the adapter's file lacks a tensor, which PEFT fills with zeros or random numbers, or
    holds one that no layer takes, and for values that are no numbers."""
    from peft import get_peft_model_state_dict

    # Not the embeddings: to find out whether they were trained, PEFT would ask the hub.
    wanted = set(get_peft_model_state_dict(network, save_embedding_layers=False))
    with safe_open(file, framework="pt") as tensors:
        there = set(tensors.keys())
        for name in sorted(there):
            values = tensors.get_tensor(name)
            if values.is_floating_point() and not values.isfinite().all():
                raise ModelError(
                    f"{file}: the tensor {name} holds values that are no numbers; fetch or train the adapter again"
                )
    for name in sorted(wanted - there):
        raise ModelError(f"{file}: the tensor {name} is missing; fetch or train the adapter again")
    for name in sorted(there - wanted - set(network.state_dict())):
        raise ModelError(
            f"{file}: the tensor {name} belongs to no layer of the model (was the adapter trained for this model?)"
        )


def _unusable(source: str, error: Exception) -> str:
    """One line for an error of the loaders; their long advice is about options that we don't offer."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = (
        "" if Path(source).is_dir() else f"; fetch it first with `hf download {source}`, or give a folder"
    )
    return f"{source}: cannot be loaded: {reason}{remedy}"


def _default_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(dtype: str, device: str, config: Any) -> torch.dtype:
    if dtype != "auto":
        kind = getattr(torch, dtype, None)
        if not isinstance(kind, torch.dtype):
            raise ModelError(f"{dtype} is no torch dtype; use auto, float32, bfloat16 or float16")
        return kind
    if device == "cpu":
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            size = AutoModelForCausalLM.from_config(config).num_parameters()
        tiny = _TINY_WITH_BF16 if computes_bf16() else _TINY_PARAMETERS
        return torch.float32 if size < tiny else torch.bfloat16
    return torch.bfloat16


def computes_bf16() -> bool:
    """Whether this processor has instructions for bf16; an older torch cannot tell."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _quantisation(quantise: Literal["4bit", "8bit"]) -> Any:
    if find_spec("bitsandbytes") is None:
        raise ModelError("quantised loading needs bitsandbytes: pip install 'onkokode[quantised]'")
    from transformers import BitsAndBytesConfig

    if quantise == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
