"""The addresses of the page that take a table and give one back; only for who is logged in.

    add_routes(pages, gate, intake, store)

A table comes in parts that fit the service's bound for a request's body, so neither service nor reverse proxy needs
another one.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from agent.apps.files.table import TableFileError
from agent.apps.review.decision import ReviewError
from agent.apps.review.faults import StoreError
from agent.apps.review.intake import Intake, IntakeError
from agent.apps.review.own_table import write_own_table
from agent.apps.review.session import Gate
from agent.apps.review.store import Store
from index.io.language import speaking

PART = 1 << 20  # bytes that a browser sends at once
_OUT = {".ods": ".xlsx", ".xls": ".xlsx", ".xlsb": ".xlsx", ".xlsm": ".xlsx"}  # what is read and not written
_PRIVATE = {"Cache-Control": "no-store"}
_log = logging.getLogger(__name__)


def add_routes(pages: Any, gate: Gate, intake: Intake, store: Store) -> None:
    """Adds the addresses to the application of the pages."""

    @pages.post("/tabelle/{token}", include_in_schema=False)
    async def take(request: Request, token: str) -> Response:
        if gate.name_in(request.session) is None:
            return Response(status_code=401)
        if int(request.headers.get("content-length") or PART + 1) > PART:
            return Response(status_code=413)
        part = await request.body()
        name, at = unquote(request.query_params.get("name", "")), request.query_params.get("at", "0")

        def kept() -> dict[str, Any]:
            size = intake.take(token, name, part, int(at) if at.isdecimal() else -1)
            return {"size": size}

        try:
            return JSONResponse(await asyncio.to_thread(kept), headers=_PRIVATE)
        except IntakeError as error:
            return JSONResponse({"error": str(error)}, 422, _PRIVATE)

    @pages.get("/tabelle", include_in_schema=False)
    async def give(request: Request, quelle: str = "") -> Response:
        if gate.name_in(request.session) is None:
            return Response(status_code=401)
        return await asyncio.to_thread(_table, intake, store, quelle)


@speaking("de")
def _table(intake: Intake, store: Store, name: str) -> Response:
    """The table of a source with the decisions that stand."""
    source = intake.source(name)
    if source is None:
        return PlainTextResponse("Diese Tabelle liegt nicht mehr vor.\n", 404, _PRIVATE)
    ending = source.path.suffix.lower()
    folder = Path(tempfile.mkdtemp(prefix=".onkokode-", dir=store.path.parent))
    target = folder / f"{source.path.stem}-kodiert{_OUT.get(ending, ending)}"

    def removed() -> None:
        target.unlink(missing_ok=True)
        folder.rmdir()

    try:
        reading = source.reading
        write_own_table(
            store, source.path, target, source=name, id_column=reading.id_column, options=reading.options
        )
    except (ReviewError, TableFileError, OSError) as error:
        removed()
        _log.error("a table could not be written: %s", type(error).__name__)
        return PlainTextResponse(_why(error, source.path) + "\n", 500, _PRIVATE)
    disposition = f"attachment; filename*=UTF-8''{quote(target.name)}"
    return FileResponse(
        target,
        headers={**_PRIVATE, "Content-Disposition": disposition},
        media_type="application/octet-stream",
        background=BackgroundTask(removed),
    )


def _why(error: Exception, path: Path) -> str:
    if isinstance(error, OSError):
        return "Die Tabelle kann nicht geschrieben werden; der Datenträger ist voll oder nicht beschreibbar."
    if isinstance(error, TableFileError):
        return str(error).removeprefix(f"{path}: ")
    if isinstance(error, StoreError):
        return "Die Arbeitsliste kann gerade nicht gelesen werden."
    return "Die Tabelle hat schon Spalten von Onkokode; bitte lesen Sie die ursprüngliche Tabelle ein."
