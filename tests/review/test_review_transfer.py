"""What the page gives out: the CSV of decisions, training pairs as one file, and in words why there is none."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from agent.apps.review.decision import Action, decide
from agent.apps.review.export import write_csv, write_pairs
from agent.apps.review.intake import Intake
from agent.apps.review.store import Store
from agent.apps.review.transfer import add_routes
from index.io.language import speaking
from tests.review.review_helpers import add, coding
from tests.spoken import spoken_in

fastapi = pytest.importorskip("fastapi", reason="no fastapi: pip install 'onkokode[service]'")


class Pages:
    """The addresses, asked by somebody who is logged in, or by nobody."""

    def __init__(self, store: Store) -> None:
        from starlette.testclient import TestClient

        self.name: str | None = "A"
        app = fastapi.FastAPI()
        gate: Any = SimpleNamespace(name_in=lambda session: self.name)
        add_routes(app, gate, Intake(store, lambda texts: [[coding()] for _ in texts]), store)

        async def with_session(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "session": {}}, receive, send)

        self.client = TestClient(with_session)

    def get(self, address: str) -> Any:
        return self.client.get(address)


@pytest.fixture
def pages(store: Store) -> Pages:
    return Pages(store)


@pytest.fixture
def decided(store: Store) -> Store:
    for number in range(12):
        item = add(store, f"Mammakarzinom {number}", coding())
        store.decide(item, decide(coding(), Action.ACCEPT, by="A", comment="=1+1"), seen=0)
    return store


def nothing_left(store: Store) -> bool:
    return not list(store.path.parent.glob(".onkokode-*"))


def test_the_csv_is_what_the_command_writes(pages: Pages, decided: Store, tmp_path: Path) -> None:
    given = pages.get("/entscheidungen.csv")
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    assert "entscheidungen.csv" in given.headers["content-disposition"]
    write_csv(decided, tmp_path / "selbst.csv")
    assert given.content == (tmp_path / "selbst.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(given.content.decode("utf-8-sig")), delimiter=";"))
    assert len(rows) == 12 and rows[0]["Kommentar"] == "'=1+1"
    assert nothing_left(decided)


def test_the_pairs_are_those_that_the_command_writes_in_one_file(
    pages: Pages, decided: Store, tmp_path: Path
) -> None:
    given = pages.get("/trainingspaare.zip")
    assert given.status_code == 200 and "trainingspaare.zip" in given.headers["content-disposition"]
    write_pairs(decided, tmp_path / "selbst")
    with zipfile.ZipFile(io.BytesIO(given.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert sorted(names) == [
            f"trainingspaare/{part}" for part in ("card.json", "development.parquet", "train.parquet")
        ]
        archive.extractall(tmp_path / "von der Seite")
    folder = tmp_path / "von der Seite" / "trainingspaare"
    assert json.loads((folder / "card.json").read_text()) == json.loads(
        (tmp_path / "selbst" / "card.json").read_text()
    )
    for part in ("train.parquet", "development.parquet"):
        assert pq.read_table(folder / part).equals(pq.read_table(tmp_path / "selbst" / part))
    assert nothing_left(decided)


@pytest.mark.parametrize("decisions", [0, 1])
def test_too_few_texts_are_said_in_german(pages: Pages, store: Store, decisions: int) -> None:
    for number in range(3):
        item = add(store, f"Text {number}", coding())
        if number < decisions:
            store.decide(item, decide(coding(), Action.ACCEPT, by="A"), seen=0)
    with speaking("en"):
        given = pages.get("/trainingspaare.zip")
    assert given.status_code == 409 and "zwei verschiedene Texte" in given.text
    assert spoken_in(given.text) == {"de"} and nothing_left(store)
    assert pages.get("/entscheidungen.csv").text.count("\n") == 1 + decisions, (
        "a head without rows is a table"
    )


def test_nobody_else_gets_anything(pages: Pages, decided: Store) -> None:
    pages.name = None
    for address in ("/entscheidungen.csv", "/trainingspaare.zip", "/tabelle?quelle=test"):
        given = pages.get(address)
        assert (given.status_code, given.content) == (401, b"")
    assert nothing_left(decided)


@pytest.mark.parametrize("address", ["/entscheidungen.csv", "/trainingspaare.zip"])
def test_a_full_disk_is_said_and_nothing_is_left(
    pages: Pages,
    decided: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    given = pages.get(address)
    assert given.status_code == 500 and "Datenträger" in given.text and nothing_left(decided)
    assert "Mammakarzinom" not in caplog.text and str(decided.path.parent) not in given.text


def test_a_table_that_is_gone_is_said(pages: Pages, store: Store) -> None:
    given = pages.get("/tabelle?quelle=fehlt.csv")
    assert given.status_code == 404 and "liegt nicht mehr vor" in given.text and nothing_left(store)
