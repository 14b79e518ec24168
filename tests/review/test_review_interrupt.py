"""The review as a LangGraph interrupt: stops where the agent is not sure, survives its process, holds no pickle."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agent import CodingAgent
from agent.apps.review import interrupt as module
from agent.apps.review.decision import Action, Decision, ReviewError
from agent.apps.review.interrupt import checkpoints, review_graph
from agent.decide.records import AxisWeights, RecognitionWeights, Weights
from index.records import AXES
from tests.agent.tiny_agent import ScriptedModel, embedded_agent, resources_with
from tests.conftest import ROOT

pytest.importorskip("langgraph.checkpoint.sqlite", reason="no langgraph-checkpoint-sqlite")
CONFIG: Any = {"configurable": {"thread_id": "1"}}


_CODES = ("C50.9", "8500/3")


@cache
def coder(share: float = 0.95, *, silent: bool = False) -> CodingAgent:
    """Sure of texts that say `sicher`, with that confidence, and half sure of others; `silent` fails when it codes."""
    model = ScriptedModel(
        {"sicher": dict.fromkeys(_CODES, share), "": dict.fromkeys(_CODES, 0.5)}, at_once=True
    )
    if silent:
        model.score = lambda batch: pytest.fail("coded again")  # type: ignore[method-assign]
    alone = Weights({axis: AxisWeights(retrieval=0.0) for axis in AXES}, RecognitionWeights(model=0.0))
    return CodingAgent(resources_with(model, weights=alone))


def _graph(saver: Any = None) -> Any:
    return review_graph(coder(), checkpointer=saver or InMemorySaver())


def _asked(found: dict[str, Any]) -> dict[str, Any]:
    return found["__interrupt__"][0].value


def test_only_what_is_not_sure_is_asked_about() -> None:
    graph = _graph()
    found = graph.invoke({"texts": ["Es ist sicher", "eins", "Auch sicher; zwei"]}, CONFIG)
    assert (_asked(found)["row"], _asked(found)["text"]) == (1, "eins")
    assert _asked(found)["unsure"] == ["icd10gm", "icdo_topography", "icdo_morphology"]
    found = graph.invoke(Command(resume={"action": "accept", "by": "A"}), CONFIG)
    assert _asked(found)["row"] == 2 and _asked(found)["coding"]["span"][0] > 0  # its second diagnosis
    found = graph.invoke(Command(resume={"action": "reject", "by": "B", "comment": "doppelt"}), CONFIG)
    assert "__interrupt__" not in found
    assert [(one["row"], one["codes"]["icd10gm"]) for one in found["reviewed"]] == [
        (0, "C50.9"), (1, "C50.9"), (2, "C50.9"), (2, None),
    ]  # fmt: skip
    assert [one["decision"] and one["decision"]["by"] for one in found["reviewed"]] == [None, "A", None, "B"]


def test_all_sure_and_no_text_run_through() -> None:
    assert "__interrupt__" not in _graph().invoke({"texts": ["Es ist sicher"]}, CONFIG)
    assert _graph().invoke({"texts": []}, CONFIG)["reviewed"] == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("ja", "object"),
        (None, "no answer was given"),
        ({}, "no answer was given"),
        ({None: 1}, "no answer was given"),
        ({"action": object}, "no answer was given"),
        ([], "not list"),
        (0, "not int"),
        (False, "not bool"),
        ({"by": "A"}, "action is one of"),
        ({"action": "accept"}, "needs a name"),
        ({"action": "reject", "by": "A"}, "reason"),
        ({"action": "change", "by": "A"}, "differs"),
        ({"action": "change", "by": "A", "icd10gm": "X1"}, "no code of the catalogue"),
        ({"action": "change", "by": "A", "icd10gm": 7}, "a code is a string"),
        ({"action": "change", "by": "A", "icd-10": "C61"}, "no field 'icd-10'"),
        ({"action": "reopen", "by": "A"}, "nothing to reopen"),
    ],
)
def test_an_answer_that_is_not_valid_is_asked_for_again(answer: object, said: str) -> None:
    graph = _graph()
    graph.invoke({"texts": ["eins"]}, CONFIG)
    again = graph.invoke(Command(resume=answer), CONFIG)
    assert said in _asked(again)["error"] and _asked(again)["text"] == "eins"
    found = graph.invoke(Command(resume={"action": "change", "by": "A", "icd10gm": "C50.4"}), CONFIG)
    assert found["reviewed"][0]["codes"] == {
        "icd10gm": "C50.4", "icdo_topography": "C50.9", "icdo_morphology": "8500/3",
    }  # fmt: skip


@pytest.mark.parametrize(
    "given", ["Ca Markerli", 5, [], {"text": ["Markerli"]}, {"texts": "Markerli"}, {"texts": [None]}]
)
def test_an_input_that_is_no_texts_is_an_error_that_quotes_nothing(given: object) -> None:
    with pytest.raises(ReviewError, match="list of strings") as caught:
        _graph().invoke(given, CONFIG)
    assert "Markerli" not in str(caught.value)


def test_an_answer_to_no_review_is_an_error_that_says_so() -> None:
    with pytest.raises(ReviewError, match="thread_id"):
        _graph().invoke(Command(resume={"action": "accept", "by": "A"}), CONFIG)


def test_a_run_that_failed_before_it_asked_codes_its_texts_anew() -> None:
    saver = InMemorySaver()
    with pytest.raises(pytest.fail.Exception, match="coded again"):
        review_graph(coder(silent=True), checkpointer=saver).invoke({"texts": ["eins"]}, CONFIG)
    assert _asked(_graph(saver).invoke(None, CONFIG))["text"] == "eins"
    found = _graph(saver).invoke(Command(resume={"action": "accept", "by": "A"}), CONFIG)
    assert found["reviewed"][0]["codes"]["icd10gm"] == "C50.9"


def test_checkpoints_hold_texts_and_decisions_and_nothing_between() -> None:
    saver = InMemorySaver()
    _graph(saver).invoke({"texts": ["eins", "Es ist sicher"]}, CONFIG)
    kept = {name for found in saver.list(CONFIG) for name in found.checkpoint["channel_values"]}
    written = {name for found in saver.list(CONFIG) for _, name, _ in found.pending_writes or ()}
    assert {name for name in kept | written if not name.startswith(("__", "branch:"))} == {
        "texts",
        "reviewed",
    }


_PROCESS = """
import sys
from pathlib import Path
from langgraph.types import Command
from agent.apps.review.interrupt import checkpoints, review_graph
from tests.review.test_review_interrupt import CONFIG, coder
with checkpoints(Path(sys.argv[1])) as saver:
    if sys.argv[2] == "ask":
        found = review_graph(coder(), checkpointer=saver).invoke({"texts": ["eins", "Es ist sicher"]}, CONFIG)
        print(found["__interrupt__"][0].value["text"])
    else:
        answer = {"action": "change", "by": "A", "icd10gm": "C50.4"}
        found = review_graph(coder(silent=True), checkpointer=saver).invoke(Command(resume=answer), CONFIG)
        print([(one["codes"]["icd10gm"], (one["decision"] or {}).get("by")) for one in found["reviewed"]])
"""


@pytest.mark.slow
def test_another_process_goes_on_and_codes_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"

    def run(what: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _PROCESS, str(path), what],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("ask") == "eins"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("answer") == "[('C50.4', 'A'), ('C50.9', None)]"
    with sqlite3.connect(path) as connection:
        kinds = {
            row[0] for row in connection.execute("SELECT type FROM checkpoints UNION SELECT type FROM writes")
        }
    assert kinds <= {"msgpack", "json", "null", "bytes"}, kinds


def test_a_checkpoint_cannot_name_code_to_run(tmp_path: Path) -> None:
    from agent.apps.review.checkpoint_file import _seal

    with checkpoints(tmp_path / "run.sqlite") as saver:
        with pytest.raises(NotImplementedError):
            pickled = b"cos\nsystem\n(S'true'\ntR."
            saver.serde.loads_typed(("pickle", _seal("pickle", pickled) + pickled))
        kind, data = saver.serde.dumps_typed(Decision(Action.ACCEPT, {}, "A"))
        # A type outside of LangGraph's safe list is not imported: plain data comes back.
        assert kind == "msgpack" and not isinstance(saver.serde.loads_typed((kind, data)), Decision)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="none"), checkpoints(tmp_path / "none" / "run.sqlite"):
        pass


def test_the_example_of_the_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert module.__doc__ is not None
    block = re.search(r"\n\n((?: {4}.*\n)+)", module.__doc__)
    assert block is not None
    lines: list[str] = []
    for line in textwrap.dedent(block[1]).splitlines():
        code, _, said = line.partition("  # ")
        value = re.match(r"('[^']*')", said.strip())
        indent = code[: len(code) - len(code.lstrip())]
        lines.append(f"{indent}assert {code.strip()} == {value[1]}" if value else line)
    assert sum(line.strip().startswith("assert") for line in lines) == 2
    names = {"Path": Path, "Command": Command, "agent": embedded_agent()}
    exec("\n".join(lines), names | {"checkpoints": checkpoints, "review_graph": review_graph})
