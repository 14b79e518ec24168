"""A request that goes no further, and how it is answered.

raise Refused(413, "body_too_large", "a request body may have 2,097,152 bytes")
await respond(send, refused, receive)              # with what the client still sends thrown away
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Receive, Send

from agent.apps.service.answers import error_body

CLOSE = (b"connection", b"close")
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 16 << 20


class Refused(Exception):
    """A request that goes no further. `headers` are added to its answer."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


class Gone(Exception):
    """The client closed the connection before its request was complete."""


async def respond(send: Send, refused: Refused, receive: Receive | None = None) -> None:
    """The error answer. With `receive`, what the client still sends is thrown away for a moment: a connection that
    is closed over unread bytes is reset, and the client never sees the answer."""
    body = error_body(refused.code, refused.message)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        *refused.headers,
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": receive is not None})
    if receive is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    size = 0
    while size < _LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
