"""A minimal server with the part of vLLM's API that `ServedModel` uses, with a real model behind it. Not vLLM.

    python -m tests.service.vllm_subset FOLDER --port 0         # prints its address
    with serving(SubsetServer(folder, echo=False)) as url: ...  # in a thread, with something left out

`decides` adds what `transformers serve` has instead of log-probabilities, `forces` what llama.cpp's `llama-server` has.
It follows vLLM 0.2x where the tests depend on it: token ids as prompts, `echo` with `logprobs`, structured choice
with log-probabilities from before the constraint (`raw_logprobs`), the end token among a chat's log-probabilities.
Every sequence is scored alone in a plain forward pass: an independent way to the numbers of `LocalModel`.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch


class SubsetServer(ThreadingHTTPServer):
    """The switches leave out what other servers leave out; `busy` answers that many requests with 503 first.

    `shift` gives each token of an echo the value of a neighbour, `ends` False leaves out the end token, `context` is
    the longest prompt, and `any_name` answers to whatever model is named: each is what a real server was seen to do.
    """

    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        name: str | None = None,
        echo: bool = True,
        choice: str | None = "structured_outputs",
        raw: bool = True,
        root: bool = True,
        decides: bool = False,
        forces: bool = False,
        shift: int = 0,
        ends: bool = True,
        context: int | None = None,
        any_name: bool = False,
        key: str | None = None,
        busy: int = 0,
        tokenizer: Any = None,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        super().__init__(("127.0.0.1", port), _Handler)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = tokenizer or AutoTokenizer.from_pretrained(folder)
        self.name = name or str(folder)
        self.root = str(folder) if root else None
        self.echo, self.choice, self.raw, self.key, self.busy = echo, choice, raw, key, busy
        self.decides, self.forces = decides, forces
        self.shift, self.ends, self.context, self.any_name = shift, ends, context, any_name
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @torch.inference_mode()
    def log_probabilities(self, ids: Sequence[int]) -> torch.Tensor:
        """After each token, over the vocabulary."""
        return self.model(torch.tensor([list(ids)])).logits[0].float().log_softmax(-1)

    def write(
        self, ids: Sequence[int], max_tokens: int, choices: list[str] | None
    ) -> tuple[list[int], list[float]]:
        """Greedy tokens and their log-probabilities; held to one of the choices where there are any."""
        end = self.tokenizer.eos_token_id
        ways = [[*self.tokenizer(c, add_special_tokens=False).input_ids, end] for c in choices or ()]
        written: list[int] = []
        values: list[float] = []
        while len(written) < max_tokens:
            row = self.log_probabilities([*ids, *written])[-1]
            allowed = {way[len(written)] for way in ways if way[: len(written)] == written}
            token = max(allowed, key=lambda t: float(row[t])) if ways else int(row.argmax())
            written.append(token)
            # After the constraint, what is forced is certain.
            masked = row[sorted(allowed)].logsumexp(0) if ways and not self.raw else torch.tensor(0.0)
            values.append(float(row[token] - masked))
            if token == end:
                break
        return written, values


class _Handler(BaseHTTPRequestHandler):
    server: SubsetServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({}, {"/v1/models": self._models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        routes = {"/v1/completions": self._completions, "/v1/chat/completions": self._chat_completions}
        if self.server.decides:
            routes["/v1/systemone"] = self._decision
        if self.server.forces:
            routes |= {"/completion": self._forced_token, "/tokenize": self._tokens}
        self._answer(body, routes)

    def _answer(self, body: dict[str, Any], routes: dict[str, Any]) -> None:
        server = self.server
        server.paths.append(self.path)
        if server.busy > 0:
            server.busy -= 1
            return self._send(503, {"error": "busy"}, {"Retry-After": "0"})
        if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
            return self._send(401, {"error": "Unauthorized"})
        named = server.any_name or not body or body["model"] == server.name
        if self.path not in routes or not named:
            return self._send(404, {"error": f"no such thing: {body}"})
        with server.lock:
            status, answer = routes[self.path](body)
        return self._send(status, answer)

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _models(self, _body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"data": [{"id": self.server.name, "root": self.server.root}]}

    def _completions(self, body: dict[str, Any]) -> tuple[int, Any]:
        server, prompt = self.server, body["prompt"]
        if body.get("echo") and not server.echo:
            return 400, {"error": f"echo is not supported: {prompt}"}
        prompts = [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else prompt
        choices, used = [], 0
        for index, one in enumerate(prompts):
            ids = server.tokenizer(one).input_ids if isinstance(one, str) else one
            used += len(ids)
            if server.context is not None and len(ids) > server.context:
                return self._too_long(body)
            written, values = server.write(ids, body.get("max_tokens", 16), self._allowed(body))
            told = None
            if body.get("logprobs") is not None:
                rows = server.log_probabilities(ids)
                before = [float(rows[at, token]) for at, token in enumerate(ids[1:])]
                told = {"token_logprobs": [None, *before, *values] if body.get("echo") else values}
                if server.shift > 0:
                    told["token_logprobs"] = [None, *told["token_logprobs"][2:]]
                elif server.shift < 0:
                    told["token_logprobs"] = [None, 0.0, *told["token_logprobs"][1:-1]]
            text = server.tokenizer.decode(written, skip_special_tokens=True)
            choices.append({"index": index, "text": text, "logprobs": told})
        return 200, {"choices": choices, "usage": {"prompt_tokens": used}}

    def _chat_completions(self, body: dict[str, Any]) -> tuple[int, Any]:
        server = self.server
        ids = server.tokenizer.apply_chat_template(
            body["messages"],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            **body.get("chat_template_kwargs", {}),
        )
        written, values = server.write(ids, body.get("max_tokens", 16), self._allowed(body))
        told = {
            "content": [
                {"token": server.tokenizer.decode([token]), "logprob": value}
                for token, value in zip(written, values, strict=True)
            ]
        }
        if not server.ends and written[-1] == server.tokenizer.eos_token_id:
            del told["content"][-1]
        text = server.tokenizer.decode(written, skip_special_tokens=True)
        choice = {"message": {"content": text}, "logprobs": told if body.get("logprobs") else None}
        return 200, {"choices": [choice]}

    def _forced_token(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The token that the bias makes certain, with its log-probability from before the bias."""
        server, ids = self.server, body["prompt"]
        if server.context is not None and len(ids) > server.context:
            return self._too_long(body)
        [[token, _bias]] = body["logit_bias"]
        row = server.log_probabilities(ids)[-1] if server.raw else torch.zeros(len(server.tokenizer))
        likeliest = row.topk(min(body["n_probs"], 5))
        top = [
            {"id": number, "logprob": value}
            for number, value in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
        ]
        told = {"id": token, "logprob": float(row[token]), "top_logprobs": top}
        return 200, {"completion_probabilities": [told]}

    def _tokens(self, body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"tokens": self.server.tokenizer(body["content"]).input_ids}

    @staticmethod
    def _too_long(body: dict[str, Any]) -> tuple[int, Any]:
        complaint = f"the request exceeds the available context size: {body}"
        return 400, {"error": {"type": "exceed_context_size_error", "message": complaint}}

    def _decision(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The shares of the letters A, B, … after a prompt that shows the options, which are 26 at most."""
        server = self.server
        options = list(body["questions"]["q"]["criteria"])
        if len(options) > 26:
            return 422, {"error": "at most 26 options"}
        letters = [chr(65 + n) for n in range(len(options))]
        shown = "".join(f"{letter}: {option} " for letter, option in zip(letters, options, strict=True))
        ids = server.tokenizer(f"{body['state']} {shown}").input_ids
        columns = [server.tokenizer(letter, add_special_tokens=False).input_ids[0] for letter in letters]
        shares = server.log_probabilities(ids)[-1][columns].softmax(-1).tolist()
        return 200, {"answers": {"q": {"probabilities": dict(zip(options, shares, strict=True))}}}

    def _allowed(self, body: dict[str, Any]) -> list[str] | None:
        # Unknown fields are passed over, as vLLM does.
        field = self.server.choice or ""
        given = body.get(field)
        if given is None or field == "guided_choice":
            return given
        if field == "grammar":
            return [json.loads(answer) for answer in given.removeprefix("root ::= ").split(" | ")]
        if field == "response_format":
            return [json.dumps(answer) for answer in given["json_schema"]["schema"]["enum"]]
        return given["choice"]


@contextmanager
def serving(server: SubsetServer) -> Iterator[SubsetServer]:
    """In a thread of this process."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    started = SubsetServer(arguments.folder, port=arguments.port)
    print(started.url, flush=True)
    started.serve_forever()
