"""The routes of the API.

app.include_router(build_router(agent, batcher, settings))
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from agent.agent import CodingAgent
from agent.apps.service import schemas
from agent.apps.service.batcher import Batcher
from agent.apps.service.errors import error_response
from agent.apps.service.lookup import CodeLookup
from agent.apps.service.settings import ServiceSettings
from agent.prepare.pipeline import MAX_CHARACTERS
from index.records import CodeSystem

T = TypeVar("T")

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_ERROR_MODEL: dict[str, Any] = {"model": schemas.ErrorAnswer}
# FastAPI's type for `responses`.
Responses = dict[int | str, dict[str, Any]]
# What the guard answers, on any route.
GUARDED: Responses = {
    400: {**_ERROR_MODEL, "description": "The request cannot be read."},
    401: {**_ERROR_MODEL, "description": "The API key is missing or wrong."},
    413: {**_ERROR_MODEL, "description": "The body is too large."},
    500: {**_ERROR_MODEL, "description": "The service failed."},
    503: {
        **_ERROR_MODEL,
        "description": "The service is shutting down, has too many connections or bodies at a time, or its model "
        "is not available.",
        "headers": _RETRY_AFTER,
    },
}
_INVALID: Responses = {
    422: {**_ERROR_MODEL, "description": "The request does not fit its description, or a text failed."}
}
_CODING: Responses = {
    **GUARDED,
    **_INVALID,
    429: {
        **_ERROR_MODEL,
        "description": "Too many texts are waiting: send the request again after `Retry-After` seconds.",
        "headers": _RETRY_AFTER,
    },
}
_CODE_FORM = r"^[A-Za-z0-9./:\- ]+$"
_SYSTEM = Path(description="The classification.")


def build_router(agent: CodingAgent, batcher: Batcher, settings: ServiceSettings) -> APIRouter:
    """All routes below /v1, and /info."""
    router = APIRouter()
    lookup = CodeLookup(agent.resources.catalogue)

    @router.post(
        "/v1/code",
        tags=["coding"],
        summary="Code one text",
        response_model=schemas.Coded,
        responses=_CODING,
    )
    async def code(request: Request, wanted: schemas.CodeRequest) -> Response:
        """The three codings of a text, with confidence, alternatives, catalogue lines and checks."""
        [coded] = await _while_connected(request, batcher.code([wanted.text]))
        return _json(coded.to_dict())

    @router.post(
        "/v1/code-many",
        tags=["coding"],
        summary="Code several texts",
        response_model=schemas.CodedMany,
        responses=_CODING,
    )
    async def code_many(request: Request, wanted: schemas.CodeManyRequest) -> Response:
        """One answer per text, in order. For whole files, `onkokode code-file` needs no service."""
        if len(wanted.texts) > settings.max_texts:
            return error_response(
                422, "too_many_texts", f"a request may hold {settings.max_texts} texts; split it"
            )
        coded = await _while_connected(request, batcher.code(wanted.texts)) if wanted.texts else []
        return _json({"results": [one.to_dict() for one in coded]})

    @router.post(
        "/v1/explain",
        tags=["coding"],
        summary="Code one text and show the steps",
        response_model=schemas.Explained,
        responses=_CODING,
    )
    async def explain(request: Request, wanted: schemas.CodeRequest) -> Response:
        """What each step of the agent found, beside the answer with all its checks."""

        def steps() -> list[tuple[str, dict[str, Any]]]:
            return list(agent.stream(wanted.text))

        *found, (_, last) = await _while_connected(request, batcher.alone(steps, len(wanted.text)))
        return _json(
            {
                "result": last["results"][0].to_dict(),
                "steps": [{"step": step, "found": what} for step, what in found],
            }
        )

    @router.get(
        "/v1/codes/{system}",
        tags=["catalogue"],
        summary="Search codes",
        response_model=schemas.FoundCodes,
        responses={**GUARDED, **_INVALID},
    )
    async def find_codes(
        system: Annotated[CodeSystem, _SYSTEM],
        q: Annotated[
            str,
            Query(
                min_length=1,
                max_length=200,
                description="The beginning of a code (`C34`), or words of its title or another line.",
                examples=["kleinzellig karzinom"],
            ),
        ],
        limit: Annotated[int, Query(ge=1, le=100, description="The most codes to return.")] = 20,
    ) -> Response:
        """Codes that begin with `q`; where none does, those with all its words in their title or in another
        line, best first. A word may be given in part; spellings (Carcinom, Karzinom) are taken as one."""
        codes, more = await run_in_threadpool(lookup.find, system, q, limit)
        return _json({"system": system.value, "codes": codes, "more": more})

    @router.get(
        "/v1/codes/{system}/{code:path}",
        tags=["catalogue"],
        summary="Explain a code",
        response_model=schemas.ExplainedCode,
        responses={
            **GUARDED,
            **_INVALID,
            404: {**_ERROR_MODEL, "description": "No catalogue here has the code."},
        },
    )
    async def explain_code(
        system: Annotated[CodeSystem, _SYSTEM],
        code: Annotated[
            str,
            Path(
                max_length=20,
                pattern=_CODE_FORM,
                description="The code; `8041/3` with its slash, `C34.1` also as `c341`.",
                examples=["8041/3"],
            ),
        ],
    ) -> Response:
        """Title, edition, parent, lines, exclusions, and the crosswalk's partners of a code."""
        found = await run_in_threadpool(lookup.explain, system, code)
        if found is None:
            message = "no catalogue here has this code in this system"
            raise HTTPException(404, {"code": "unknown_code", "message": message})
        return _json(found)

    @router.get(
        "/info", tags=["service"], summary="What is in use", response_model=schemas.Info, responses=GUARDED
    )
    async def info() -> Response:
        """Versions, models, editions with their files' hashes, and the service's limits."""
        limits = {
            "text_characters": MAX_CHARACTERS,
            "texts_per_request": settings.max_texts,
            "body_bytes": settings.max_body_bytes,
            "queued_texts": settings.queue_texts,
            "queued_characters": settings.queue_characters,
        }
        return _json({**agent.info(), "limits": limits})

    return router


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; where the client hangs up before it, the work is cancelled, so that nobody waits
    behind a request that has no reader."""
    doing = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            # Nobody reads this answer; the access log does.
            raise HTTPException(408, {"code": "gone", "message": "the client closed the connection"})
        return doing.result()
    finally:
        doing.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(value: Any) -> Response:
    """Our own numbers and texts, serialised as they are: they need no validation a second time."""
    # A lone surrogate in a catalogue line would fail to encode; JSON has an escape for it.
    body = json.dumps(value, ensure_ascii=False, default=_plain).encode("utf-8", "backslashreplace")
    return Response(body, media_type="application/json")


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
