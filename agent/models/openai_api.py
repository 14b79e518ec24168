"""The client of a model server with OpenAI's API: one method per question, its errors and its retries.

    client = ApiClient("http://127.0.0.1:8001", None)
    client.models()                                            # {'qwen3-8b': '/models/Qwen3-8B'}
    client.prompt_log_probabilities("qwen3-8b", [[1, 2, 3]])   # [[0.0, -2.3, -0.7]]

A text goes to the named address or nowhere: no proxy, no redirect, nothing from the environment. Error messages name
the address and the remedy, never what was sent or what came back, which may quote it.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import httpx

from index.errors import ModelError

T = TypeVar("T")
_LOG = logging.getLogger("onkokode.server")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
# From this wait on somebody who watches is told that the server is away.
_TOLD = 2.0
_BUSY = (429, 502, 503, 504)
_COMPLETIONS = "/v1/completions"
# Added to a token's logit, it makes the token certain, whatever the model thinks of it.
_CERTAIN = 1e6
# The logarithm of the smallest probability that fp32 holds: servers write 0 or a huge number below it.
_LEAST = -104.0
# How many tokens of a branching answer one question asks for: all digits are among so many, after training.
_LIKELIEST = 64
# A field's name and the answers allowed: ("structured_outputs", ["C50.9", "C61"]).
Choices = tuple[str, list[str]]


class RefusedError(ModelError):
    """The server answered, but does not do what was asked."""


class ApiClient:
    """Talks to a server at an address that the user named; may be used from several threads.

    Args:
        timeout: seconds that one answer may take.
        patience: seconds that a server that is down, starting or busy is asked again; may be set later.
    """

    def __init__(
        self, url: str, api_key: str | None, *, timeout: float = 120.0, patience: float = 8.0
    ) -> None:
        try:
            address = httpx.URL(url if "//" in url else f"http://{url}")
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host or address.userinfo or address.query:
            raise ModelError(
                f"{address.host or 'that'} is no server's address; give one such as http://127.0.0.1:8001"
            )
        self.url = str(address.copy_with(query=None, fragment=None)).rstrip("/").removesuffix("/v1")
        self.patience = patience
        self._timeout = timeout
        self._away = threading.Lock()
        # Uncompressed: what a server sends takes as much memory as it says.
        headers = dict.fromkeys(("Content-Type", "Accept"), "application/json") | {
            "Accept-Encoding": "identity"
        }
        self._client = httpx.Client(
            headers=headers,
            timeout=timeout,
            # The machine's own certificates, since a hospital's server may have one of its own authority.
            verify=ssl.create_default_context(),
            # A connection for each request: one that was kept may be half dead.
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )
        if api_key:
            self._client.headers["Authorization"] = f"Bearer {api_key}"

    def leaves_unencrypted(self) -> bool:
        """Whether texts go to another machine, and anybody on the way can read them."""
        address = httpx.URL(self.url)
        return address.scheme == "http" and not _is_this_machine(address.host)

    def models(self) -> dict[str, str | None]:
        """The served names, and the folder or hub name behind each where the server tells it."""
        try:
            listed = self._ask("/v1/models")
        except RefusedError:
            return {}
        found = listed.get("data") if isinstance(listed, dict) else None
        return {str(m["id"]): m.get("root") for m in found or () if isinstance(m, dict) and "id" in m}

    def prompt_log_probabilities(self, model: str, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
        """Per prompt (token ids) the log-probability of each token after those before it; 0 for the first."""

        def read(answer: Any) -> list[list[float]]:
            found: dict[int, list[float]] = {}
            for choice in answer["choices"]:
                length = len(prompts[choice["index"]])
                first, *values = choice["logprobs"]["token_logprobs"][:length]
                # Servers that leave the first token out would give each one the value of the next.
                if first not in (None, 0.0) or len(values) + 1 != length:
                    raise ValueError("values of other tokens")
                found[choice["index"]] = [0.0, *map(_log_probability, values)]
            return [found[row] for row in range(len(prompts))]

        # One new token, since some servers refuse to write none; it is left out.
        asked = {"model": model, "prompt": list(map(list, prompts)), "temperature": 0, "max_tokens": 1}
        complaint = "does not tell the log-probabilities of all prompts"
        return self._read(_COMPLETIONS, {**asked, "echo": True, "logprobs": 1}, read, complaint)

    def token_log_probabilities(
        self, model: str, prompt: Sequence[int], tokens: Sequence[int]
    ) -> list[float]:
        """The log-probability of each token (id) as the next one after a prompt (ids), from llama.cpp's own
        `/completion`: a bias makes the server write a token, and the probability that it tells of it is that from
        before the bias. What it tells of the likeliest tokens beside it saves further questions."""
        found: dict[int, float] = {}
        while missing := [token for token in tokens if token not in found]:
            found |= self._next_tokens(model, prompt, missing[0], _LIKELIEST if len(missing) > 1 else 1)
        return [found[token] for token in tokens]

    def _next_tokens(self, model: str, prompt: Sequence[int], token: int, likeliest: int) -> dict[int, float]:
        def read(answer: Any) -> dict[int, float]:
            [told] = answer["completion_probabilities"]
            if told["id"] != token:
                raise ValueError("another token")
            all_told = (*told["top_logprobs"], told)
            return {int(one["id"]): _log_probability(one["logprob"]) for one in all_told}

        asked = {"model": model, "prompt": list(prompt), "n_predict": 1, "cache_prompt": True}
        sampling = {"samplers": [], "logit_bias": [[token, _CERTAIN]]}
        told = {
            "n_probs": likeliest,
            "post_sampling_probs": False,
            "response_fields": ["completion_probabilities"],
        }
        complaint = "does not tell the log-probability of a token that it is made to write"
        return self._read("/completion", {**asked, **sampling, **told}, read, complaint)

    def tokens(self, model: str, text: str) -> list[int]:
        """The token ids that the server's own tokenizer divides a text into, with the token that begins a text."""
        # llama.cpp asks for `content`, vLLM for `prompt`.
        asked = {"model": model, "content": text, "prompt": text, "add_special": True}
        return self._read(
            "/tokenize", asked, lambda answer: [int(token) for token in answer["tokens"]], "tells no tokens"
        )

    def count_tokens(self, model: str, text: str) -> int:
        """The number of tokens that the server's own tokenizer divides a text into."""
        asked = {"model": model, "prompt": text, "max_tokens": 1}
        return self._read(
            _COMPLETIONS, asked, lambda answer: int(answer["usage"]["prompt_tokens"]), "counts no tokens"
        )

    def complete(
        self, model: str, prompt: str | Sequence[int], max_tokens: int, choices: Choices | None
    ) -> str:
        """What the model writes after a prompt, greedily."""
        asked = {"model": model, "max_tokens": max_tokens, "temperature": 0, **_constraint(choices)}
        asked["prompt"] = prompt if isinstance(prompt, str) else list(prompt)
        return self._read(
            _COMPLETIONS, asked, lambda answer: str(answer["choices"][0]["text"]), "gave no completion"
        )

    def chat(
        self,
        model: str,
        prompt: str,
        *,
        max_tokens: int = 24,
        choices: Choices | None = None,
        scored: bool = False,
    ) -> tuple[str, list[tuple[str, float]]]:
        """What the model answers to one user turn, greedily and without thinking; where `scored`, also its tokens
        with their log-probabilities (none: the server did not tell)."""

        def read(answer: Any) -> tuple[str, list[tuple[str, float]]]:
            [choice] = answer["choices"]
            tokens = (choice.get("logprobs") or {}).get("content") if scored else None
            values = [(str(token["token"]), float(token["logprob"])) for token in tokens or ()]
            return str(choice["message"]["content"] or ""), values

        asked = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "chat_template_kwargs": {"enable_thinking": False},
            **_constraint(choices),
            **({"logprobs": True} if scored else {}),
        }
        return self._read("/v1/chat/completions", asked, read, "gave no answer to a chat")

    def decide(self, model: str, state: str, question: str, options: Sequence[str]) -> list[float]:
        """The probability of each option among them all, from `transformers serve`: it shows the options behind
        letters and reads the letters' probabilities."""

        def read(answer: Any) -> list[float]:
            probabilities = answer["answers"]["q"]["probabilities"]
            return [float(probabilities[option]) for option in options]

        choice = {"type": "choice", "instructions": question, "criteria": dict.fromkeys(options)}
        asked = {"model": model, "state": state, "questions": {"q": choice}}
        return self._read("/v1/systemone", asked, read, "tells no probabilities of options")

    def _read(self, path: str, body: dict[str, Any], read: Callable[[Any], T], complaint: str) -> T:
        """What `read` takes from the answer; `RefusedError` with the complaint where it is not there."""
        answer = self._ask(path, body)
        try:
            return read(answer)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            raise RefusedError(f"{self.url}: {complaint}") from None

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer; servers that are busy, starting or away are asked again while patience lasts."""
        # ASCII: a lone surrogate of a text is written as an escape, which `json=` of httpx refuses.
        data = json.dumps(body).encode("ascii") if body is not None else None
        for wait in self._waits():
            try:
                answer = self._client.request(
                    "GET" if data is None else "POST", f"{self.url}{path}", content=data
                )
            except httpx.TimeoutException:
                raise ModelError(
                    f"{self.url}: no answer within {self._timeout:.0f} s; the model server is overloaded or its "
                    "machine too slow for this model"
                ) from None
            except httpx.TransportError as error:
                problem, asked_wait = f"cannot be reached ({type(error).__name__})", ""
            else:
                if answer.is_success:
                    try:
                        return answer.json()
                    except ValueError:
                        raise RefusedError(
                            f"{self.url}: its answer is no JSON; is it a model server?"
                        ) from None
                if answer.status_code not in _BUSY:
                    raise self._refusal(answer, path) from None
                problem, asked_wait = f"answers {answer.status_code}", answer.headers.get("Retry-After", "")
            if wait is not None:
                self._pause(wait, asked_wait, problem)
        raise ModelError(f"{self.url}: the model server {problem}; is it running, and is the address right?")

    def _waits(self) -> Iterator[float | None]:
        """Seconds before the next try, each twice the one before; None after the last."""
        end, wait = time.monotonic() + self.patience, _FIRST_WAIT
        while (left := end - time.monotonic()) > 0:
            yield min(wait, left)
            wait = min(2 * wait, _LONGEST_WAIT)
        yield None

    def _pause(self, wait: float, asked: str, problem: str) -> None:
        seconds = min(_LONGEST_WAIT, float(asked)) if asked.isdecimal() else wait
        # Of the threads that wait, one says so, and once.
        if not _TOLD <= wait < 2 * _TOLD or not self._away.acquire(blocking=False):
            time.sleep(seconds)
            return
        try:
            _LOG.warning("%s: the model server %s; waiting up to %.0f s", self.url, problem, self.patience)
            time.sleep(seconds)
        finally:
            self._away.release()

    def _refusal(self, answer: httpx.Response, path: str) -> ModelError:
        status = answer.status_code
        if status in (401, 403):
            return ModelError(f"{self.url}: refuses without its API key; set ONKOKODE_SERVER_KEY")
        if 300 <= status < 400:
            return ModelError(f"{self.url}: wants to send requests elsewhere; name that address instead")
        if _too_long(answer.text):
            return ModelError(
                f"{self.url}: a prompt is longer than the context that the server gives to one request; start it "
                "with at least 2,048 tokens (llama-server: -c, for all --parallel together; vLLM: --max-model-len)"
            )
        return RefusedError(f"{self.url}{path}: refused with status {status}; its own log says why")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _too_long(complaint: str) -> bool:
    """Whether an error is about the context: llama.cpp's, vLLM's and OpenAI's words for it."""
    return any(
        words in complaint.lower()
        for words in (
            "exceed_context_size",
            "context_length_exceeded",
            "maximum context length",
            "max_model_len",
        )
    )


def _log_probability(value: Any) -> float:
    """A number as a log-probability; `ValueError` where it can be none."""
    number = float(value)
    if math.isnan(number) or number > 1e-3:
        raise ValueError("no log-probability")
    return max(number, _LEAST)


def _constraint(choices: Choices | None) -> dict[str, Any]:
    """Allowed answers, in the form of the field: vLLM's `structured_outputs`, or `guided_choice` before it; a
    `grammar` of llama.cpp; the JSON schema in `response_format` that Ollama and others take."""
    if choices is None:
        return {}
    field, answers = choices
    if field == "structured_outputs":
        return {field: {"choice": answers}}
    if field == "grammar":
        return {field: "root ::= " + " | ".join(json.dumps(answer, ensure_ascii=False) for answer in answers)}
    if field == "response_format":
        schema = {"type": "string", "enum": answers}
        return {
            field: {"type": "json_schema", "json_schema": {"name": "code", "strict": True, "schema": schema}}
        }
    return {field: answers}
