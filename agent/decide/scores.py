"""What retrieval and the language model say about the codes of each axis, before it is decided.

    scores = score_cores(resources, ["Mammakarzinom"], retrievals)[0][CodeSystem.ICD10GM]
    decide(scores.codes, scores.log_shares, scores.log_probabilities, scores.log_none, weights)

Where every code of an axis is one token (the embedded model), the model scores all of them in the pass
that reads the text; else it scores the retriever's candidates, and last an answer that says "none of these".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from agent.decide.fuse import AxisWeights, Decision, decide
from agent.models.base import CodeModel, Question
from agent.models.prompts import Prompts, Shown
from agent.prepare import core_of
from agent.resources import Resources
from index.records import AXES, Candidate, CodeSystem
from index.search.retriever import Retrieval

_WIDER = 3  # how many times more candidates a second choice sees
_BATCH = 64


@dataclass(frozen=True)
class AxisScores:
    """Scores of one text over m codes: `log_shares` (m,) of retrieval, `log_probabilities` (m,) of the
    model and its `log_none` for "no code fits" (None: no model was asked)."""

    codes: tuple[str, ...]
    log_shares: np.ndarray
    log_probabilities: np.ndarray | None = None
    log_none: float | None = None

    def decide(self, weights: AxisWeights, prior: np.ndarray | None = None) -> Decision:
        return decide(self.codes, self.log_shares, self.log_probabilities, self.log_none, weights, prior)

    @property
    def first_of_retrieval(self) -> str | None:
        return self.codes[int(np.argmax(self.log_shares))] if len(self.codes) else None

    @property
    def first_of_model(self) -> str | None:
        if self.log_probabilities is None or not len(self.codes):
            return None
        return self.codes[int(np.argmax(self.log_probabilities))]


def by_retrieval(found: Retrieval, row: int) -> AxisScores:
    """The scores of a text that the model is not asked about."""
    return AxisScores(found.codes, found.log_shares[row])


def score_cores(
    resources: Resources,
    cores: Sequence[str],
    retrievals: Mapping[CodeSystem, Retrieval],
    rows: Sequence[int] | None = None,
    *,
    wider: bool = False,
) -> list[dict[CodeSystem, AxisScores]]:
    """Scores per text and axis; `rows[i]` is text i's row in the retrievals (default: i)."""
    rows = range(len(cores)) if rows is None else rows
    if resources.model is None or not cores:
        return [{axis: by_retrieval(found, row) for axis, found in retrievals.items()} for row in rows]
    columns = {
        axis: _columns(resources, cores, axis, found, rows, wider) for axis, found in retrievals.items()
    }
    by_text: list[dict[CodeSystem, AxisScores]] = []
    batch = []
    for i, core in enumerate(cores):
        unasked, questions = {}, []
        for axis, found in retrievals.items():
            scores, chosen = by_retrieval(found, rows[i]), columns[axis]
            if chosen is not None:
                codes = tuple(found.codes[n] for n in chosen[i])
                scores = AxisScores(codes, scores.log_shares[chosen[i]])
            prompt = resources.prompts.question(core, axis, _shown(resources, core, axis))
            questions.append(Question(prompt, answers_of(resources.prompts, scores.codes, axis)))
            unasked[axis] = scores
        by_text.append(unasked)
        batch.append(questions)
    return [
        {
            axis: replace(scores, log_probabilities=values[:-1], log_none=float(values[-1]))
            for (axis, scores), values in zip(unasked.items(), said, strict=True)
        }
        for unasked, said in zip(by_text, resources.model.score(batch), strict=True)
    ]


def scores_of_texts(
    resources: Resources, texts: Sequence[str], axes: Sequence[CodeSystem] = AXES
) -> Iterator[dict[CodeSystem, AxisScores]]:
    """Scores of each text's first tumour, every text taken for one: for fitting and evaluation."""
    for start in range(0, len(texts), _BATCH):
        cores = [core_of(text) for text in texts[start : start + _BATCH]]
        yield from score_cores(
            resources, cores, {axis: resources.retriever.distribution(cores, axis) for axis in axes}
        )


def scores_every_code(resources: Resources, retrievals: Mapping[CodeSystem, Retrieval]) -> bool:
    """Whether a wider second choice could find nothing new."""
    model = resources.model
    return model is None or all(_at_once(resources, model, found, axis) for axis, found in retrievals.items())


@lru_cache(maxsize=12)
def answers_of(prompts: Prompts, codes: tuple[str, ...], axis: CodeSystem) -> tuple[str, ...]:
    """The answers for codes, and last the one that says that none fits. Kept: the same tuple of a whole axis for
    every text spares the model from preparing it again."""
    return tuple(prompts.answer(code, axis) for code in (*codes, None))


def _at_once(resources: Resources, model: CodeModel, found: Retrieval, axis: CodeSystem) -> bool:
    return model.single_token_answers(answers_of(resources.prompts, found.codes, axis))


def _columns(
    resources: Resources,
    cores: Sequence[str],
    axis: CodeSystem,
    found: Retrieval,
    rows: Sequence[int],
    wider: bool,
) -> list[np.ndarray] | None:
    """Which codes the model scores, per text, as columns of the retrieval; None where it scores all."""
    model = resources.model
    assert model is not None
    if _at_once(resources, model, found, axis):
        return None
    k = resources.candidates * (_WIDER if wider else 1)
    number = {code: n for n, code in enumerate(found.codes)}
    columns = []
    for core, row, lexical in zip(cores, rows, resources.retriever.lexical_codes(cores, axis), strict=True):
        best = np.argsort(-found.log_shares[row], kind="stable")[:k].tolist()
        best += [number[code] for code in lexical if number[code] not in best]
        if wider:
            # None of the candidates fitted: let the model write a code, held to the codes that exist.
            every = answers_of(resources.prompts, found.codes, axis)[:-1]
            written = model.generate([resources.prompts.question(core, axis)], [every])[0]
            if written in every and every.index(written) not in best:
                best.append(every.index(written))
        columns.append(np.array(best, dtype=np.int64))
    return columns


def _shown(resources: Resources, core: str, axis: CodeSystem) -> Shown:
    k = resources.prompts.candidates
    return shown(resources.retriever.retrieve([core], axis, k=k)[0]) if k else ()


def shown(candidates: Sequence[Candidate]) -> Shown:
    """Candidates as a prompt shows them: each with its best line."""
    return tuple((c.code, c.matches[0].line.text) for c in candidates if c.matches)
