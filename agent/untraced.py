"""Runs of a graph that are told to nobody, whatever the environment says; LangChain's tracing is one variable away
from sending every text to a service on the internet.

    graph = untraced(builder.compile())
    graph.invoke({"texts": ["Mamma-Ca"]})     # no tracer, though LANGSMITH_TRACING=true is set

A run gets its callbacks from its caller's list and from nowhere else: not from the environment (LANGSMITH_*,
LANGCHAIN_*), not from a traced run around it, and not from hooks that other packages registered. `ONKOKODE_TRACE=1`
lets LangChain decide again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Context, copy_context
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import AsyncCallbackManager, CallbackManager
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import tracing_v2_callback_var
from langgraph.graph.state import CompiledStateGraph
from langsmith.run_helpers import tracing_context

SWITCH = "ONKOKODE_TRACE"


def untraced(graph: CompiledStateGraph) -> CompiledStateGraph:
    """The same graph; each of its runs is silent."""
    graph.__class__ = Untraced
    return graph


class Untraced(CompiledStateGraph):
    """All ways to run a graph (invoke, batch, events, as a node of another) come through these two."""

    def stream(self, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:
        if _wanted():
            yield from super().stream(input, config, **options)
            return
        silent = _silent()
        steps = super().stream(input, _callbacks(config, CallbackManager), **options)
        try:
            while (step := silent.run(next, steps, _END)) is not _END:
                yield step
        finally:
            silent.run(steps.close)  # type: ignore[attr-defined]

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        if _wanted():
            async for step in super().astream(input, config, **options):
                yield step
            return
        silent = _silent()
        steps = super().astream(input, _callbacks(config, AsyncCallbackManager), **options)
        try:
            while (step := await _within(silent, lambda: anext(steps, _END))) is not _END:
                yield step
        finally:
            await _within(silent, steps.aclose)  # type: ignore[attr-defined]


_END = object()


def _wanted() -> bool:
    return os.environ.get(SWITCH) == "1"


def _callbacks(config: Any, manager: type[CallbackManager] | type[AsyncCallbackManager]) -> dict[str, Any]:
    """The configuration with those callbacks alone that the caller wrote, as a list; a manager is that of a run
    around this one."""
    given = (config or {}).get("callbacks")
    own = given if isinstance(given, list) else []
    closed = manager(handlers=_Closed(own), inheritable_handlers=_Closed(own))
    return {**(config or {}), "callbacks": closed}


class _Closed(list[Any]):
    """Handlers to which LangChain, which asks the environment at every run, can add none."""

    def append(self, handler: Any, /) -> None: ...

    def copy(self) -> _Closed:
        return _Closed(self)

    def __bool__(self) -> bool:
        # For an empty list LangChain takes a new one, which is open.
        return True


def _silent() -> Context:
    """The caller's context without the callbacks of a run around this one, and with LangSmith off for whatever the
    nodes call."""
    context = copy_context()
    around = var_child_runnable_config.get() or {}
    context.run(
        var_child_runnable_config.set,
        {key: value for key, value in around.items() if key != "callbacks"},  # type: ignore[arg-type]
    )
    # LangChain refuses to run where LANGCHAIN_TRACING asks for a tracer and there is none: this one does nothing.
    context.run(tracing_v2_callback_var.set, BaseCallbackHandler())  # type: ignore[arg-type]
    # Entered for good: the context ends with the run.
    context.run(tracing_context(enabled=False, parent=False).__enter__)
    return context


async def _within(context: Context, work: Callable[[], Any]) -> Any:
    async def step() -> Any:
        return await work()

    return await asyncio.get_running_loop().create_task(step(), context=context)
