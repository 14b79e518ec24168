"""What the registry says is checked in German, as its report is; tests/agent/test_language.py checks both languages."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONKOKODE_LANGUAGE", "de")
