"""The load generator: it counts, it notices wrong answers, and it loads nothing but this machine."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from agent.apps.service.settings import ServiceError
from tests.agent.tiny_agent import embedded_agent
from tests.service import load

TEXTS = ("Mamma-Ca li. oben außen, G2", "Z.n. Prostata-Ca", "Hypertonie")


def references() -> dict[str, dict[str, Any]]:
    return {one.text: load.essence(one.to_dict()) for one in embedded_agent().code_many(TEXTS)}


def run(client: httpx.Client, expected: dict[str, dict[str, Any]]) -> load.Tally:
    port = client.base_url.port
    assert port is not None
    return asyncio.run(load.load("127.0.0.1", port, expected, clients=4, seconds=0.5))


def test_right_answers_are_counted(client: httpx.Client) -> None:
    tally = run(client, references())
    figures = load.summary(tally)
    assert figures["answers"] == tally.statuses["200"] > 0
    assert figures["wrong"] == 0
    assert figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]


def test_a_wrong_answer_is_noticed(client: httpx.Client) -> None:
    expected = references()
    expected[TEXTS[0]]["icd10gm"]["code"] = "C50.2"
    tally = run(client, expected)
    assert 0 < tally.wrong < tally.statuses["200"]


def test_a_service_that_is_not_there_is_no_answer() -> None:
    tally = asyncio.run(load.load("127.0.0.1", 1, references(), clients=1, seconds=0.3))
    assert set(tally.statuses) == {"ConnectionRefusedError"}
    assert load.summary(tally)["p50_ms"] is None


def test_only_rounding_is_forgiven() -> None:
    one = {"code": "C50.4", "confidence": 0.9}
    assert load.same({"code": "C50.4", "confidence": 0.901}, one)
    assert not load.same({"code": "C50.4", "confidence": 0.91}, one)
    assert not load.same({"code": "C50.2", "confidence": 0.9}, one)
    assert not load.same({"code": None, "confidence": 0.9}, one)
    assert not load.same([one], [one, one])


def test_other_machines_are_not_loaded() -> None:
    with pytest.raises(ServiceError, match="this machine"):
        load.main.main(["--url", "http://192.0.2.1:8000"], standalone_mode=False)
