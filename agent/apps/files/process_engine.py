"""The same coding on several processes of this machine.

    code_file(agent, source, target, engine=ProcessEngine(agent, options, workers=4))

This process reads and writes; the others load the agent once and code whole chunks, whose answers are those of the
local engine to the last digit. They are sent the columns that are coded, no others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.apps.files.columns import RowFields
from agent.apps.files.run import CodedChunk, LocalEngine, code_chunk
from agent.apps.files.table import Chunk, Row, Table
from agent.apps.options import load_agent
from agent.parallel.workers import Workers

if TYPE_CHECKING:
    from agent.agent import CodingAgent

# Chunks that a process must have to do, or starting it takes longer than it saves.
_WORTH = 2
_OF_OTHER_MODELS = ("model", "adapter", "encoder", "server", "device", "quantise")


class ProcessEngine:
    """Codes chunks on this machine.

    Args:
        agent: of this process; it codes by itself where there is no work for two.
        options: what `agent.apps.options.load_agent` takes; every process loads its agent with them.
        workers: how many processes; None takes the machine's cores where the table is long, and one for a model that
            fills the machine or lies behind a server.
    """

    def __init__(self, agent: CodingAgent, options: dict[str, Any], *, workers: int | None = None) -> None:
        self.agent, self.options, self.workers = agent, options, workers

    def code(self, table: Table, fields: RowFields, missing: set[int]) -> Iterator[CodedChunk]:
        count = min(self.workers or self._worth(len(missing)), len(missing))
        if count < 2:
            yield from LocalEngine(self.agent).code(table, fields, missing)
            return
        work = partial(_code, fields=fields.picked())
        with Workers(partial(load_agent, **self.options), count) as workers:
            yield from workers.map(work, _picked(table, fields, missing))

    def _worth(self, chunks: int) -> int:
        if any(self.options.get(name) for name in _OF_OTHER_MODELS):
            return 1
        return min(_cores(), chunks // _WORTH)


class _Work(NamedTuple):
    digest: str
    chunk: Chunk


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _picked(table: Table, fields: RowFields, missing: set[int]) -> Iterator[_Work]:
    for chunk in table.chunks(first=min(missing)):
        if chunk.number in missing:
            rows = tuple(Row(row.number, tuple(fields.pick(row.values)), row.problem) for row in chunk.rows)
            yield _Work(chunk.digest(table.salt), Chunk(chunk.number, rows))


def _code(agent: CodingAgent, work: _Work, *, fields: RowFields) -> CodedChunk:
    return CodedChunk(work.chunk.number, work.digest, code_chunk(agent, work.chunk, fields))
