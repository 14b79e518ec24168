"""`onkokode serve --jobs` as a process: killed in the middle of a table, it goes on to the bytes of `code-file`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.files import code_file
from agent.apps.files.table import CHUNK_ROWS
from tests.agent.tiny_agent import embedded_agent
from tests.service.running import wait_for, wait_ready

KEY = "a-key-for-this-test-only"
WORD = "Zxqvorm7k"


@contextmanager
def _served(folder: Path, ends: signal.Signals) -> Iterator[httpx.Client]:
    """A client of a process that the signal ends. What it says goes to log.txt."""
    log = folder / "log.txt"
    begun = log.stat().st_size if log.exists() else 0
    environment = {**os.environ, "ONKOKODE_HOME": str(folder), "ONKOKODE_API_KEY": KEY}
    with log.open("a") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "serve", "--port", "0", "--jobs", str(folder / "jobs")],
            stdout=said,
            stderr=said,
            env=environment,
        )
    try:
        wait_for(lambda: "listening on" in log.read_text()[begun:] or process.poll() is not None, 90)
        url = re.search(r"http://127\.0\.0\.1:\d+", log.read_text()[begun:])
        assert url is not None, log.read_text()
        with httpx.Client(base_url=url[0], timeout=60, headers={"X-API-Key": KEY}, trust_env=False) as client:
            wait_ready(client)
            yield client
    finally:
        process.send_signal(ends)
        code = process.wait(90)
    assert code == (0 if ends is signal.SIGTERM else -ends)


def test_killed_and_started_again_the_result_is_that_of_an_unbroken_run(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    # Few texts, each many times: a chunk takes a second.
    many = (
        f"{row};{WORD} Mammakarzinom links G{row % 3}{row // CHUNK_ROWS}" for row in range(4 * CHUNK_ROWS)
    )
    source.write_text("Nr;Diagnose\n" + "\n".join(many) + "\n", encoding="utf-8")
    code_file(embedded_agent(), source, target)
    with _served(tmp_path, signal.SIGKILL) as client:
        assert client.post("/v1/jobs", headers={"X-API-Key": "wrong"}).status_code == 401
        job = client.post("/v1/jobs", files={"file": ("in.csv", source.read_bytes())}).json()["id"]
        work = tmp_path / "jobs" / job / "kodiert.csv.onkokode"
        wait_for(lambda: len(list(work.glob("*.jsonl"))) >= 1, every=0.001)
    assert not (tmp_path / "jobs" / job / "kodiert.csv").exists()
    for path in (tmp_path / "jobs").rglob("*"):
        # No text but in the table itself; nobody else may read it.
        assert not path.is_file() or path.name == "tabelle.csv" or WORD.encode() not in path.read_bytes()
        assert not path.stat().st_mode & 0o077
    with _served(tmp_path, signal.SIGTERM) as client:
        wait_for(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "done", 90, every=0.05)
        assert client.get(f"/v1/jobs/{job}/result").content == target.read_bytes()
        metrics = client.get("/metrics").text
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["lock"]
    said = (tmp_path / "log.txt").read_text() + metrics
    assert "POST /v1/jobs 202" in said and "GET /v1/jobs/{job} 200" in said and 'state="done"} 1.0' in said
    assert WORD not in said and job not in said and KEY not in said and "Traceback" not in said


def test_a_folder_that_cannot_be_used_ends_with_one_line_and_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(cli, ["serve", "--jobs", str(tmp_path / "file")])
    assert done.exit_code == 2
    assert "not a folder" in done.stderr and done.stderr.count("\n") == 1, done.stderr
