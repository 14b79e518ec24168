"""Reads request bodies, each within a size and a time, and all of them together within the memory they may take.

    async with bodies.read(headers, receive) as body:     # counted until the block ends
        ...

    upload = Upload(settings, headers, receive)            # a table: handed on as it arrives, never held
    await app(scope, upload.receive, send)

Where all bodies together grow beyond their bound, the one that has been arriving for longest gives way and is
answered with 503: who holds a body back makes room for who sends one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import Message, Receive

from agent.apps.service.errors import CLOSE, RETRY, ClientGone, RefusedRequest
from agent.apps.service.settings import ServiceSettings

# Of a form, what is no table: its other fields, and the lines between them.
_FORM_BYTES = 128 << 10


@dataclass(eq=False)
class _Body:
    """One body: its bytes so far, and whether it was told to give way."""

    deadline: asyncio.Timeout
    size: int = 0
    displaced: bool = False


class Bodies:
    """All bodies that are held. `held` counts their bytes."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._largest = settings.max_body_bytes
        self._seconds = settings.body_seconds
        self._bound = settings.held_body_bytes
        self.held = 0
        # Told to give way, and still counted in `held`.
        self._leaving = 0
        # A dict for its order: the one that has been arriving for longest comes first.
        self._arriving: dict[_Body, None] = {}

    @asynccontextmanager
    async def read(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[bytes]:
        """The body of a request.

        Raises:
            RefusedRequest: it is too large (413), too slow (408), or had to make room (503).
            ClientGone: the client went away before it was complete.
        """
        body = _Body(asyncio.timeout(self._seconds))
        try:
            yield await self._whole(body, headers, receive)
        finally:
            self.held -= body.size
            if body.displaced:
                self._leaving -= body.size

    async def _whole(self, body: _Body, headers: Mapping[str, str], receive: Receive) -> bytes:
        too_large = _too_large(self._largest)
        if _announced(headers) > self._largest:
            raise too_large
        parts: list[bytes] = []
        self._arriving[body] = None
        try:
            async with body.deadline:
                while True:
                    received = await receive()
                    if received["type"] == "http.disconnect":
                        raise ClientGone
                    part = received.get("body", b"")
                    if body.displaced:
                        # It was told while its last bytes were on their way; counting on would unbalance the sum.
                        raise TimeoutError
                    body.size += len(part)
                    self.held += len(part)
                    if body.size > self._largest:
                        raise too_large
                    parts.append(part)
                    if self.held - self._leaving > self._bound:
                        self._make_room()
                    if not received.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            if body.displaced:
                message = "too many requests are being sent"
                raise RefusedRequest(503, "too_many_bodies", message, {**RETRY, **CLOSE}) from None
            raise _too_slow() from None
        finally:
            self._arriving.pop(body, None)

    def _make_room(self) -> None:
        """At least the caller's own body is arriving."""
        oldest = next(iter(self._arriving))
        del self._arriving[oldest]
        oldest.displaced = True
        self._leaving += oldest.size
        oldest.deadline.reschedule(asyncio.get_running_loop().time())


class Upload:
    """A body that is handed on as it arrives, within a size and a time."""

    def __init__(self, settings: ServiceSettings, headers: Mapping[str, str], receive: Receive) -> None:
        """Raises `RefusedRequest` (413) where it says itself that it is too large."""
        self._largest = settings.job_bytes
        self._deadline = asyncio.get_running_loop().time() + settings.upload_seconds
        self._receive = receive
        self._size = 0
        self._whole = False
        self._bound(_announced(headers))

    async def receive(self) -> Message:
        """The next part.

        Raises:
            RefusedRequest: it is too large (413) or too slow (408).
            ClientGone: the client went away before it was complete.
        """
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._size += len(message.get("body", b""))
        self._bound(self._size)
        self._whole = not message.get("more_body", False)
        return message

    def _bound(self, size: int) -> None:
        if size > self._largest + _FORM_BYTES:
            raise _too_large(self._largest)

    async def rest(self) -> Message:
        """What is left, for who throws it away."""
        return {"type": "http.disconnect"} if self._whole else await self._receive()


def _announced(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length[:20]) if length.isdecimal() else 0


def _too_large(largest: int) -> RefusedRequest:
    return RefusedRequest(413, "body_too_large", f"a request body may have {largest:,} bytes", CLOSE)


def _too_slow() -> RefusedRequest:
    return RefusedRequest(408, "body_too_slow", "the request body did not arrive in time", CLOSE)
