"""One open page: the regions that are rendered anew, what a message from the browser does, and the other open pages.

    page = LivePage(desk, view, panels, "/review", threads, pages)
    page.build()
    await page.start()

`page.mount` opens one for everybody who comes. What somebody decides is told to the other pages of this process at once;
what another process writes is seen within seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakSet

from agent.apps.review.brought import TableForm
from agent.apps.review.decision import LONGEST_COMMENT, ReviewError
from agent.apps.review.desk import Desk
from agent.apps.review.faults import StoreError
from agent.apps.review.intake import Intake
from agent.apps.review.listing import PAGE
from agent.apps.review.notices import Notice
from agent.apps.review.panels import Panels
from agent.apps.review.selection import share
from agent.apps.review.uploads import IntakeError
from agent.apps.review.view import View, render
from index.records import CodeSystem

_LOOK_AGAIN = 5.0  # seconds after which a page looks for what other processes have written
DIALOGS = {
    "search": "Im Katalog suchen",
    "reject": "Ablehnen",
    "comment": "Kommentar",
    "help": "Tasten",
    "ask": "Widerspruch",
    "narrow": "Liste eingrenzen",
    "threshold": "Gemeinsam annehmen",
    "statistics": "Statistik",
    "tables": "Dateien",
    "span": "Stelle markieren",
}
REGIONS = ("ask", "narrow", "threshold", "statistics", "tables")  # dialogs that are rendered when they open
_log = logging.getLogger(__name__)


class LivePages:
    """The open pages of this process, so that each hears what was decided on another one."""

    def __init__(self) -> None:
        self._pages: WeakSet[LivePage] = WeakSet()
        self._telling: set[asyncio.Task[None]] = set()

    def add(self, page: LivePage) -> None:
        self._pages.add(page)

    def table_read(self) -> None:
        """Lets all pages show how far the reading of a table is. Belongs to the pages' event loop."""
        for page in list(self._pages):
            if page.regions:
                self._run(page.table_read())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._telling.add(task)  # a task that nobody holds may be collected
        task.add_done_callback(self._telling.discard)

    def told(self, by: LivePage | None = None) -> None:
        """Lets all pages but one look again. Belongs to the pages' event loop."""
        for page in list(self._pages):
            if page is not by and page.regions:
                self._run(page.look_again())


class LivePage:
    """One open page: the regions that are rendered anew, and what a message from the browser does."""

    def __init__(
        self,
        desk: Desk,
        view: View,
        panels: Panels,
        prefix: str,
        threads: ThreadPoolExecutor,
        others: LivePages,
    ) -> None:
        self.desk = desk
        self.view = view
        self.panels = panels
        self.prefix = prefix
        self.seen: tuple[int, ...] = ()
        self.regions: dict[str, Any] = {}
        self._threads = threads
        self._others = others
        self._choosing_columns = False
        # One message after the other, in their order.
        self._turn = asyncio.Lock()
        choosing = {
            "choose": lambda value: desk.choose(int(value)),
            "pick": lambda value: desk.set_code(str(value)),
            "side": lambda value: desk.set_side(str(value)),
            "certainty": lambda value: desk.set_certainty(str(value)),
            "turn-side": lambda value: desk.turn_side(),
            "turn-certainty": lambda value: desk.turn_certainty(),
            "adopt": lambda value: desk.adopt(str(value)),
            "strike": lambda value: desk.strike_metastasis(str(value)),
            "add-metastasis": lambda value: desk.add_metastasis(str(value)),
            "comment": lambda value: setattr(desk.choice, "comment", str(value)[:LONGEST_COMMENT]),
        }
        self.actions: dict[str, Callable[[Any, dict[str, Any]], None]] = {
            **{name: self._on_desk(act) for name, act in choosing.items()},
            "confirm": lambda value, sent: desk.confirm(sent["item"], sent["revision"]),
            "confirm-anyway": lambda value, sent: desk.confirm(sent["item"], sent["revision"], anyway=True),
            "reject": lambda value, sent: desk.reject(sent["item"], sent["revision"], str(value)),
            "later": lambda value, sent: desk.put_aside(sent["item"], sent["revision"]),
            "remove": lambda value, sent: desk.remove(sent["item"], sent["revision"]),
            "undo": lambda value, sent: desk.undo(sent["item"], sent["revision"]),
            "reset": lambda value, sent: desk.reset(),
            "add": lambda value, sent: desk.add_diagnosis(sent["item"], sent["revision"], _span(value)),
            "axis": lambda value, sent: setattr(desk, "axis", CodeSystem(value)),
            "turn": lambda value, sent: desk.turn(1 if value > 0 else -1),
            "next": lambda value, sent: desk.step(True),
            "previous": lambda value, sent: desk.step(False),
            "show": lambda value, sent: desk.show(int(value)),
            "filter": lambda value, sent: desk.filter(str(value)),
            "next-filter": lambda value, sent: desk.next_filter(),
            "words": lambda value, sent: desk.look_for(str(value)),
            "narrow": lambda value, sent: desk.narrow(dict(value)),
            "more": lambda value, sent: setattr(desk.listing, "limit", desk.listing.limit + PAGE),
            "accept-previewed": lambda value, sent: desk.accept_previewed(),
        }
        # What is shown in a dialog, and asked for when it opens.
        self.asking: dict[str, Callable[[Any, dict[str, Any]], dict[str, str]]] = {
            "search": lambda value, sent: self._found(str(value)[:200], sent["axis"]),
            "open-narrow": lambda value, sent: {"narrow": panels.narrow(desk)},
            "open-statistics": lambda value, sent: {"statistics": panels.statistics(desk.store)},
            "preview": lambda value, sent: self._previewed(share(value)),
            "open-tables": lambda value, sent: self._tables(),
            "look": lambda value, sent: self._tables(form=TableForm.of(value)),
            "read-table": lambda value, sent: self._begun(TableForm.of(value)),
            "resume-table": lambda value, sent: self._tables(lambda intake: intake.resume(str(value))),
            "read-documents": lambda value, sent: self._tables(
                lambda intake: intake.begin_documents(map(str, value))
            ),
            "resume-documents": lambda value, sent: self._tables(lambda intake: intake.resume_documents()),
            "discard-documents": lambda value, sent: self._tables(lambda intake: intake.discard_documents()),
        }
        others.add(self)

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
            for part, label in DIALOGS.items():
                dialog = ui.element("dialog").classes(f"onko-dialog {part}")
                with dialog.props(f'id=onko-{part}-dialog aria-label="{label}"'):
                    if part == "tables":
                        ui.html(render("upload.html"), sanitize=False)
                    if part in REGIONS:
                        self.regions[part] = ui.html("", sanitize=False)
                        continue
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
            before = self.seen
            await self._show(lambda: self._done(sent))
            if self.seen != before:
                self._others.told(self)

    async def look_again(self) -> None:
        """Other people decide too: the list and the progress follow; what is chosen on the desk stays as it is."""
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
        asked = self.asking.get(what) if isinstance(what, str) else None
        if asked is not None:
            return self._tried(lambda: asked(value, sent))
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
        self.desk.look_again()
        return None

    async def table_read(self) -> None:
        """A table is being read: the dialog of tables and the list follow."""

        # Not to one who is choosing the columns of another table: the form would be gone.
        def looked() -> dict[str, str]:
            shown = self._tried(self._looked)
            return shown if self._choosing_columns else {**shown, **self._tried(self._tables)}

        await self._show(looked)

    def _tables(
        self, work: Callable[[Intake], None] | None = None, form: TableForm | None = None
    ) -> dict[str, str]:
        """The dialog of tables after the work; what is wrong with it is said there, above the form, if there is one."""
        intake, looked, wrong = self.panels.intake, None, ""
        try:
            if intake is not None and work is not None:
                work(intake)
                form = None
        except IntakeError as error:
            wrong = str(error)
        try:
            looked = intake.look(form) if intake is not None and form is not None else None
        except IntakeError as error:
            wrong = wrong or str(error)
        self._choosing_columns = looked is not None
        return {"tables": self.panels.tables(self.prefix, looked, wrong)}

    def _begun(self, form: TableForm) -> dict[str, str]:
        return self._tables(lambda intake: intake.begin(form), form)

    def _previewed(self, threshold: float) -> dict[str, str]:
        self.desk.look_before_accepting(threshold)
        return {"threshold": self.panels.preview(self.desk)}

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
                "ask": self.panels.contradictions(self.desk),
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


def _span(value: Any) -> tuple[int, int] | None:
    """Where a person marked a diagnosis in the text; None where nothing was marked."""
    return (int(value[0]), int(value[1])) if isinstance(value, list) and len(value) == 2 else None
