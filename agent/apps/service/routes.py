"""The routes of the API.

app.include_router(build_router(agent, batcher, settings))
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from agent.agent import CodingAgent
from agent.apps.service import schemas
from agent.apps.service.batcher import Batcher
from agent.apps.service.errors import error_response
from agent.apps.service.settings import ServiceSettings
from agent.prepare import MAX_CHARACTERS

# The catalogue command's own description of a code: the API says the same as `onkokode catalogue show`.
from index.catalogue.commands import describe_code, written_code
from index.records import CodeSystem
from index.search.code_search import CodeSearch

T = TypeVar("T")

# FastAPI's type for `responses`.
Responses = dict[int | str, dict[str, Any]]
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def described(description: str, **more: Any) -> dict[str, Any]:
    """An error answer, for the description of a route."""
    return {"model": schemas.ErrorAnswer, "description": description, **more}


# What the guard answers, on any route.
GUARDED: Responses = {
    400: described("The request cannot be read."),
    401: described("The API key is missing or wrong."),
    413: described("The body is too large."),
    500: described("The service failed."),
    503: described(
        "The service is shutting down, has too many connections or bodies at a time, or its model is not "
        "available.",
        headers=_RETRY_AFTER,
    ),
}
_LOOKING_UP: Responses = {
    **GUARDED,
    422: described("The request does not fit its description, or a text failed."),
}
_CODING: Responses = {
    **_LOOKING_UP,
    429: described(
        "Too many texts are waiting: send the request again after `Retry-After` seconds.",
        headers=_RETRY_AFTER,
    ),
}
_UNKNOWN: Responses = {404: described("No catalogue here has the code.")}
_CODE_FORM = r"^[A-Za-z0-9./:\- ]+$"
_System = Annotated[CodeSystem, Path(description="The classification.")]


def build_router(agent: CodingAgent, batcher: Batcher, settings: ServiceSettings) -> APIRouter:
    """All routes below /v1, and /info."""
    coding = APIRouter(tags=["coding"], responses=_CODING)
    codes = APIRouter(tags=["catalogue"], responses=_LOOKING_UP)
    service = APIRouter(tags=["service"], responses=GUARDED)
    catalogue = agent.resources.catalogue
    search = CodeSearch(catalogue, codable_only=False)

    @coding.post("/v1/code", summary="Code one text or one tumour in fields", response_model=schemas.Coded)
    async def code(request: Request, wanted: schemas.CodeRequest) -> Response:
        """The three codings of a text, with confidence, alternatives, catalogue lines and checks. A `case` is one
        tumour in fields: offsets then count in its diagnosis, site and histology, a line each."""
        [coded] = await _while_connected(request, batcher.code([wanted.asked()]))
        return _json(agent.in_edition(coded, wanted.dated()).to_dict())

    @coding.post("/v1/code-many", summary="Code several texts or tumours", response_model=schemas.CodedMany)
    async def code_many(request: Request, wanted: schemas.CodeManyRequest) -> Response:
        """One answer per text, in order. For whole tables, see /v1/jobs."""
        asked = wanted.asked()
        if len(asked) > settings.max_texts:
            message = f"a request may hold {settings.max_texts} texts; split it"
            return error_response(422, "too_many_texts", message)
        coded = await _while_connected(request, batcher.code(asked)) if asked else []
        dated = zip(coded, wanted.dated(), strict=True)
        return _json({"results": [agent.in_edition(one, date).to_dict() for one, date in dated]})

    @coding.post("/v1/read", summary="Read a whole document", response_model=schemas.ReadDocument)
    async def read(request: Request, wanted: schemas.ReadRequest) -> Response:
        """The patient's tumours, each coded, with certainty, side, metastases, and the places that tell them. What is
        excluded, a relative's, or another disease is left out."""
        work = batcher.alone(lambda: agent.read(wanted.document, wanted.date), len(wanted.document))
        return _json((await _while_connected(request, work)).to_dict())

    @coding.post("/v1/explain", summary="Code one text and show the steps", response_model=schemas.Explained)
    async def explain(request: Request, wanted: schemas.ExplainRequest) -> Response:
        """What each step of the agent found, beside the answer with all its checks."""

        def steps() -> list[tuple[str, dict[str, Any]]]:
            return list(agent.stream(wanted.text))

        *found, (_, last) = await _while_connected(request, batcher.alone(steps, len(wanted.text)))
        named = [{"step": step, "found": what} for step, what in found]
        return _json({"result": last["results"][0].to_dict(), "steps": named})

    # The two that search are no coroutines: FastAPI runs them in threads.
    @codes.get("/v1/codes/{system}", summary="Search codes", response_model=schemas.FoundCodes)
    def find_codes(
        system: _System,
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
        hits = search.find(system, q, limit + 1)
        found = [
            {
                "code": hit.code,
                "title": hit.title,
                "edition": known.edition if (known := catalogue.code(system, hit.code)) else "",
                "codable": catalogue.is_codable(system, hit.code),
            }
            for hit in hits[:limit]
        ]
        return _json({"system": system.value, "codes": found, "more": len(hits) > limit})

    @codes.get(
        "/v1/codes/{system}/{code:path}",
        summary="Explain a code",
        response_model=schemas.ExplainedCode,
        responses=_UNKNOWN,
    )
    def explain_code(
        system: _System,
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
        written = written_code(code)
        if catalogue.code(system, written) is None and not catalogue.lines_of(system, written):
            message = "no catalogue here has this code in this system"
            raise HTTPException(404, {"code": "unknown_code", "message": message})
        return _json(describe_code(catalogue, system, written))

    @service.get("/info", summary="What is in use", response_model=schemas.Info)
    async def info() -> Response:
        """Versions, models, editions with their files' hashes, and the service's limits."""
        limits = {
            "text_characters": MAX_CHARACTERS,
            "document_characters": schemas.MAX_DOCUMENT,
            "texts_per_request": settings.max_texts,
            "body_bytes": settings.max_body_bytes,
            "queued_texts": settings.queue_texts,
            "queued_characters": settings.queue_characters,
            "jobs": settings.most_jobs if settings.jobs is not None else 0,
            "job_bytes": settings.job_bytes,
            "job_hours": settings.job_hours,
        }
        return _json({**agent.info(), "limits": limits})

    router = APIRouter()
    for part in (coding, codes, service):
        router.include_router(part)
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
