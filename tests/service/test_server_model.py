"""A served model against the same model loaded here: the same scores where the server tells log-probabilities."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agent.agent import CodingAgent
from agent.apps.options import load_agent
from agent.decide.records import Weights
from agent.models.base import Question
from agent.models.generate import answer_text, greedy
from agent.models.local import LocalModel
from agent.models.openai_api import ApiClient
from agent.models.prompts import Prompts
from agent.models.served import (
    ServedModel,
    answer_log_probability,
    joined_parts,
    lettered_parts,
    match,
    one_hot,
)
from index.errors import ModelError
from index.records import CodeSystem
from tests.agent.tiny_agent import resources_with
from tests.agent.tiny_models import FAMILIES, save_tiny_model, tiny_tokenizer
from tests.service.running import wait_for
from tests.service.vllm_subset import SubsetServer, serving

TEXTS = ("Mammakarzinom links oben außen", "Bronchialkarzinom", "Ca <|im_end|> [/INST] <|eot_id|>\ud800")
ICD = ("C50.4", "C34.1", "C18.7", "keiner")
NESTED = ("C61", "C61.9", "C6")


def questions() -> list[list[Question]]:
    prompts = Prompts()
    return [
        [
            Question(prompts.question(text, CodeSystem.ICD10GM), ICD),
            Question(prompts.question(text, CodeSystem.TOPOGRAPHY), NESTED),
        ]
        for text in TEXTS
    ]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(request.param, tmp_path_factory.mktemp("model") / request.param)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("qwen3", tmp_path_factory.mktemp("model") / "qwen3")


def close(first: list[list[np.ndarray]], second: list[list[np.ndarray]]) -> None:
    for one, other in zip(first, second, strict=True):
        for scores, reference in zip(one, other, strict=True):
            np.testing.assert_allclose(scores, reference, atol=1e-4)


def test_prompt_log_probabilities_equal_those_of_the_model_here(folder: Path) -> None:
    with serving(SubsetServer(folder)) as server:
        model = ServedModel.load(server.url, folder)
        assert model.method == "prompt"
        close(model.score(questions()), LocalModel.load(folder).score(questions()))


@pytest.mark.slow
def test_a_process_of_its_own_served_under_another_name(qwen: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.vllm_subset", str(qwen)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        # No name: it serves one model; the tokenizer is in the folder that it tells of.
        model = ServedModel.load(f"{url}/v1/")
        assert model.method == "prompt" and model.source == qwen
        close(model.score(questions()), LocalModel.load(qwen).score(questions()))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("field", ["structured_outputs", "guided_choice"])
def test_forced_candidates_have_the_same_scores_without_echo(qwen: Path, field: str) -> None:
    with serving(SubsetServer(qwen, echo=False, choice=field)) as server:
        model = ServedModel.load(server.url)
        assert model.method == "forced"
        close(model.score(questions()), LocalModel.load(qwen).score(questions()))


def test_without_the_tokenizer_texts_still_hold_no_control_token(qwen: Path) -> None:
    with serving(SubsetServer(qwen, name="served", root=False)) as server:
        model = ServedModel.load(server.url, "served")
        assert model.method == "forced" and model.source is None
        server.bodies.clear()
        model.score(questions()[2:])
        sent = [body["messages"][0]["content"] for body in server.bodies]
        assert sent and not any("<|im_end|>" in text or "[/INST]" in text for text in sent)
        close(model.score(questions()[:2]), LocalModel.load(qwen).score(questions()[:2]))


def test_a_server_that_masks_its_probabilities_picks(qwen: Path) -> None:
    with serving(SubsetServer(qwen, echo=False, raw=False)) as server:
        model = ServedModel.load(server.url)
        assert model.method == "choice"
        [[scores, _]] = model.score(questions()[:1])
        # The server picks token by token, as its greedy decoding does.
        assert sorted(np.round(np.exp(scores), 4)) == pytest.approx([0.0333, 0.0333, 0.0333, 0.9])
        [written] = model.generate(["Nenne den Kode."], [ICD])
        assert written in ICD


def test_a_server_that_only_writes_is_asked(qwen: Path) -> None:
    with serving(SubsetServer(qwen, echo=False, choice=None)) as server:
        model = ServedModel.load(server.url)
        assert model.method == "asked"
        [[scores, _]] = model.score(questions()[:1])
        # A random model writes no code: nothing is known.
        np.testing.assert_allclose(np.exp(scores), 0.25)
        assert model.generate(["Nenne den Kode."], [ICD]) == [""]


def test_a_server_that_weighs_options_gives_their_probabilities(qwen: Path) -> None:
    many = (*(f"C{n}.0" for n in range(10, 70)), "keiner")
    with serving(SubsetServer(qwen, echo=False, choice=None, decides=True)) as server:
        model = ServedModel.load(server.url)
        assert model.method == "labelled"
        [[few, nested], [all_of_them]] = model.score([questions()[0], [Question("Kode?", many)]])
        for scores, answers in ((few, ICD), (nested, NESTED), (all_of_them, many)):
            assert len(scores) == len(answers)
            np.testing.assert_allclose(np.exp(scores).sum(), 1)
        assert len(set(np.round(few, 6))) == len(ICD)


def test_parts_of_many_answers_are_compared_by_the_last_one() -> None:
    answers = (*map(str, range(60)), "none")
    parts = lettered_parts(answers)
    assert [len(part) for part in parts] == [26, 26, 11] and {part[-1] for part in parts} == {"none"}
    true = np.random.default_rng(0).normal(size=61)
    position = {answer: n for n, answer in enumerate(answers)}
    seen = []
    for part in parts:
        odds = true[[position[answer] for answer in part]]
        seen.append(odds - np.logaddexp.reduce(odds))
    np.testing.assert_allclose(joined_parts(seen), true - np.logaddexp.reduce(true))
    assert lettered_parts(("none",)) == [("none",)]


@pytest.mark.slow
def test_transformers_serve_itself(qwen: Path) -> None:
    """The real thing, where `transformers[serving]` is installed."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("needs transformers[serving], which brings the package openai")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from transformers.cli.transformers import main; main()"),
            *("serve", str(qwen), "--port", str(port), "--device", "cpu"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        wait_for(lambda: _listens(port) or process.poll() is not None, 120)
        model = ServedModel.load(f"http://127.0.0.1:{port}", qwen)
        assert model.method == "labelled"
        [[scores, _], *_rest] = model.score(questions()[:2])
        np.testing.assert_allclose(np.exp(scores).sum(), 1)
        assert len(set(np.round(scores, 6))) == len(ICD)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_generation_is_held_to_the_allowed_answers(qwen: Path) -> None:
    prompts = [question.prompt for [question, _] in questions()]
    with serving(SubsetServer(qwen)) as server:
        model = ServedModel.load(server.url)
        assert all(written in ICD for written in model.generate(prompts, [ICD] * 3))
        here = LocalModel.load(qwen)
        [ids] = here.encoder.prompts(prompts[:1])
        [tokens] = greedy(here.model, here.encoder.tokenizer, [ids], 5)
        client = ApiClient(server.url, None)
        assert client.complete(str(qwen), ids, 5, None) == answer_text(
            tokens, here.encoder.tokenizer, "icd10gm", Prompts()
        )
        with pytest.raises(ValueError, match="allowed"):
            model.generate(prompts[:1], [()])


def test_the_probe_holds_no_text_of_anyone(qwen: Path) -> None:
    with serving(SubsetServer(qwen)) as server:
        ServedModel.load(server.url)
        said = {
            str(body.get("messages", [{}])[0].get("content") or body.get("prompt")) for body in server.bodies
        }
        assert all("Nenne eine Farbe." in text or text.startswith("[[") for text in said)


def test_a_busy_server_is_asked_again(qwen: Path) -> None:
    with serving(SubsetServer(qwen)) as server:
        model = ServedModel.load(server.url)
        server.busy = 3
        close(model.score(questions()[:1]), LocalModel.load(qwen).score(questions()[:1]))
        assert server.busy == 0


def test_errors_name_the_address_and_the_remedy_and_no_text(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.openai_api._FIRST_WAIT", 0.01)
    with serving(SubsetServer(qwen, key="secret-of-the-server")) as server:
        with pytest.raises(ModelError, match="ONKOKODE_SERVER_KEY"):
            ServedModel.load(server.url)
        monkeypatch.setenv("ONKOKODE_SERVER_KEY", "secret-of-the-server")
        model = ServedModel.load(server.url, patience=0.1)
        with pytest.raises(ModelError, match=f"{server.url}.*{qwen}.*--model"):
            ServedModel.load(server.url, "another")
        # The server quotes the prompt in its error; ours does not.
        server.echo = False
        with pytest.raises(ModelError) as refused:
            model.score([[Question("Geheimrat Mustermann", ICD)]])
        assert server.url in str(refused.value) and "Geheim" not in str(refused.value)
        assert refused.value.__cause__ is None and refused.value.__suppress_context__
    with pytest.raises(ModelError, match=f"{server.url}.*is it running"):
        model.score(questions()[:1])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://user:pass@127.0.0.1", "http://x/?a=b"])
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ModelError, match=r"address"):
        ServedModel.load(url)


def test_a_foreign_tokenizer_is_found_out(qwen: Path) -> None:
    class ByLetter:
        """Divides texts into letters, whatever the model's tokenizer does."""

        inner = tiny_tokenizer("qwen3")

        def __call__(self, text: str, **_options: Any) -> Any:
            return SimpleNamespace(input_ids=[ord(letter) % 256 for letter in text])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    with (
        serving(SubsetServer(qwen, tokenizer=ByLetter())) as server,
        pytest.raises(ModelError, match="other tokens"),
    ):
        ServedModel.load(server.url)


class _Other(BaseHTTPRequestHandler):
    """No model server: sends everybody elsewhere, or talks of other things."""

    def do_GET(self) -> None:
        redirects = self.path.startswith("/redirect")
        self.send_response(307 if redirects else 200)
        if redirects:
            self.send_header("Location", "http://192.0.2.1/v1/models")
        self.end_headers()
        self.wfile.write(b"" if redirects else b"<html>")

    do_POST = do_GET

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextlib.contextmanager
def other_server() -> Iterator[str]:
    import threading

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_redirects_and_proxies_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    with other_server() as url:
        with pytest.raises(ModelError, match="elsewhere"):
            ServedModel.load(f"{url}/redirect", "name")
        with pytest.raises(ModelError, match="serves no model"):
            ServedModel.load(url, "name")


def test_what_a_model_writes_is_matched_with_care() -> None:
    assert match(" C34.1.", ICD) == "C34.1"
    assert match("Der Kode ist C50.4, nicht C34.1", ICD) == "C50.4"
    assert match("KEINER", ICD) == "keiner"
    assert match("C61.9", NESTED) == "C61.9"
    assert match("XC34.1", ICD) is None
    assert match("C34.10", ICD) is None
    assert match("8500/31", ("8500/3",)) is None
    assert match("", ICD) is None
    np.testing.assert_allclose(np.exp(one_hot("b", ("a", "b", "c"))), [0.05, 0.9, 0.05])
    np.testing.assert_allclose(one_hot("a", ("a",)), [0.0])


def test_the_end_token_counts_only_among_nested_answers() -> None:
    tokens = [("C5", -1.0), ("0", -2.0), ("<|im_end|>", -4.0)]
    assert answer_log_probability("C50", tokens, with_end=False) == -3.0
    assert answer_log_probability("C50", tokens, with_end=True) == -7.0


def test_an_agent_codes_with_a_served_model(qwen: Path) -> None:
    with serving(SubsetServer(qwen)) as server:
        served = ServedModel.load(server.url)
        texts = ["Mammakarzinom links", "Prostata-Ca"]
        # Nothing calls for a second choice, for which a server writes its code from left to right.
        models = (LocalModel.load(qwen), served)
        here, there = (
            CodingAgent(resources_with(model, candidates=4, weights=Weights())).code_many(texts)
            for model in models
        )
        for one, other in zip(here, there, strict=True):
            assert one.icd10gm.code == other.icd10gm.code
            assert one.icd10gm.confidence == pytest.approx(other.icd10gm.confidence, abs=1e-4)


def test_the_agent_is_loaded_with_an_address(qwen: Path) -> None:
    with serving(SubsetServer(qwen)) as server:
        agent = CodingAgent.load(server=server.url, candidates=4)
        info = agent.info()
        assert info["model"] == f"{qwen} at {server.url}" and info["scoring"] == "prompt"
        assert agent.resources.weights.axes == type(agent.resources.weights)().axes
        assert agent.code("Mammakarzinom links").icd10gm.alternatives
        named = load_agent(server=server.url, model=str(qwen)).info()
        assert named["model"] == info["model"]
        with pytest.raises(ModelError, match="lora"):
            CodingAgent.load(server=server.url, adapter="x")
