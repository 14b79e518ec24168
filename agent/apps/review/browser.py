"""What a browser may do with the page: nothing for another site, no socket without a name, no cookie in the clear.

    pages.add_middleware(SocketNeedsName, gate=gate)      # inside of the session
    pages.add_middleware(OwnOrigin)                       # outside of it: what is refused gets no cookie

A link from another site arrives without a `Strict` cookie, and the answer's new cookie would take the place of the
old one: the person would be logged out. So the cookie is `Lax`, which comes with links, and whatever else another
site asks for (forms, frames, images, sockets) is refused here, before the session is touched. Plain ASGI.
"""

from __future__ import annotations

import logging
import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.apps.review.session import Gate

_log = logging.getLogger(__name__)
_SOCKET = "/_nicegui_ws"
_PREFIX_HEADER = b"x-forwarded-prefix"
_PLAIN_PATH = re.compile(rb"(/[A-Za-z0-9_.~-]+)+")
_HEADERS = (
    # NiceGUI's page is built by inline scripts and by templates compiled in the browser; nothing may come from, or
    # go to, another host.
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
    # With no-referrer a browser would send our own forms with `Origin: null`.
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


class OwnOrigin:
    """Refuses what another site's page asks for, drops a prefix that is no plain path, and adds the headers that bind
    a browser to this host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # NiceGUI puts it before every address of ours: `//evil.example` would make them another host's.
        scope["headers"] = [
            (name, value)
            for name, value in scope["headers"]
            if name.lower() != _PREFIX_HEADER or _PLAIN_PATH.fullmatch(value)
        ]
        secure = scope.get("scheme") in ("https", "wss")

        async def bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [_kept(name, value, secure) for name, value in message.get("headers", [])]
                message = {**message, "headers": [*headers, *_HEADERS]}
            await send(message)

        if of_another_site(scope):
            _log.warning(
                "a request of another site's page was refused; if it was none, the reverse proxy must pass Host and "
                "X-Forwarded-Proto, and one on another machine needs --trusted-proxy"
            )
            said = "Diese Anfrage kam von der Seite eines anderen Rechners und wurde abgelehnt.\n"
            await _refuse(scope, receive, bound, 403, said)
        else:
            await self._app(scope, receive, bound)


class SocketNeedsName:
    """Closes the page's socket to whoever has no session: it is opened by a page that has one."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
        if path.startswith(_SOCKET) and self._gate.name_in(scope["session"]) is None:
            await _refuse(scope, receive, send, 401, "Bitte melden Sie sich an.\n")
        else:
            await self._app(scope, receive, send)


def of_another_site(scope: Scope) -> bool:
    """Whether a browser sends this for a page that is not ours. What is no browser sends none of these headers; a link
    to our pages may come from anywhere."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin != "null":
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        return origin.lower() != f"{scheme}://{headers.get('host', '')}".lower()
    if site in ("same-origin", "none"):
        return False
    if site is None:
        return origin is not None
    link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (link and scope["type"] == "http" and scope["method"] in ("GET", "HEAD"))


def _kept(name: bytes, value: bytes, secure: bool) -> tuple[bytes, bytes]:
    """A header; where the browser speaks TLS, its cookie never goes another way."""
    if secure and name.lower() == b"set-cookie" and b"; secure" not in value.lower():
        return name, value + b"; secure"
    return name, value


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, said: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await PlainTextResponse(said, status, {"cache-control": "no-store"})(scope, receive, send)
