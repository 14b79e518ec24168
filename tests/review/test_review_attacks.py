"""What an attack on the page found: other sites' pages, sockets without a session, locked and full databases,
messages that make no sense. Over real sockets, without a browser."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.apps.review.decision import Action, Decision
from agent.apps.review.desk import Desk
from agent.apps.review.faults import Fault, StoreError
from agent.apps.review.intake import Intake
from agent.apps.review.live import LivePage, LivePages
from agent.apps.review.panels import Panels
from agent.apps.review.store import Store
from agent.apps.review.view import View
from agent.apps.service.logs import WithoutContents
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import AXES
from index.search.code_search import CodeSearch
from tests.review.page_client import KEY, SECRET, Service
from tests.review.review_helpers import add, coding

CROSS = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service would write to its log."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(WithoutContents())
    logging.root.addHandler(handler)
    yield written
    logging.root.removeHandler(handler)


# --- a locked and a full database


def test_a_locked_database_stops_nobody_and_says_what_was_not_stored(
    service: Service, log: io.StringIO
) -> None:
    before = service.decisions()
    with (
        sqlite3.connect(service.database, isolation_level=None) as other,
        service.client() as client,
        ExitStack() as stack,
    ):
        pages = [stack.enter_context(service.page(f"Nr. {number}")) for number in range(4)]
        items = [page.item for page in pages]
        other.execute("BEGIN IMMEDIATE")
        slowest, done = 0.0, threading.Event()

        def ask() -> None:
            nonlocal slowest
            while not done.is_set():
                began = time.monotonic()
                assert client.get("/health/live").status_code == 200
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.02)

        asking = threading.Thread(target=ask)
        asking.start()
        began = time.monotonic()
        for page in pages:
            page.send("confirm")
        pages[0].until("gerade gesperrt")
        # Who only reads goes on meanwhile.
        pages[0].send("next")
        assert pages[0].until("data-item") < 1
        for page in pages[1:]:
            page.until("NICHT gespeichert")
        took = time.monotonic() - began
        done.set()
        asking.join()
        other.execute("ROLLBACK")
        assert took < 6 and slowest < 1
        assert [page.item for page in pages[1:]] == items[1:]
        assert service.decisions() == before
        pages[1].send("confirm")
        pages[1].until("Angenommen")
        assert service.decisions() == before + 1
    assert log.getvalue().count("a decision was not stored") == 4
    assert SECRET not in log.getvalue()


@pytest.fixture
def page(store: Store) -> Iterator[LivePage]:
    catalogue = Catalogue.builtin()
    for number in range(3):
        add(store, f"{SECRET}, Fall {number}", coding(alternatives=("C50.4",)))
    desk = Desk(store, CodeSearch(catalogue), "M. Ernst", known=catalogue.is_codable)
    with ThreadPoolExecutor(1) as threads:
        made = LivePage(
            desk, View(catalogue, Crosswalk(catalogue.rules)), Panels(), "/review", threads, LivePages()
        )
        made._tried(desk.start)
        yield made


def _sent(page: LivePage, do: str, value: Any = None) -> dict[str, str]:
    assert page.desk.item is not None
    number, revision = page.desk.item.id, page.desk.item.revision
    return page._done({"do": do, "value": value, "item": number, "revision": revision})


def test_a_full_disk_stores_nothing_and_says_so_every_time(
    page: LivePage, store: Store, log: io.StringIO
) -> None:
    _fill(store)
    _sent(page, "choose", 2)
    page.desk.choice.comment = comment = "x" * 2000
    first = page.desk.item
    for do, value in (("confirm", None), ("reject", "y" * 2000)) * 20:
        shown = _sent(page, do, value)
        assert "Datenträger ist voll" in shown["head"] and "NICHT gespeichert" in shown["head"]
        assert 'class="onko-notice alarm"' in shown["head"]
    # The page has not moved on, and holds what was chosen.
    assert page.desk.item == first and page.desk.choice.comment == comment and page.desk.changed
    assert store.status().decided == 0
    lines = log.getvalue().splitlines()
    assert len(lines) == 40 and all("a decision was not stored" in line for line in lines)
    assert SECRET not in log.getvalue() and "xxx" not in log.getvalue()
    store._writer.execute("PRAGMA max_page_count = 10000")
    assert "Geändert" in _sent(page, "confirm")["head"] and store.status().changed == 1


def _fill(store: Store) -> None:
    """Leaves no room in the file for another decision."""
    write = store._writer.execute
    write("CREATE TABLE filler (content)")
    write(f"PRAGMA max_page_count = {write('PRAGMA page_count').fetchone()[0] + 2}")
    with suppress(sqlite3.OperationalError):
        while True:
            write("INSERT INTO filler VALUES (zeroblob(4000))")
    number = store.page("open", "")[-1].id
    with suppress(StoreError):
        for seen in range(100):
            codes = dict.fromkeys(AXES)
            store.decide(number, Decision(Action.REOPEN, codes, "A", "z" * 2000), seen=seen)


@pytest.mark.parametrize(
    ("do", "value"),
    [
        ("narrow", {"least": "nan"}),
        ("narrow", {"least": "2"}),
        ("narrow", SECRET),
        ("preview", "nan"),
        ("preview", None),
        ("side", "oben"),
        ("certainty", ["gesichert"]),
        ("adopt", "first"),
        ("add", [1]),
        ("add", [5, 10**30]),
        ("look", "../../etc"),
        ("look", {"token": SECRET}),
        ("read-table", {"token": SECRET}),
        ("read-documents", SECRET),
        ("read-documents", 7),
        ("read-documents", [SECRET]),
        ("read-documents", []),
        ("resume-table", SECRET),
        ("accept-previewed", None),
        ("confirm-anyway", 7),
    ],
)
def test_messages_of_the_new_ways_that_make_no_sense_break_nothing(
    page: LivePage, store: Store, log: io.StringIO, do: str, value: Any
) -> None:
    _sent(page, do, value)
    shown = _sent(page, "next")
    assert "onko-item" in shown["main"] and "onko-filter" in shown["list"]
    assert all(one.state == "open" or do == "confirm-anyway" for one in store.page("all", ""))
    assert SECRET not in log.getvalue()


def test_a_decision_is_only_called_lost_where_it_is(page: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    store = page.desk.store

    def unreadable(*_: object, **__: object) -> Any:
        raise StoreError(store.path, "disk I/O error", Fault.OTHER, writing=False)

    for name in ("beside", "page", "status", "version", "history"):
        monkeypatch.setattr(store, name, unreadable)
    shown = _sent(page, "confirm")
    assert "Das ist gespeichert" in shown["head"] and "NICHT" not in shown["head"]
    monkeypatch.undo()
    assert store.status().accepted == 1


def test_threads_wait_together_for_a_locked_database(store: Store) -> None:
    add(store, "Ca", coding())
    with (
        Store.open(store.path, busy_seconds=0.5) as mine,
        sqlite3.connect(store.path, isolation_level=None) as other,
        ThreadPoolExecutor(6) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        failed = [pool.submit(mine.undo, 1, "A", seen=1).exception(10) for _ in range(1)]
        failed += [one.exception(10) for one in [pool.submit(mine.undo, 1, "A", seen=1) for _ in range(6)]]
        assert time.monotonic() - began < 3
        assert all(
            isinstance(one, StoreError) and one.fault is Fault.LOCKED and one.writing for one in failed
        )
        assert mine.item(1).text == "Ca"
        other.execute("ROLLBACK")


# --- other sites


def test_the_socket_takes_only_the_page_s_own_origin_and_a_session(service: Service) -> None:
    cookie, port = service.cookie(), service.url.rpartition(":")[2]
    foreign = (
        "http://evil.example",
        "http://127.0.0.1",  # another port of this machine
        f"http://127.0.0.1:{int(port) + 1}",
        f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port}.evil.example",
        "null",
    )
    for origin in foreign:
        with pytest.raises(InvalidStatus, match="403"), service.socket(Origin=origin, Cookie=cookie):
            pass
    for headers in ({}, {"Cookie": "onkokode_review=abc"}, {"X-API-Key": KEY}):
        with pytest.raises(InvalidStatus, match="403"), service.socket(Origin=service.url, **headers):
            pass
    with (
        pytest.raises(InvalidStatus, match="403"),
        service.socket(Cookie=cookie, **{"Sec-Fetch-Site": "same-site"}),
    ):
        pass
    with service.socket(Origin=service.url, Cookie=cookie) as opened:
        assert str(opened.recv(timeout=5)).startswith("0{")


def test_polling_is_as_closed_as_the_socket(service: Service) -> None:
    address = "/review/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    cookie = service.cookie()
    with service.client() as client:
        assert client.get(address).status_code == 401
        evil = client.get(address, headers={"cookie": cookie, "origin": "http://evil.example"})
        assert evil.status_code == 403
        mine = client.get(address, headers={"cookie": cookie, "origin": service.url})
        assert mine.status_code == 200
        for answer in (evil, mine):
            assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/review/abmelden", {**CROSS, "origin": "http://evil.example"}),
        ("POST", "/review/abmelden", {**CROSS, "origin": "null"}),
        ("POST", "/review/abmelden", CROSS),
        ("POST", "/review/anmelden", {"origin": "http://127.0.0.1:1"}),
        ("GET", "/review/", {**CROSS, "sec-fetch-dest": "iframe"}),
        (
            "GET",
            "/review/",
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        ),
        ("GET", "/review/anmelden", {"origin": "http://evil.example"}),
    ],
)
def test_another_site_changes_nothing_and_replaces_no_cookie(
    service: Service, method: str, path: str, headers: dict[str, str]
) -> None:
    with service.client() as client:
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "anderen Rechners" in answer.text


def test_a_link_from_another_site_opens_the_page_of_who_is_logged_in(service: Service) -> None:
    with service.client() as client:
        entered = client.post("/review/anmelden", data={"name": "M. Ernst", "key": KEY})
        # Lax: the browser sends it with a link, and with nothing else of another site.
        assert "samesite=lax" in entered.headers["set-cookie"] and "httponly" in entered.headers["set-cookie"]
        opened = client.get("/review/", headers=CROSS)
        assert opened.status_code == 200 and "set-cookie" not in opened.headers
        # A link cannot log out: that takes our own form.
        assert client.get("/review/abmelden", headers=CROSS).status_code in (404, 405)
        assert client.get("/review/").status_code == 200
        own = {"origin": service.url, "sec-fetch-site": "same-origin"}
        assert client.post("/review/abmelden", headers=own).status_code == 303
        assert client.get("/review/").status_code == 303


def test_who_has_logged_out_is_out_with_every_copy_of_the_cookie(service: Service) -> None:
    address = "/review/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    with service.client() as client, service.client() as thief:
        entered = client.post("/review/anmelden", data={"name": "M. Ernst", "key": KEY})
        assert "Max-Age=43200;" in entered.headers["set-cookie"]
        thief.cookies.update(client.cookies)
        assert thief.get("/review/").status_code == 200
        assert client.post("/review/abmelden").status_code == 303
        assert thief.get("/review/").status_code == 303
        assert thief.get(address).status_code == 401


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [
        ("//evil.example", False),
        ("https://evil.example", False),
        ("/", False),
        ("/\\\\evil.example", False),
        ("/intern/onko-2", True),
    ],
)
def test_a_prefix_never_leads_to_another_host(service: Service, prefix: str, kept: bool) -> None:
    with service.client() as client:
        answer = client.get("/review/", headers={"x-forwarded-prefix": prefix})
        assert answer.headers["location"] == (prefix if kept else "") + "/review/anmelden"
        opened = client.get("/review/", headers={"x-forwarded-prefix": prefix, "cookie": service.cookie()})
        assert opened.status_code == 200 and "evil.example" not in opened.text


def test_behind_tls_the_cookie_is_secure_and_the_origin_https(service: Service) -> None:
    public = {"host": "durchsicht.example", "x-forwarded-proto": "https"}
    with service.client() as client:
        answers = [
            client.get("/review/anmelden", headers=public),
            client.post(
                "/review/anmelden",
                data={"name": "M. Ernst", "key": KEY},
                headers={**public, "origin": "https://durchsicht.example"},
            ),
        ]
        for answer in answers:
            assert answer.status_code in (200, 303)
            assert "; secure" in answer.headers["set-cookie"].lower()
        wrong = client.post("/review/anmelden", headers={**public, "origin": "http://durchsicht.example"})
        assert wrong.status_code == 403
        assert "secure" not in client.get("/review/anmelden").headers["set-cookie"].lower()
        assert client.get("/review/anmelden", headers={"host": "evil.example"}).status_code == 421


# --- messages that make no sense


def test_messages_that_make_no_sense_leave_a_line_without_content(
    service: Service, log: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    mine = {"client_id": "CLIENT", "id": 0, "listener_id": "LISTENER"}
    events: list[Any] = [
        ["event"],
        ["event", 1],
        ["event", None],
        ["event", {}],
        ["event", {"client_id": SECRET}],
        ["event", {"client_id": [SECRET]}],
        ["event", {**mine, "args": ["{" + SECRET]}],
        ["event", {**mine, "args": SECRET}],
        ["event", {**mine, "listener_id": SECRET, "args": []}],
        ["event", {**mine, "id": {SECRET: SECRET}}],
        ["handshake", {}],
        ["handshake", SECRET],
        [
            "handshake",
            {"client_id": mine["client_id"], "tab_id": "x", "document_id": SECRET, "next_message_id": SECRET},
        ],
        ["javascript_response", {"client_id": mine["client_id"]}],
        ["ack", {"client_id": mine["client_id"], "next_message_id": SECRET}],
        ["log", {"client_id": mine["client_id"], "level": "error", "message": SECRET}],
        ["log", {"client_id": mine["client_id"], "level": SECRET}],
        [SECRET, {}],
        [],
        {},
        SECRET,
    ]
    values: list[Any] = [
        {"do": "show", "value": 10**30}, {"do": "show", "value": SECRET}, {"do": [SECRET]}, {"do": {}}, {"do": "pick"},
        {"do": "axis", "value": SECRET}, {"do": "search", "value": {"a": SECRET}, "axis": SECRET}, {"do": "choose"},
        {"do": "confirm", "item": SECRET, "revision": [1]}, {"do": "turn", "value": None}, SECRET, [SECRET], None, 5,
    ]  # fmt: skip
    raw: list[str | bytes] = [
        "", "4", "4" + SECRET, "42", "42[", '42["event",{"a":' + SECRET, "40" + SECRET, "40{" + SECRET, "43", "43[1",
        "44" + SECRET, "45", '451-["event",{"_placeholder":true,"num":0}]', '461-["' + SECRET + '"]', "49" + SECRET,
        "42/" + SECRET + ",[]", "7", "9", "6", "3" + SECRET, "2" + SECRET, "0", SECRET, b"", b"\x00\xff" + SECRET.encode(),
        "42" + "[" * 50_000, "42999999999999999999[]",
    ]  # fmt: skip
    frames = ["42" + json.dumps(event) for event in events]
    frames += ["42" + json.dumps(["event", {**mine, "args": [json.dumps(value)]}]) for value in values]
    before = service.decisions()
    with caplog.at_level(logging.INFO):
        everything = [*frames, *raw]
        while everything:
            with service.page() as page:
                # Some end the socket; what was sent after them is sent to others as well.
                for frame in everything[:12]:
                    if isinstance(frame, str):
                        frame = frame.replace("CLIENT", page.client.id).replace("LISTENER", page.listener.id)
                    with suppress(ConnectionClosed):
                        page.socket.send(frame)
                time.sleep(0.1)
            everything = everything[8:]
        for _ in range(3):
            gc.collect()
            time.sleep(0.05)
    said = log.getvalue()
    assert SECRET not in said and "Geheim" not in said
    assert "Traceback" not in said and "File " not in said
    # The attack arrived: the libraries complained, one line each.
    assert any(record.exc_info for record in caplog.records)
    assert len(said.splitlines()) == said.count("\n")
    assert service.decisions() == before
    with service.page() as page, service.client() as client:
        page.send("next")
        page.until("data-item")
        assert client.get("/health/live").status_code == 200


def test_a_library_s_own_handler_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.apps.service import logs

    root, written = logging.root.handlers[:], io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    theirs = logging.getLogger("engineio.server")
    kept = theirs.handlers[:]
    theirs.addHandler(logging.StreamHandler(written))
    try:
        logs.set_up()
        try:
            raise ValueError(SECRET)
        except ValueError:
            theirs.exception("message async handler error: %s", SECRET)
        logging.getLogger("nicegui").error(f"{SECRET} not found")
        logging.getLogger("faiss.loader").warning("no %s", "driver")
        asyncio.run(_fail())
    finally:
        logging.root.handlers[:], theirs.handlers[:] = root, kept
    said = written.getvalue()
    assert SECRET not in said and "Traceback" not in said
    lines = said.splitlines()
    assert "engineio.server ValueError at" in lines[0] and "nicegui reported something at" in lines[1]
    assert "faiss.loader no driver" in lines[2] and "asyncio KeyError at" in lines[3]


async def _fail() -> None:
    async def failing() -> None:
        raise KeyError(SECRET)

    task = asyncio.ensure_future(failing())
    await asyncio.sleep(0)
    del task
    gc.collect()


def test_who_chooses_columns_keeps_the_form_while_another_table_is_read(page: LivePage, store: Store) -> None:
    page.panels.intake = intake = Intake(store, lambda texts: [[coding()] for _ in texts])
    page.regions = {
        name: SimpleNamespace(content="") for name in ("main", "list", "head", "ask", "tables", "hits")
    }
    intake.uploads.take("0" * 32, "fälle.csv", b"Fall;Diagnose\n1;Ca\n2;Melanom\n", 0)
    _sent_and_shown(page, "look", {"token": "0" * 32})
    assert "onko-read-form" in page.regions["tables"].content
    asyncio.run(page.table_read())
    assert "onko-read-form" in page.regions["tables"].content
    _sent_and_shown(page, "read-table", {"token": "0" * 32, "text": "Befund"})
    shown = page.regions["tables"].content
    assert "Diese Spalte hat die Tabelle nicht" in shown and "onko-read-form" in shown, "to be chosen again"
    _sent_and_shown(page, "read-table", {"token": "0" * 32, "text": "Diagnose", "reference": "Fall"})
    intake.close()
    asyncio.run(page.table_read())
    assert "2 Texte neu" in page.regions["tables"].content and "Melanom" in page.regions["list"].content


def _sent_and_shown(page: LivePage, do: str, value: Any) -> None:
    for name, content in _sent(page, do, value).items():
        page.regions[name].content = content
