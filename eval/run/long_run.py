"""A large file through `onkokode code-file`: rows per second, memory, and two kills.

    python -m eval.run.long_run runs/100k/texts.parquet --out runs/100k

One process codes the file unbroken; a second one, beside it, is killed (SIGKILL) after a third and after two
thirds of its chunks and started again. Both outputs must be equal byte by byte. Memory is the resident set
of the process, read once a second. `long-run.json` beside the runs of `onkokode eval figures` gets onto their page.
"""

from __future__ import annotations

import filecmp
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from agent.apps.files.formats import open_table
from agent.apps.files.table import CHUNK_ROWS
from eval.report.section import Reading, Section, Share, show_and_write
from eval.run.environment import memory_bytes


class _Coding:
    """A `code-file` process whose memory is watched."""

    def __init__(self, source: Path, target: Path) -> None:
        self.work = target.with_name(target.name + ".onkokode")
        self.memory: list[int] = []
        self.started = time.monotonic()
        command = [sys.executable, "-m", "agent", "code-file", str(source), str(target), "--column", "text"]
        # A thread each: the two processes share the machine's cores.
        self.process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})

    def watch(self, kill_after: int | None = None) -> None:
        """Until the end, or until so many chunks are there and the process is killed."""
        while self.process.poll() is None:
            self.memory.append((memory_bytes("VmRSS", self.process.pid) or 0) >> 20)
            chunks = len(list(self.work.glob("*.jsonl")))
            if kill_after is not None and chunks >= kill_after:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                return
            time.sleep(1)


def _killed_twice(source: Path, target: Path, chunks: int) -> None:
    for share in (1 / 3, 2 / 3):
        _Coding(source, target).watch(kill_after=int(chunks * share))
    _Coding(source, target).watch()


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for outputs and the figures."
)
def long_run(source: Path, out: Path) -> None:
    """Code a file unbroken and with two kills, and print the figures."""
    out.mkdir(parents=True, exist_ok=True)
    whole, broken = (out / f"{name}{source.suffix}" for name in ("whole", "broken"))
    for path in (whole, broken):
        path.unlink(missing_ok=True)
    rows = open_table(source).rows
    killed = threading.Thread(target=_killed_twice, args=(source, broken, -(-rows // CHUNK_ROWS)))
    killed.start()
    unbroken = _Coding(source, whole)
    unbroken.watch()
    seconds = time.monotonic() - unbroken.started
    killed.join()
    section = Section(
        "long-run", "A large file, killed twice", f"python -m eval.run.long_run {source} --out {out}"
    )
    peak = max(unbroken.memory)
    section.readings += [
        Reading("code-file: rows per second", rows / seconds, "rows/s", 1, rows / seconds, rows / seconds),
        Reading("code-file: peak memory", peak, "MB", 1, peak, peak, asked=2500),
    ]
    same = filecmp.cmp(whole, broken, shallow=False)
    section.shares.append(Share.of("killed twice and resumed, the same bytes", [same], asked=1.0))
    # The first tenth holds the loading of the models.
    tenth = max(1, len(unbroken.memory) // 10)
    by_tenth = [max(unbroken.memory[i * tenth : (i + 1) * tenth] or [0]) for i in range(10)]
    section.details |= {"rows": rows, "seconds": round(seconds), "memory_mb_by_tenth": by_tenth}
    show_and_write(section, out)


if __name__ == "__main__":
    long_run()
