"""How each kind of variant answers rows, with the agent's own parts.

    answerer = answerer_for(variant, parts, axes)         # raises NotPossible where the models cannot
    replies = answerer.answer(rows)                       # one Reply per row
    answerer.tokens                                       # read and written so far

Every variant reads the same words: the diagnosis that `agent.prepare` finds in the text. Only the axes that a row
has a code for are asked; the agent always answers all, and says whether the text is a tumour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from agent.agent import CodingAgent
from agent.decide.records import AxisWeights, Decision
from agent.decide.scores import AxisScores, scores_of_texts, shown
from agent.models.compact import CompactModel
from agent.models.generate import answer_text, batches_by_length, code_is_written, first_code, greedy
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.tokens import PromptEncoder
from agent.prepare import core_and_wording, core_of
from agent.resources import Resources
from agent.results import CodedText
from eval.run.folder import Answer
from eval.run.models import CountingEncoder, NotPossible, Parts
from eval.run.traps import missed
from eval.run.variants import Variant
from eval.scoring import first_choice, first_confidence
from eval.testset import Row
from index.catalogue.years import MODELS_YEAR
from index.records import AXES, CodeSystem
from index.search.retriever import Retriever

_TOP = 10
RECALL_AT = (1, 5, 10, 20, 50)
_BATCH = 32  # prompts that are answered in writing at a time
_DIGITS = 6  # of a confidence; the digits after them differ between machines
_THOUGHT_ENDS = "</think>"
# Set inside the template, where it outweighs what the caller passes.
_THINKING = "{% set enable_thinking = true %}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers to a row by axis, whether the variant calls it a tumour (None: was not asked), how many questions
    that were, and what the answer to a trap misses (None: is no trap)."""

    answers: Mapping[CodeSystem, Answer]
    tumour: bool | None
    questions: int
    missed: tuple[str, ...] | None = None


def answerer_for(variant: Variant, parts: Parts) -> Answerer:
    """A variant with its models, loaded. Raises `NotPossible` where they cannot run it, `ModelError`."""
    if variant.answer == "agent":
        return _AgentAnswerer(parts.context(variant))
    if variant.answer == "candidates":
        return _CandidatesAnswerer(parts.context(variant))
    if variant.answer == "written":
        return _WrittenAnswerer(parts.context(variant), variant)
    return _ScoredAnswerer(parts.context(variant), variant.answer)


class Answerer:
    """Answers rows; a row's answers do not depend on the calls before."""

    def __init__(self, context: Resources) -> None:
        self.context = context
        self._written = 0

    def answer(self, rows: Sequence[Row]) -> list[Reply]:
        """One reply per row, in their order."""
        found: list[dict[CodeSystem, Answer]] = [{} for _ in rows]
        for place, axis, answer in self._answers(rows):
            found[place][axis] = answer
        # In the order of the axes, whichever was answered first.
        ordered = [{axis: answers[axis] for axis in AXES if axis in answers} for answers in found]
        return [Reply(answers, None, len(answers)) for answers in ordered]

    def _answers(self, rows: Sequence[Row]) -> Iterator[tuple[int, CodeSystem, Answer]]:
        """(row's place, axis, answer) for each axis that a row has a code for."""
        raise NotImplementedError

    @property
    def tokens(self) -> int:
        """Tokens that the language model read and wrote since it was loaded."""
        encoder = self._encoder
        return self._written + (encoder.tokens if isinstance(encoder, CountingEncoder) else 0)

    @property
    def _encoder(self) -> PromptEncoder | None:
        model = self.context.model
        return model.encoder if isinstance(model, CompactModel | LocalModel) else None


class _AgentAnswerer(Answerer):
    def answer(self, rows: Sequence[Row]) -> list[Reply]:
        agent = CodingAgent(self.context, batch_size=len(rows), date=MODELS_YEAR)
        codes = agent.code_many([row.text for row in rows])
        return [reply_of(row, coded) for row, coded in zip(rows, codes, strict=True)]


class _CandidatesAnswerer(Answerer):
    def _answers(self, rows: Sequence[Row]) -> Iterator[tuple[int, CodeSystem, Answer]]:
        for axis in AXES:
            places = [i for i, row in enumerate(rows) if axis in asked(row)]
            texts = [core_of(rows[i].text) for i in places]
            gold = [rows[i].gold(axis) or "" for i in places]
            recalled = recalled_at(self.context.retriever, texts, gold, axis)
            for i, lengths in zip(places, recalled, strict=True):
                yield i, axis, Answer(None, committed=False, recalled=lengths)


class _ScoredAnswerer(Answerer):
    """Retrieval's distribution, the model's, or both fused."""

    def __init__(self, context: Resources, what: str) -> None:
        super().__init__(context)
        self._what = what

    def _answers(self, rows: Sequence[Row]) -> Iterator[tuple[int, CodeSystem, Answer]]:
        # The axes of a text are asked together: they share their prompt's computation.
        for axes in sorted({asked(row) for row in rows if asked(row)}):
            places = [i for i, row in enumerate(rows) if asked(row) == axes]
            scores = scores_of_texts(self.context, [rows[i].text for i in places], axes)
            for i, scored in zip(places, scores, strict=True):
                for axis in axes:
                    yield i, axis, self._decided(scored[axis], self.context.weights.axes[axis])

    def _decided(self, scores: AxisScores, fitted: AxisWeights) -> Answer:
        if self._what == "fused":
            return _of_decision(scores.decide(fitted), fitted)
        # Alone, a distribution is its own confidence: what was fitted belongs to the sum of both.
        alone = AxisWeights(none_above=fitted.none_above, abstain_below=fitted.abstain_below)
        if self._what == "scored":
            # A flat retrieval leaves the model's own distribution.
            scores = replace(scores, log_shares=np.zeros(len(scores.codes)))
        return _of_decision(scores.decide(alone), alone)


class _WrittenAnswerer(Answerer):
    """What the model writes, greedily, after it has thought where the variant says so."""

    def __init__(self, context: Resources, variant: Variant) -> None:
        super().__init__(context)
        if not isinstance(context.model, LocalModel):
            raise NotPossible("needs a model on this machine")
        self._model = context.model
        self._asking = thinking_encoder(self._model.encoder) if variant.thinking else self._model.encoder
        self._thinks = variant.thinking
        self._longest = 1 if context.prompts.style == "compact" else variant.max_new_tokens

    @property
    def _encoder(self) -> PromptEncoder:
        return self._asking

    def _answers(self, rows: Sequence[Row]) -> Iterator[tuple[int, CodeSystem, Answer]]:
        read = [core_and_wording(row.text) for row in rows]
        for axis in AXES:
            # An axis at a time: its prompts begin alike, which is read once.
            questions = list(
                self._questions(read, [i for i, row in enumerate(rows) if axis in asked(row)], axis)
            )
            ids = self._asking.prompts([prompt for _, prompt in questions])
            for batch in batches_by_length(ids, _BATCH):
                for q, said in zip(batch, self._write([ids[q] for q in batch], axis), strict=True):
                    self._written += len(said)
                    yield questions[q][0], axis, self._read(said, axis)

    def _write(self, prompts: Sequence[Sequence[int]], axis: CodeSystem) -> list[list[int]]:
        tokenizer = self._asking.tokenizer

        def decided(said: list[int]) -> bool:
            return code_is_written(tokenizer.decode(said, skip_special_tokens=True), axis)

        # A code in a thought decides nothing.
        enough = None if self._thinks else decided
        return greedy(self._model.model, tokenizer, prompts, self._longest, enough=enough)

    def _questions(
        self, read: Sequence[tuple[str, str]], places: Sequence[int], axis: CodeSystem
    ) -> Iterator[tuple[int, str]]:
        prompts = self.context.prompts
        k, cores = prompts.candidates, [read[i][0] for i in places]
        finds = self.context.retriever.retrieve(cores, axis, k=k) if k and cores else [[]] * len(cores)
        for i, candidates in zip(places, finds, strict=True):
            yield i, prompts.question(prompts.reads(*read[i]), axis, shown(candidates))

    def _read(self, said: Sequence[int], axis: CodeSystem) -> Answer:
        if self._thinks:
            end = self._asking.tokenizer.convert_tokens_to_ids(_THOUGHT_ENDS)
            if end not in said:
                return Answer(None, committed=False, reason="thought_unfinished")
            said = said[len(said) - list(reversed(said)).index(end) :]
        return of_words(answer_text(said, self._asking.tokenizer, axis.value, self.context.prompts), axis)


def recalled_at(
    retriever: Retriever,
    texts: Sequence[str],
    gold: Sequence[str],
    axis: CodeSystem,
    lengths: Sequence[int] = RECALL_AT,
) -> list[tuple[int, ...]]:
    """For each text the lengths k at which the list of k candidates holds the right code. Each k is asked for by
    itself, because the list's last places go to lexical finds and so differ with k."""
    found: list[tuple[int, ...]] = [()] * len(texts)
    for k in lengths if texts else ():
        for i, candidates in enumerate(retriever.retrieve(texts, axis, k)):
            if gold[i] in [candidate.code for candidate in candidates[:k]]:
                found[i] = (*found[i], k)
    return found


def reply_of(row: Row, coded: CodedText) -> Reply:
    """What the agent's answer says on the axes that the row has a code for."""
    answers = {axis: _of_coding(coded, axis) for axis in asked(row)}
    return Reply(
        answers, coded.tumour, len(AXES), tuple(missed(row.expected, coded)) if row.expected else None
    )


def asked(row: Row) -> tuple[CodeSystem, ...]:
    """The axes that a row has a code for."""
    return tuple(axis for axis in AXES if row.gold(axis))


def thinking_encoder(encoder: PromptEncoder) -> CountingEncoder:
    """An encoder that leaves the chat template's thinking on. Raises `NotPossible` where there is no switch for
    it, or no token that ends a thought."""
    if not encoder.chat:
        raise NotPossible("has no reasoning mode: the model has no chat template")
    tokenizer = copy(encoder.tokenizer)
    tokenizer.chat_template = _THINKING + str(tokenizer.chat_template)
    if PromptEncoder(tokenizer).prompts(["?"]) == PromptEncoder(encoder.tokenizer).prompts(["?"]):
        raise NotPossible("has no reasoning mode: the model's chat template has no switch enable_thinking")
    if _THOUGHT_ENDS not in tokenizer.get_vocab():
        raise NotPossible(f"has no reasoning mode that can be read: no token {_THOUGHT_ENDS} ends a thought")
    return CountingEncoder(tokenizer)


def example_prompts(prompts: Prompts | None, axes: Sequence[CodeSystem]) -> dict[str, str]:
    """What a model is asked, with «…» for the text and one line of dots for the candidates' catalogue lines."""
    if prompts is None:
        return {}
    lines = [("…", "…")] * min(prompts.candidates, 1)
    return {axis.value: prompts.question("«…»", axis, lines) for axis in axes}


def of_words(said: str, axis: CodeSystem) -> Answer:
    """The first code in what was written."""
    code = first_code(said, axis)
    if code is not None:
        return Answer(code, top=(code,))
    none_fits = said.strip().lower().startswith(Prompts().answer(None, axis))
    return Answer(None, committed=False, reason="none_fits" if none_fits else "malformed")


def _of_decision(decision: Decision, weights: AxisWeights) -> Answer:
    reason = None
    if decision.first is None or decision.none > weights.none_above:
        reason = "none_fits"
    elif decision.confidence < weights.abstain_below:
        reason = "unsure"
    return Answer(
        decision.first,
        committed=reason is None,
        confidence=round(decision.confidence, _DIGITS),
        top=tuple(code for code, _ in decision.ranked(_TOP)),
        reason=reason,
    )


def _of_coding(coded: CodedText, axis: CodeSystem) -> Answer:
    coding = coded.coding(axis)
    first = first_choice(coding)
    reason = None
    if coding.abstained:
        unsure = (coding.reason or "").startswith("Zu unsicher")
        reason = "no_tumour" if not coded.tumour else "unsure" if unsure else "none_fits"
    return Answer(
        first,
        committed=not coding.abstained,
        confidence=round(first_confidence(coding), _DIGITS),
        top=() if first is None else (first, *(a.code for a in coding.alternatives if a.code != first)),
        reason=reason,
    )
