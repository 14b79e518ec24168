"""A language model behind an OpenAI-compatible server (vLLM, `transformers serve`) that scores codes.

    model = ServedModel.load("http://127.0.0.1:8001", "Qwen/Qwen3-8B")
    [[scores]] = model.score([[Question("Diagnosetext: «Mammakarzinom» …", ("C50.9", "D05.9"))]])
    model.method                                       # 'prompt', what the server lets us ask

Candidates are scored, not written, as far as the server allows it. At loading, questions of our own without any
patient text find out which of these methods it offers, best first:

- `prompt`: log-probabilities of prompt tokens (/v1/completions with `echo` and `logprobs`). The same numbers as
  `LocalModel`. Needs the model's tokenizer on this machine, since prompts are sent as token ids.
- `forced`: each candidate forced by structured output, with the log-probabilities that the model gave its
  tokens. The same numbers, as long as the server divides the candidate into the same tokens.
- `labelled`: the candidates behind letters, and the probabilities of the letters (`transformers serve`). True
  probabilities, but of a question put differently, in which the order of the candidates weighs too.
- `choice`: the server picks one of the candidates. No probabilities: the pick gets 0.9, the rest shares 0.1.
- `asked`: the model writes, and what it writes is matched against the candidates. As weak as `choice`, and where
  nothing matches, all candidates count the same.

With the last two the fused confidence says little. A server's error messages may quote the prompt and are not repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from agent.models.base import Question, nested
from agent.models.openai_api import ApiClient, RefusedError
from agent.models.tokens import PromptEncoder
from index.errors import ModelError

API_KEY_VARIABLE = "ONKOKODE_SERVER_KEY"
ScoringMethod = Literal["prompt", "forced", "labelled", "choice", "asked"]
T = TypeVar("T")
R = TypeVar("R")

_PICKED = 0.9
_SEQUENCES = 32
_AT_ONCE = 8
_LONGEST_ANSWER = 24
_LETTERS = 26
_WHICH = "Welche Antwort auf die Frage ist richtig?"
# Our own words for the questions at loading, and an answer that no model would give to them.
_PROBE = "Nenne eine Farbe."
_UNLIKELY = "7713/9"
# Without the tokenizer, what looks like a control token of any family is broken up.
_CONTROL_LIKE = re.compile(r"<(?=[|/a-zA-Z_])|\[(?=/?[A-Z_]+\])")


class ServedModel:
    """A served model in the place of a `LocalModel`."""

    def __init__(
        self,
        client: ApiClient,
        model: str,
        method: ScoringMethod,
        *,
        encoder: PromptEncoder | None = None,
        choice_field: str | None = None,
        source: Path | None = None,
    ) -> None:
        self.method = method
        # The folder of the model, where it is on this machine; its `onkokode.json` sets the prompt's style.
        self.source = source
        self._client = client
        self._model = model
        self._encoder = encoder
        self._choice_field = choice_field

    @classmethod
    def load(cls, url: str, model: str | Path | None = None, *, timeout: float = 120.0) -> ServedModel:
        """Finds out what the server can do.

        Args:
            url: such as `http://127.0.0.1:8001`, with or without `/v1`. `ONKOKODE_SERVER_KEY` is its API key.
            model: the name that it serves the model under; None where it serves one.
            timeout: seconds that one answer may take.

        Raises:
            ModelError: no answer, no such model, or a server that offers none of the ways.
        """
        client = ApiClient(url, os.environ.get(API_KEY_VARIABLE), timeout=timeout)
        served = client.models()
        if model is None:
            if len(served) != 1:
                names = ", ".join(served) or "none that it tells of"
                raise ModelError(f"{client.url}: name one of its models with --model (here: {names})")
            model = next(iter(served))
        name = str(model)
        tokenizer, source = _tokenizer(name, served.get(name))
        probe = _Probe(client, name)
        if not probe.exists():
            raise ModelError(
                f"{client.url}: serves no model {name!r} (here: {', '.join(served) or 'it names none'}); "
                "give the served name with --model"
            )
        method, choice_field = probe.method(tokenizer)
        encoder = PromptEncoder(tokenizer) if tokenizer is not None else None
        return cls(client, name, method, encoder=encoder, choice_field=choice_field, source=source)

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
            "forced": self._score_forced,
            "labelled": self._score_labelled,
            "choice": self._score_written,
            "asked": self._score_written,
        }[self.method]
        scores = iter(score(questions))
        return [[next(scores) for _ in text] for text in batch]

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        """Per prompt one of its allowed answers. Where the server cannot hold the model to them: the one that it
        wrote, or an empty string for any other words."""
        if not all(allowed):
            raise ValueError("constrained generation needs at least one allowed answer")
        written = self._write(prompts, allowed if self._choice_field else None)
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

    def _score_forced(self, questions: Sequence[Question]) -> list[np.ndarray]:
        def total(candidate: tuple[str, str, bool]) -> float:
            prompt, answer, with_end = candidate
            written, tokens = self._client.chat(
                self._model, prompt, choices=(self._choice_field or "", [answer]), scored=True
            )
            if not tokens or written.strip() != answer:
                raise ModelError(
                    f"{self._client.url}: stopped to force and score answers as it did at loading"
                )
            return answer_log_probability(answer, tokens, with_end=with_end)

        candidates = [
            [(self._clean(question.prompt), answer, nested(question.answers)) for answer in question.answers]
            for question in questions
        ]
        return [np.array(values, dtype=np.float64) for values in _by_question(total, candidates)]

    def _score_labelled(self, questions: Sequence[Question]) -> list[np.ndarray]:
        def shares(part: tuple[str, tuple[str, ...]]) -> np.ndarray:
            found = self._client.decide(self._model, part[0], _WHICH, part[1])
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
            choices = (self._choice_field or "", list(allowed[number])) if allowed is not None else None
            if self.method == "prompt" and self._encoder is not None:
                # The prompt as the scores read it, in our own tokens.
                [ids] = self._encoder.prompts([prompts[number]])
                return self._client.complete(self._model, ids, _LONGEST_ANSWER, choices)
            prompt = self._clean(prompts[number])
            return self._client.chat(self._model, prompt, max_tokens=_LONGEST_ANSWER, choices=choices)[0]

        return [text.strip() for text in _parallel(one, range(len(prompts)))]

    def _clean(self, prompt: str) -> str:
        """The prompt without anything that the server's tokenizer could take for a control token."""
        if self._encoder is not None:
            return self._encoder.sanitise(prompt)
        return _CONTROL_LIKE.sub(lambda hit: f"{hit[0]} ", prompt.encode("utf-8", "replace").decode("utf-8"))


class _Probe:
    """Asks a server what it can do, in words of our own."""

    def __init__(self, client: ApiClient, model: str) -> None:
        self._client = client
        self._model = model
        self._chats = self._ask(lambda: client.chat(model, _PROBE, max_tokens=1)) is not None

    def exists(self) -> bool:
        """Whether the server knows the model, by one way of asking or the other."""
        return (
            self._chats or self._ask(lambda: self._client.complete(self._model, _PROBE, 1, None)) is not None
        )

    def method(self, tokenizer: Any | None) -> tuple[ScoringMethod, str | None]:
        """The best method, and the field for allowed answers if there is one. Raises `ModelError` where there is
        no method, or the tokenizer is not the served model's."""
        field = self._choice_field()
        scores_prompts = tokenizer is not None and tokenizer.eos_token_id is not None
        if scores_prompts and self._scores_prompts(tokenizer):
            return "prompt", field
        if field is not None and self._scores_forced(field):
            return "forced", field
        options = ("Rot", "Blau")
        if self._ask(lambda: self._client.decide(self._model, _PROBE, _WHICH, options)) is not None:
            return "labelled", field
        if field is not None or self._chats:
            return ("choice" if field is not None else "asked"), field
        raise ModelError(
            f"{self._client.url}: answers neither scored completions nor chats for {self._model!r}; "
            "serve it with vLLM, and give its folder or hub name with --model, so that its tokenizer is found"
        )

    def _choice_field(self) -> str | None:
        """The name under which the server takes a list of allowed answers: vLLM's, or that of older versions."""
        for field in ("structured_outputs", "guided_choice"):
            answer = self._forced(field)
            if answer is not None and answer[0].strip() == _UNLIKELY:
                return field
        return None

    def _scores_prompts(self, tokenizer: Any) -> bool:
        """Whether token ids are scored, and are the served model's own."""
        ids = tokenizer(_PROBE).input_ids
        if self._ask(lambda: self._client.prompt_log_probabilities(self._model, [ids, ids[:-1]])) is None:
            return False
        counted = self._ask(lambda: self._client.count_tokens(self._model, _PROBE))
        if counted is not None and counted != len(ids):
            raise ModelError(
                f"{self._client.url}: {self._model} divides text into other tokens than the tokenizer of that name "
                "on this machine; remove or update the folder"
            )
        return True

    def _scores_forced(self, field: str) -> bool:
        """Whether log-probabilities are those before the constraint: after it, a forced answer is certain."""
        answer = self._forced(field, scored=True)
        return answer is not None and sum(value for _, value in answer[1]) < -1e-3

    def _forced(self, field: str, *, scored: bool = False) -> tuple[str, list[tuple[str, float]]] | None:
        return self._ask(
            lambda: self._client.chat(self._model, _PROBE, choices=(field, [_UNLIKELY]), scored=scored)
        )

    @staticmethod
    def _ask(question: Callable[[], T]) -> T | None:
        try:
            return question()
        except RefusedError:
            return None


def answer_log_probability(answer: str, tokens: Sequence[tuple[str, float]], *, with_end: bool) -> float:
    """The sum over the tokens that spell the answer; servers also list the end token after them, which counts
    only where one answer begins another."""
    if with_end:
        return float(sum(value for _, value in tokens))
    total, spelt = 0.0, ""
    for token, value in tokens:
        total += value
        spelt += token
        if spelt.strip() == answer:
            break
    return total


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


def _tokenizer(name: str, root: str | None) -> tuple[Any, Path | None]:
    """The served model's tokenizer from a folder or from what the hub's client has stored already, and the folder.
    Nothing is fetched: only the server is talked to."""
    from transformers import AutoTokenizer

    for source in dict.fromkeys(filter(None, (name, root))):
        folder = Path(source).expanduser()
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder) if folder.is_dir() else source, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError):
            continue
        return tokenizer, folder if folder.is_dir() else None
    return None, None
