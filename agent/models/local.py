"""Language models that score codes: loading, prompt tokens, and the three ways to get an answer.

    model = LocalModel.load("Qwen/Qwen3-8B", adapter="adapters/icd10gm")
    question = Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))
    [[scores]] = model.score([[question]])            # log-probability of each answer

`score` is what the agent uses; `generate` (constrained to the allowed answers) and `free` (greedy text) serve
the ablation. Only safetensors weights are read, no code from a model folder runs, and no text is logged.
A diagnosis text inside a prompt is data: `PromptEncoder` makes sure that it never becomes a control token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from agent.models.loading import load_network
from agent.models.prefix_tree import AnswerTokens
from agent.models.tokens import PromptEncoder
from agent.models.tree_scoring import score_answers
from index.errors import ModelError

_BEAMS = 4
_GENERATION_BATCH = 16
_PROBES = ("Mammakarzinom", "Arterielle Hypertonie")
_PROBE_ANSWERS = ("C50.9", "C34.1", "D05.1", "C61")


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
            ModelError: no such folder, no tokenizer, pickle weights, an adapter that does not fit, weights that are
                incomplete or no numbers.
        """
        network, tokenizer, name = load_network(model, adapter, device=device, dtype=dtype, quantise=quantise)
        loaded = cls(network, tokenizer, name)
        loaded._try_out()
        return loaded

    def _try_out(self) -> None:
        """Scores a few codes for two texts of ours. Settings can spoil what sound weights give."""
        [[one], [other]] = self.score([[Question(text, _PROBE_ANSWERS)] for text in _PROBES])
        if np.array_equal(one, other):
            raise ModelError(f"{self._name}: scores every text alike; fetch or train the weights again")
        self.tokens = 0

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
        scores = score_answers(self.model, requests, batch_tokens=self.batch_tokens, pad_id=self._pad)
        if any(np.isnan(values).any() for text in scores for values in text):
            raise ModelError(
                f"{self._name}: gives scores that are no numbers; load it again, or in another dtype"
            )
        return scores

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
