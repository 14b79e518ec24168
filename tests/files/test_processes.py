"""`code-file` on several processes: the bytes of one process, also when it was killed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.apps.files.process_engine import ProcessEngine
from agent.apps.files.run import code_file
from agent.apps.files.table import CHUNK_ROWS
from tests.agent.tiny_agent import embedded_agent

TEXTS = ("Mamma-Ca links", "Prostata-Ca Gleason 7", "", "arterielle Hypertonie", "V.a. Rektum-Ca")


def table(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write("Nr;Diagnose;Geheim\n")
        file.writelines(f"{n};{TEXTS[n % len(TEXTS)]};x{n}\n" for n in range(rows))
    return path


def test_the_bytes_are_those_of_one_process(tmp_path: Path) -> None:
    source = table(tmp_path / "in.csv", 2 * CHUNK_ROWS + 7)
    agent = embedded_agent()
    code_file(agent, source, tmp_path / "one.csv")
    run = code_file(agent, source, tmp_path / "two.csv", engine=ProcessEngine(agent, {}, workers=2))
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert run.rows == 2 * CHUNK_ROWS + 7


@pytest.mark.parametrize(
    ("options", "chunks", "processes"),
    [({}, 1, 0), ({}, 10_000, None), ({"model": "8b"}, 10_000, 1), ({"server": "http://x"}, 10_000, 1)],
)
def test_how_many_processes_a_table_is_worth(
    options: dict[str, str], chunks: int, processes: int | None
) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    engine = ProcessEngine(embedded_agent(), options)
    assert engine._worth(chunks) == (cores if processes is None else processes)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    source = table(tmp_path / "in.csv", 40 * CHUNK_ROWS)
    target, folder = tmp_path / "out.csv", tmp_path / "out.csv.onkokode"
    command = [sys.executable, "-m", "agent", "code-file", str(source), str(target), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as running:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("*"))) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
    assert folder.is_dir() and not target.exists()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert json.dumps(done.stderr)
    code_file(embedded_agent(), source, tmp_path / "one.csv")
    assert target.read_bytes() == (tmp_path / "one.csv").read_bytes()
