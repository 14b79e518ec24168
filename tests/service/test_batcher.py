"""The batcher by itself, with an agent that is a function."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.apps.service.batcher import Batcher, QueueFullError, StoppingError, TextFailedError
from index.errors import ModelError


class Coder:
    """Answers each text with its upper case, once the gate is open; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[int] = set()

    def __call__(self, texts: list[str]) -> Sequence[Any]:
        self.batches.append(texts)
        self.threads.add(threading.get_ident())
        assert self.gate.wait(10)
        if "model gone" in texts:
            raise ModelError("http://127.0.0.1:1 does not answer")
        if "kaputt" in texts:
            raise ValueError("kaputt")
        if "short" in texts:
            return texts[1:]
        return [text.upper() for text in texts]


@pytest.fixture
def coder() -> Coder:
    return Coder()


@asynccontextmanager
async def started(coder: Coder, **settings: Any) -> Iterator[Batcher]:  # type: ignore[misc]
    batcher = Batcher(coder, **settings)
    await batcher.start()
    try:
        yield batcher
    finally:
        coder.gate.set()
        await batcher.stop()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))  # type: ignore[arg-type]


async def _held(batcher: Batcher, texts: int) -> None:
    while batcher.held != texts:
        await asyncio.sleep(0.001)


def test_requests_that_wait_go_together_and_each_gets_its_own_answers(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, batch_texts=8) as batcher:
            coder.gate.clear()
            first = asyncio.create_task(batcher.code(["a"]))
            while not coder.batches:
                await asyncio.sleep(0.001)
            rest = [asyncio.create_task(batcher.code([f"b{n}", f"c{n}"])) for n in range(6)]
            await _held(batcher, 13)
            coder.gate.set()
            assert await first == ["A"]
            assert await asyncio.gather(*rest) == [[f"B{n}", f"C{n}"] for n in range(6)]
            # Of each request one text in turn, until the batch is full.
            assert [len(batch) for batch in coder.batches] == [1, 8, 4]
            assert {text for text in coder.batches[1] if text[0] == "b"} == {f"b{n}" for n in range(6)}
            assert batcher.held == 0
        assert len(coder.threads) == 1

    run(scenario)


def test_a_request_larger_than_a_batch_is_worked_off_in_slices(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, batch_texts=2) as batcher:
            small, large = await asyncio.gather(batcher.code(["a"]), batcher.code(list("bcdef")))
            assert small == ["A"] and large == list("BCDEF")
            assert [len(batch) for batch in coder.batches] == [2, 2, 2]

    run(scenario)


def test_a_small_request_waits_for_a_slice_and_not_for_large_ones(coder: Coder) -> None:
    """Three of 256 long texts made a short one wait for more than a minute."""

    async def scenario() -> None:
        async with started(coder, batch_characters=40_000) as batcher:
            coder.gate.clear()
            wanted = [[f"{name}{n:04}".ljust(7000, "x") for n in range(200)] for name in "abc"]
            large = [asyncio.create_task(batcher.code(texts[: 200 - n])) for n, texts in enumerate(wanted)]
            while not coder.batches:
                await asyncio.sleep(0.001)
            small = asyncio.create_task(batcher.code(["Mamma-Ca"]))
            await _held(batcher, 598)
            coder.gate.set()
            assert await small == ["MAMMA-CA"]
            assert "Mamma-Ca" in coder.batches[1]
            answers = await asyncio.gather(*large)
            assert answers == [[text.upper() for text in texts[: 200 - n]] for n, texts in enumerate(wanted)]
            assert max(sum(map(len, batch)) for batch in coder.batches) <= 40_000
            assert batcher.held == 0

    run(scenario)


def test_a_failure_in_a_later_slice_names_its_place_and_ends_the_request(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, batch_texts=2) as batcher:
            with pytest.raises(TextFailedError) as failed:
                await batcher.code(["a", "b", "c", "kaputt", "d", "e"])
            assert failed.value.position == 3
            assert await batcher.code([]) == []
        assert not any({"d", "e"} & set(batch) for batch in coder.batches)

    run(scenario)


def test_the_queue_is_bounded_in_characters(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, queue_characters=10) as batcher:
            coder.gate.clear()
            held = asyncio.create_task(batcher.code(["a" * 8]))
            await _held(batcher, 1)
            with pytest.raises(QueueFullError):
                await batcher.code(["b" * 3])
            with pytest.raises(QueueFullError):
                await batcher.alone(lambda: None, 3)
            coder.gate.set()
            await held
            assert await batcher.code(["b" * 3]) == ["BBB"]

    run(scenario)


def test_what_is_not_done_within_the_grace_period_is_told_so(coder: Coder) -> None:
    async def scenario() -> None:
        batcher = Batcher(coder, batch_texts=1, grace_seconds=0.1)
        await batcher.start()
        coder.gate.clear()
        held = [asyncio.create_task(batcher.code(texts)) for texts in (["a", "b"], ["c"])]
        held.append(asyncio.create_task(batcher.alone(lambda: 1)))
        await _held(batcher, 4)
        # As at a signal.
        batcher.refuse_soon()
        for outcome in await asyncio.gather(*held, return_exceptions=True):
            assert isinstance(outcome, StoppingError)
        coder.gate.set()
        await batcher.stop()
        assert coder.batches == [["a"]]

    run(scenario)


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, queue_texts=3) as batcher:
            coder.gate.clear()
            held = [asyncio.create_task(batcher.code(["a", "b"]))]
            await _held(batcher, 2)
            with pytest.raises(QueueFullError) as refused:
                await batcher.code(["c", "d"])
            assert refused.value.retry_after >= 1
            held.append(asyncio.create_task(batcher.code(["e"])))
            await _held(batcher, 3)
            coder.gate.set()
            await asyncio.gather(*held)
            assert await batcher.code(["c", "d"]) == ["C", "D"]

    run(scenario)


def test_one_bad_text_does_not_spoil_its_batch(coder: Coder, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with started(coder) as batcher:
            coder.gate.clear()
            first = asyncio.create_task(batcher.code(["start"]))
            while not coder.batches:
                await asyncio.sleep(0.001)
            tasks = [asyncio.create_task(batcher.code(t)) for t in (["a"], ["b", "kaputt", "c"], ["d"])]
            await _held(batcher, 6)
            coder.gate.set()
            await first
            good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)
            assert good == ["A"] and other == ["D"]
            assert isinstance(bad, TextFailedError) and bad.position == 1

    with caplog.at_level(logging.DEBUG):
        run(scenario)
    assert "ValueError" in caplog.text and "kaputt" not in caplog.text


def test_an_agent_that_cannot_work_is_not_asked_again_for_each_text(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder) as batcher:
            with pytest.raises(ModelError):
                await batcher.code(["a", "model gone", "b"])
            assert len(coder.batches) == 1
            assert await batcher.code(["a"]) == ["A"]

    run(scenario)


def test_a_wrong_number_of_answers_is_never_handed_out(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder) as batcher:
            with pytest.raises(TextFailedError):
                await batcher.code(["short", "a"])

    # Each alone: "short" gives no answer, which is a failure as well.
    run(scenario)


def test_cancelled_callers_free_their_place_and_are_not_coded(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder, queue_texts=4) as batcher:
            coder.gate.clear()
            running = asyncio.create_task(batcher.code(["a"]))
            while not coder.batches:
                await asyncio.sleep(0.001)
            waiting = asyncio.create_task(batcher.code(["b", "c"]))
            staying = asyncio.create_task(batcher.code(["d"]))
            await _held(batcher, 4)
            waiting.cancel()
            running.cancel()
            await _held(batcher, 1)
            coder.gate.set()
            assert await staying == ["D"]
        assert coder.batches == [["a"], ["d"]]

    run(scenario)


def test_stopping_answers_what_is_held_and_refuses_the_rest(coder: Coder) -> None:
    async def scenario() -> None:
        batcher = Batcher(coder, batch_texts=1)
        await batcher.start()
        coder.gate.clear()
        held = [asyncio.create_task(batcher.code([text])) for text in "abc"]
        await _held(batcher, 3)
        stop = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError):
            await batcher.code(["d"])
        coder.gate.set()
        assert await asyncio.gather(*held) == [["A"], ["B"], ["C"]]
        await stop

    run(scenario)


def test_a_stopped_batcher_starts_again(coder: Coder) -> None:
    batcher = Batcher(coder)

    async def scenario() -> None:
        await batcher.start()
        assert await batcher.code(["a"]) == ["A"]
        await batcher.stop()
        with pytest.raises(StoppingError):
            await batcher.code(["b"])

    # Each run has a loop of its own, as an application that is started twice.
    run(scenario)
    run(scenario)


def test_a_call_of_its_own_runs_between_batches_in_the_same_thread(coder: Coder) -> None:
    async def scenario() -> None:
        async with started(coder) as batcher:
            texts = asyncio.create_task(batcher.code(["a"]))
            thread = await batcher.alone(threading.get_ident)
            assert await texts == ["A"]
            assert {thread} == coder.threads
            with pytest.raises(TextFailedError):
                await batcher.alone(lambda: 1 // 0)

    run(scenario)


def test_a_document_larger_than_the_queue_is_worked_off_and_waits_for_no_room_that_never_comes(
    coder: Coder,
) -> None:
    async def scenario() -> None:
        async with started(coder, queue_characters=10) as batcher:
            loop, waited = asyncio.get_running_loop(), []

            def work() -> str:
                return str(batcher.from_thread(loop, lambda: "read", 1000, wait=waited.append))

            assert await asyncio.wait_for(asyncio.to_thread(work), 20) == "read" and waited == []

    run(scenario)
