"""How texts and documents are coded beside the requests of the service: in turns, each of which waits like a request.

turns = Turns(agent, app.state.batcher, pages.table_read)
Intake(store, turns.coded, turns.tell, turns.documents)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agent.apps.review.filling import document_codings, entry_codings

if TYPE_CHECKING:
    from agent.agent import CodingAgent

_TURN, _DOCUMENTS = 16, 1  # texts, or documents, for which a request that comes meanwhile waits
_LONGEST_WAIT = 5.0  # seconds, until a full queue is tried again
_Codings = Callable[[Callable[[], "CodingAgent"], list[str]], Iterator[list[dict[str, Any]]]]


class Turns:
    """Codes texts in the service's one worker, where there is one. `loop` is the service's, once a page is open."""

    def __init__(self, agent: CodingAgent, batcher: Any, told: Callable[[], None]) -> None:
        self._agent, self._batcher, self._told = agent, batcher, told
        self.loop: asyncio.AbstractEventLoop | None = None

    def coded(self, texts: list[str]) -> Iterator[list[dict[str, Any]]]:
        """Of each text the codings of its diagnoses. Called in a thread of its own."""
        for first in range(0, len(texts), _TURN):
            yield from self._turn(texts[first : first + _TURN], entry_codings)

    def documents(self, texts: list[str]) -> Iterator[list[dict[str, Any]]]:
        """Of each document the codings of its tumours. Called in a thread of its own."""
        for first in range(0, len(texts), _DOCUMENTS):
            yield from self._turn(texts[first : first + _DOCUMENTS], document_codings)

    def tell(self) -> None:
        """Lets the pages show how far the reading is."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._told)

    def _turn(self, texts: list[str], codings: _Codings) -> list[list[dict[str, Any]]]:
        def work() -> list[list[dict[str, Any]]]:
            return list(codings(lambda: self._agent, texts))

        if self._batcher is None or self.loop is None:
            return work()
        coded: list[list[dict[str, Any]]] = self._batcher.from_thread(
            self.loop,
            work,
            sum(map(len, texts)),
            wait=lambda seconds: time.sleep(min(seconds, _LONGEST_WAIT)),
        )
        return coded
