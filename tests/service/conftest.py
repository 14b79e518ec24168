"""Fixtures for the service's tests: no test talks to another machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agent.apps.service.settings import is_loopback
from tests.service.running import service, wait_ready


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Connections to anything but this machine fail the test that makes them."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise AssertionError(f"a connection to {address[0]} was tried")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """A client of a service with the embedded agent and no API key."""
    with service(max_body_bytes=200_000, max_texts=32, allowed_hosts=("127.0.0.1", "testserver")) as started:
        wait_ready(started)
        yield started
