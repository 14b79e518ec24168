"""The HTTP side of a served model: an OpenAI-compatible API, its errors and its retries.

    server = ModelServer("http://127.0.0.1:8001", None)
    server.models()                                            # {'qwen3-8b': '/models/Qwen3-8B'}
    server.prompt_log_probabilities("qwen3-8b", [[1, 2, 3]])   # [[0.0, -2.3, -0.7]]

Only the standard library, no proxy, no redirect. Error messages name the address and the remedy, never what was
sent or what came back, which may quote it.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from index.errors import ModelError

_WAITS = (0.5, 1.0, 2.0, 4.0)
_LONGEST_WAIT = 10.0
_BUSY = (429, 502, 503, 504)
# A field's name and the answers allowed: ("structured_outputs", ["C50.9", "C61"]).
Choices = tuple[str, list[str]]


class RefusedError(ModelError):
    """The server answered, but does not do what was asked."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry a text to an address that nobody named."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


class ModelServer:
    """A server at an address that the user named."""

    def __init__(self, url: str, api_key: str | None, *, timeout: float = 120.0) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ModelError(
                f"{parts.hostname or 'that'} is no server's address; give one such as http://127.0.0.1:8001"
            )
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect()).open

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
        answer = self._ask(
            "/v1/completions",
            # One new token, since some servers refuse to write none; it is left out.
            {"model": model, "prompt": list(map(list, prompts)), "echo": True, "logprobs": 1, "max_tokens": 1}
            | {"temperature": 0},
        )
        found: list[list[float]] = [[] for _ in prompts]
        try:
            for choice in answer["choices"]:
                ids = prompts[choice["index"]]
                values = choice["logprobs"]["token_logprobs"][: len(ids)]
                if len(values) != len(ids) or None in values[1:]:
                    raise RefusedError(f"{self.url}: does not tell the log-probabilities of a prompt")
                found[choice["index"]] = [0.0, *map(float, values[1:])]
        except (KeyError, TypeError, IndexError, ValueError):
            raise RefusedError(f"{self.url}: does not tell the log-probabilities of a prompt") from None
        if not all(found):
            raise RefusedError(f"{self.url}: left prompts of a request unanswered")
        return found

    def count_tokens(self, model: str, text: str) -> int:
        """The number of tokens that the server's own tokenizer divides a text into."""
        answer = self._ask("/v1/completions", {"model": model, "prompt": text, "max_tokens": 1})
        try:
            return int(answer["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError):
            raise RefusedError(f"{self.url}: counts no tokens") from None

    def complete(
        self, model: str, prompt: str | Sequence[int], max_tokens: int, choices: Choices | None
    ) -> str:
        """What the model writes after a prompt, greedily."""
        answer = self._ask(
            "/v1/completions",
            {
                "model": model,
                "prompt": prompt if isinstance(prompt, str) else list(prompt),
                "max_tokens": max_tokens,
                "temperature": 0,
                **_constraint(choices),
            },
        )
        try:
            return str(answer["choices"][0]["text"])
        except (KeyError, TypeError, IndexError):
            raise RefusedError(f"{self.url}: gave no completion") from None

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
        answer = self._ask(
            "/v1/chat/completions",
            {
                "model": model,
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": max_tokens,
                "temperature": 0,
                "chat_template_kwargs": {"enable_thinking": False},
                **_constraint(choices),
                **({"logprobs": True} if scored else {}),
            },
        )
        try:
            [choice] = answer["choices"]
            tokens = (choice.get("logprobs") or {}).get("content") if scored else None
            told = [(str(token["token"]), float(token["logprob"])) for token in tokens or ()]
            return str(choice["message"]["content"] or ""), told
        except (KeyError, TypeError, ValueError):
            raise RefusedError(f"{self.url}: gave no answer to a chat") from None

    def decide(self, model: str, state: str, question: str, options: Sequence[str]) -> list[float]:
        """The probability of each option among them all, from `transformers serve`: it shows the options behind
        letters and reads the letters' probabilities."""
        answer = self._ask(
            "/v1/systemone",
            {
                "model": model,
                "state": state,
                "questions": {
                    "q": {"type": "choice", "instructions": question, "criteria": dict.fromkeys(options)}
                },
            },
        )
        try:
            told = answer["answers"]["q"]["probabilities"]
            return [float(told[option]) for option in options]
        except (KeyError, TypeError, ValueError):
            raise RefusedError(f"{self.url}: tells no probabilities of options") from None

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer; busy servers and broken connections are tried again for some seconds."""
        data = json.dumps(body).encode("ascii") if body is not None else None
        for wait in (*_WAITS, None):
            request = urllib.request.Request(f"{self.url}{path}", data, self._headers)
            try:
                with self._open(request, timeout=self._timeout) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _BUSY:
                    raise self._refusal(error.code, path) from None
                problem, told = f"answers {error.code}", error.headers.get("Retry-After", "")
            except TimeoutError:
                raise ModelError(f"{self.url}: no answer within {self._timeout:.0f} s") from None
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, TimeoutError):
                    raise ModelError(f"{self.url}: no answer within {self._timeout:.0f} s") from None
                problem, told = f"cannot be reached ({type(reason).__name__})", ""
            except ValueError:
                raise RefusedError(f"{self.url}: its answer is no JSON; is it a model server?") from None
            if wait is not None:
                time.sleep(min(_LONGEST_WAIT, float(told)) if told.isdecimal() else wait)
        raise ModelError(f"{self.url}: the model server {problem}; is it running, and is the address right?")

    def _refusal(self, status: int, path: str) -> ModelError:
        if status in (401, 403):
            return ModelError(f"{self.url}: refuses without its API key; set ONKOKODE_SERVER_KEY")
        if 300 <= status < 400:
            return ModelError(f"{self.url}: wants to send requests elsewhere; name that address instead")
        return RefusedError(f"{self.url}{path}: refused with status {status}")


def _constraint(choices: Choices | None) -> dict[str, Any]:
    """Allowed answers, in the form of the field: vLLM's `structured_outputs`, or `guided_choice` before it."""
    if choices is None:
        return {}
    field, answers = choices
    return {field: {"choice": answers} if field == "structured_outputs" else answers}
