"""The login: what lets a person in, and what ends a session."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.apps.review.decision import ReviewError
from agent.apps.review.session import SESSION_SECONDS, Gate, secret_of


def test_without_a_key_a_name_is_enough() -> None:
    session: dict[str, object] = {}
    gate = Gate("s" * 64, None)
    assert not gate.admit(session, name="  ", key="")
    assert gate.name_in(session) is None
    assert gate.admit(session, name=" M.  Ernst\n", key="")
    assert gate.name_in(session) == "M. Ernst"
    gate.leave(session)
    assert gate.name_in(session) is None


@pytest.mark.parametrize("key", ["", "falsch", "schlüssel ", "schlüsse", "\udcff"])
def test_a_wrong_key_lets_nobody_in(key: str) -> None:
    session: dict[str, object] = {}
    assert not Gate("s" * 64, "schlüssel").admit(session, name="A", key=key)
    assert session == {}


def test_another_key_ends_the_session() -> None:
    session: dict[str, object] = {}
    assert Gate("s" * 64, "eins").admit(session, name="A", key="eins")
    assert Gate("s" * 64, "eins").name_in(session) == "A"
    assert Gate("s" * 64, "zwei").name_in(session) is None
    assert Gate("s" * 64, None).name_in(session) is None


def test_a_session_cannot_be_renamed() -> None:
    session: dict[str, object] = {}
    gate = Gate("s" * 64, None)
    gate.admit(session, name="A", key="")
    session["onkokode-name"] = "B"
    assert gate.name_in(session) is None


def test_who_leaves_ends_the_copies_of_the_cookie_too(monkeypatch: pytest.MonkeyPatch) -> None:
    session: dict[str, object] = {}
    gate = Gate("s" * 64, None)
    gate.admit(session, name="A", key="")
    copy, other = dict(session), {}
    gate.admit(other, name="A", key="")
    gate.leave(session)
    assert session == {} and gate.name_in(copy) is None
    # Somebody else of that name, or the same person at another machine, goes on.
    assert gate.name_in(other) == "A"
    gate.leave(dict(copy))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SESSION_SECONDS + 1)
    assert gate.name_in(other) is None and gate.name_in(copy) is None
    fresh: dict[str, object] = {}
    gate.admit(fresh, name="A", key="")
    gate.leave(fresh)
    assert len(gate._left) == 1  # what is over anyway is forgotten


def test_the_secret_stays_and_is_the_owners(tmp_path: Path) -> None:
    secret = secret_of(tmp_path / "review.sqlite")
    path = tmp_path / "review.sqlite.secret"
    assert secret_of(tmp_path / "review.sqlite") == secret and len(secret) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("kurz")
    with pytest.raises(ReviewError, match="remove the file"):
        secret_of(tmp_path / "review.sqlite")


def test_a_second_page_in_one_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fastapi = pytest.importorskip("fastapi")
    from agent.apps.review import page

    monkeypatch.setattr(page, "_mounted", True)
    with pytest.raises(ReviewError, match="once in a process"):
        page.mount(fastapi.FastAPI(), None, tmp_path / "review.sqlite")  # type: ignore[arg-type]
    assert not (tmp_path / "review.sqlite").exists()
