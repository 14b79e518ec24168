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

from agent.decide.fuse import decide, decide_rows
from agent.decide.records import AxisWeights, Decision, Reading
from agent.models.base import Question
from agent.models.prompts import PromptCandidates, Prompts
from agent.prepare import core_and_wording
from agent.resources import Resources
from index.records import AXES, Candidate, CodeSystem
from index.search.retriever import Retrieval

_WIDER = 3  # times as many candidates in a second choice
# Nats below the best share beyond which a code is no candidate, so that a clear text costs a model less: of 2,395 codes
# of composed texts that fit nothing, 20 candidates hold 98.4 %, those within 6 nats 98.3 %, half as many.
_FAR = 6.0
_AT_LEAST = 5
_BATCH = 64


@dataclass(frozen=True)
class AxisScores:
    """Scores of one text over m codes: `log_shares` (m,) of retrieval, `log_probabilities` (m,) of the
    model and its `log_none` for "no code fits" (None: no model was asked)."""

    codes: tuple[str, ...]
    log_shares: np.ndarray
    log_probabilities: np.ndarray | None = None
    log_none: float | None = None

    def decide(self, weights: AxisWeights, facts: np.ndarray | None = None) -> Decision:
        return decide(self.codes, self.log_shares, self.log_probabilities, self.log_none, weights, facts)

    @property
    def first_of_model(self) -> str | None:
        if self.log_probabilities is None or not len(self.codes):
            return None
        return self.codes[int(np.argmax(self.log_probabilities))]


def read_once(resources: Resources, cores: Sequence[str], wordings: Sequence[str]) -> Reading | None:
    """All that is asked about the texts, in one pass; None for a model that has to be shown candidates, or scores some
    only."""
    model, prompts = resources.model, resources.prompts
    answers = {axis: answers_of(prompts, resources.retriever.codes(axis), axis) for axis in AXES}
    if model is None or prompts.candidates or not all(map(model.single_token_answers, answers.values())):
        return None
    texts = [prompts.reads(*pair) for pair in zip(cores, wordings, strict=True)]
    yes_no = (prompts.tumour_answer(True), prompts.tumour_answer(False))
    asked = [
        [
            Question(prompts.tumour_question(text), yes_no),
            *(Question(prompts.question(text, axis), some) for axis, some in answers.items()),
        ]
        for text in texts
    ]
    tumour, *axes = zip(*model.score(asked), strict=True)
    return Reading(
        np.array([yes - no for yes, no in tumour]),
        {axis: np.stack(values) for axis, values in zip(answers, axes, strict=True)},
    )


def decide_all(
    scores: Sequence[AxisScores], weights: AxisWeights, facts: Sequence[np.ndarray | None]
) -> list[Decision]:
    """A decision for each text on an axis; those over the same codes are made together. `facts` are per text what is
    added to its m codes."""
    together: dict[tuple[int, bool, bool], list[int]] = {}
    for number, (one, moved) in enumerate(zip(scores, facts, strict=True)):
        kind = id(one.codes), one.log_probabilities is None, moved is None
        together.setdefault(kind, []).append(number)
    decisions: dict[int, Decision] = {}
    for (_, alone, unmoved), numbers in together.items():
        rows = [scores[number] for number in numbers]
        made = decide_rows(
            rows[0].codes,
            np.stack([one.log_shares for one in rows]),
            None if alone else np.stack([np.asarray(one.log_probabilities) for one in rows]),
            None if alone else np.array([one.log_none for one in rows]),
            weights,
            None if unmoved else np.stack([np.asarray(facts[number]) for number in numbers]),
        )
        decisions.update(zip(numbers, made, strict=True))
    return [decisions[number] for number in range(len(scores))]


def by_retrieval(found: Retrieval, row: int) -> AxisScores:
    """The scores of a text that the model is not asked about."""
    return AxisScores(found.codes, found.log_shares[row])


def retrieve(
    resources: Resources, cores: Sequence[str], axes: Sequence[CodeSystem] = AXES
) -> dict[CodeSystem, Retrieval]:
    """Retrieval on each axis, once for all cores; with lexical finds where the model is shown or scores candidates."""
    retriever = resources.retriever
    found = dict(zip(axes, retriever.distributions(cores, axes), strict=True))
    for axis in axes:
        if resources.model is not None and (
            resources.prompts.candidates or not _at_once(resources, found[axis])
        ):
            found[axis] = retriever.with_lexical(found[axis], cores)
    return found


def score_cores(
    resources: Resources,
    cores: Sequence[str],
    retrievals: Mapping[CodeSystem, Retrieval],
    rows: Sequence[int] | None = None,
    *,
    wordings: Sequence[str] | None = None,
    wider: bool = False,
    reading: Reading | None = None,
) -> list[dict[CodeSystem, AxisScores]]:
    """Scores per text and axis, of `retrieve`'s retrievals; `rows[i]` is text i's row in them (default: i).
    `wordings` are the stretches that the cores were made from, for a model that reads those. `wider` scores more
    candidates, and the code that the model writes. `reading` is what the model has said already, row by row as the
    retrievals."""
    rows = range(len(cores)) if rows is None else rows
    plain = [{axis: by_retrieval(found, row) for axis, found in retrievals.items()} for row in rows]
    if resources.model is None or not cores:
        return plain
    if reading is not None:
        return [
            {axis: _with_model(one, reading.axes[axis][row]) for axis, one in scores.items()}
            for row, scores in zip(rows, plain, strict=True)
        ]
    k = resources.prompts.candidates
    texts = [resources.prompts.reads(*pair) for pair in zip(cores, wordings or cores, strict=True)]
    at_once = {axis: _at_once(resources, found) for axis, found in retrievals.items()}
    written = _written(resources, texts, retrievals, at_once) if wider else {}
    asked = []
    for number, (text, row, scores) in enumerate(zip(texts, rows, plain, strict=True)):
        questions = []
        for axis, found in retrievals.items():
            if not at_once[axis]:
                columns = _columns(resources, found, row, wider)
                one = written[axis][number] if axis in written else None
                if one is not None and one not in columns:
                    columns.append(one)
                scores[axis] = AxisScores(
                    tuple(found.codes[n] for n in columns), found.log_shares[row][columns]
                )
            candidates = shown(resources.retriever.candidates(found, row, k)) if k else ()
            prompt = resources.prompts.question(text, axis, candidates)
            questions.append(Question(prompt, answers_of(resources.prompts, scores[axis].codes, axis)))
        asked.append(questions)
    return [
        {axis: _with_model(one, values) for (axis, one), values in zip(scores.items(), said, strict=True)}
        for scores, said in zip(plain, resources.model.score(asked), strict=True)
    ]


def _with_model(scores: AxisScores, said: np.ndarray) -> AxisScores:
    """With what the model says of the codes and, last, of "no code fits"."""
    return replace(scores, log_probabilities=said[:-1], log_none=float(said[-1]))


def scores_of_texts(
    resources: Resources, texts: Sequence[str], axes: Sequence[CodeSystem] = AXES
) -> Iterator[dict[CodeSystem, AxisScores]]:
    """Scores of each text's leading diagnosis, taken for a tumour: for fitting and evaluation."""
    for start in range(0, len(texts), _BATCH):
        read = [core_and_wording(text) for text in texts[start : start + _BATCH]]
        cores, wordings = [core for core, _ in read], [wording for _, wording in read]
        yield from score_cores(resources, cores, retrieve(resources, cores, axes), wordings=wordings)


@lru_cache(maxsize=64)
def answers_of(prompts: Prompts, codes: tuple[str, ...], axis: CodeSystem) -> tuple[str, ...]:
    """The answers for codes, and last the one that says that none fits. Kept: the same tuple of a whole axis for
    every text spares the model from preparing it again."""
    return tuple(prompts.answer(code, axis) for code in (*codes, None))


def shown(candidates: Sequence[Candidate]) -> PromptCandidates:
    """Candidates as a prompt shows them: each with its best line."""
    return tuple((c.code, c.matches[0].line.text) for c in candidates if c.matches)


def _at_once(resources: Resources, found: Retrieval) -> bool:
    """Whether the model scores every code of the axis as one token of one pass."""
    assert resources.model is not None
    return resources.model.single_token_answers(answers_of(resources.prompts, found.codes, found.system))


def _columns(resources: Resources, found: Retrieval, row: int, wider: bool) -> list[int]:
    """Which codes the model scores, as columns of the retrieval."""
    k = resources.candidates * (_WIDER if wider else 1)
    shares = found.log_shares[row]
    columns: list[int] = np.argsort(-shares, kind="stable")[:k].tolist()
    if not wider:
        near = int((shares[columns] > shares[columns[0]] - _FAR).sum())
        columns = columns[: max(near, _AT_LEAST)]
    lexical = found.lexical[row] if found.lexical is not None else ()
    return columns + [number for number in map(found.codes.index, lexical) if number not in columns]


def _written(
    resources: Resources,
    texts: Sequence[str],
    retrievals: Mapping[CodeSystem, Retrieval],
    at_once: Mapping[CodeSystem, bool],
) -> dict[CodeSystem, list[int | None]]:
    """Where no candidate fitted: per axis the code that the model itself finds likeliest for each text, as a column.
    None where a server wrote something else."""
    assert resources.model is not None
    found: dict[CodeSystem, list[int | None]] = {}
    for axis, retrieval in retrievals.items():
        if at_once[axis]:
            continue
        every = answers_of(resources.prompts, retrieval.codes, axis)[:-1]
        prompts = [resources.prompts.question(text, axis) for text in texts]
        found[axis] = [
            every.index(answer) if answer in every else None
            for answer in resources.model.generate(prompts, [every] * len(prompts))
        ]
    return found
