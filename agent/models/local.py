"""A causal language model on this machine that scores codes, with or without an adapter.

    model = LocalModel.load("Qwen/Qwen3-8B", adapter="adapters/icd10gm")
    [[scores]] = model.score([[Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))]])

Only safetensors weights are read, no code from a model folder runs, and no text is logged. A diagnosis text inside a
prompt is data: `PromptEncoder` makes sure that it never becomes a control token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agent.models.base import Question
from agent.models.generate import pad_id
from agent.models.loading import load_network
from agent.models.mask_probe import measured_method, method_for
from agent.models.prefix_tree import AnswerTokens
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from agent.models.tree_scoring import AnswerScorer, Method
from index.errors import ModelError
from index.io.weights import PROBES

# Weights from which on a prompt's instruction is worth keeping in memory.
_LARGE = 50_000_000
# Tokens of a forward pass. A CPU's caches hold no more of a large network's activations.
_BATCH, _BATCH_OF_LARGE_ON_CPU = 16384, 2048
# How far behind the likeliest beginnings of answers other ones are read on, to find the likeliest of thousands: less
# takes more passes, more takes more tokens. The result is the same.
_WITHIN = 3.0
_PROBE_ANSWERS = ("C50.9", "C34.1", "D05.1", "C61")


class LocalModel:
    """A causal language model of `transformers`, with or without a PEFT adapter, on this machine."""

    def __init__(self, model: Any, tokenizer: Any, name: str, *, method: Method | None = None) -> None:
        """`method` is how the network may be scored; None finds out."""
        self.model = model.eval()
        self.encoder = PromptEncoder(tokenizer)
        self._name = name
        padding = _padding(tokenizer, name)
        large = sum(weight.numel() for weight in model.parameters()) >= _LARGE
        self._scorer = AnswerScorer(
            self.model,
            method if method is not None else measured_method(self.model, pad_id=padding),
            pad_id=padding,
            batch_tokens=_BATCH_OF_LARGE_ON_CPU if large and model.device.type == "cpu" else _BATCH,
            # A small network reads an instruction again in less time than it takes to look it up.
            keep=2 if large else 0,
        )
        self._vocabulary: np.ndarray | None = None
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
        folder = Path(model).expanduser()
        method = method_for(
            network, folder if folder.is_dir() else None, name=name, pad_id=_padding(tokenizer, name)
        )
        loaded = cls(network, tokenizer, name, method=method)
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

    @property
    def method(self) -> Method:
        return self._scorer.method

    @property
    def scoring(self) -> str:
        """For provenance: `prefix tree`, or `each answer alone` where the network allows no quicker way."""
        return self.method.description

    def restrict(self, answers: Iterable[str]) -> None:
        """From now on, probabilities are those among the tokens of these answers and the end token: for a network that
        was trained to choose among them only. Everything that is asked later must consist of these tokens."""
        tokens = {token for ids in self.encoder.answers(list(answers)) for token in ids}
        self._vocabulary = np.array(sorted({*tokens, self.encoder.tokenizer.eos_token_id}), dtype=np.int64)

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        return self._scored(batch)

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        if not all(allowed):
            raise ValueError("the likeliest answer needs at least one allowed answer")
        asked = [[Question(prompt, tuple(answers))] for prompt, answers in zip(prompts, allowed, strict=True)]
        found = self._scored(asked, within=_WITHIN)
        return [answers[int(np.argmax(scores))] for answers, [scores] in zip(allowed, found, strict=True)]

    def _scored(
        self, batch: Sequence[Sequence[Question]], *, within: float | None = None
    ) -> list[list[np.ndarray]]:
        prompts = iter(self.encoder.prompts([question.prompt for text in batch for question in text]))
        requests = [
            [(next(prompts), self._prepared(question.answers)) for question in text] for text in batch
        ]
        scores = self._scorer.score(requests, vocabulary=self._vocabulary, within=within)
        if any(np.isnan(values).any() for text in scores for values in text):
            raise ModelError(
                f"{self._name}: gives scores that are no numbers; load it again, or in another dtype"
            )
        return scores

    def _prepare(self, answers: tuple[str, ...]) -> AnswerTokens:
        return AnswerTokens.of(self.encoder.scored_answers(answers))


def _padding(tokenizer: Any, name: str) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{name}: the tokenizer names no end token; set eos_token in tokenizer_config.json")
    return pad_id(tokenizer)
