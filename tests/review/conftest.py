"""Fixtures of the review's tests: an empty work list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.review.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "review.sqlite") as opened:
        yield opened
