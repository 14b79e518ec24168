"""Processes on this machine that each load the agent once, and share the work.

    with Workers(partial(CodingAgent.load, edition="icd10gm-2024"), 4) as workers:
        for answers in workers.map(code_batch, batches): ...          # in order; `code_batch(agent, batch)`

They are started anew, not forked, since the libraries' threads do not survive a fork; each computes with one thread.
What is to be done and what came of it go through pipes, and are kept by nobody. Where the main program is a script, it
needs the usual `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, TypeVar

from index.errors import OnkokodeError

if TYPE_CHECKING:
    from agent.agent import CodingAgent

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
# Pieces of work that are handed out ahead, per process: enough that none waits, few enough that memory is flat.
_AHEAD = 2
# In a process of ours: its agent.
_AGENT: list[CodingAgent] = []


class Workers:
    """So many processes. `load` makes the agent of each, and can be pickled."""

    def __init__(self, load: Callable[[], CodingAgent], count: int) -> None:
        if count < 1:
            raise ValueError("work needs at least one process")
        self.count = count
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_start, initargs=(load,)
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Nobody waits for the rest of the work. (Python 3.14 has `terminate_workers` for it.)
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[CodingAgent, _Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """What `work`, a function of a module, makes of each, in order. What is given is read no further ahead than the
        processes need.

        Raises `OnkokodeError` where a process ended, such as for want of memory; what `work` raises is raised here.
        """
        waiting: deque[Future[Any]] = deque()
        try:
            for one in given:
                waiting.append(self._pool.submit(_do, work, one))
                if len(waiting) >= (1 + _AHEAD) * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise OnkokodeError(
                "a process that coded texts has ended, perhaps for want of memory; try again with fewer workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _start(load: Callable[[], CodingAgent]) -> None:
    # Ctrl-C goes to all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from agent.parallel.threads import stay_with_one_thread

    stay_with_one_thread()
    _AGENT.append(load())
    stay_with_one_thread()  # libraries that loading brought


def _end_with_parent() -> None:
    """A first process that is killed can end nobody; its pipes stay open, since all of its processes hold them."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _do(work: Callable[[CodingAgent, Any], Any], given: Any) -> Any:
    return work(_AGENT[0], given)
