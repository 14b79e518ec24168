"""What the tests of tables compare is German, whatever the locale of the machine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONKOKODE_LANGUAGE", "de")
