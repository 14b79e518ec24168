"""Connections and bodies without end: who holds them back is closed, and all others are answered meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, Response
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_socket

from agent.apps.service.connections import places
from agent.apps.service.guard import Guard
from agent.apps.service.settings import ServiceSettings, is_one_of
from tests.service.running import running, wait_for, wait_ready

HALF = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: "


class Stub:
    """The service's outside, around routes that need no agent."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.busy = 0
        self.go_on = threading.Event()

        @self.app.get("/health/live")
        async def live() -> Response:
            return PlainTextResponse("alive")

        @self.app.post("/read")
        async def read(request: Request) -> Response:
            return PlainTextResponse(str(len(await request.body())))

        @self.app.get("/wait")
        async def wait() -> Response:
            self.busy += 1
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
            return PlainTextResponse("done")

        @self.app.get("/large")
        async def large() -> Response:
            return Response(b"x" * (32 << 20))

        @self.app.websocket("/socket")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.send_text(await websocket.receive_text())


@contextmanager
def started(**settings: Any) -> Iterator[tuple[Stub, httpx.Client]]:
    stub, chosen = Stub(), ServiceSettings(port=0, shutdown_seconds=1, **settings)
    stub.app.add_middleware(Guard, settings=chosen)
    with (
        running(stub.app, chosen) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=10) as client,
    ):
        yield stub, client


def open_to(client: httpx.Client, sent: bytes = b"") -> socket.socket:
    made = socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=5)
    made.sendall(sent)
    return made


def is_closed(one: socket.socket) -> bool:
    """Whether the other end has closed it, with or without an answer."""
    one.setblocking(False)
    try:
        while one.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def health(client: httpx.Client) -> float:
    """Seconds until a new connection is told that the service is alive."""
    began = time.monotonic()
    with closing(HTTPConnection(client.base_url.host, client.base_url.port, timeout=5)) as asking:
        asking.request("GET", "/health/live")
        assert asking.getresponse().status == 200
    return time.monotonic() - began


def test_half_sent_requests_end_in_time() -> None:
    with started(header_seconds=0.4) as (_, client), ExitStack() as stack:
        half = [stack.enter_context(open_to(client, HALF)) for _ in range(30)]
        half += [stack.enter_context(open_to(client)) for _ in range(5)]
        # A second request on a connection that has been served before.
        again = stack.enter_context(open_to(client, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"))
        assert again.recv(100).startswith(b"HTTP/1.1 200")
        again.sendall(HALF)
        # Bytes that trickle in buy no time.
        until = time.monotonic() + 3
        while not all(is_closed(one) for one in (*half, again)):
            assert time.monotonic() < until
            half[0].setblocking(True)
            with suppress(OSError):
                half[0].send(b"x")
            time.sleep(0.05)
        assert health(client) < 0.5


def test_who_has_waited_longest_makes_room() -> None:
    with started(connections=20) as (_, client), ExitStack() as stack:
        half = [stack.enter_context(open_to(client, HALF)) for _ in range(30)]
        # One byte of a body is no request either.
        body = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
        half += [stack.enter_context(open_to(client, body)) for _ in range(30)]
        assert health(client) < 0.5
        wait_for(lambda: sum(not is_closed(one) for one in half) <= 20)
        assert all(is_closed(one) for one in half[:30])
        assert client.post("/read", content=b"abc").text == "3"


def test_where_all_places_are_at_work_only_health_is_answered() -> None:
    with started(connections=4) as (stub, client), ExitStack() as stack:
        waiting = b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        busy = [stack.enter_context(open_to(client, waiting)) for _ in range(4)]
        wait_for(lambda: stub.busy == 4)
        refused = httpx.post(f"{client.base_url}/read", content=b"abc", trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_connections")
        assert int(refused.headers["retry-after"]) > 0 and refused.headers["connection"] == "close"
        assert health(client) < 0.5
        # Beyond the few for such answers, connections are closed at once, the busy ones stay.
        more = [stack.enter_context(open_to(client, waiting)) for _ in range(60)]
        wait_for(lambda: all(is_closed(one) for one in more))
        stub.go_on.set()
        for one in busy:
            one.settimeout(5)
            assert one.recv(100).startswith(b"HTTP/1.1 200")
        wait_for(lambda: client.post("/read", content=b"abc").status_code == 200)


def test_one_address_takes_its_share_and_a_proxy_has_none() -> None:
    with started(connections=20, trusted_proxies=()) as (_, client), ExitStack() as stack:
        mine = [stack.enter_context(open_to(client, HALF)) for _ in range(12)]
        wait_for(lambda: sum(is_closed(one) for one in mine) == 7)
        assert not any(is_closed(one) for one in mine[:5])
    with started(connections=20) as (_, client), ExitStack() as stack:
        proxy = [stack.enter_context(open_to(client, HALF)) for _ in range(12)]
        assert health(client) < 0.5
        assert not any(is_closed(one) for one in proxy)


def test_bodies_held_back_make_room_for_others() -> None:
    limits = {"max_body_bytes": 200_000, "held_body_bytes": 1_000_000}
    with started(**limits) as (_, client), ExitStack() as stack:
        head = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
        held = [stack.enter_context(open_to(client, head + b"x" * 190_000)) for _ in range(20)]
        wait_for(lambda: sum(is_closed(one) for one in held[:15]) >= 14)
        for _ in range(5):
            assert client.post("/read", content=b"y" * 150_000).text == "150000"
        late = open_to(client, head + b"x" * 190_000)
        stack.enter_context(late)
        assert sum(not is_closed(one) for one in held) * 190_000 <= 1_000_000


def test_a_body_that_gave_way_is_told_when_to_come_back() -> None:
    with started(held_body_bytes=100_000) as (_, client), ExitStack() as stack:
        head = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n"
        first = stack.enter_context(open_to(client, head + b"x" * 60_000))
        time.sleep(0.1)
        second = stack.enter_context(open_to(client, head + b"x" * 60_000))
        answer = b"".join(iter(lambda: first.recv(1000), b""))
        assert (
            answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer and b"too_many_bodies" in answer
        )
        second.sendall(b"x" * 30_000)
        assert second.recv(100).startswith(b"HTTP/1.1 200")
        # The count returns to nothing: the whole bound is free again.
        assert client.post("/read", content=b"x" * 99_000).text == "99000"


def test_an_answer_that_nobody_takes_ends_in_time() -> None:
    with started(send_seconds=0.4, header_seconds=0.4) as (_, client), ExitStack() as stack:
        large = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
        deaf = stack.enter_context(open_to(client, large))
        slow = stack.enter_context(open_to(client, large))
        slow.settimeout(5)
        taken = 0
        # Longer than both limits together, but never still for one of them.
        while part := slow.recv(1 << 20):
            taken += len(part)
            time.sleep(0.05)
            if taken >= 32 << 20:
                break
        assert taken >= 32 << 20
        # What the kernel holds arrives; the rest does not.
        deaf.settimeout(5)
        got = 0
        try:
            while part := deaf.recv(1 << 20):
                got += len(part)
        except OSError:
            pass
        assert got < 32 << 20


def test_a_web_socket_stays_open_and_takes_no_large_messages() -> None:
    limits: dict[str, Any] = {"header_seconds": 0.3, "body_seconds": 0.3, "socket_bytes": 1000}
    with (
        started(**limits) as (_, client),
        connect_socket(f"ws://{client.base_url.host}:{client.base_url.port}/socket") as talking,
    ):
        time.sleep(1.2)
        talking.send("noch da")
        assert talking.recv(timeout=5) == "noch da"
        talking.send("x" * 5000)
        with pytest.raises(ConnectionClosed, match="1009"):
            talking.recv(timeout=5)


def test_places_follow_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, expected in (
        (256, 96),
        (1024, 864),
        (100, 16),
        (1 << 20, 2048),
        (resource.RLIM_INFINITY, 2048),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, resource.RLIM_INFINITY))
        assert places() == expected


def test_addresses_of_proxies() -> None:
    proxies = ServiceSettings().trusted_proxies
    assert all(is_one_of(one, proxies) for one in ("127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"))
    assert not any(is_one_of(one, proxies) for one in ("10.0.0.1", "::2", "", "unix:", "::ffff:10.0.0.1"))


_SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from agent.apps.service.guard import Guard
from agent.apps.service import server
from agent.apps.service.settings import ServiceSettings
from tests.service.test_connections import Stub
settings = ServiceSettings(port=0)
stub = Stub()
stub.app.add_middleware(Guard, settings=settings)
stub.app.state.batcher = type("Batcher", (), {"refuse_soon": lambda self: None})()
with server.bound(settings) as listener:
    print(listener.getsockname()[1], flush=True)
    server.serve(stub.app, settings, listener)
"""


@pytest.mark.slow
def test_256_descriptors_suffice_under_300_half_sent_requests() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{int(process.stdout.readline())}") as client,
            ExitStack() as stack,
        ):
            wait_for(lambda: _answers(client))
            half = [stack.enter_context(open_to(client, HALF)) for _ in range(300)]
            for _ in range(5):
                assert health(client) < 0.5
            assert client.post("/read", content=b"abc").text == "3"
            assert sum(not is_closed(one) for one in half) <= 96
    finally:
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Too many open files" not in log and "Traceback" not in log and "ERROR" not in log, log


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_the_service_under_1500_half_sent_requests_and_200_held_bodies(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ONKOKODE_HOME": str(tmp_path)},
    )
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    reader.start()
    try:
        wait_for(lambda: any("listening on" in line for line in lines), 120)
        [url] = re.findall(r"http://127\.0\.0\.1:\d+", "".join(lines))
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client, ExitStack() as stack:
            wait_ready(client)
            half = [stack.enter_context(open_to(client, HALF)) for _ in range(1500)]
            assert median(health(client) for _ in range(11)) < 0.2
            assert client.post("/v1/code", json={"text": "Mamma-Ca"}).status_code == 200
            wait_for(lambda: all(is_closed(one) for one in half), 20)
            before = _megabytes(process.pid)
            head = b"POST /v1/code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (2 << 20)
            held = [stack.enter_context(open_to(client, head)) for _ in range(200)]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(_hold_back, held))
            assert median(health(client) for _ in range(11)) < 0.2
            assert client.post("/v1/code", json={"text": "Mamma-Ca"}).status_code == 200
            assert _megabytes(process.pid) - before < 150  # 389 without a bound
            assert sum(not is_closed(one) for one in held) <= 32
    finally:
        process.terminate()
        reader.join(30)
    assert process.wait(10) == 0
    assert "Traceback" not in "".join(lines)


def _hold_back(one: socket.socket) -> None:
    """All of a body but its last byte; who had to make room is closed meanwhile."""
    with suppress(OSError):
        one.sendall(b"x" * ((2 << 20) - 1))


def _megabytes(process: int) -> float:
    """Memory of a process."""
    [line] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(line) / 1024
