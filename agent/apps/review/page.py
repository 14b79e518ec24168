"""The review page: a NiceGUI page at `/review` in the FastAPI application of the service.

    app = FastAPI()
    mount(app, CodingAgent.load(), Path("review.sqlite"), api_key=os.environ.get("ONKOKODE_API_KEY"))
    uvicorn.run(app)

NiceGUI brings page, socket and their assets, all served from here. What is shown is rendered by `view.py`, and
the keys are in `assets/review.js`; `live.py` joins both to a `Desk` per open page. A desk reads and writes the
database in threads of its own: the service goes on while a program locks the file.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent.apps.review.browser import OwnOrigin, SocketNeedsName
from agent.apps.review.decision import ReviewError
from agent.apps.review.desk import Desk
from agent.apps.review.intake import Intake
from agent.apps.review.live import LivePage, LivePages
from agent.apps.review.panels import Panels
from agent.apps.review.session import SESSION_SECONDS, Gate, secret_of
from agent.apps.review.store import Store
from agent.apps.review.transfer import add_routes
from agent.apps.review.turns import Turns
from agent.apps.review.view import View, render
from index.search.code_search import CodeSearch

if TYPE_CHECKING:
    from agent.agent import CodingAgent

PREFIX = "/review"
_ASSETS = Path(__file__).parent / "assets"
_WRONG_KEY_WAIT = 0.5
_LARGEST_FORM = 16_384
_BUSY_SECONDS = 1.5  # a person waits no longer for another program's lock
_THREADS = 8
_mounted = False


def mount(app: FastAPI, agent: CodingAgent, database: Path, *, api_key: str | None = None) -> None:
    """Put the review page of a work list at `/review` of an application that has not started yet.

    NiceGUI is one per process, so this can be called once. With an `api_key` the page asks for it too.

    Raises:
        ReviewError: the work list cannot be used, or a page is mounted in this process already.
    """
    global _mounted
    if _mounted:
        raise ReviewError("the review page can be mounted once in a process")
    from nicegui import app as pages
    from nicegui import core, ui

    store = Store.open(database, busy_seconds=_BUSY_SECONDS)
    threads = ThreadPoolExecutor(_THREADS, "review")
    secret = secret_of(database)
    gate = Gate(secret, api_key)
    catalogue = agent.resources.catalogue
    search = CodeSearch(catalogue, agent.retriever)
    view = View(catalogue, agent.resources.crosswalk)
    pages_open = LivePages()
    turns = Turns(agent, getattr(app.state, "batcher", None), pages_open.table_read)
    intake = Intake(store, turns.coded, turns.tell, turns.documents)
    panels = Panels(intake)

    pages.add_static_files("/assets", _ASSETS, max_cache_age=0)

    @pages.get("/anmelden", include_in_schema=False)
    def login(request: Request) -> Response:
        return _login_page(request, gate)

    @pages.post("/anmelden", include_in_schema=False)
    async def enter(request: Request) -> Response:
        if int(request.headers.get("content-length") or _LARGEST_FORM + 1) > _LARGEST_FORM:
            return Response(status_code=413)
        form = await request.form(max_files=0, max_fields=5, max_part_size=4096)
        name, key = str(form.get("name") or ""), str(form.get("key") or "")
        if gate.admit(request.session, name=name, key=key):
            return RedirectResponse(_prefix(request) + "/", status_code=303)
        await asyncio.sleep(_WRONG_KEY_WAIT)
        failed = "Der Zugangsschlüssel stimmt nicht." if name.strip() else "Bitte geben Sie Ihren Namen an."
        return _login_page(request, gate, failed, name)

    @pages.post("/abmelden", include_in_schema=False)
    def leave(request: Request) -> Response:
        gate.leave(request.session)
        return RedirectResponse(_prefix(request) + "/anmelden", status_code=303)

    add_routes(pages, gate, intake, store)

    @ui.page("/", title="Onkokode Durchsicht", language="de", dark=None, response_timeout=4 * _BUSY_SECONDS)
    async def review(request: Request) -> Response | None:
        name = gate.name_in(request.session)
        if name is None:
            return RedirectResponse(_prefix(request) + "/anmelden", status_code=303)
        turns.loop = asyncio.get_running_loop()
        desk = Desk(
            store, search, name, known=catalogue.is_codable, contradictions=view.checker.contradictions
        )
        page = LivePage(desk, view, panels, _prefix(request), threads, pages_open)
        page.build()
        await page.start()
        return None

    pages.add_middleware(SocketNeedsName, gate=gate)
    ui.run_with(
        app,
        mount_path=PREFIX,
        title="Onkokode Durchsicht",
        language="de",
        dark=None,
        tailwind=False,
        favicon="data:,",
        storage_secret=secret,
        session_middleware_kwargs={
            "session_cookie": "onkokode_review",
            "same_site": "lax",
            "path": PREFIX,
            "max_age": SESSION_SECONDS,
        },
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    pages.add_middleware(OwnOrigin)
    # Its socket would tell every site's page that it may read along.
    core.sio.eio.cors_allowed_origins = []

    def close() -> None:
        intake.close()
        threads.shutdown()
        store.close()

    pages.on_shutdown(close)
    _mounted = True


def _login_page(request: Request, gate: Gate, failed: str = "", name: str = "") -> Response:
    given = {"prefix": _prefix(request), "ask_key": gate.asks_for_key, "failed": failed, "name": name[:80]}
    return HTMLResponse(render("login.html", **given), 401 if failed else 200, {"Cache-Control": "no-store"})


def _prefix(request: Request) -> str:
    """Where the page is mounted, as the browser sees it."""
    return str(request.scope.get("root_path", "")).rstrip("/") or PREFIX
