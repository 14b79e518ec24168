"""Puts concurrent requests together: one queue, one worker thread, batches that grow with the load.

    batcher = Batcher(lambda texts: list(agent.code_many(texts)), batch_texts=64, queue_texts=1024)
    await batcher.start()
    answers = await batcher.code(["Mamma-Ca li.", "Prostata-Ca"])      # in the texts' order
    await batcher.stop()          # answers what it has taken, as far as the grace period allows

While a batch is being coded, the next one gathers by itself, so nobody waits for others to come: a lone caller is
served at once, and under load the batches fill. (To wait some milliseconds for more callers was tried: it left
the worker idle and cost a tenth of the throughput.) A batch is bounded in texts and characters and takes one text
of each request in turn, so a large request is worked off in slices and holds nobody up. The agent runs in one
thread, because two would share the same cores and the model's caches.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from time import monotonic
from typing import Any

from agent.apps.service.logs import kind_and_place
from agent.prepare import Case
from agent.results import CodedText
from index.errors import OnkokodeError

_LOG = logging.getLogger("onkokode.service")

Question = str | Case
CodeTexts = Callable[[list[Question]], Sequence[CodedText]]


def characters_of(question: Question) -> int:
    """How long what is asked is."""
    return len(question if isinstance(question, str) else question.text)


class QueueFullError(OnkokodeError):
    """More texts or characters wait than the queue holds; `retry_after` says in how many seconds there may be room."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many texts are waiting; send the request again later")
        self.retry_after = retry_after


class StoppingError(OnkokodeError):
    """The service is shutting down: it takes no more texts, or its grace period has ended before the answer."""


class TextFailedError(OnkokodeError):
    """A text could not be coded while others of its batch could. `position` is its place in the request."""

    def __init__(self, position: int) -> None:
        super().__init__("the agent failed on this text")
        self.position = position


@dataclass(eq=False)
class _Job:
    """One request: its texts, or a call that needs the worker to itself."""

    answer: asyncio.Future[Any]
    texts: list[Question] = field(default_factory=list)
    call: Callable[[], Any] | None = None
    characters: int = 0
    # How many of the texts went into a batch, and the answers that came back; only one batch is under way.
    taken: int = 0
    coded: list[CodedText] = field(default_factory=list)

    @property
    def size(self) -> int:
        return max(1, len(self.texts))


@dataclass(eq=False)
class Batcher:
    """Codes texts of many requests in common batches. Belongs to one event loop."""

    code_texts: CodeTexts
    _: KW_ONLY
    batch_texts: int = 64
    batch_characters: int = 40_000
    queue_texts: int = 1024
    queue_characters: int = 4 << 20
    grace_seconds: float = 60.0
    held: int = field(default=0, init=False)
    """Texts that wait or are being coded."""
    stopping: bool = field(default=False, init=False)
    """Whether new requests are refused."""
    # The next to give a text comes first; a request whose texts are all in batches is no more in it.
    _jobs: deque[_Job] = field(default_factory=deque, init=False)
    _unanswered: set[_Job] = field(default_factory=set, init=False)
    _held_characters: int = field(default=0, init=False)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _worker: ThreadPoolExecutor | None = field(default=None, init=False)
    _loop_task: asyncio.Task[None] | None = field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _end_of_grace: asyncio.TimerHandle | None = field(default=None, init=False)
    _seconds_per_text: float = field(default=0.01, init=False)

    async def start(self) -> None:
        """Begins to take requests; also again, after a stop."""
        self.stopping = False
        self._loop = asyncio.get_running_loop()
        # An event belongs to the loop that first waits for it.
        self._arrived = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="onkokode-agent")
        self._loop_task = asyncio.create_task(self._run())

    def refuse(self) -> None:
        """Take nothing more; what is held will be answered, with `StoppingError` what takes longer than the grace
        period."""
        self.stopping = True
        self._arrived.set()
        if self._end_of_grace is None and self._loop is not None:
            self._end_of_grace = self._loop.call_later(self.grace_seconds, self._give_up)

    def _give_up(self) -> None:
        for job in self._unanswered:
            if not job.answer.done():
                job.answer.set_exception(StoppingError("the service is shutting down"))

    def refuse_soon(self) -> None:
        """`refuse`, from a signal handler: it may run in the middle of anything."""
        self.stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.refuse)

    async def stop(self) -> None:
        """Answers what is held, then ends the worker."""
        self.refuse()
        if self._loop_task is not None:
            await self._loop_task
        if self._end_of_grace is not None:
            self._end_of_grace.cancel()
            self._end_of_grace = None
        if self._worker is not None:
            self._worker.shutdown(wait=True)
        self._loop = None

    async def code(self, texts: Sequence[Question]) -> list[CodedText]:
        """The answers to the texts, in order.

        Raises:
            QueueFullError: nothing was taken.
            StoppingError: nothing was taken, or it was not done within the grace period.
            TextFailedError: the agent failed on one of these texts.
            OnkokodeError: the agent cannot work at all, such as a model server that is gone.
        """
        if not texts:
            return []
        characters = sum(map(characters_of, texts))
        job = _Job(asyncio.get_running_loop().create_future(), texts=list(texts), characters=characters)
        return await self._submit(job)

    async def alone(self, call: Callable[[], Any], characters: int = 0) -> Any:
        """Runs a call in the worker thread, between batches; it counts as one text of so many characters."""
        job = _Job(asyncio.get_running_loop().create_future(), call=call, characters=characters)
        return await self._submit(job)

    def from_thread(
        self,
        loop: asyncio.AbstractEventLoop,
        call: Callable[[], Any],
        characters: int = 0,
        *,
        wait: Callable[[float], object],
    ) -> Any:
        """`alone` for a thread beside the batcher's loop. While the queue is full the requests that fill it go first:
        `wait` gets the seconds after which there may be room. What is larger than the whole queue has it alone."""
        characters = min(characters, self.queue_characters)
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(self.alone(call, characters), loop).result()
            except QueueFullError as full:
                wait(full.retry_after)

    async def _submit(self, job: _Job) -> Any:
        if self.stopping:
            raise StoppingError("the service is shutting down")
        if (
            self.held + job.size > self.queue_texts
            or self._held_characters + job.characters > self.queue_characters
        ):
            raise QueueFullError(max(1, round(self.held * self._seconds_per_text)))
        self.held += job.size
        self._held_characters += job.characters
        self._unanswered.add(job)
        # Also when the caller is cancelled: the place is free again once the job is done or dropped.
        job.answer.add_done_callback(lambda _: self._release(job))
        self._jobs.append(job)
        self._arrived.set()
        return await job.answer

    def _release(self, job: _Job) -> None:
        self.held -= job.size
        self._held_characters -= job.characters
        self._unanswered.discard(job)

    async def _run(self) -> None:
        while True:
            if not self._jobs:
                if self.stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            elif batch := self._next_batch():
                await self._work(batch)

    def _next_batch(self) -> dict[_Job, list[Question]]:
        """The texts of one batch, by request: of each that waits one in turn, oldest first, until the batch is full.
        Requests whose caller is gone are dropped here; a call makes a batch of its own, without texts."""
        batch: dict[_Job, list[Question]] = {}
        texts = characters = 0
        while self._jobs:
            job = self._jobs[0]
            if job.answer.done():
                self._jobs.popleft()
                continue
            if job.call is not None:
                if not batch:
                    batch[self._jobs.popleft()] = []
                break
            text = job.texts[job.taken]
            size = characters_of(text)
            if batch and (texts == self.batch_texts or characters + size > self.batch_characters):
                break
            batch.setdefault(job, []).append(text)
            texts += 1
            characters += size
            self._jobs.popleft()
            job.taken += 1
            if job.taken < len(job.texts):
                self._jobs.append(job)
        return batch

    async def _work(self, batch: dict[_Job, list[Question]]) -> None:
        loop = asyncio.get_running_loop()
        started = monotonic()
        call = next(iter(batch)).call
        if call is not None:
            outcomes: list[Any] = [await loop.run_in_executor(self._worker, _outcome, call)]
        else:
            slices = [(job.taken - len(texts), texts) for job, texts in batch.items()]
            outcomes = await loop.run_in_executor(self._worker, self._code_slices, slices)
        size = max(1, sum(map(len, batch.values())))
        # A moving average, for the announced waiting time.
        self._seconds_per_text += 0.2 * ((monotonic() - started) / size - self._seconds_per_text)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.answer.done():
                continue
            if isinstance(outcome, BaseException):
                job.answer.set_exception(outcome)
            elif call is not None:
                job.answer.set_result(outcome)
            else:
                job.coded += outcome
                if len(job.coded) == len(job.texts):
                    job.answer.set_result(job.coded)

    def _code_slices(self, slices: list[tuple[int, list[Question]]]) -> list[list[CodedText] | BaseException]:
        """In the worker thread: the outcome of each slice, given as its first text's place in the request and its
        texts."""
        texts = [text for _, some in slices for text in some]
        try:
            coded = list(self.code_texts(texts))
            if len(coded) != len(texts):
                raise RuntimeError("the agent gave another number of answers than it was asked for")
        except OnkokodeError as error:
            # Nothing about a text: each further try would fail, and take its time, as well.
            return [error for _ in slices]
        except Exception as error:
            report("a batch failed, its texts are coded one by one", error)
            return [self._one_by_one(first, some) for first, some in slices]
        answers = iter(coded)
        return [[next(answers) for _ in some] for _, some in slices]

    def _one_by_one(self, first: int, texts: list[Question]) -> list[CodedText] | BaseException:
        coded: list[CodedText] = []
        for position, text in enumerate(texts, start=first):
            try:
                [answer] = self.code_texts([text])
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
    _LOG.error("%s: %s", what, kind_and_place(error))
