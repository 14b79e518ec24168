"""Ray: the local engine's answers, and none lost where a worker dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from agent.files import code_file
from agent.files.table import CHUNK_ROWS
from tests.agent.tiny_agent import embedded_agent

pytest.importorskip("ray")


def _workers() -> list[int]:
    import psutil

    return [
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if "MapBatches(_Coder)" in " ".join(p.info["cmdline"] or ())
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    from agent.files.ray_engine import RayEngine

    source = tmp_path / "in.csv"
    sites = ("Mamma", "Prostata", "Kolon", "Magen", "Harnblase")
    many = [f"{i};Karzinom {sites[i % 5]}, Fall {i}" for i in range(6 * CHUNK_ROWS + 10)]
    source.write_text("Nr;Diagnose\n" + "\n".join(many) + "\n", encoding="utf-8")
    code_file(embedded_agent(), source, tmp_path / "local.csv")

    target, killed = tmp_path / "ray.csv", []
    work = tmp_path / "ray.csv.onkokode"

    def kill_one() -> None:
        while not list(work.glob("*.jsonl")):
            time.sleep(0.05)
        killed.append(_workers()[0])
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_one)
    thread.start()
    code_file(embedded_agent(), source, target, engine=RayEngine({}, workers=2))
    thread.join()
    assert len(killed) == 1
    assert target.read_bytes() == (tmp_path / "local.csv").read_bytes()
