"""A service for tests: uvicorn on a free loopback port, in a thread of this process.

with running(create_app(agent, settings), settings) as url: httpx.get(f"{url}/health/live")
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from agent.agent import CodingAgent
from agent.apps.service.app import create_app
from agent.apps.service.server import Server, bound, configuration
from agent.apps.service.settings import ServiceSettings
from agent.results import CodedText
from tests.agent.tiny_agent import embedded_agent


@contextmanager
def running(app: FastAPI, settings: ServiceSettings) -> Iterator[str]:
    """Serves the application until the block ends; the value is its address."""
    with bound(settings) as listener:
        server = Server(configuration(app, settings), app)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the service did not end"


@contextmanager
def service(agent: CodingAgent | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """A client of a ready service."""
    chosen = ServiceSettings(port=0, **settings)
    app = create_app(agent or embedded_agent(), chosen)
    with running(app, chosen) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        client.app = app  # type: ignore[attr-defined]
        yield client


def wait_ready(client: httpx.Client) -> None:
    wait_for(lambda: client.get("/health/ready").status_code == 200, every=0.1)


def wait_for(condition: Any, seconds: float = 30, every: float = 0.01) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(every)


class GatedAgent(CodingAgent):
    """The embedded agent, which waits for `open` before it codes, and fails on texts that say so."""

    def __init__(self) -> None:
        super().__init__(embedded_agent().resources)
        self.open = threading.Event()
        self.working = threading.Event()
        self.batches: list[list[str]] = []

    def code(self, text: str) -> CodedText:
        return next(iter(self.code_many([text])))

    def code_many(self, texts: Iterable[str]) -> Iterator[CodedText]:
        batch = list(texts)
        self.batches.append(batch)
        self.working.set()
        assert self.open.wait(30)
        if any("kaputt" in text for text in batch):
            raise RuntimeError(f"could not work on {batch}")
        return super().code_many(batch)
