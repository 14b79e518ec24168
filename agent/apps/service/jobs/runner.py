"""The thread that codes one job after the other, in turns with the requests.

    runner = Runner(store, agent, batcher, counted=lambda texts: None)
    runner.start(asyncio.get_running_loop()); ...; await runner.stop()

A job is a run of `code_file`, whose chunks survive a kill. Its texts are coded where those of the requests are, in
the batcher's one worker: a turn is one batch of the agent's, and requests that wait come between two turns. What
shares a batch is decided by `code_file` alone, so the bytes are those of `onkokode code-file`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from pathlib import Path
from time import monotonic

from agent.agent import CodingAgent
from agent.apps.files.columns import Question
from agent.apps.files.formats import ENDINGS, format_of
from agent.apps.files.run import FileRun, LocalEngine, code_file
from agent.apps.files.table import TableFileError
from agent.apps.files.work_folder import UnfinishedRunError
from agent.apps.service.batcher import Batcher, StoppingError, report
from agent.apps.service.jobs.record import Record
from agent.apps.service.jobs.store import JobStore
from agent.results import CodedText
from index.dates import Date
from index.errors import OnkokodeError
from index.io import failures
from index.io.language import say, speaking

_LOG = logging.getLogger("onkokode.service")
# The texts of one turn: a batch of the agent's.
_TURN = 64
_LOOK_SECONDS, _EXPIRE_SECONDS = 0.5, 60.0
# What a thread may still read or write when the service ends; a kill in the middle costs nothing but a chunk.
_END_SECONDS = 5.0
_ENDINGS = {"parquet": ".parquet", "jsonl": ".jsonl", "delimited": ".csv"}
_OPTION = re.compile(r"--([a-z][a-z-]*)")
_SAID = {"header": "header=true", "no-header": "header=false"}


class _Interrupted(Exception):
    """The job is not wanted any more, or the service ends."""


class Runner:
    """Codes the jobs of a store. `counted` is told how many texts were coded."""

    def __init__(
        self, store: JobStore, agent: CodingAgent, batcher: Batcher, counted: Callable[[int], None]
    ) -> None:
        self._store, self.agent, self._batcher, self._counted = store, agent, batcher, counted
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._expiring: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins with the oldest job that waits. Belongs to the batcher's loop."""
        self._loop = loop
        self._store.open()
        self._stopping.clear()
        self._expiring = loop.create_task(self._expire())
        # A daemon: the end of the service does not wait for a table that takes minutes to read.
        self._thread = threading.Thread(target=self._run, name="onkokode-jobs", daemon=True)
        self._thread.start()

    def refuse(self) -> None:
        """Begin nothing more; what is being coded stops after its turn, and goes on after the next start."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ends the thread. The batcher has to be stopped by then, or it would be waited for."""
        self.refuse()
        if self._expiring is not None:
            self._expiring.cancel()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _END_SECONDS)
            if not self._thread.is_alive():
                self._store.close()

    async def _expire(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.expire)
            except OSError as error:
                report("jobs that are old could not be removed", error)
            await asyncio.sleep(_EXPIRE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            record = self._store.next_queued(_LOOK_SECONDS)
            if record is not None:
                # As what stands in the coded table is, whoever started the service.
                with speaking("de"):
                    self._work(record)

    def _work(self, record: Record) -> None:
        began = monotonic()
        try:
            run = self._code(record)
        except Exception as error:
            if record.job.state == "cancelled":
                self._store.finish(record, "cancelled")
                _LOG.info("a job was cancelled")
            elif not self._stopping.is_set():
                self._store.finish(record, "failed", self._said(record, error))
                _LOG.info("a job failed: %s", type(error).__name__)
        else:
            record.job.counts = run.counts
            self._store.finish(record, "done")
            _LOG.info("a job is done: %d rows, %.0f s", run.rows, monotonic() - began)

    def _code(self, record: Record) -> FileRun:
        folder = self._store.folder(record)
        source = folder / record.source
        target = folder / f"kodiert{self._ending(record, source)}"
        record.result = target.name
        # Complete, but of a service that was killed before it could say so.
        target.unlink(missing_ok=True)
        job, first, since = record.job, 0, monotonic()

        def begun(run: FileRun) -> None:
            nonlocal first, since
            job.read, job.notes, first, since = run.read, run.notes, run.done_before, monotonic()
            self._store.keep(record)

        def progress(done: int, rows: int) -> None:
            job.rows, job.rows_done = rows, done
            if done > first:
                job.rows_per_second = round((done - first) / max(monotonic() - since, 0.001), 1)
            self._go_on(record)

        def code(restart: bool) -> FileRun:
            return code_file(
                self.agent,
                source,
                target,
                **record.form.arguments(),
                engine=LocalEngine(_InTurns(self, record)),
                restart=restart,
                begun=begun,
                progress=progress,
            )

        try:
            return code(restart=False)
        except UnfinishedRunError:
            # The service has another model or catalogue than before: nothing of what it coded then may be mixed in.
            return code(restart=True)

    def _ending(self, record: Record, source: Path) -> str:
        if record.form.format is not None:
            return f".{record.form.format}"
        if source.suffix in ENDINGS:
            return source.suffix
        return _ENDINGS.get(format_of(source), ".xlsx")

    def _go_on(self, record: Record) -> None:
        if self._stopping.is_set() or record.job.over:
            raise _Interrupted

    def _said(self, record: Record, error: Exception) -> str:
        """Why a job failed, for its client: `code-file`'s own words, with fields of the form for its options."""
        if isinstance(error, TableFileError):
            here = f"{self._store.folder(record)}{os.sep}"
            return _OPTION.sub(_field, str(error).replace(here, ""))
        if isinstance(error, OSError):
            report("a job failed", error)
            return say("job-disk", reason=failures.reason(error).partition(";")[0])
        report("a job failed", error)
        if isinstance(error, OnkokodeError):
            return say("job-agent")
        return say("job-bug")

    def turn(self, record: Record, answers: Iterator[CodedText]) -> list[CodedText]:
        """The next answers, coded in the batcher's worker once it is this job's turn."""

        def wait(seconds: float) -> None:
            self._stopping.wait(min(seconds, _LOOK_SECONDS))
            self._go_on(record)

        self._go_on(record)
        if self._loop is None:
            raise _Interrupted
        try:
            coded: list[CodedText] = self._batcher.from_thread(
                self._loop, lambda: list(islice(answers, _TURN)), wait=wait
            )
        except (StoppingError, CancelledError):
            self.refuse()
            raise _Interrupted from None
        self._counted(len(coded))
        return coded


class _InTurns:
    """The agent as `code_file` asks it for one job."""

    def __init__(self, runner: Runner, record: Record) -> None:
        self._runner, self._record = runner, record

    def code_many(
        self, texts: Iterable[Question], dates: Iterable[Date] | None = None
    ) -> Iterator[CodedText]:
        answers = self._runner.agent.code_many(texts, dates)
        while coded := self._runner.turn(self._record, answers):
            yield from coded


def _field(option: re.Match[str]) -> str:
    return _SAID.get(option[1], option[1].replace("-", "_"))
