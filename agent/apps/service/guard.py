"""What every request passes first: key, host name, body limit, request id, security headers, access log.

    app.add_middleware(Guard, settings=settings)

Plain ASGI, so that it also covers pages mounted into the application. A body is read here, up to the limit and
within a time (`bodies`), before anything parses it. The access log holds method, route, status and duration: no
path as it was sent, no query string and no body, since each may hold a text. An error that nobody expected is
answered here and logged without its message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
import uuid
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.apps.service.batcher import report
from agent.apps.service.bodies import Bodies, Upload
from agent.apps.service.connections import CROWDED
from agent.apps.service.errors import CLOSE, RETRY, ClientGone, RefusedRequest, respond
from agent.apps.service.metrics import Metrics
from agent.apps.service.settings import ServiceSettings

_ACCESS = logging.getLogger("onkokode.service.access")
_SHORT_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,36}")
_BODY_UNREAD = (400, 401, 408, 413, 415, 421, 429, 507)
_UPLOADS = "/v1/jobs"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Open without a key: what a supervisor asks.
_OPEN = ("/health/live", "/health/ready")
# Our own answers load nothing from anywhere; a mounted page brings its own scripts and says so itself.
_OWN = ("/v1/", "/health/", "/info", "/metrics", "/openapi.json", "/docs")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
_OWN_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
}


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._settings = settings
        self._bodies = Bodies(settings)
        # Hashes are of equal length: the comparison tells nothing about the key's.
        self._key = _digest(settings.api_key) if settings.api_key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        headers = Headers(scope=scope)
        token = headers.get("x-request-id", "")
        request_id = token if _SHORT_TOKEN.fullmatch(token) else uuid.uuid4().hex[:16]
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                answered = MutableHeaders(scope=message)
                own = _OWN_HEADERS if scope["path"].startswith(_OWN) else {}
                for name, value in {**_HEADERS, **own, "x-request-id": request_id}.items():
                    answered.setdefault(name, value)
            await send(message)

        unread = receive
        try:
            self._check(scope, headers)
            if self._settings.jobs is not None and (scope["method"], scope["path"]) == ("POST", _UPLOADS):
                upload = Upload(self._settings, headers, receive)
                unread = upload.rest
                await self._app(scope, upload.receive, answer)
                return
            async with self._bodies.read(headers, receive) as body:
                await self._app(scope, _replayed(body, receive), answer)
        except RefusedRequest as refused:
            linger = refused.status in _BODY_UNREAD
            await respond(answer, refused, unread if linger else None)
        except ClientGone:
            status = 499
        except Exception as error:
            report(f"request {request_id} failed", error)
            if not status:
                failed = RefusedRequest(500, "internal_error", "the service failed on this request")
                await respond(answer, failed)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            method = scope["method"] if scope["method"] in _METHODS else "-"
            seconds = perf_counter() - began
            if self._metrics is not None:
                self._metrics.answered(method, route, status, seconds=seconds)
            _ACCESS.info("%s %s %d %.1f ms id=%s", method, route, status, seconds * 1000, request_id)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mounted pages use these; the same key and names hold for them."""
        try:
            self._check(scope, Headers(scope=scope))
        except RefusedRequest:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            report("a websocket failed", error)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if scope.get("state", {}).get(CROWDED) and scope["path"] not in _OPEN:
            message = "too many connections are open"
            raise RefusedRequest(503, "too_many_connections", message, {**RETRY, **CLOSE})
        names = self._settings.allowed_hosts
        if names and _host_name(headers.get("host", "")) not in names:
            raise RefusedRequest(421, "wrong_host", "this service does not answer to that host name")
        if self._key is None or scope["path"] in _OPEN or self._asks_itself(scope["path"]):
            return
        given = _given_key(headers)
        if given is None or not hmac.compare_digest(_digest(given), self._key):
            # Basic for a person's browser, which has no other way to send a key; the key is its password.
            ways = {"www-authenticate": 'Bearer, Basic realm="onkokode", charset="UTF-8"'}
            message = "send the API key as `Authorization: Bearer …` or `X-API-Key`"
            raise RefusedRequest(401, "unauthorised", message, ways)

    def _asks_itself(self, path: str) -> bool:
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in self._settings.own_login)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what the server says (that the client is gone)."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _host_name(host: str) -> str:
    """`localhost:8000` -> `localhost`, `[::1]:8000` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _given_key(headers: Headers) -> str | None:
    if "x-api-key" in headers:
        return headers["x-api-key"].strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
