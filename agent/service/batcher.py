"""Puts concurrent requests together: one queue, one worker thread, batches that grow with the load.

    batcher = Batcher(lambda texts: list(agent.code_many(texts)), batch_texts=64, queue_texts=1024)
    await batcher.start()
    answers = await batcher.code(["Mamma-Ca li.", "Prostata-Ca"])      # in the texts' order
    await batcher.stop()                                               # answers what it has taken

While a batch is being coded, the next one gathers by itself, so nobody waits for others to come: a lone caller is
served at once, and under load the batches fill. (To wait some milliseconds for more callers was tried: it left
the worker idle and cost a tenth of the throughput.) The agent runs in one thread, because two would share the
same cores and the model's caches.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from agent.results import CodedText
from index.errors import OnkokodeError

_LOG = logging.getLogger("onkokode.service")

CodeTexts = Callable[[list[str]], Sequence[CodedText]]


class QueueFullError(OnkokodeError):
    """More texts wait than the queue holds; `retry_after` says in how many seconds there may be room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many texts are waiting; send the request again later")
        self.retry_after = retry_after


class StoppingError(OnkokodeError):
    """The service is shutting down and takes no more texts."""


class TextFailedError(OnkokodeError):
    """A text could not be coded while others of its batch could. `position` is its place in the request."""

    def __init__(self, position: int) -> None:
        super().__init__("the agent failed on this text")
        self.position = position


@dataclass(eq=False)
class _Job:
    """One request: its texts, or a call that needs the worker to itself."""

    answer: asyncio.Future[Any]
    texts: list[str] = field(default_factory=list)
    call: Callable[[], Any] | None = None

    @property
    def size(self) -> int:
        return max(1, len(self.texts))


class Batcher:
    """Codes texts of many requests in common batches. Belongs to one event loop."""

    def __init__(
        self,
        code: CodeTexts,
        *,
        batch_texts: int = 64,
        queue_texts: int = 1024,
    ) -> None:
        self._code = code
        self._batch_texts = batch_texts
        self._queue_texts = queue_texts
        self._jobs: deque[_Job] = deque()
        self._held = 0
        self._arrived = asyncio.Event()
        self._stopping = False
        self._worker: ThreadPoolExecutor | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seconds_per_text = 0.01

    @property
    def held(self) -> int:
        """Texts that wait or are being coded."""
        return self._held

    @property
    def stopping(self) -> bool:
        """Whether new requests are refused."""
        return self._stopping

    async def start(self) -> None:
        """Begins to take requests; also again, after a stop."""
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        # An event belongs to the loop that first waits for it.
        self._arrived = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="onkokode-agent")
        self._loop_task = asyncio.create_task(self._run())

    def refuse(self) -> None:
        """Take nothing more; what is held will be answered."""
        self._stopping = True
        self._arrived.set()

    def refuse_soon(self) -> None:
        """`refuse`, from a signal handler: it may run in the middle of anything."""
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.refuse)

    async def stop(self) -> None:
        """Answers what is held, then ends the worker."""
        self.refuse()
        if self._loop_task is not None:
            await self._loop_task
        if self._worker is not None:
            self._worker.shutdown(wait=True)
        self._loop = None

    async def code(self, texts: Sequence[str]) -> list[CodedText]:
        """The answers to the texts, in order.

        Raises:
            QueueFullError, StoppingError: nothing was taken.
            TextFailedError: the agent failed on one of these texts.
            OnkokodeError: the agent cannot work at all, such as a model server that is gone.
        """
        return await self._submit(_Job(asyncio.get_running_loop().create_future(), texts=list(texts)))

    async def alone(self, call: Callable[[], Any]) -> Any:
        """Runs a call in the worker thread, between batches; it counts as one text."""
        return await self._submit(_Job(asyncio.get_running_loop().create_future(), call=call))

    async def _submit(self, job: _Job) -> Any:
        if self._stopping:
            raise StoppingError("the service is shutting down")
        if self._held + job.size > self._queue_texts:
            raise QueueFullError(max(1, round(self._held * self._seconds_per_text)))
        self._held += job.size
        # Also when the caller is cancelled: the place is free again once the job is done or dropped.
        job.answer.add_done_callback(lambda _: self._release(job))
        self._jobs.append(job)
        self._arrived.set()
        return await job.answer

    def _release(self, job: _Job) -> None:
        self._held -= job.size

    async def _run(self) -> None:
        while True:
            if not self._jobs:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            elif jobs := self._next_batch():
                await self._work(jobs)

    def _next_batch(self) -> list[_Job]:
        """The oldest jobs that fit into one batch; those whose caller is gone are dropped here."""
        batch: list[_Job] = []
        size = 0
        while self._jobs:
            job = self._jobs[0]
            if job.answer.done():
                self._jobs.popleft()
                continue
            if batch and (job.call is not None or size + job.size > self._batch_texts):
                break
            batch.append(self._jobs.popleft())
            size += job.size
            if job.call is not None:
                break
        return batch

    async def _work(self, jobs: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        started = monotonic()
        if jobs[0].call is not None:
            outcomes: list[Any] = [await loop.run_in_executor(self._worker, _outcome, jobs[0].call)]
        else:
            outcomes = await loop.run_in_executor(self._worker, self._code_jobs, [job.texts for job in jobs])
        size = sum(job.size for job in jobs)
        # A moving average, for the announced waiting time.
        self._seconds_per_text += 0.2 * ((monotonic() - started) / size - self._seconds_per_text)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.answer.done():
                continue
            if isinstance(outcome, BaseException):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)

    def _code_jobs(self, requests: list[list[str]]) -> list[list[CodedText] | BaseException]:
        """In the worker thread: the outcome of each request."""
        texts = [text for request in requests for text in request]
        try:
            coded = list(self._code(texts))
            if len(coded) != len(texts):
                raise RuntimeError("the agent gave another number of answers than it was asked for")
        except OnkokodeError as error:
            # Nothing about a text: each further try would fail, and take its time, as well.
            return [error for _ in requests]
        except Exception as error:
            report("a batch failed, its texts are coded one by one", error)
            return [self._one_by_one(request) for request in requests]
        answers = iter(coded)
        return [[next(answers) for _ in request] for request in requests]

    def _one_by_one(self, request: list[str]) -> list[CodedText] | BaseException:
        coded: list[CodedText] = []
        for position, text in enumerate(request):
            try:
                [answer] = self._code([text])
            except OnkokodeError as error:
                return error
            except Exception as error:
                report("a text failed", error)
                return TextFailedError(position)
            coded.append(answer)
        return coded


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except OnkokodeError as error:
        return error
    except Exception as error:
        report("a text failed", error)
        return TextFailedError(0)


def report(what: str, error: BaseException) -> None:
    """Logs an error without its message, which may quote a text: its type, and where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    _LOG.error("%s: %s at %s", what, type(error).__name__, where)
