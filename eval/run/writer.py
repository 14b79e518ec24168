"""Writing a run chunk by chunk, so that a kill at any moment loses no more than the chunk that was being answered.

    writer = RunWriter(Path("runs/ablation/devsets/base"), chunk=64)
    done = writer.resume(record)               # rows that an earlier run of the same record left whole
    if done == 0:
        writer.start(record)
    writer.append(rows, cost)                  # on the disk when it returns
    writer.finish()

What the files hold stands in `eval.run.folder`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.run.folder import AnsweredRow, Cost, RunError, RunFolder
from index.io.atomic import write_whole
from training.runs import write_json

# What has to be the same for a run to go on.
_SAME = ("format", "chunk", "variant", "testset", "models", "weights", "catalogue", "prompts", "packages")


@dataclass(frozen=True)
class RunWriter:
    """The folder of a run, written chunk by chunk: first the answers, then the cost that says they are whole."""

    path: Path
    chunk: int

    @property
    def answered(self) -> bool:
        """Whether the folder holds answers."""
        rows = self.path / "rows.jsonl"
        return rows.is_file() and rows.stat().st_size > 0

    def start(self, record: dict[str, Any]) -> None:
        """An empty run. The rows go first: a kill in between must not leave old rows under a new record."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in ("rows.jsonl", "cost.jsonl"):
            (self.path / name).unlink(missing_ok=True)
        write_json(self.path / "run.json", record)

    def resume(self, record: dict[str, Any]) -> int:
        """How many rows are done, in whole chunks; what follows them is cut off. Raises `RunError` where the
        folder holds another run."""
        if not self.answered:
            return 0
        known, wanted = RunFolder(self.path).run(), json.loads(json.dumps(record))
        if other := [name for name in _SAME if known.get(name) != wanted.get(name)]:
            raise RunError(
                f"{self.path}: holds a run of another {', '.join(other)}; use --restart to throw it away, "
                "or another --out"
            )
        rows, costs = (_whole_lines(self.path / name) for name in ("rows.jsonl", "cost.jsonl"))
        n = wanted["testset"]["n"]
        chunks = -(-n // self.chunk)
        while chunks and (chunks > len(costs) or min(n, chunks * self.chunk) > len(rows)):
            chunks -= 1
        done = min(n, chunks * self.chunk)
        _cut(self.path / "rows.jsonl", rows[:done])
        _cut(self.path / "cost.jsonl", costs[:chunks])
        if known.get("finished") != (done == n):
            write_json(self.path / "run.json", known | {"finished": done == n})
        return done

    def append(self, rows: Sequence[AnsweredRow], cost: Cost) -> None:
        """A chunk, on the disk when this returns."""
        for name, lines in (
            ("rows.jsonl", [row.to_json() for row in rows]),
            ("cost.jsonl", [json.dumps(asdict(cost))]),
        ):
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())

    def finish(self) -> None:
        """Say that all rows are there."""
        write_json(self.path / "run.json", RunFolder(self.path).run() | {"finished": True})


def _whole_lines(path: Path) -> list[bytes]:
    """The lines up to the first that a kill or a crash left unfinished."""
    found = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.is_file() else []:
        try:
            json.loads(line)
        except ValueError:
            break
        found.append(line)
    return found


def _cut(path: Path, lines: Sequence[bytes]) -> None:
    kept = b"".join(line + b"\n" for line in lines)
    if path.is_file() and path.stat().st_size != len(kept):
        write_whole(path, kept)
