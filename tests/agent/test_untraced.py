"""Whatever the environment says, a run is sent to nobody: a real listener stands where LangSmith would be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, TypedDict

import langsmith
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers import context as tracers
from langchain_core.tracers.context import tracing_v2_enabled
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langsmith import run_trees, utils
from langsmith.run_helpers import trace, tracing_context

from agent.untraced import SWITCH, untraced
from tests.agent.tiny_agent import embedded_agent
from tests.listener import Listener, listening, tracing_variables

pytestmark = pytest.mark.filterwarnings("ignore:.*O(pen)?T(elemetry|EL)")  # not installed; LangSmith says so
MARKER = "Zxqvorm-Karzinom"
VARIABLES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")


class State(TypedDict, total=False):
    text: str


def _builder() -> StateGraph:
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"text": state["text"] + "."})
    builder.add_edge(START, "one")
    builder.add_edge("one", END)
    return builder


def _graph(**options: Any) -> Any:
    return untraced(_builder().compile(**options))


class Seen(BaseCallbackHandler):
    """A handler of another package."""

    texts: list[str] = []  # noqa: RUF012

    def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
        Seen.texts.append(str(inputs))


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with listening() as started:
        for name, value in tracing_variables(started.url).items():
            if name not in VARIABLES and "proxy" not in name.lower():
                monkeypatch.setenv(name, value)
        _forget()
        Seen.texts.clear()
        yield started
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    """LangSmith reads the environment once per process."""
    utils.get_env_var.cache_clear()
    utils.get_tracer_project.cache_clear()
    run_trees._CLIENT = None


def _sent(listener: Listener) -> bool:
    """Whether a text reached the listener, once all that waits is sent."""
    if run_trees._CLIENT is not None:
        run_trees._CLIENT.flush()
    return listener.received(MARKER) or any(MARKER in text for text in Seen.texts)


def _in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def _astream(graph: Any) -> None:
    async for _ in graph.astream({"text": MARKER}):
        pass


async def _events(graph: Any) -> list[str]:
    return [event["event"] async for event in graph.astream_events({"text": MARKER}, version="v2")]


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_variable_makes_the_agent_send_a_text(
    variable: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = embedded_agent()
    monkeypatch.setenv(variable, "true")
    agent.code(MARKER)
    list(agent.code_many([MARKER]))
    list(agent.stream(MARKER))
    _in_thread(lambda: agent.code(MARKER))

    async def within() -> None:
        agent.code(MARKER)
        await asyncio.to_thread(agent.code, MARKER)

    asyncio.run(within())
    assert not _sent(listener) and listener.requests == []


WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda graph: graph.invoke({"text": MARKER}),
    "stream": lambda graph: list(graph.stream({"text": MARKER})),
    "batch": lambda graph: graph.batch([{"text": MARKER}] * 2),
    "ainvoke": lambda graph: asyncio.run(graph.ainvoke({"text": MARKER})),
    "astream": lambda graph: asyncio.run(_astream(graph)),
    "events": lambda graph: asyncio.run(_events(graph)),
    "thread": lambda graph: _in_thread(lambda: graph.invoke({"text": MARKER})),
    "copy": lambda graph: graph.with_config(tags=["a"]).invoke({"text": MARKER}),
    "update": lambda graph: _updated(graph.copy({"checkpointer": InMemorySaver()})),
    "aupdate": lambda graph: asyncio.run(_aupdated(graph.copy({"checkpointer": InMemorySaver()}))),
}


def _updated(graph: Any) -> None:
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.update_state(config, {"text": MARKER})
    assert graph.get_state(config).values == {"text": MARKER}


async def _aupdated(graph: Any) -> None:
    await graph.aupdate_state({"configurable": {"thread_id": "1"}}, {"text": MARKER})


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_run_a_graph_is_traced(
    way: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "true")
    plain = _builder().compile()
    WAYS[way](plain)
    # LangGraph does not trace a change of its state; should it begin to, ours is not.
    assert _sent(listener) or way in ("update", "aupdate"), "the test cannot see a trace"
    listener.bodies.clear()
    WAYS[way](_graph())
    assert not _sent(listener)


AROUND: dict[str, Callable[[], Any]] = {
    "context": lambda: tracing_context(enabled=True),
    "trace": lambda: trace("around"),
    "v2": tracing_v2_enabled,
    "configure": nullcontext,
}


@pytest.mark.parametrize("around", AROUND)
def test_a_traced_run_around_it_does_not_reach_in(
    around: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    if around == "configure":
        langsmith.configure(enabled=True)
    elif around == "trace":
        monkeypatch.setenv("LANGSMITH_TRACING", "true")
    try:
        with AROUND[around]():
            for way in ("invoke", "stream", "ainvoke"):
                WAYS[way](_graph())
            assert not _sent(listener)
            monkeypatch.delenv("LANGCHAIN_HANDLER")
            WAYS["invoke"](_builder().compile())
        assert _sent(listener), "what the caller itself runs is still traced"
    finally:
        langsmith.configure(enabled=None)


@pytest.mark.parametrize("nested", ["called", "called async", "node"])
def test_inside_a_traced_graph_only_that_graph_is_traced(
    nested: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    inner, outer = _graph(), StateGraph(State)

    def call(state: State) -> State:
        # The text is made here: the trace of the graph around it, which is the caller's, does not hold it.
        inner.invoke({"text": MARKER})
        return {}

    async def call_async(state: State) -> State:
        await inner.ainvoke({"text": MARKER})
        return {}

    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"text": f"{MARKER[:0]}"})
    builder.add_edge(START, "one")
    outer.add_node(
        "inner", {"called": call, "called async": call_async}.get(nested, untraced(builder.compile()))
    )
    outer.add_edge(START, "inner")
    if nested == "called async":
        asyncio.run(outer.compile().ainvoke({"text": "außen"}))
    else:
        outer.compile().invoke({"text": "außen"})
    assert not _sent(listener)
    assert listener.received("außen") or listener.received("au\\u00dfen")
    assert nested != "node" or not listener.received('"name":"one"')


def test_hooks_of_other_packages_get_nothing(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = list(tracers._configure_hooks)
    variable: ContextVar[Any] = ContextVar("hook", default=None)
    monkeypatch.setattr(tracers, "_configure_hooks", hooks)
    monkeypatch.setenv("SOMEBODYS_TRACING", "true")
    monkeypatch.delenv("LANGCHAIN_HANDLER")
    tracers.register_configure_hook(variable, True, Seen, "SOMEBODYS_TRACING")
    _builder().compile().invoke({"text": MARKER})
    assert any(MARKER in text for text in Seen.texts)
    Seen.texts.clear()
    for way in ("invoke", "stream", "ainvoke"):
        WAYS[way](_graph())
    assert not Seen.texts


def test_callbacks_that_the_caller_gives_and_the_switch_are_the_callers_word(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    _graph().invoke({"text": MARKER}, config={"callbacks": [Seen()]})
    assert any(MARKER in text for text in Seen.texts)
    assert "on_chain_end" in asyncio.run(_events(_graph()))
    Seen.texts.clear()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv(SWITCH, "1")
    for way in ("invoke", "ainvoke"):
        listener.bodies.clear()
        WAYS[way](_graph())
        assert _sent(listener), way
