"""Language models that score codes: loading, prompt tokens, and the three ways to get an answer.

    model = LocalModel.load("Qwen/Qwen3-8B", adapter="adapters/icd10gm")
    question = Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))
    [[scores]] = model.score([[question]])            # log-probability of each answer

`score` is what the agent uses; `generate` (constrained to the allowed answers) and `free` (greedy text) serve
the ablation. Only safetensors weights are read, no code from a model folder runs, and no text is logged.
A diagnosis text inside a prompt is data: `PromptEncoder` makes sure that it never becomes a control token.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from safetensors import SafetensorError

from agent.prefix_tree import AnswerTokens
from agent.prompt_encoder import PromptEncoder
from agent.scoring import score_answers
from index.errors import ModelError

# Below this size a CPU computes in fp32: bf16 saves memory there, but no time.
_TINY_PARAMETERS = 500_000_000
# What the loaders raise for a folder that they cannot use.
_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)
_BEAMS = 4
_GENERATION_BATCH = 16


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt (one user turn) and the answers that are to be scored or allowed."""

    prompt: str
    answers: tuple[str, ...]


class CodeModel(Protocol):
    """What the agent asks of a language model; `LocalModel` and served models fulfil it."""

    @property
    def name(self) -> str:
        """For provenance: model and adapter."""
        ...

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        """True where each answer is one token, so that scoring thousands costs no more than one."""
        ...

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        """Per text and question the log-probability of each answer (float64, in the answers' order)."""
        ...

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        """Per prompt one of its allowed answers, written by constrained beam search."""
        ...

    def free(self, prompts: Sequence[str], max_new_tokens: int = 24) -> list[str]:
        """Per prompt what the model writes when nothing constrains it (greedy)."""
        ...


class LocalModel:
    """A causal language model of `transformers`, with or without a PEFT adapter, on this machine."""

    def __init__(self, model: Any, tokenizer: Any, name: str, *, batch_tokens: int = 16384) -> None:
        self.model = model.eval()
        self.encoder = PromptEncoder(tokenizer)
        self.batch_tokens = batch_tokens
        # Tokens of prompts read and of answers written since the model was loaded, for the cost of a run.
        self.tokens = 0
        self._name = name
        self._tokenizer = tokenizer
        end = tokenizer.eos_token_id
        if end is None:
            raise ModelError(
                f"{name}: the tokenizer names no end token; set eos_token in tokenizer_config.json"
            )
        self._end: int = end
        self._pad: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
        # The same thousands of codes are asked for every text; preparing them must cost nothing.
        self._prepared = lru_cache(maxsize=512)(self._prepare)

    @classmethod
    def load(
        cls,
        model: str | Path,
        adapter: str | Path | None = None,
        *,
        device: str | None = None,
        dtype: str = "auto",
        quantise: Literal["4bit", "8bit"] | None = None,
    ) -> LocalModel:
        """Loads a model folder or hub name, and an adapter folder or hub name.

        Args:
            device: `cuda`, `cuda:1`, `mps`, `cpu`; None takes the GPU where there is one.
            dtype: a torch dtype's name; `auto` is bf16 on a GPU, on a CPU fp32 for small models, bf16 above.
            quantise: weights in 4 or 8 bits (needs the extra `quantised`).

        Raises:
            ModelError: no such folder, no tokenizer, pickle weights, an adapter that does not fit.
        """
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
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            kind = _dtype(dtype, device, config)
            # SDPA takes the mask of a prefix tree; flash attention does not.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=kind, attn_implementation="sdpa", output_loading_info=True, **loading
            )
        except ModelError:
            raise
        except _LOADING_ERRORS as error:
            raise ModelError(_unusable(source, error)) from error
        network, report = loaded
        if report["missing_keys"]:
            # transformers would fill them with random numbers and only warn.
            raise ModelError(
                f"{source}: the weights are incomplete ({min(report['missing_keys'])} is missing)"
            )
        name = Path(source).name if Path(source).is_dir() else source
        if adapter is not None:
            network, adapter_name = _with_adapter(
                network, adapter, merge=kind == torch.float32 and not quantise
            )
            name = f"{name}+{adapter_name}"
        if quantise is None:
            network = network.to(device)
        return cls(network, tokenizer, name)

    @property
    def name(self) -> str:
        return self._name

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        return not self._prepared(tuple(answers)).tokens

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        ids = self.encoder.prompts([question.prompt for text in batch for question in text])
        self.tokens += sum(map(len, ids))
        prompts = iter(ids)
        requests = [
            [(next(prompts), self._prepared(question.answers)) for question in text] for text in batch
        ]
        return score_answers(self.model, requests, batch_tokens=self.batch_tokens, pad_id=self._pad)

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        tries = [self._trie(tuple(answers)) for answers in allowed]
        room = max((len(way) for trie in tries for way in trie.answer_at), default=0) + 1
        ids = self.encoder.prompts(prompts)
        written = [""] * len(prompts)
        for rows in _batched_by_length(ids):
            width = max(len(ids[row]) for row in rows)

            # Bound as defaults: the function must see this batch's rows.
            def next_tokens(
                number: int, so_far: torch.Tensor, rows: list[int] = rows, width: int = width
            ) -> list[int]:
                return tries[rows[number]].after.get(tuple(so_far[width:].tolist()), [self._end])

            sequences = self._write(
                [ids[row] for row in rows],
                max_new_tokens=room,
                num_beams=_BEAMS,
                # A beam's score is its log-probability, as in `score`, not a mean that favours long codes.
                length_penalty=0.0,
                prefix_allowed_tokens_fn=next_tokens,
            )
            for row, sequence in zip(rows, sequences, strict=True):
                way = tuple(sequence[: sequence.index(self._end)] if self._end in sequence else sequence)
                written[row] = tries[row].answer_at[way]
        return written

    def free(self, prompts: Sequence[str], max_new_tokens: int = 24) -> list[str]:
        ids = self.encoder.prompts(prompts)
        written = [""] * len(prompts)
        for rows in _batched_by_length(ids):
            sequences = self._write([ids[row] for row in rows], max_new_tokens=max_new_tokens, num_beams=1)
            for row, sequence in zip(rows, sequences, strict=True):
                written[row] = self._tokenizer.decode(sequence, skip_special_tokens=True).strip()
        return written

    @torch.inference_mode()
    def _write(self, prompts: Sequence[Sequence[int]], **how: Any) -> list[list[int]]:
        """Left-padded deterministic generation; the new tokens of each prompt."""
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self._pad)
        seen = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            seen[row, width - len(prompt) :] = 1
        device = next(self.model.parameters()).device
        output = self.model.generate(
            input_ids=ids.to(device),
            attention_mask=seen.to(device),
            # Model folders often ask for sampling; the same text must get the same code twice.
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=None,
            eos_token_id=self._end,
            pad_token_id=self._pad,
            **how,
        )
        return output[:, width:].tolist()

    def _prepare(self, answers: tuple[str, ...]) -> AnswerTokens:
        """Tokenised answers. Where one answer begins another, all get an end token: each is then one event."""
        ids = self.encoder.answers(answers)
        ordered = sorted({tuple(answer) for answer in ids})
        if any(later[: len(earlier)] == earlier for earlier, later in pairwise(ordered)):
            ids = [[*answer, self._end] for answer in ids]
        return AnswerTokens.of(ids)

    def _trie(self, answers: tuple[str, ...]) -> _Trie:
        if not answers:
            raise ValueError("constrained generation needs at least one allowed answer")
        return _Trie.of(dict(zip(map(tuple, self.encoder.answers(answers)), answers, strict=True)), self._end)


@dataclass(frozen=True)
class _Trie:
    """Allowed next tokens after each beginning of an answer, and the answer that each way spells."""

    after: dict[tuple[int, ...], list[int]]
    answer_at: dict[tuple[int, ...], str]

    @classmethod
    def of(cls, answer_at: dict[tuple[int, ...], str], end: int) -> _Trie:
        after: dict[tuple[int, ...], list[int]] = {}
        for way in answer_at:
            for position, token in enumerate((*way, end)):
                choices = after.setdefault(way[:position], [])
                if token not in choices:
                    choices.append(token)
        return cls(after, answer_at)


def _batched_by_length(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    return [order[start : start + _GENERATION_BATCH] for start in range(0, len(order), _GENERATION_BATCH)]


def _checked_folder(source: str | Path, *, weights: Literal["model", "adapter_model"]) -> str:
    """A folder with safetensors weights as a string, or a hub name as it is."""
    path = Path(source).expanduser()
    if not path.is_dir():
        looks_local = (
            isinstance(source, Path) or str(source).startswith((".", "/", "~")) or str(source).count("/") != 1
        )
        if looks_local or path.exists():
            raise ModelError(
                f"{path}: no such model folder; give a folder made by save_pretrained, or a hub name"
            )
        return str(source)
    if not (path / ("config.json" if weights == "model" else "adapter_config.json")).is_file():
        raise ModelError(f"{path}: holds no {'model' if weights == 'model' else 'adapter'} configuration")
    if not any(path.glob(f"{weights}*.safetensors")):
        pickled = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        if pickled:
            raise ModelError(
                f"{path}: {pickled[0].name} is a pickle file, which can run code when it is loaded; save the weights "
                "as safetensors with save_pretrained() on a machine that you trust"
            )
        raise ModelError(f"{path}: holds no {weights}.safetensors")
    if weights == "model" and not any(path.glob("tokenizer*")):
        raise ModelError(f"{path}: holds no tokenizer; save it there with tokenizer.save_pretrained()")
    return str(path)


def _with_adapter(network: Any, adapter: str | Path, *, merge: bool) -> tuple[Any, str]:
    """Attaches an adapter. In fp32 it is merged into the weights, which makes it free at inference."""
    from huggingface_hub import snapshot_download
    from peft import PeftModel

    source = _checked_folder(adapter, weights="adapter_model")
    name = Path(source).name if Path(source).is_dir() else source
    try:
        if not Path(source).is_dir():
            # Only these two files: PEFT itself would go on to a pickle file where safetensors are missing.
            wanted = ["adapter_config.json", "adapter_model.safetensors"]
            source = _checked_folder(
                Path(snapshot_download(source, allow_patterns=wanted)), weights="adapter_model"
            )
        with warnings.catch_warnings():
            # PEFT 0.21 asks transformers for a name that it has deprecated; nobody here can act on that.
            warnings.simplefilter("ignore", FutureWarning)
            network = PeftModel.from_pretrained(network, source, is_trainable=False)
    except ModelError:
        raise
    except _LOADING_ERRORS as error:
        raise ModelError(f"{_unusable(source, error)} (was the adapter trained for this model?)") from error
    if network.active_peft_config.is_prompt_learning:
        raise ModelError(f"{source}: an adapter that learns a prompt is not supported; train a LoRA adapter")
    return (network.merge_and_unload() if merge else network), name


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
        return torch.float32 if size < _TINY_PARAMETERS else torch.bfloat16
    return torch.bfloat16


def _quantisation(quantise: Literal["4bit", "8bit"]) -> Any:
    if find_spec("bitsandbytes") is None:
        raise ModelError("quantised loading needs bitsandbytes: pip install 'onkokode[quantised]'")
    from transformers import BitsAndBytesConfig

    if quantise == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
