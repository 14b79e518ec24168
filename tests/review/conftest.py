"""Fixtures of the review's tests: an empty work list, and the page as a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.apps.review.store import Store
from tests.review.browsing import chromium
from tests.review.page_client import Service, served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "review.sqlite") as opened:
        yield opened


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    pytest.importorskip("nicegui", reason="no nicegui: pip install 'onkokode[service]'")
    with served(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started
