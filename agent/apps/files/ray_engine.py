"""The same coding on many processes and machines, by Ray Data.

    code_file(agent, source, target, engine=RayEngine({"model": "Qwen/Qwen3-8B"}, workers=8))

Actors load the agent once and code whole chunks; a chunk is coded in one piece, so its answers are those of
the local engine to the last digit. Ray starts an actor again that dies, and gives its chunk to another.
The table is read by the workers: on a cluster it has to lie on storage that all of them see.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from agent.apps.files.columns import RowFields
from agent.apps.files.run import CodedChunk, code_chunk
from agent.apps.files.table import Chunk, Row, Table, TableFileError
from index.io.language import say

_READ_TASK_CHUNKS = 64
_SHORT = "/tmp" if os.path.isdir("/tmp") else None
# Even with its statistics off, Ray's head asks the metadata addresses of three clouds (plain HTTP) where it runs.
# A proxy that nobody serves keeps the question on this machine.
_NOWHERE = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost", "NO_PROXY": ""}
_BLOCK_BYTES = 4096  # less than a chunk has, so that each goes to whichever worker is free


class RayEngine:
    """Codes chunks by Ray Data.

    Args:
        options: what `agent.apps.options.load_agent` takes; every worker loads its agent with them.
        workers: how many processes load the agent; None takes one per two cores of the cluster.
        address: a running cluster (`auto`, `ray://head:10001`); None starts Ray on this machine, for this
            machine alone.
    """

    def __init__(
        self, options: dict[str, Any], *, workers: int | None = None, address: str | None = None
    ) -> None:
        self.options, self.workers, self.address = options, workers, address

    def code(self, table: Table, fields: RowFields, missing: set[int]) -> Iterator[CodedChunk]:
        if not missing:
            return
        # No word goes out about who uses Ray for what.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if self.address is None:
            # Read by Ray when it is imported. Without clusters all its processes listen on loopback only.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        try:
            import ray
        except ModuleNotFoundError:
            raise TableFileError(say("ray-needed")) from None
        with nullcontext() if ray.is_initialized() else _started(self.address):
            yield from self._coded(table, fields, sorted(missing))

    def _coded(self, table: Table, fields: RowFields, missing: list[int]) -> Iterator[CodedChunk]:
        import ray

        settings = ray.data.DataContext.get_current()
        settings.enable_progress_bars = False
        settings.target_max_block_size = _BLOCK_BYTES
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resources = ray.cluster_resources()
        cpus = resources.get("CPU", 1.0)
        workers = min(self.workers or max(1, int(cpus) // 2), len(missing))
        parts = [missing[i : i + _READ_TASK_CHUNKS] for i in range(0, len(missing), _READ_TASK_CHUNKS)]
        read = partial(_read, table, fields)
        data = ray.data.from_items([{"numbers": part} for part in parts], override_num_blocks=len(parts))
        # Reading takes little and must never wait for a processor that an actor holds, nor an actor for another.
        coded = data.flat_map(read, num_cpus=0.01).map_batches(
            _Coder,
            fn_constructor_kwargs={"options": self.options, "fields": fields.picked()},
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1 if workers < cpus else round(0.9 * cpus / workers, 2),
            num_gpus=1 if resources.get("GPU") else None,
        )
        for row in coded.iter_rows():
            yield CodedChunk(int(row["number"]), row["digest"], json.loads(row["answers"]))


@contextmanager
def _started(address: str | None) -> Iterator[None]:
    """Ray on a cluster, or on this machine alone."""
    import ray

    with ExitStack() as stack:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            _start_here(stack)
        stack.callback(ray.shutdown)
        yield


@contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_here(stack: ExitStack) -> None:
    """Ray on loopback, in a folder that its owner alone can read and that goes with it: texts pass through its
    logs and through what it moves out of memory."""
    import ray
    from ray._private import ray_constants

    # Where Ray was imported before, it has read the variable before. The node's address would not tell: without a
    # network it is loopback, and the sockets listen on all interfaces all the same.
    if getattr(ray_constants, "ENABLE_RAY_CLUSTER", True):
        raise TableFileError(say("ray-listens"))
    # In /tmp, as Ray's own, since the paths of its sockets must be short.
    own = TemporaryDirectory(prefix="onkokode-ray-", dir=_SHORT, ignore_cleanup_errors=True)
    folder = stack.enter_context(own)
    with _set(_NOWHERE):
        # `local`: RAY_ADDRESS in the environment would send the texts to that cluster.
        ray.init(
            address="local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            _temp_dir=folder,
        )


def _read(table: Table, fields: RowFields, part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of one read task: number, digest, and per row texts, problem and line."""
    wanted = {int(number) for number in part["numbers"]}
    for chunk in islice(table.chunks(first=min(wanted)), max(wanted) - min(wanted) + 1):
        if chunk.number in wanted:
            rows = [(fields.pick(row.values), row.problem, row.number) for row in chunk.rows]
            yield {"number": chunk.number, "digest": chunk.digest(table.salt), "rows": json.dumps(rows)}


class _Coder:
    """An actor: an agent, loaded once."""

    def __init__(self, options: dict[str, Any], fields: RowFields) -> None:
        from agent.apps.options import load_agent

        self.agent = load_agent(**options)
        self.fields = fields

    def __call__(self, batch: dict[str, np.ndarray]) -> pa.Table:
        answers = []
        for number, rows in zip(batch["number"], batch["rows"], strict=True):
            chunk = Chunk(
                int(number),
                tuple(Row(line, tuple(texts), problem) for texts, problem, line in json.loads(rows)),
            )
            answers.append(json.dumps(code_chunk(self.agent, chunk, self.fields)))
        numbers, digests = map(int, batch["number"]), map(str, batch["digest"])
        return pa.table({"number": list(numbers), "digest": list(digests), "answers": answers})
