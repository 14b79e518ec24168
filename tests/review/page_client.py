"""The review page without a browser: a running service around a catalogue, and one person's page over its socket.

with served(folder) as service, service.page("M. Ernst") as page:
    page.send("confirm")
    page.until("Angenommen")

NiceGUI is one per process, so a process runs this once: the fixture `service` shares it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from agent.apps.review.page import mount
from agent.apps.review.store import Store
from agent.apps.service.app import create_app
from agent.apps.service.settings import ServiceSettings
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from tests.review.review_helpers import add, coding
from tests.service.running import running

KEY = "a-key-for-this-test-only"
SECRET = "Geheimrat Mustermann"


def stub_agent() -> Any:
    """As much of an agent as the page and the service's start need."""
    catalogue = Catalogue.builtin()
    resources = SimpleNamespace(catalogue=catalogue, crosswalk=Crosswalk(catalogue.rules))
    return SimpleNamespace(resources=resources, retriever=None, code=str, code_many=list, info=dict)


class Service:
    """The running service."""

    def __init__(self, url: str, database: Path) -> None:
        self.url, self.database = url, database

    def client(self, **given: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=10, **given)

    def cookie(self, name: str = "M. Ernst") -> str:
        """The Cookie header of somebody who has logged in."""
        with self.client() as client:
            answer = client.post("/review/anmelden", data={"name": name, "key": KEY})
            assert answer.status_code == 303, answer.text
            return f"onkokode_review={client.cookies['onkokode_review']}"

    def decisions(self) -> int:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM decisions").fetchone()[0])

    @contextmanager
    def socket(self, query: str = "", **headers: str) -> Iterator[ClientConnection]:
        """A raw web socket to the page's address."""
        address = self.url.replace("http", "ws") + "/review/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        with connect(address + query, additional_headers=headers, proxy=None) as opened:
            yield opened

    @contextmanager
    def page(self, name: str = "M. Ernst") -> Iterator[Page]:
        """An open page of somebody's own."""
        from nicegui import Client

        cookie, before = self.cookie(name), set(Client.instances)
        with self.client() as client:
            assert client.get("/review/", headers={"cookie": cookie}).status_code == 200
        [new] = set(Client.instances) - before
        query = f"&client_id={new}&implicit_handshake=true&tab_id=t{new}&document_id=d&next_message_id=0"
        with self.socket(query, Cookie=cookie, Origin=self.url) as opened:
            opened.send("40")
            page = Page(opened, Client.instances[new])
            page.until("40{")
            yield page


class Page:
    """One open page."""

    def __init__(self, socket: ClientConnection, client: Any) -> None:
        self.socket, self.client = socket, client
        assert client.layout.id == 0
        [self.listener] = [one for one in client.layout._event_listeners.values() if one.type == "review"]

    @property
    def shown(self) -> str:
        """The regions of the page."""
        return "\n".join(
            element.content for element in self.client.elements.values() if hasattr(element, "content")
        )

    @property
    def item(self) -> tuple[int, int]:
        """Number and revision on the desk."""
        number, revision = self.shown.partition('data-item="')[2].split('" data-revision="', 1)
        return int(number), int(revision.partition('"')[0])

    def send(self, do: str, value: Any = None, **more: Any) -> None:
        number, revision = self.item
        sent = {"do": do, "value": value, "item": number, "revision": revision, **more}
        self.event(args=[json.dumps(sent)])

    def event(self, **more: Any) -> None:
        """A message of NiceGUI's."""
        message = {"client_id": self.client.id, "id": self.client.layout.id, "listener_id": self.listener.id}
        self.socket.send("42" + json.dumps(["event", message | more]))

    def until(self, words: str, seconds: float = 10) -> float:
        """Seconds until the server has sent these words."""
        began = time.monotonic()
        while True:
            frame = self.socket.recv(timeout=began + seconds - time.monotonic())
            assert isinstance(frame, str)
            if frame == "2":
                self.socket.send("3")
            if words in frame:
                return time.monotonic() - began


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """The service on a list of 60 texts; answers to `127.0.0.1` and to `durchsicht.example`."""
    from nicegui.storage import Storage

    Storage.path = folder / "ui"
    database = folder / "review.sqlite"
    with Store.open(database) as store:
        for number in range(60):
            add(store, f"{SECRET}, Fall {number}", coding(confidence=0.3 + number / 100))
    settings = ServiceSettings(
        port=0,
        api_key=KEY,
        own_login=("/review",),
        allowed_hosts=("127.0.0.1", "durchsicht.example"),
        shutdown_seconds=1,
    )
    agent = stub_agent()
    app = create_app(agent, settings)
    mount(app, agent, database, api_key=KEY)
    with running(app, settings) as url:
        yield Service(url, database)
