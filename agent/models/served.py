"""A language model behind an OpenAI-compatible server (llama.cpp, vLLM, `transformers serve`) that scores codes.

    model = ServedModel.load("http://127.0.0.1:8001", "Qwen/Qwen3-8B")
    [[scores]] = model.score([[Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))]])
    model.method                                       # 'prompt', what the server lets us ask

Candidates are scored, not written, as far as the server allows it. At loading, questions of our own without any
patient text find out which of these methods it offers, best first:

- `prompt`: log-probabilities of prompt tokens (/v1/completions with `echo` and `logprobs`; vLLM). The same numbers
  as `LocalModel`. Needs the model's tokenizer on this machine, since prompts are sent as token ids.
- `token`: each token of an answer, forced by a bias, with the log-probability from before the bias (/completion of
  llama.cpp's `llama-server`). The same numbers again, for a request a token; needs the tokenizer, too.
- `forced`: each candidate forced by structured output, with the log-probabilities that the model gave its
  tokens. The same numbers, as long as the server divides the candidate into the same tokens.
- `labelled`: the candidates behind letters, and the probabilities of the letters (`transformers serve`). True
  probabilities, but of a question put differently, in which the order of the candidates weighs too.
- `choice`: the server picks one of the candidates. No probabilities: the pick gets 0.9, the rest shares 0.1.
- `asked`: the model writes, and what it writes is matched against the candidates. As weak as `choice`, and where
  nothing matches, all candidates count the same.

With the last two the fused confidence says little. A server's error messages may quote the prompt and are not repeated.
After loading, a server that is away is waited for, and each call makes sure that it still serves the same model.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from agent.models.base import Question, nested
from agent.models.openai_api import ApiClient
from agent.models.prefix_tree import AnswerTokens
from agent.models.server_probe import WHICH, Offer, ServerProbe, served_tokenizer
from agent.models.tokens import PromptEncoder
from index.errors import ModelError

_LOG = logging.getLogger("onkokode.server")
API_KEY_VARIABLE = "ONKOKODE_SERVER_KEY"
T = TypeVar("T")
R = TypeVar("R")

_PICKED = 0.9
_SEQUENCES = 32
_AT_ONCE = 8
_LONGEST_ANSWER = 24
_LETTERS = 26
# Servers of large models need minutes to start; a run that was begun waits so many seconds for one.
_PATIENCE = 180.0
# Without the tokenizer, what looks like a control token of any family is broken up.
_CONTROL_LIKE = re.compile(r"<(?=[|/a-zA-Z_])|\[(?=/?[A-Z_]+\])")


class ServedModel:
    """A served model in the place of a `LocalModel`."""

    def __init__(self, client: ApiClient, model: str, offer: Offer, *, source: Path | None = None) -> None:
        self.method = offer.method
        # The folder of the model, where it is on this machine; its `onkokode.json` sets the prompt's style.
        self.source = source
        self._client = client
        self._model = model
        self._offer = offer
        self._encoder = PromptEncoder(offer.tokenizer) if offer.tokenizer is not None else None

    @classmethod
    def load(
        cls,
        url: str,
        model: str | Path | None = None,
        *,
        timeout: float = 120.0,
        patience: float = _PATIENCE,
    ) -> ServedModel:
        """Finds out what the server can do.

        Args:
            url: such as `http://127.0.0.1:8001`, with or without `/v1`. `ONKOKODE_SERVER_KEY` is its API key.
            model: the name that it serves the model under; None where it serves one.
            timeout: seconds that one answer may take.
            patience: seconds that a server that goes away later is waited for.

        Raises:
            ModelError: no answer, no such model, or a server that offers none of the ways.
        """
        client = ApiClient(url, os.environ.get(API_KEY_VARIABLE), timeout=timeout)
        if client.leaves_unencrypted():
            _LOG.warning(
                "%s: another machine gets the texts, unencrypted; use https where you can", client.url
            )
        served = client.models()
        if model is None:
            if len(served) != 1:
                names = ", ".join(served) or "none that it tells of"
                raise ModelError(f"{client.url}: name one of its models with --model (here: {names})")
            model = next(iter(served))
        name = str(model)
        probe = ServerProbe(client, name)
        if not probe.exists(served):
            raise ModelError(
                f"{client.url}: serves no model {name!r} (here: {', '.join(served) or 'it names none'}); "
                "give the served name with --model"
            )
        tokenizer, source = served_tokenizer(name, served.get(name))
        offer = probe.offer(tokenizer, listed=name in served)
        client.patience = patience
        return cls(client, name, offer, source=source)

    @property
    def name(self) -> str:
        return f"{self._model} at {self._client.url}"

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        # A server tells of a few tokens at a time: thousands of codes are never free.
        return False

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        questions = [question for text in batch for question in text]
        score = {
            "prompt": self._score_prompts,
            "token": self._score_tokens,
            "forced": self._score_forced,
            "labelled": self._score_labelled,
            "choice": self._score_written,
            "asked": self._score_written,
        }[self.method]
        scores = iter(score(questions))
        found = [[next(scores) for _ in text] for text in batch]
        # Last, since the server may have been started again while it was asked.
        if questions and not ServerProbe(self._client, self._model).still(self._offer):
            raise ModelError(
                f"{self._client.url}: serves another model as {self._model!r} than at the start; start again"
            )
        return found

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        """Per prompt one of its allowed answers. Where the server cannot hold the model to them: the one that it
        wrote, or an empty string for any other words."""
        if not all(allowed):
            raise ValueError("constrained generation needs at least one allowed answer")
        written = self._write(prompts, allowed if self._offer.choice_field else None)
        return [match(text, answers) or "" for text, answers in zip(written, allowed, strict=True)]

    def _score_prompts(self, questions: Sequence[Question]) -> list[np.ndarray]:
        assert self._encoder is not None
        prompts = self._encoder.prompts([question.prompt for question in questions])
        answers = [self._encoder.scored_answers(question.answers) for question in questions]
        sequences = [
            (len(prompt), [*prompt, *answer])
            for prompt, own in zip(prompts, answers, strict=True)
            for answer in own
        ]
        parts = [sequences[start : start + _SEQUENCES] for start in range(0, len(sequences), _SEQUENCES)]

        def totals(part: Sequence[tuple[int, list[int]]]) -> list[float]:
            found = self._client.prompt_log_probabilities(self._model, [ids for _, ids in part])
            return [float(sum(values[start:])) for (start, _), values in zip(part, found, strict=True)]

        values = iter([value for part in _parallel(totals, parts) for value in part])
        return [np.array([next(values) for _ in own], dtype=np.float64) for own in answers]

    def _score_tokens(self, questions: Sequence[Question]) -> list[np.ndarray]:
        assert self._encoder is not None
        prompts = self._encoder.prompts([question.prompt for question in questions])
        trees = [
            AnswerTokens.of(self._encoder.scored_answers(question.answers)) if question.answers else None
            for question in questions
        ]
        # What answers share is asked once.
        branches = [
            [([*prompt, *way], tree.edge_token[edges].tolist(), edges) for way, edges in tree.branches()]
            if tree is not None
            else []
            for prompt, tree in zip(prompts, trees, strict=True)
        ]
        told = _by_question(
            lambda branch: self._client.token_log_probabilities(self._model, branch[0], branch[1]), branches
        )
        scores = []
        for tree, own, values in zip(trees, branches, told, strict=True):
            edge_values = np.zeros(0 if tree is None else len(tree.edge_token))
            for (_, _, edges), of_edges in zip(own, values, strict=True):
                edge_values[edges] = of_edges
            scores.append(np.empty(0) if tree is None else tree.totals(edge_values))
        return scores

    def _score_forced(self, questions: Sequence[Question]) -> list[np.ndarray]:
        def total(candidate: tuple[str, str, bool]) -> float:
            prompt, answer, with_end = candidate
            written, tokens = self._client.chat(
                self._model, prompt, choices=(self._offer.choice_field or "", [answer]), scored=True
            )
            try:
                if written.strip() != answer:
                    raise ValueError("another answer")
                return answer_log_probability(answer, tokens, with_end=with_end)
            except ValueError:
                raise ModelError(
                    f"{self._client.url}: stopped to force and score answers as it did at loading; start again"
                ) from None

        candidates = [
            [(self._clean(question.prompt), answer, nested(question.answers)) for answer in question.answers]
            for question in questions
        ]
        return [np.array(values, dtype=np.float64) for values in _by_question(total, candidates)]

    def _score_labelled(self, questions: Sequence[Question]) -> list[np.ndarray]:
        def shares(part: tuple[str, tuple[str, ...]]) -> np.ndarray:
            found = self._client.decide(self._model, part[0], WHICH, part[1])
            return np.log(np.maximum(np.array(found, dtype=np.float64), 1e-12))

        parts = [
            [(self._clean(question.prompt), part) for part in lettered_parts(question.answers)]
            for question in questions
        ]
        return [joined_parts(values) for values in _by_question(shares, parts)]

    def _score_written(self, questions: Sequence[Question]) -> list[np.ndarray]:
        written = self._write(
            [question.prompt for question in questions],
            [question.answers for question in questions] if self.method == "choice" else None,
        )
        return [
            one_hot(match(text, question.answers), question.answers)
            for text, question in zip(written, questions, strict=True)
        ]

    def _write(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]] | None) -> list[str]:
        def one(number: int) -> str:
            choices = (self._offer.choice_field or "", list(allowed[number])) if allowed is not None else None
            if self.method in ("prompt", "token") and self._encoder is not None:
                # The prompt as the scores read it, in our own tokens.
                [ids] = self._encoder.prompts([prompts[number]])
                return self._client.complete(self._model, ids, _LONGEST_ANSWER, choices)
            prompt = self._clean(prompts[number])
            if not self._offer.chats or (self._encoder is not None and not self._encoder.chat):
                # A base model: a chat would put a template around the prompt that it was never trained on.
                return self._client.complete(self._model, prompt, _LONGEST_ANSWER, choices)
            return self._client.chat(self._model, prompt, max_tokens=_LONGEST_ANSWER, choices=choices)[0]

        return [text.strip() for text in _parallel(one, range(len(prompts)))]

    def _clean(self, prompt: str) -> str:
        """The prompt without anything that the server's tokenizer could take for a control token."""
        if self._encoder is not None:
            return self._encoder.sanitise(prompt)
        return _CONTROL_LIKE.sub(lambda hit: f"{hit[0]} ", prompt.encode("utf-8", "replace").decode("utf-8"))


def answer_log_probability(answer: str, tokens: Sequence[tuple[str, float]], *, with_end: bool) -> float:
    """The sum over the tokens that spell the answer; servers also list the end token after them, which counts
    only where one answer begins another. `ValueError` where the tokens spell anything else, or none follows."""
    spelt = ""
    for number, (token, _) in enumerate(tokens, start=1):
        spelt += token
        if spelt.strip() == answer and (not with_end or number < len(tokens)):
            return float(sum(value for _, value in tokens[: number + with_end]))
    raise ValueError("other tokens")


def lettered_parts(answers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The answers in parts of as many as there are letters, each with the last one at its end: against that one,
    which says that none fits, answers of different parts can be compared."""
    *others, last = answers
    room = _LETTERS - 1
    return [(*others[start : start + room], last) for start in range(0, max(1, len(others)), room)]


def joined_parts(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Log-probabilities over all answers, from those of each part."""
    odds = np.concatenate([*(part[:-1] - part[-1] for part in parts), [0.0]])
    return odds - np.logaddexp.reduce(odds)


def match(written: str, answers: Sequence[str]) -> str | None:
    """The answer that a model wrote: all of it, or the first one that stands in it as a word of its own; of two
    at one place, the longer."""
    text = written.strip().strip(".\"'»«` ")
    by_form = {answer.casefold(): answer for answer in answers}
    if text.casefold() in by_form:
        return by_form[text.casefold()]
    best: tuple[int, int, str] | None = None
    for form, answer in by_form.items():
        hit = re.search(rf"(?<![\w/.]){re.escape(form)}(?![\w/]|\.\d)", text.casefold())
        if hit and (best is None or (hit.start(), -len(form)) < best[:2]):
            best = (hit.start(), -len(form), answer)
    return best[2] if best else None


def one_hot(picked: str | None, answers: Sequence[str]) -> np.ndarray:
    """Log-probabilities that say which answer was picked, and nothing about the others."""
    if picked is None or len(answers) < 2:
        return np.full(len(answers), -np.log(max(1, len(answers))))
    rest = (1 - _PICKED) / (len(answers) - 1)
    return np.log(np.array([_PICKED if answer == picked else rest for answer in answers], dtype=np.float64))


def _parallel(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Some at once: the server puts them into one batch."""
    todo = list(items)
    if len(todo) < 2:
        return [call(item) for item in todo]
    with ThreadPoolExecutor(min(_AT_ONCE, len(todo))) as pool:
        return list(pool.map(call, todo))


def _by_question(call: Callable[[T], R], items: Iterable[Sequence[T]]) -> list[list[R]]:
    """The results for the items of each question, all of them asked at once."""
    groups = list(items)
    results = iter(_parallel(call, [item for group in groups for item in group]))
    return [[next(results) for _ in group] for group in groups]
