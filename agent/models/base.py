"""What the agent asks of a language model, whether it runs here (`local`) or behind a server (`served`).

question = Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))
[[scores]] = model.score([[question]])            # log-probability of each answer
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

PREFIX_TREE = "prefix tree"
"""How a model scores that reads what prompts and answers share once."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt (one user turn) and the answers that are to be scored."""

    prompt: str
    answers: tuple[str, ...]


class CodeModel(Protocol):
    """A language model that scores codes; `LocalModel` and `ServedModel` fulfil it."""

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
        """Per prompt the likeliest of its allowed answers. Raises `ValueError` for a prompt without any."""
        ...


def nested(answers: Iterable[Any]) -> bool:
    """Whether one answer, as letters or as tokens, begins another. Then an end token behind each makes them
    events of their own."""
    ordered = sorted(set(answers))
    return any(later[: len(earlier)] == earlier for earlier, later in pairwise(ordered))
