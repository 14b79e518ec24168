"""The form of every error answer, and which error becomes which status. No answer holds anything of a request.

raise HTTPException(404) -> {"error": {"code": "not_found", "message": "Not Found", "details": []}}
install(app)                                       # replaces FastAPI's handlers, which echo the input
raise RefusedRequest(413, "body_too_large", "a request body may have 2,097,152 bytes")     # below the application
await respond(send, refused, receive)              # with what the client still sends thrown away
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Receive, Send

from agent.apps.service.batcher import QueueFullError, StoppingError, TextFailedError
from index.errors import OnkokodeError

_LOG = logging.getLogger("onkokode.service")
CLOSE = {"connection": "close"}
RETRY = {"retry-after": "5"}
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 16 << 20
# What may stand in an error's location: our own names. Anything else came from the caller.
_OWN_NAMES = frozenset(
    {
        "body",
        "path",
        "query",
        "header",
        "text",
        "texts",
        "case",
        "cases",
        "document",
        "date",
        "diagnosis",
        "site",
        "histology",
        "side",
        "behaviour",
        "tumour",
        "q",
        "limit",
        "system",
        "code",
        "x-api-key",
        "job",
        "file",
        "format",
        "column",
        "date_column",
        "header_row",
        "sheet",
        "delimiter",
        "encoding",
    }
)
_PROBLEMS = {
    "missing": "is missing",
    "json_invalid": "is not valid JSON",
    "string_type": "must be a string",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_unicode": "holds characters that are not valid Unicode",
    "date": "is no date such as 2026-03-01, 01.03.2026 or 2026",
    "extra_forbidden": "is no field, see /docs",
    "delimiter": "is one character, or tab",
    "contradiction": "header_row and header=false contradict each other",
    "bool_parsing": "must be true or false",
    "exactly_one": "takes a text or a case, one of them",
    "list_type": "must be a list",
    "literal_error": "is none of the allowed values",
    "too_long": "has too many items",
    "too_short": "has too few items",
    "enum": "is none of the allowed values",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "model_attributes_type": "must be a JSON object; send Content-Type: application/json",
    "dict_type": "must be a JSON object",
}
# Limits that a problem may name; they are ours, not the caller's.
_LIMITS = ("max_length", "min_length", "ge", "le")


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    details: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    error = {"code": code, "message": message, "details": details}
    return JSONResponse({"error": error}, status, headers)


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(OnkokodeError, _ours)  # type: ignore[arg-type]


async def _invalid(_request: Request, error: RequestValidationError) -> Response:
    details = [{"where": _place(one["loc"]), "problem": _problem(one)} for one in error.errors()[:20]]
    message = "the request does not fit its description, see /docs"
    return error_response(422, "invalid_request", message, details=details)


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(part) if isinstance(part, int) or part in _OWN_NAMES else "?" for part in location)


def _problem(problem: Mapping[str, Any]) -> str:
    said = _PROBLEMS.get(problem["type"], "does not fit its description")
    given = problem.get("ctx") or {}
    limits = [f"{name} {given[name]}" for name in _LIMITS if isinstance(given.get(name), int)]
    return f"{said} ({', '.join(limits)})" if limits else said


async def _http(_request: Request, error: HTTPException) -> Response:
    # The phrase of the status, not the detail: libraries put pieces of a request into theirs.
    status = HTTPStatus(error.status_code)
    detail: dict[str, str] = error.detail if isinstance(error.detail, dict) else {}
    return error_response(
        status,
        detail.get("code", status.phrase.lower().replace(" ", "_")),
        detail.get("message", status.phrase),
        headers=error.headers,
    )


async def _ours(_request: Request, error: OnkokodeError) -> Response:
    if isinstance(error, QueueFullError):
        return error_response(429, "queue_full", str(error), headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, StoppingError):
        return error_response(503, "shutting_down", str(error), headers={**RETRY, **CLOSE})
    if isinstance(error, TextFailedError):
        details = [{"where": str(error.position), "problem": "was not coded"}]
        return error_response(422, "text_failed", str(error), details=details)
    # Such a message names a model or an address, never a text; it is for the operator, not for the caller.
    _LOG.error("the agent is not available: %s", error)
    return error_response(503, "unavailable", "the coding agent is not available", headers=RETRY)


class RefusedRequest(Exception):
    """A request that goes no further. `headers` are added to its answer."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def respond(send: Send, refused: RefusedRequest, receive: Receive | None = None) -> None:
    """The error answer. With `receive`, what the client still sends is thrown away for a moment: a connection that
    is closed over unread bytes is reset, and the client never sees the answer."""
    answer = error_response(refused.status, refused.code, refused.message, headers=refused.headers)
    await send({"type": "http.response.start", "status": refused.status, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": receive is not None})
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
