"""The page in a real browser where things go wrong: other sites' pages, a locked and a full database; and behind a
real nginx with the configuration of the docs."""

from __future__ import annotations

import http.server
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.apps.review.store import Store
from tests.conftest import ROOT
from tests.review.browsing import Officer, Server, chromium, in_chromium
from tests.review.review_helpers import add, coding
from tests.review.review_server import PUBLIC_NAME
from tests.service.running import wait_for

pytest.importorskip("nicegui", reason="no nicegui: pip install 'onkokode[service]'")
pytestmark = [pytest.mark.slow, in_chromium]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    with Store.open(made.database) as store:
        for number in range(12):
            add(store, f"Text {number}", coding(confidence=0.3 + number / 100))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(f"--host-resolver-rules=MAP {PUBLIC_NAME} 127.0.0.1") as started:
        yield started


@pytest.fixture(scope="module")
def evil(server: Server) -> Iterator[str]:
    """Another site: `localhost` is none of 127.0.0.1's."""
    page = f"""<!doctype html><a id=link href="{server.url}">Link</a>
        <img src="{server.url}"><img src="{server.url}abmelden"><iframe src="{server.url}"></iframe>
        <form id=out method=post action="{server.url}abmelden"></form>
        <form id=in method=post action="{server.url}anmelden"><input name=name value=Fremd></form>""".encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://localhost:{site.server_address[1]}/"
        site.shutdown()


def _name(officer: Officer) -> str:
    officer.page.reload()
    officer.page.wait_for_selector("#onko-item")
    return str(officer.page.inner_text(".onko-who"))


def test_other_sites_log_nobody_out_or_in_and_get_no_socket(browser: Any, server: Server, evil: str) -> None:
    officer = Officer(browser, server, "M. Ernst")
    other = officer.context.new_page()
    other.goto(evil)
    assert _name(officer) == "M. Ernst"
    for form in ("out", "in"):
        other.goto(evil)
        with other.expect_navigation():
            other.evaluate(f"document.querySelector('#{form}').submit()")
        assert "anderen Rechners" in other.inner_text("body")
        assert _name(officer) == "M. Ernst"
    other.goto(evil)
    socket_url = server.url.replace("http", "ws") + "_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    outcome = other.evaluate(
        """url => new Promise(done => {
            const socket = new WebSocket(url);
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        })""",
        socket_url,
    )
    assert outcome == "refused"
    for mode in ("no-cors", "cors"):
        other.evaluate(
            "([url, mode]) => fetch(url, {method: 'POST', mode, credentials: 'include'}).catch(() => 0)",
            [server.url + "abmelden", mode],
        )
    assert _name(officer) == "M. Ernst"
    # The link opens the page of who is logged in.
    with other.expect_navigation():
        other.click("#link")
    other.wait_for_selector("#onko-item")
    assert other.inner_text(".onko-who") == "M. Ernst"
    # The button logs out.
    officer.page.click("text=Abmelden")
    officer.page.wait_for_selector("#name")
    officer.context.close()


def test_a_locked_database_in_the_browser(browser: Any, server: Server) -> None:
    officer = Officer(browser, server, "M. Ernst")
    number, before = officer.item, len(server.decisions())
    with sqlite3.connect(server.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        officer.press("Enter")
        officer.notice("gerade gesperrt")
        officer.notice("NICHT gespeichert")
        assert officer.item == number
        other.execute("ROLLBACK")
    assert len(server.decisions()) == before
    officer.press("Enter")
    officer.notice("Angenommen")
    assert len(server.decisions()) == before + 1 and officer.item != number
    assert officer.complaints == []
    officer.context.close()


def test_a_disk_that_takes_nothing_in_the_browser(browser: Any, server: Server) -> None:
    officer = Officer(browser, server, "M. Ernst")
    number, before = officer.item, len(server.decisions())
    assert server.process is not None
    with Store.open(server.database) as store:
        for one in range(20):
            add(store, "x" * 4000, coding(confidence=0.99), reference=f"füllt {one}")
    size = server.database.with_name(server.database.name + "-wal").stat().st_size
    # Larger than the log, smaller than the database's own log with a further decision.
    assert size > server.log.stat().st_size + 4096
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for _ in range(3):
        officer.press("Enter")
        officer.notice("NICHT gespeichert")
        officer.press("x")
        officer.page.wait_for_selector("#onko-reason:focus")
        officer.page.fill("#onko-reason", "doppelter Eintrag")
        officer.press("Enter")
        officer.notice("NICHT gespeichert")
        assert officer.item == number
    assert len(server.decisions()) == before
    resource.prlimit(
        server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    officer.press("x")
    officer.page.wait_for_selector("#onko-reason:focus")
    assert officer.page.input_value("#onko-reason") == "doppelter Eintrag"  # nobody types it again
    officer.press("Enter")
    officer.notice("Abgelehnt")
    assert server.decisions()[-1][:2] == (number, "reject")
    log = server.log.read_text()
    assert log.count("a decision was not stored") >= 4 and "Text " not in log and "Traceback" not in log
    officer.context.close()


# --- behind nginx


@pytest.fixture(scope="module")
def proxied(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a real nginx with the configuration of the docs, and its folder."""
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("no nginx or openssl: apt-get install nginx-light openssl")
    folder = tmp_path_factory.mktemp("nginx")
    certificate = ["-keyout", str(folder / "key"), "-out", str(folder / "crt"), "-days", "1"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={PUBLIC_NAME}",
            *certificate,
        ],
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = (ROOT / "docs/deploy/nginx.conf").read_text()
    for pattern, value in (
        (r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (r"/etc/ssl/onkokode\.(crt|key)", rf"{folder}/\1"),
        (r"/var/log/nginx/onkokode.log", f"{folder}/access.log"),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{server.port}"),
    ):
        conf, count = re.subn(pattern, value, conf)
        assert count
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; daemon off;"
        f"user root; events {{}} http {{ {temporary}\n{conf} }}"
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        wait_for(lambda: process.poll() is not None or _accepts(port))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"https://{PUBLIC_NAME}:{port}", folder
    finally:
        process.terminate()
        process.wait(10)


def _accepts(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_the_review_page_works_through_nginx_and_tls(
    browser: Any, server: Server, proxied: tuple[str, Path]
) -> None:
    address, folder = proxied
    officer = Officer(browser, server, "T. Tunnel", f"{address}/review/", ignore_https_errors=True)
    before, number = len(server.decisions()), officer.item
    officer.press("Enter")
    officer.notice("Angenommen")
    assert server.decisions()[before] == (number, "accept", "C50.9", "T. Tunnel")
    [cookie] = officer.context.cookies()
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert any(url.startswith(f"wss://{PUBLIC_NAME}") for url in officer.requests)
    assert officer.complaints == []
    officer.page.click("text=Abmelden")
    officer.page.wait_for_selector("#name")
    assert "Text" not in (folder / "access.log").read_text()
    officer.context.close()


def test_the_api_works_through_nginx_under_the_allowed_name_only(proxied: tuple[str, Path]) -> None:
    address, folder = proxied
    port = address.rpartition(":")[2]
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=unchecked, trust_env=False) as client:
        public = {"host": f"{PUBLIC_NAME}:{port}"}
        assert client.get("/info", headers=public).json()["limits"]["body_bytes"] == 2 << 20
        assert client.get("/info", headers={"host": "evil.example"}).status_code == 421
        # A body as large as may be is read and refused for what it says, and leaves nothing on the proxy's disk.
        large = client.post("/v1/code", json={"text": "x" * ((2 << 20) - 100)}, headers=public)
        assert (large.status_code, large.json()["error"]["code"]) == (422, "invalid_request")
        assert client.post("/v1/code", content=b"x" * (3 << 20), headers=public).status_code == 413
    assert not [file for file in (folder / "client_body").rglob("*") if file.is_file()]
    assert "temporary file" not in (folder / "error.log").read_text()
