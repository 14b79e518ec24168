"""A server process and people at browsers, for the page's tests in Chromium.

server = Server(folder); server.start()
officer = Officer(browser, server, "M. Ernst"); officer.press("Enter")
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

in_chromium = pytest.mark.skipif(not shutil.which(CHROMIUM), reason=f"no Chromium at {CHROMIUM}")


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A browser, with further flags. Skips where there is no Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'onkokode[dev]'")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        yield started
        started.close()


class Server:
    """The server's process; it can be killed and started again on the same list and port."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "review.sqlite"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/review/"
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, api_key: str | None = None) -> None:
        script = Path(__file__).with_name("review_server.py")
        command = [
            sys.executable,
            str(script),
            str(self.database),
            str(self.port),
            *([api_key] if api_key else []),
        ]
        paths = {"PYTHONPATH": str(ROOT), "ONKOKODE_HOME": str(self.log.parent / "home")}
        quiet = {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "NICEGUI_STORAGE_PATH": str(self.log.parent / "ui"),
        }
        # NiceGUI starts in another way where it believes that it is under test.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=kept | paths | quiet, stdout=log, stderr=log, cwd=self.log.parent
            )
        for _ in range(1800):
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(self.url + "anmelden", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start: " + self.log.read_text())

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            return connection.execute(query, values).fetchall()

    def decisions(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT item, action, icd10gm, decided_by FROM decisions ORDER BY id")


class Officer:
    """One person at a browser of their own, with everything that it asked for and complained about."""

    def __init__(self, browser: Any, server: Server, name: str, url: str = "", **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        self.page.goto(url or server.url)
        self.page.fill("#name", name)
        self.page.click("button.primary")
        self.page.wait_for_selector("#onko-item")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def item(self) -> int:
        return int(self.page.get_attribute("#onko-item", "data-item"))

    def until(self, number: int | None) -> None:
        """Waits until this item is on the desk; None: until none is."""
        at = f"#onko-item[data-item='{number}']" if number is not None else ".onko-empty"
        self.page.wait_for_selector(at)

    def notice(self, words: str) -> None:
        self.page.wait_for_function(
            "words => document.querySelector('.onko-notice')?.textContent.includes(words)", arg=words
        )
