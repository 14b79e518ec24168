"""Processes that share the work: the same answers, in order, and a clear end where one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from agent.agent import CodingAgent
from agent.parallel.threads import one_thread
from agent.parallel.workers import Workers
from index.errors import ModelError, OnkokodeError
from tests.agent.test_cli import ROOT
from tests.agent.tiny_agent import embedded_agent, resources_with


def no_agent() -> Any:
    return None


def squared(agent: Any, number: int) -> int:
    return number**2


def dies_at(agent: Any, number: int, *, last: int) -> int:
    if number == last:
        os._exit(9)
    return number


def fails(agent: Any, number: int) -> int:
    raise ModelError("the weights are broken")


def waits(agent: Any, seconds: int) -> None:
    time.sleep(seconds)


def threads_of(agent: Any, number: int) -> list[int]:
    import faiss
    from threadpoolctl import threadpool_info

    return [faiss.omp_get_max_threads(), *(pool["num_threads"] for pool in threadpool_info())]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(no_agent, 2) as started:
        yield started


def test_what_is_made_comes_in_order(workers: Workers) -> None:
    assert list(workers.map(squared, range(40))) == [n**2 for n in range(40)]


def test_what_is_given_is_read_no_further_ahead_than_needed(workers: Workers) -> None:
    read: list[int] = []

    def given() -> Iterator[int]:
        for number in range(1_000):
            read.append(number)
            yield number

    made = workers.map(squared, given())
    assert next(made) == 0 and len(read) < 10
    made.close()  # type: ignore[attr-defined]


def test_an_error_is_that_of_the_work(workers: Workers) -> None:
    with pytest.raises(ModelError, match="the weights are broken"):
        list(workers.map(fails, [1]))


def test_each_computes_with_one_thread(workers: Workers) -> None:
    assert {count for counts in workers.map(threads_of, [1, 2]) for count in counts} == {1}


def test_a_process_that_dies_ends_the_work_with_a_reason() -> None:
    with Workers(no_agent, 2) as started, pytest.raises(OnkokodeError, match="fewer workers"):
        list(started.map(partial(dies_at, last=3), range(10)))


# What runs in the background of a shell ignores Ctrl-C, and so would this.
_PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from multiprocessing import active_children
from tests.agent.test_workers import no_agent, waits
from agent.parallel.workers import Workers
if __name__ == "__main__":
    with Workers(no_agent, 2) as started:
        made = started.map(waits, [0, 0, 300, 300])
        next(made), next(made)
        print(*[child.pid for child in active_children()], flush=True)
        list(made)
"""


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_first_one(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        children = [int(number) for number in parent.stdout.readline().split()]
        assert len(children) == 2 and all(map(is_there, children))
        parent.send_signal(how)
        parent.wait(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_there, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_work_needs_a_process() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Workers(no_agent, 0)


def test_answers_are_those_of_one_process() -> None:
    agent = embedded_agent()
    texts = [f"Mammakarzinom links, {n} mm" for n in range(300)] + ["", "Hypertonie"]
    dates = [2024, None] * 151
    assert list(agent.code_many(texts, dates, workers=2)) == list(agent.code_many(texts, dates))


def test_a_row_that_is_no_text_is_named() -> None:
    with pytest.raises(TypeError, match="row 2 is int"):
        list(embedded_agent().code_many(["Mammakarzinom", 7], workers=2))  # type: ignore[list-item]


def test_an_agent_of_ones_own_parts_cannot_be_loaded_again() -> None:
    with pytest.raises(ValueError, match=r"CodingAgent\.load"):
        list(CodingAgent(resources_with()).code_many(["Mammakarzinom"], workers=2))


def test_one_thread_is_given_back() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    with one_thread():
        assert faiss.omp_get_max_threads() == 1
    assert faiss.omp_get_max_threads() == before
