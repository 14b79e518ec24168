"""Ray: the local engine's answers, and none lost where a worker dies."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.apps.files import code_file
from agent.apps.files.table import CHUNK_ROWS
from tests.agent.tiny_agent import embedded_agent
from tests.conftest import ROOT

if importlib.util.find_spec("ray") is None:  # not imported: it must not be before the engine imports it
    pytest.skip("no Ray here", allow_module_level=True)


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
    from agent.apps.files.ray_engine import RayEngine

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


_RUN = """
import sys, threading, time
from pathlib import Path
import psutil
from agent.apps.files import code_file
from agent.apps.files.ray_engine import RayEngine
from tests.agent.tiny_agent import embedded_agent

heard, seen = set(), set()
def watch():
    me = psutil.Process()
    while not done.is_set():
        for process in (me, *me.children(recursive=True)):
            try:
                seen.add(process.name())
                heard.update(c.laddr.ip for c in process.net_connections("inet") if c.status == "LISTEN")
            except psutil.Error:
                pass
        time.sleep(0.2)
done = threading.Event()
thread = threading.Thread(target=watch, daemon=True)
thread.start()
if sys.argv[3] == "imported":
    import ray
code_file(embedded_agent(), Path(sys.argv[1]), Path(sys.argv[2]), engine=RayEngine({}, workers=1))
done.set()
thread.join()
print(sorted(heard), sorted(seen))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ray_on_one_machine_listens_to_that_machine_only(tmp_path: Path) -> None:
    """Also where the environment names a cluster; and nothing of it stays behind."""
    source = tmp_path / "in.csv"
    source.write_text("Nr;Diagnose\n" + "1;Mamma-Ca links\n" * 50, encoding="utf-8")
    before = set(Path("/tmp").glob("onkokode-ray-*"))
    environment = os.environ | {"RAY_ADDRESS": "192.0.2.1:6379", "RAY_USAGE_STATS_ENABLED": "1"}
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True)
    done = run([sys.executable, "-c", _RUN, str(source), str(tmp_path / "out.csv"), "first"])
    assert done.returncode == 0, done.stderr[-2000:]
    heard, seen = done.stdout.splitlines()[-1].split("] [")
    assert "raylet" in seen and "gcs_server" in seen
    listening = {ip_address(address.removeprefix("::ffff:")) for address in re.findall(r"'([^']+)'", heard)}
    assert listening and all(address.is_loopback for address in listening), listening
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").count("\n1;Mamma-Ca links;") == 50
    # Ray that was imported before cannot be told; it is refused, and codes nothing.
    done = run([sys.executable, "-c", _RUN, str(source), str(tmp_path / "no.csv"), "imported"])
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in done.stderr and not (tmp_path / "no.csv").exists()
    assert set(Path("/tmp").glob("onkokode-ray-*")) == before
