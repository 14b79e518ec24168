"""The review page: a NiceGUI page at `/review` in the FastAPI application of the service.

    app = FastAPI()
    mount(app, CodingAgent.load(), Path("review.sqlite"), api_key=os.environ.get("ONKOKODE_API_KEY"))
    uvicorn.run(app)

NiceGUI brings page, socket and their assets, all served from here. What is shown is rendered by `view.py`, and
the keys are in `assets/review.js`; this module joins both to a `Desk` per open page. A desk reads and writes the
database in threads of its own: the service goes on while a program locks the file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent.apps.review.browser import OwnOrigin, SocketNeedsName
from agent.apps.review.decision import LONGEST_COMMENT, ReviewError
from agent.apps.review.desk import PAGE, Desk, Notice
from agent.apps.review.faults import StoreError
from agent.apps.review.session import SESSION_SECONDS, Gate, secret_of
from agent.apps.review.store import Store
from agent.apps.review.view import View, render
from index.records import CodeSystem
from index.search.code_search import CodeSearch

if TYPE_CHECKING:
    from agent.agent import CodingAgent

PREFIX = "/review"
_ASSETS = Path(__file__).parent / "assets"
_LOOK_AGAIN = 15.0  # seconds after which a page looks for other people's decisions
_WRONG_KEY_WAIT = 0.5
_LARGEST_FORM = 16_384
_BUSY_SECONDS = 1.5  # a person waits no longer for another program's lock
_THREADS = 8
_DIALOGS = {
    "search": "Im Katalog suchen",
    "reject": "Ablehnen",
    "comment": "Kommentar",
    "help": "Tasten",
}
_mounted = False
_log = logging.getLogger(__name__)


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

    @ui.page("/", title="Onkokode Durchsicht", language="de", dark=None, response_timeout=4 * _BUSY_SECONDS)
    async def review(request: Request) -> Response | None:
        name = gate.name_in(request.session)
        if name is None:
            return RedirectResponse(_prefix(request) + "/anmelden", status_code=303)
        desk = Desk(store, search, name, known=catalogue.is_codable)
        page = _Page(desk, view, _prefix(request), threads)
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
        threads.shutdown()
        store.close()

    pages.on_shutdown(close)
    _mounted = True


class _Page:
    """One open page: the regions that are rendered anew, and what a message from the browser does."""

    def __init__(self, desk: Desk, view: View, prefix: str, threads: ThreadPoolExecutor) -> None:
        self.desk = desk
        self.view = view
        self.prefix = prefix
        self.seen: tuple[int, ...] = ()
        self.regions: dict[str, Any] = {}
        self._threads = threads
        # One message after the other, in their order.
        self._turn = asyncio.Lock()
        self.actions: dict[str, Callable[[Any, dict[str, Any]], None]] = {
            "confirm": lambda value, sent: desk.confirm(sent["item"], sent["revision"]),
            "reject": lambda value, sent: desk.reject(sent["item"], sent["revision"], str(value)),
            "undo": lambda value, sent: desk.undo(sent["item"], sent["revision"]),
            "reset": lambda value, sent: desk.reset(),
            "comment": self._on_desk(lambda value: setattr(desk, "comment", str(value)[:LONGEST_COMMENT])),
            "choose": self._on_desk(lambda value: desk.choose(int(value))),
            "pick": self._on_desk(lambda value: desk.set_code(str(value))),
            "strike": self._on_desk(lambda value: desk.strike_metastasis(str(value))),
            "add-metastasis": self._on_desk(lambda value: desk.add_metastasis(str(value))),
            "add": lambda value, sent: desk.add_tumour(sent["item"], sent["revision"]),
            "axis": lambda value, sent: setattr(desk, "axis", CodeSystem(value)),
            "turn": lambda value, sent: desk.turn(1 if value > 0 else -1),
            "next": lambda value, sent: desk.step(True),
            "previous": lambda value, sent: desk.step(False),
            "show": lambda value, sent: desk.show(int(value)),
            "filter": lambda value, sent: desk.filter(str(value)),
            "next-filter": lambda value, sent: desk.next_filter(),
            "words": lambda value, sent: desk.look_for(str(value)),
            "more": lambda value, sent: setattr(desk, "limit", desk.limit + PAGE),
        }

    def build(self) -> None:
        """The frame of the page, with its regions empty, then filled."""
        from nicegui import ui

        ui.add_head_html(
            f'<script src="{self.prefix}/assets/theme.js"></script>'
            f'<link rel="stylesheet" href="{self.prefix}/assets/review.css">'
        )
        ui.add_body_html(f'<script defer src="{self.prefix}/assets/review.js"></script>')
        with ui.element("div").classes("onko"):
            with ui.element("header").classes("onko-bar"):
                ui.html(render("bar.html", prefix=self.prefix), sanitize=False).classes("onko-brand")
                self.regions["head"] = ui.html("", sanitize=False).classes("onko-head")
                ui.html(render("tools.html", prefix=self.prefix), sanitize=False).classes("onko-tools")
            with ui.element("nav").classes("onko-side").props('aria-label="Arbeitsliste"'):
                ui.html(render("words.html"), sanitize=False)
                self.regions["list"] = ui.html("", sanitize=False).classes("onko-list")
            with ui.element("main").classes("onko-main").props("id=onko-main"):
                self.regions["main"] = ui.html("", sanitize=False)
            for part, label in _DIALOGS.items():
                dialog = ui.element("dialog").classes(f"onko-dialog {part}")
                with dialog.props(f'id=onko-{part}-dialog aria-label="{label}"'):
                    ui.html(render("dialogs.html", part=part), sanitize=False)
                    if part == "search":
                        hits = self.view.hits([], "")
                        self.regions["hits"] = ui.html(hits, sanitize=False).classes("onko-hits")
        ui.on("review", lambda event: self.act(event.args))
        ui.timer(_LOOK_AGAIN, self.look_again, immediate=False)

    async def start(self) -> None:
        """Fills the regions."""
        await self._show(lambda: self._tried(self.desk.start))

    async def act(self, sent: Any) -> None:
        """Does what the browser asks for. What it sends is not trusted: an unknown or misshapen message does nothing."""
        if isinstance(sent, dict):
            await self._show(lambda: self._done(sent))

    async def look_again(self) -> None:
        """Other people decide too: the list and the progress follow; what is on the desk stays as it is."""
        await self._show(lambda: self._tried(self._looked))

    async def _show(self, work: Callable[[], dict[str, str]]) -> None:
        """Does the work in a thread, and shows the regions that it gives; NiceGUI sends only what has changed."""
        async with self._turn:
            shown = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            for name, content in shown.items():
                if self.regions[name].content != content:
                    self.regions[name].content = content

    def _done(self, sent: dict[str, Any]) -> dict[str, str]:
        what, value = sent.get("do"), sent.get("value")
        if what == "search":
            return self._tried(lambda: self._found(str(value)[:200], sent["axis"]))
        action = self.actions.get(what) if isinstance(what, str) else None
        return self._tried(lambda: action(value, sent)) if action is not None else {}

    def _found(self, query: str, what: str) -> dict[str, str]:
        desk = self.desk
        found = (
            desk.find_metastases(query) if what == "metastasis" else desk.search.find(CodeSystem(what), query)
        )
        return {"hits": self.view.hits(found, query)}

    def _looked(self) -> dict[str, str] | None:
        if self.desk.store.version() == self.seen:
            return {}
        if self.desk.item is None:
            self.desk.start()
        return None

    def _tried(self, action: Callable[[], dict[str, str] | None]) -> dict[str, str]:
        """Regions after an action: those that it gives itself, or all of them. Where the database fails, what is on
        the desk stays, with a notice; where the message makes no sense, all is as before."""
        try:
            given = action()
            if given is not None:
                return given
            self.seen = self.desk.store.version()
            self.desk.look()
            return {
                "main": self.view.item(self.desk),
                "list": self.view.worklist(self.desk),
                "head": self.view.head(self.desk),
            }
        except StoreError as error:
            # Its wording names the file and the fault, and no text.
            what = "a decision was not stored" if error.writing else "the work list could not be read"
            _log.error("%s: %s", what, error)
            self.desk.tell(error)
            return {"main": self.view.item(self.desk), "head": self.view.head(self.desk)}
        except ReviewError as error:
            _log.warning("the review page failed: %s", error)
            self.desk.notice = Notice("Das hat nicht geklappt; bitte laden Sie die Seite neu.", alarm=True)
            return {"head": self.view.head(self.desk)}
        except Exception as error:
            _log.warning("a message of the review page was misshapen: %s", type(error).__name__)
        return {}

    def _on_desk(self, act: Callable[[Any], None]) -> Callable[[Any, dict[str, Any]], None]:
        """An action on the item that is shown and the axis that the message names; on another item, none."""

        def checked(value: Any, sent: dict[str, Any]) -> None:
            if self.desk.item is not None and self.desk.item.id == sent["item"]:
                if sent.get("axis"):
                    self.desk.axis = CodeSystem(sent["axis"])
                act(value)

        return checked


def _login_page(request: Request, gate: Gate, failed: str = "", name: str = "") -> Response:
    given = {"prefix": _prefix(request), "ask_key": gate.asks_for_key, "failed": failed, "name": name[:80]}
    return HTMLResponse(render("login.html", **given), 401 if failed else 200, {"Cache-Control": "no-store"})


def _prefix(request: Request) -> str:
    """Where the page is mounted, as the browser sees it."""
    return str(request.scope.get("root_path", "")).rstrip("/") or PREFIX
