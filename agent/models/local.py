"""A causal language model on this machine that scores codes, with or without an adapter.

    model = LocalModel.load("Qwen/Qwen3-8B", adapter="adapters/icd10gm")
    [[scores]] = model.score([[Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))]])

Only safetensors weights are read, no code from a model folder runs, and no text is logged. A diagnosis text inside a
prompt is data: `PromptEncoder` makes sure that it never becomes a control token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agent.models.base import Question
from agent.models.generate import constrained, pad_id
from agent.models.loading import load_network
from agent.models.prefix_tree import AnswerTokens
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from agent.models.tree_scoring import score_answers
from index.errors import ModelError
from index.io.weights import PROBES

_PROBE_ANSWERS = ("C50.9", "C34.1", "D05.1", "C61")


class LocalModel:
    """A causal language model of `transformers`, with or without a PEFT adapter, on this machine."""

    def __init__(self, model: Any, tokenizer: Any, name: str, *, batch_tokens: int = 16384) -> None:
        self.model = model.eval()
        self.encoder = PromptEncoder(tokenizer)
        self.batch_tokens = batch_tokens
        self._name = name
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"{name}: the tokenizer names no end token; set eos_token in tokenizer_config.json"
            )
        self._pad = pad_id(tokenizer)
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
        """Loads a model as `model_folder` finds it, and an adapter folder or hub name.

        Args:
            device: `cuda`, `cuda:1`, `mps`, `cpu`; None takes the GPU where there is one.
            dtype: a torch dtype's name; `auto` is bf16 on a GPU, on a CPU fp32 for small models, bf16 above.
            quantise: weights in 4 or 8 bits (needs the extra `quantised`).

        Raises:
            ModelError: no such folder, no tokenizer, pickle weights, an adapter that does not fit, weights that are
                incomplete or no numbers.
        """
        model = model_folder(model)
        network, tokenizer, name = load_network(model, adapter, device=device, dtype=dtype, quantise=quantise)
        loaded = cls(network, tokenizer, name)
        loaded._try_out()
        return loaded

    def _try_out(self) -> None:
        """Scores a few codes for two texts of ours. Settings can spoil what sound weights give."""
        [[one], [other]] = self.score([[Question(text, _PROBE_ANSWERS)] for text in PROBES])
        if np.array_equal(one, other):
            raise ModelError(f"{self._name}: scores every text alike; fetch or train the weights again")

    @property
    def name(self) -> str:
        return self._name

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        return not self._prepared(tuple(answers)).tokens

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        prompts = iter(self.encoder.prompts([question.prompt for text in batch for question in text]))
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
        return constrained(self.model, self.encoder, prompts, allowed)

    def _prepare(self, answers: tuple[str, ...]) -> AnswerTokens:
        return AnswerTokens.of(self.encoder.scored_answers(answers))
