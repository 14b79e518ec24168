"""From a GGUF file to a folder as `save_pretrained` writes it: weights in bf16, tokenizer, chat template, settings.

    convert(GgufFile.read(path), folder, tell=print)

transformers unpacks the weights and rebuilds the tokenizer. What is ours is what it passes over: an architecture that
it does not know, tensors that it leaves out, the scaling of positions, a tokenizer that is another one once it is
saved and read again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from agent.models.loading import load_network
from agent.models.store.gguf_file import GgufFile
from agent.models.store.rope import DIVISORS, with_rope_scaling
from index.errors import ModelError
from index.io.failures import MissingPackage, require
from index.io.language import say
from index.io.weights import LOADING_ERRORS

# The loader's names of architectures that GGUF spells differently.
_SPELLED = {
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "gpt_oss": "gpt-oss",
    "minimax_m2": "minimax-m2",
}
# Ways to part a text before its merges that are GPT-2's, which transformers takes where it knows no other.
_LIKE_GPT2 = {"gpt-2", "smollm", "phi-2", "olmo", "jais", "mpt", "starcoder", "refact", "codeshell"}
# Texts of ours that tell two tokenizers apart: words, digits, blanks, bytes.
_SAMPLES = (
    "Mammakarzinom links oben außen, G2, pT2 pN1a (3/14)",
    "  Z.n.  Prostata-Ca\t2019\n\n»Gleason 3+4=7« — ÄÖÜ ß µ ≥ 50 %",
    "C50.4 8500/3 \u200b\u00e9\u0065\u0301 😀 漢字",
)
_SETTINGS = "tokenizer_config.json"
Tell = Callable[[str], None]
_LOG = logging.getLogger("onkokode")


def convert(file: GgufFile, folder: Path, tell: Tell) -> int:
    """Writes the model into `folder`, which is there and empty, and loads it once as every other model is loaded.

    `tell` gets the name of each step as it begins. Returns the number of weights. Raises `ModelError`; what lies in
    the folder is then good for nothing. The caller looks after the room on the disk, and after the folder.
    """
    check_convertible(file)
    try:
        with _quietly():
            return _convert(file, folder, tell)
    except (ModelError, MissingPackage):
        raise
    except LOADING_ERRORS as error:
        raise ModelError(_refused(file, folder, error)) from error


def check_convertible(file: GgufFile) -> None:
    """Raises `ModelError` for an architecture that transformers does not read from GGUF, `MissingPackage` where the
    reading needs a package."""
    require("gguf", say("reading-gguf"))
    known = _architectures()
    if file.architecture not in known:
        raise ModelError(
            f"{file.path}: has the architecture {file.architecture[:40]}, which cannot be converted; these can: "
            f"{', '.join(known)}. Any other runs behind a model server (--server)"
        )


def _architectures() -> list[str]:
    """Architectures of language models that transformers reads from GGUF."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    try:
        from transformers.integrations.gguf import GGUF_ARCHS
    except ImportError:
        raise MissingPackage(say("gguf-newer")) from None
    older = {
        _SPELLED.get(name, name) for name in GGUF_CONFIG_MAPPING if name in CAUSAL or f"{name}_text" in CAUSAL
    }
    return sorted(older | set(GGUF_ARCHS))


def _convert(file: GgufFile, folder: Path, tell: Tell) -> int:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where, name = file.path.parent, file.path.name
    tell(say("step-settings"))
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    with_rope_scaling(config, file)
    tell(say("step-tokenizer"))
    tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, config=config)
    _check_tokenizer(file, tokenizer)
    if unknown := _unknown_split(file):
        _LOG.warning("%s: its way to part texts (%s) is not known here; GPT-2's is taken", file.path, unknown)
    tell(say("step-weights"))
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=name, config=config, quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16, output_loading_info=True,
    )  # fmt: skip
    network, report = loaded
    if report["missing_keys"]:
        raise ModelError(
            f"{file.path}: the weights are incomplete ({min(report['missing_keys'])} is missing)"
        )
    weights = sum(parameter.numel() for parameter in network.parameters())
    _check_all_used(file, config, weights)
    tell(say("step-folder"))
    network.save_pretrained(folder)
    del network, loaded
    _save_tokenizer(tokenizer, folder)
    _settle(folder)
    tell(say("step-check"))
    _, reloaded, _ = load_network(folder, device="cpu", dtype="bfloat16")
    _check_same(file, tokenizer, reloaded)
    return weights


def _check_all_used(file: GgufFile, config: Any, weights: int) -> None:
    """transformers passes over a tensor that it has no place for, such as a bias."""
    layers = int(getattr(config, "num_hidden_layers", 0) or 0)
    expected = sum(
        tensor.elements
        for name, tensor in file.tensors.items()
        if name != DIVISORS and not _predicts_ahead(name, layers)
    )
    if expected != weights:
        raise ModelError(
            f"{file.path}: holds {expected:,} weights, the model of transformers has {weights:,}; it would answer "
            "differently. Use the model's folder of safetensors, or a model server (--server)"
        )


def _predicts_ahead(name: str, layers: int) -> bool:
    """Whether a tensor is of a layer after the last one, which guesses further words and is not needed."""
    part, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return part == "blk" and number.isdigit() and int(number) >= layers > 0


def _check_tokenizer(file: GgufFile, tokenizer: Any) -> None:
    """The ids and the template that the file names are those of the tokenizer."""
    for what, key in (("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "padding_token_id")):
        wanted = file.tokenizer(key)
        found = getattr(tokenizer, key.replace("padding", "pad"))
        if wanted is not None and found != wanted:
            raise ModelError(
                f"{file.path}: the {what} token is {wanted}, the tokenizer of transformers has {found}"
            )
    template = file.metadata.get("tokenizer.chat_template")
    if template is not None and tokenizer.chat_template != template:
        raise ModelError(
            f"{file.path}: the chat template is not taken over; use the model's folder of safetensors"
        )
    begins = file.tokenizer("add_bos_token")
    if begins is not None and file.tokenizer("bos_token_id") is not None:
        found = tokenizer("a").input_ids[:1] == [file.tokenizer("bos_token_id")]
        if found is not bool(begins):
            raise ModelError(
                f"{file.path}: texts begin with{'' if begins else 'out'} a token of their own, in the tokenizer of "
                "transformers they do not; use the model's folder of safetensors"
            )


def _unknown_split(file: GgufFile) -> str:
    """The name of a way to part texts that transformers would replace by another; empty for one that it knows."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    split = str(file.tokenizer("pre") or "")
    known = split in _LIKE_GPT2 or split in GGUF_PRE_TOKENIZER_SPLITS
    return "" if known or file.tokenizer("model") != "gpt2" else split[:20] or "unnamed"


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Saved as what it is and not as its family's class, which would build its own way to part texts again; the
    added tokens beside it, or reading them takes a second pass through a file of 30 MB."""
    tokenizer.save_pretrained(folder)
    path = folder / _SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": tokenizer.padding_side,
        "added_tokens_decoder": {
            str(number): {
                "content": token.content,
                **{
                    name: getattr(token, name)
                    for name in ("lstrip", "normalized", "rstrip", "single_word", "special")
                },
            }
            for number, token in tokenizer.added_tokens_decoder.items()
        },
    }
    path.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_same(file: GgufFile, built: Any, reloaded: Any) -> None:
    """What was saved is the tokenizer that was built."""
    same = all(built(text).input_ids == reloaded(text).input_ids for text in _samples(built)) and all(
        getattr(built, name) == getattr(reloaded, name)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "chat_template")
    )
    if not same:
        raise ModelError(
            f"{file.path}: the tokenizer is another one once it is saved; use the model's folder of safetensors"
        )


def _samples(tokenizer: Any) -> Iterator[str]:
    """Texts of ours, and one with each of a few control tokens in it."""
    yield from _SAMPLES
    for token in list(tokenizer.added_tokens_decoder.values())[:8]:
        yield f"Ca {token.content} links"


def _settle(folder: Path) -> None:
    """All files on the disk, and as readable as the others: safetensors writes for the owner alone."""
    mode = (folder / _SETTINGS).stat().st_mode & 0o777
    for path in folder.iterdir():
        path.chmod(mode)
        with path.open("rb+") as written:
            os.fsync(written.fileno())


def _refused(file: GgufFile, folder: Path, error: Exception) -> str:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    # safetensors has words of its own for what the system says.
    if getattr(error, "errno", None) or "os error" in said:
        return (
            f"{folder.parent}: cannot be written ({said}); make room, or set ONKOKODE_HOME to another folder"
        )
    return f"{file.path}: cannot be converted: {said}"


@contextmanager
def _quietly() -> Iterator[None]:
    """transformers without its bars, which come one within the other and fill a log, since our steps are the progress;
    and with one reading of the file's words where it would read them twice, 13 s for Gemma's 262,144."""
    import gguf
    from tqdm.auto import tqdm
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    files: Any = gguf
    unpacking: Any = modeling_gguf_pytorch_utils
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    bar, unpacking.tqdm = unpacking.tqdm, partial(tqdm, disable=True)
    reader, files.GGUFReader = files.GGUFReader, lru_cache(maxsize=1)(files.GGUFReader)
    try:
        yield
    finally:
        unpacking.tqdm, files.GGUFReader = bar, reader
        if shown:
            logging.enable_progress_bar()
