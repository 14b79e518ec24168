"""The command line, with a scripted agent in place of the models: what goes in, what comes out, and how it
fails. `EchoAgent` answers each text with its own words, so that a lost or shifted row shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import agent
from agent.apps.cli import cli
from agent.apps.terminal import text_lines
from agent.results import CodedText, Coding
from index.errors import ModelError
from index.records import AXES

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "transformers", "lxml", "pyarrow", "rich", "faiss", "langgraph"}
AXIS_KEYS = {"code", "title", "confidence", "abstained", "reason", "alternatives", "evidence", "checks"}


def coded(text: str) -> CodedText:
    codings = [Coding(system, None, None, 0.0, abstained=True, reason=f"gelesen: {text}") for system in AXES]
    return CodedText(text, False, 0.25, "gesichert", None, *codings, span=(0, len(text)))


class EchoAgent:
    """Answers every text, and keeps what it was loaded with."""

    loaded: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    @classmethod
    def load(cls, *args: Any, **options: Any) -> EchoAgent:
        cls.loaded = (args, options)
        return cls()

    def code(self, text: str) -> CodedText:
        return coded(text)

    def code_many(self, texts: Iterable[str], dates: Any = None) -> Iterator[CodedText]:
        return map(self.code, texts)

    def stream(self, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "prepare", {"letters": len(text)}
        yield "explain", {"results": [coded(text)]}

    def info(self) -> dict[str, Any]:
        return {"encoder": "scripted", "editions": ["icd10gm-2024"]}


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set in the module's dictionary: `setattr` would look the name up first, and load the real agent.
    monkeypatch.setitem(vars(agent), "CodingAgent", EchoAgent)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin, prog_name="onkokode")


def reasons(result: Result) -> list[str]:
    """The texts as the agent read them, in the order of the output."""
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout_bytes.decode("utf-8").splitlines()]
    return [row["icd10gm"]["reason"].removeprefix("gelesen: ") for row in rows]


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Result:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(EchoAgent, "load", refuse)
    return run("code", "Mammakarzinom")


def test_json_has_the_documented_keys() -> None:
    result = run("code", "--json", "Mammakarzinom")
    row = json.loads(result.stdout)
    assert row["tumour"] is False and row["tumour_probability"] == 0.25
    assert {"tumour", "tumour_probability", "certainty", "side", "further", *AXES} <= row.keys()
    for axis in AXES:
        assert row[axis].keys() >= AXIS_KEYS
        assert row[axis]["code"] is None and row[axis]["abstained"] is True


def test_arguments_and_lines_keep_their_order() -> None:
    result = run("code", "--json", "vorn", "-", "hinten", stdin="eins\nzwei ä\ndrei".encode())
    assert reasons(result) == ["vorn", "eins", "zwei ä", "drei", "hinten"]


def test_output_is_utf8_and_not_escaped() -> None:
    assert "zwölf".encode() in run("code", "--json", "zwölf").stdout_bytes


def test_blank_lines_give_answers_too() -> None:
    assert reasons(run("code", "--json", "-", stdin=b"\n \neins\n\n")) == ["", " ", "eins", ""]


def test_windows_lines_and_byte_order_mark() -> None:
    assert reasons(run("code", "--json", "-", stdin=b"\xef\xbb\xbfeins\r\nzwei\r\n")) == ["eins", "zwei"]


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85", "\r", "\0"])
def test_only_a_line_feed_ends_a_row(separator: str) -> None:
    text = f"a{separator}b"
    result = run("code", "--json", "-", stdin=f"{text}\nc\n".encode())
    rows = [json.loads(row) for row in result.stdout_bytes.decode().removesuffix("\n").split("\n")]
    assert [row["icd10gm"]["reason"] for row in rows] == [f"gelesen: {text}", "gelesen: c"]


def test_undecodable_bytes_lose_no_row_and_are_reported() -> None:
    result = run("code", "--json", "-", stdin=b"eins\nM\xfcnchen\ndrei\n")
    assert reasons(result) == ["eins", "M\udcfcnchen", "drei"]
    assert "line 2" in result.stderr and "cp1252" in result.stderr


def test_undecodable_bytes_in_the_human_view() -> None:
    result = run("code", "-", stdin=b"M\xfcnchen\n")
    assert result.exit_code == 0
    assert "M�nchen" in result.stdout


def test_standard_input_is_read_where_no_text_is_given() -> None:
    assert reasons(run("code", "--json", stdin=b"eins\n")) == ["eins"]


def test_no_text_at_a_terminal_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    command = cli.get_command(click.Context(cli), "code")
    assert command is not None
    with pytest.raises(click.UsageError, match=r"onkokode code - < "):
        command.main([], standalone_mode=False)


def test_lines_are_not_read_ahead() -> None:
    """Standard input may be endless: each line is handed on before the next one is read."""

    def endless() -> Iterator[bytes]:
        yield b"eins\n"
        pytest.fail("read ahead")

    assert next(text_lines(endless(), [])) == "eins"


def test_explain_shows_the_steps() -> None:
    result = run("code", "--explain", "abc")
    assert "Schritte" in result.stdout and "letters: 3" in result.stdout


def test_options_reach_the_agent(tmp_path: Path) -> None:
    first, second = tmp_path / "a.xml", tmp_path / "b.txt"
    first.touch()
    second.touch()
    options = ["--model", "m", "--adapter", "a", "--encoder", "e", "--edition", "icd10gm-2024"]
    options += [
        "--catalogue",
        str(first),
        "--catalogue",
        str(second),
        "--device",
        "cpu",
        "--quantise",
        "4bit",
    ]
    assert run("code", *options, "x").exit_code == 0
    assert EchoAgent.loaded == (
        ("m", "a", "e", [first, second], "icd10gm-2024"),
        {"device": "cpu", "quantise": "4bit"},
    )


def test_defaults_are_left_to_the_agent() -> None:
    run("code", "x")
    assert EchoAgent.loaded == ((None, None, None, None, None), {})


@pytest.mark.parametrize(
    ("options", "offline"), [((), True), (("--model", "."), True), (("--model", "Qwen/Qwen3-8B"), False)]
)
def test_only_a_hub_name_opens_the_network(
    options: tuple[str, ...], offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert run("code", *options, "x").exit_code == 0
    assert (os.environ.get("HF_HUB_OFFLINE") == "1") is offline


def test_our_errors_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    result = fails_with(ModelError("no model in ./x:\nconfig.json is missing"), monkeypatch)
    assert result.exit_code == 2
    assert result.stderr == "Error: no model in ./x: config.json is missing\n"
    assert not result.stdout


def test_an_error_after_some_rows_keeps_those_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(_self: EchoAgent, texts: Iterable[str]) -> Iterator[CodedText]:
        yield coded(next(iter(texts)))
        raise ModelError("out of memory")

    monkeypatch.setattr(EchoAgent, "code_many", breaks_off)
    result = run("code", "--json", "eins", "zwei")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["icd10gm"]["reason"] == "gelesen: eins"


def test_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fails_with(KeyboardInterrupt(), monkeypatch).exit_code == 130


def test_missing_catalogue_file_is_a_usage_error() -> None:
    result = run("code", "--catalogue", "/no/such/file", "x")
    assert result.exit_code == 2 and "/no/such/file" in result.stderr


def test_info() -> None:
    assert json.loads(run("info", "--json").stdout)["encoder"] == "scripted"
    assert "icd10gm-2024" in run("info").stdout


def test_version_and_unknown_command() -> None:
    assert run("--version").stdout.startswith("onkokode ")
    assert run("kode").exit_code == 2


def test_a_missing_command_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.lazy, "train", ("training.no_such_module:train", ""))  # type: ignore[attr-defined]
    result = run("train")
    assert result.exit_code == 2 and "training.no_such_module" in result.stderr


def test_the_catalogue_group_is_found() -> None:
    assert run("catalogue", "--help").exit_code == 0


# -- a process of its own ----------------------------------------------------------------------------------


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, timeout=60, **options)


def test_help_is_quick_and_names_all_commands() -> None:
    seconds = []
    for _ in range(5):  # the fastest of five, so that a busy machine does not fail the test
        start = time.perf_counter()
        done = python("-m", "agent", "--help")
        seconds.append(time.perf_counter() - start)
    assert done.returncode == 0
    for name in ("code", "catalogue", "train", "eval", "info"):
        assert f"\n  {name} ".encode() in done.stdout
    assert min(seconds) < 0.5


def test_the_command_line_imports_nothing_heavy() -> None:
    done = python("-c", "import agent.apps.cli, sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.decode().split())


SCRIPTED_PROCESS = """
import agent, sys
from tests.agent.test_cli import EchoAgent
agent.CodingAgent = EchoAgent
from agent.apps.cli import main
main()
"""


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_closed_pipe_is_quiet(options: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTED_PROCESS, "code", *options, "-"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    try:
        process.stdin.write(b"Mammakarzinom\n" * 2000)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(timeout=60) != 0
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_that_lacks_characters_does_not_fail(encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    text = "Münchner Text 🎗 \udcff".encode("utf-8", "surrogateescape")
    for options in ([], ["--json"]):
        done = python("-c", SCRIPTED_PROCESS, "code", *options, "-", input=text, env=environment)
        assert done.returncode == 0, done.stderr
        assert b"nchner Text" in done.stdout
