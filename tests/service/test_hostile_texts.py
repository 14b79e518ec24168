"""Texts that hang a pattern, sent beside others: health answers at once, all others are coded, the end is clean."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from agent.prepare import worker
from agent.prepare.worker import Reader
from tests.service.load import Connection
from tests.service.running import service, wait_ready

# Took 5.4 s to prepare, and twice as long with each further category.
HOSTILE = "Mammakarzinom pT1" + "M0a" * 40 + "_"
EXAMPLES = Path(__file__).parents[2] / "examples" / "texts.txt"
_HANGS = """
import agent.prepare.pipeline, agent.prepare.worker, re
read = agent.prepare.pipeline.prepare
def prepare(text):
    if "_" in text: re.match("(a|a)*b", "a" * 100)
    return read(text)
agent.prepare.pipeline.prepare = prepare
agent.prepare.worker.main({seconds})
"""


async def _siege(
    port: int, clients: int, hostile: int, texts: int
) -> tuple[list[float], list[int], list[int]]:
    """Health's seconds, the statuses of ordinary texts, and those of hostile ones, all sent at once."""
    ordinary = [line for line in EXAMPLES.read_text(encoding="utf-8").splitlines() if line.strip()]

    async def post(text: str) -> int:
        connection = Connection("127.0.0.1", port, None)
        try:
            status, _, body = await connection.post("/v1/code", json.dumps({"text": text}).encode())
        finally:
            connection.close()
        assert status != 200 or json.loads(body)["icd10gm"] is not None
        return status

    async def client(number: int) -> list[int]:
        return [await post(ordinary[(number + turn) % len(ordinary)]) for turn in range(texts)]

    health: list[float] = []

    async def watch() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as watcher:
            while True:
                began = time.perf_counter()
                assert (await watcher.get("/health/live")).status_code == 200
                health.append(time.perf_counter() - began)
                await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(
        *(client(number) for number in range(clients)), *(post(HOSTILE) for _ in range(hostile))
    )
    watching.cancel()
    flat = [status for statuses in answers[:clients] for status in statuses]  # type: ignore[union-attr]
    return health, flat, list(answers[clients:])  # type: ignore[arg-type]


def test_hanging_texts_get_their_reason_while_others_are_coded(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(0.3, _HANGS)
    monkeypatch.setattr(worker, "read", reader.read)
    with service() as client:
        wait_ready(client)
        health, ordinary, hostile = asyncio.run(_siege(client.base_url.port or 0, 16, 4, 2))
        assert set(ordinary) == {200} and set(hostile) == {200}
        assert client.post("/v1/code", json={"text": HOSTILE}).json()["problem"]
    reader.close()
    # The clients run in this process as well, and the machine may be busy.
    assert len(health) > 5 and sorted(health)[len(health) // 2] < 0.2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_forty_hostile_texts_beside_64_clients(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from agent.apps.cli import main; main()", "serve", "--port", "0"]
    log = tmp_path / "service.log"
    with log.open("w") as sink:
        process = subprocess.Popen(command, stderr=sink, env=os.environ | {"ONKOKODE_HOME": str(tmp_path)})
    try:
        port = _port(log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_ready(client)
        health, ordinary, hostile = asyncio.run(_siege(port, 64, 40, 5))
        print(
            f"health: {len(health)} times, most {max(health) * 1000:.0f} ms; {len(ordinary)} ordinary texts"
        )
        assert set(ordinary) == {200} and set(hostile) == {200}
        assert max(health) < 0.2
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0 and time.monotonic() - began < 5
    finally:
        process.kill()
    assert "pT1M0a" not in log.read_text()


def _port(log: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError(log.read_text())
