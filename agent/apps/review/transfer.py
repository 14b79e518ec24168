"""The addresses of the page that take files and give decisions; only for who is logged in.

    add_routes(pages, gate, intake, store)

A file comes in parts that fit the service's bound for a request's body, so neither service nor reverse proxy needs
another one. What goes out is written beside the work list, complete before its first byte is sent, and removed after.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from agent.apps.files.table import TableFileError
from agent.apps.review.decision import ReviewError
from agent.apps.review.export import TooFewTexts, write_csv, write_pairs
from agent.apps.review.faults import StoreError
from agent.apps.review.intake import Intake
from agent.apps.review.own_table import OwnColumns, write_own_table
from agent.apps.review.session import Gate
from agent.apps.review.store import Store
from agent.apps.review.tables import Source
from agent.apps.review.uploads import IntakeError
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
            size = intake.uploads.take(token, name, part, int(at) if at.isdecimal() else -1)
            return {"size": size}

        try:
            return JSONResponse(await asyncio.to_thread(kept), headers=_PRIVATE)
        except IntakeError as error:
            return JSONResponse({"error": str(error)}, 422, _PRIVATE)

    async def given(request: Request, write: Callable[[Path], Path]) -> Response:
        if gate.name_in(request.session) is None:
            return Response(status_code=401)
        return await asyncio.to_thread(_file, store.path.parent, write)

    @pages.get("/tabelle", include_in_schema=False)
    async def table(request: Request, quelle: str = "") -> Response:
        return await given(request, lambda folder: _own_table(store, intake.source(quelle), folder))

    @pages.get("/entscheidungen.csv", include_in_schema=False)
    async def decisions(request: Request) -> Response:
        return await given(request, lambda folder: _csv(store, folder))

    @pages.get("/trainingspaare.zip", include_in_schema=False)
    async def pairs(request: Request) -> Response:
        return await given(request, lambda folder: _pairs(store, folder))


def _own_table(store: Store, source: Source | None, folder: Path) -> Path:
    """The table of a source with the decisions that stand."""
    if source is None:
        raise _Gone
    ending = source.path.suffix.lower()
    target = folder / f"{Path(source.name).stem}-kodiert{_OUT.get(ending, ending)}"
    reading = source.reading
    try:
        write_own_table(
            store,
            source.path,
            target,
            source=source.name,
            id_column=reading.id_column,
            options=reading.options,
        )
    except TableFileError as error:
        raise _Told(str(error).removeprefix(f"{source.path}: ")) from error
    return target


def _csv(store: Store, folder: Path) -> Path:
    """All decisions that stand, for a spreadsheet."""
    target = folder / "entscheidungen.csv"
    write_csv(store, target)
    return target


def _pairs(store: Store, folder: Path) -> Path:
    """The folder of training pairs as one file."""
    target, inside = folder / "trainingspaare.zip", folder / "trainingspaare"
    write_pairs(store, inside)
    # What it holds is packed already.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for part in sorted(inside.iterdir()):
            archive.write(part, f"{inside.name}/{part.name}")
    return target


class _Gone(Exception):
    """The table is not there any more."""


class _Told(Exception):
    """What is wrong, in words for the person who asked."""


@speaking("de")
def _file(beside: Path, write: Callable[[Path], Path]) -> Response:
    """A file that is written into a folder of its own, which goes once the file is sent."""
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".onkokode-", dir=beside))
        target = write(folder)
    except Exception as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        status, words = _why(error)
        if status >= 500:
            _log.error("a file could not be written: %s", type(error).__name__)
        return PlainTextResponse(words + "\n", status, _PRIVATE)
    return FileResponse(
        target,
        headers={**_PRIVATE, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(target.name)}"},
        media_type="application/octet-stream",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _why(error: Exception) -> tuple[int, str]:
    """The answer's status and its words. An error that may repeat a text is told by its kind alone."""
    if isinstance(error, _Gone):
        return 404, "Diese Tabelle liegt nicht mehr vor."
    if isinstance(error, TooFewTexts):
        return (
            409,
            "Trainingspaare brauchen mindestens zwei verschiedene Texte, die angenommen oder geändert sind.",
        )
    if isinstance(error, OwnColumns):
        return (
            409,
            "Die Tabelle hat schon Spalten von Onkokode; bitte lesen Sie die ursprüngliche Tabelle ein.",
        )
    if isinstance(error, _Told):
        return 500, str(error)
    if isinstance(error, StoreError):
        return 500, "Die Arbeitsliste kann gerade nicht gelesen werden."
    if isinstance(error, OSError | ReviewError):
        return (
            500,
            "Die Datei kann nicht geschrieben werden; der Datenträger ist voll oder nicht beschreibbar.",
        )
    return 500, "Beim Schreiben ist ein Fehler aufgetreten."
