"""Agents for tests: the embedded default, loaded once, and one put together by hand that answers as scripted.

embedded_agent().code("Mamma-Ca")
CodingAgent(resources_with(ScriptedModel({"Mamma-Ca": {"C50.4": 0.9}})))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agent.agent import CodingAgent
from agent.decide.ngrams import BUCKETS
from agent.decide.recognise import Recogniser
from agent.decide.records import AxisWeights, Weights
from agent.models.base import CodeModel, Question
from agent.models.prompts import Prompts
from agent.resources import Resources
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import AXES
from index.search.encoder import Encoder
from index.search.index import Index
from index.search.retriever import Retriever

ALL_TUMOURS = Recogniser(np.zeros(BUCKETS), 5.0)
NO_TUMOURS = Recogniser(np.zeros(BUCKETS), -5.0)


@lru_cache
def embedded_agent() -> CodingAgent:
    """What a user gets: nothing but the package's own files."""
    return CodingAgent.load()


@lru_cache
def builtin() -> tuple[Catalogue, Retriever]:
    """The built-in lexicon and its retriever; they need no language model."""
    catalogue, encoder = Catalogue.builtin(), Encoder.load(device="cpu")
    return catalogue, Retriever(Index.build(catalogue, encoder), encoder)


def resources_with(model: CodeModel | None = None, **changes: Any) -> Resources:
    """Resources that takes every text for a tumour and fuses both arms alike, with a model that may say that no code
    fits."""
    catalogue, retriever = builtin()
    settings: dict[str, Any] = {
        "catalogue": catalogue,
        "retriever": retriever,
        "model": model,
        "prompts": Prompts(),
        "recogniser": ALL_TUMOURS,
        "weights": Weights({axis: AxisWeights(none_above=0.5) for axis in AXES}),
        "crosswalk": Crosswalk(catalogue.rules),
    }
    return Resources(**settings | changes)


class ScriptedModel:
    """A language model that says what the test wrote down.

    `script` maps a piece of the diagnosis text to answers with their probability; answers that it does not name
    share what is left. `writes` is what constrained generation gives, `asked` and `generated` are what it was
    asked.
    """

    name = "scripted"

    def __init__(
        self,
        script: Mapping[str, Mapping[str, float]] | None = None,
        writes: str = "",
        *,
        at_once: bool = False,
    ) -> None:
        self.script = script or {}
        self.writes = writes
        self.at_once = at_once
        self.asked: list[Question] = []
        self.generated: list[tuple[str, tuple[str, ...]]] = []

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        return self.at_once

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        return [[self._answer(question) for question in questions] for questions in batch]

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        self.generated += [(prompt, tuple(answers)) for prompt, answers in zip(prompts, allowed, strict=True)]
        return [self.writes if self.writes in answers else answers[0] for answers in allowed]

    def _answer(self, question: Question) -> np.ndarray:
        self.asked.append(question)
        said = next((answers for piece, answers in self.script.items() if piece in question.prompt), {})
        named = [answer in said for answer in question.answers]
        left = max(1e-9, 1 - sum(said[a] for a, hit in zip(question.answers, named, strict=True) if hit))
        others = max(1, named.count(False))
        shares = [
            said[answer] if hit else left / others
            for answer, hit in zip(question.answers, named, strict=True)
        ]
        return np.log(np.array(shares, dtype=np.float64))


def save_tiny_compact(folder: Path) -> Path:
    """A random compact model that says of itself that it is one."""
    from tests.agent.tiny_models import save_tiny_model

    save_tiny_model("compact", folder, max_position_embeddings=8192)
    Prompts("compact").save(folder)
    return folder
