"""A run: one variant on one test set, kept as a folder that can be scored again without any model.

    OUT/<test set>/<variant>/
        run.json       variant, test set (name, rows, sha256), models, editions, hashes, versions, hardware, prompts
        rows.jsonl     one `AnsweredRow` per row, in the order of the test set
        cost.jsonl     one `Cost` per chunk of rows

    folder = RunFolder(Path("runs/ablation/devsets/combined"))
    run, rows = folder.run(), folder.rows()

    writer = RunWriter(Path("runs/ablation/devsets/base"), chunk=64)
    done = writer.resume(record)               # rows that an earlier run of the same record left whole
    if done == 0:
        writer.start(record)
    writer.append(rows, cost)                  # on the disk when it returns, so that a kill loses one chunk
    writer.finish()

No file holds a diagnosis text: a report that shows texts reads them from the test set itself. `rows.jsonl` holds
nothing that differs between two runs of the same models on the same machine, so that a run that was killed and
went on can be compared with one that was not, byte by byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from index.errors import OnkokodeError
from index.io.atomic import write_whole
from index.records import CodeSystem
from training.runs import write_json

FORMAT = 2
# What has to be the same for a run to go on.
_SAME = ("format", "chunk", "variant", "testset", "models", "weights", "catalogue", "prompts", "packages")


class RunError(OnkokodeError):
    """A run folder that cannot be used; the message names the folder and the remedy."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a variant answered on one axis.

    `code` is its first choice, None where it gave none (*malformed*, where it had to write one). `committed`
    is false where it abstains; `reason` says why, as a key and not as a sentence with words of the text.
    `confidence` belongs to the first choice; None for a variant that has none. `top` ranks up to ten codes.
    `recalled` are the lengths k, of those asked for, at which a list of k candidates holds the given code.
    """

    code: str | None
    committed: bool = True
    confidence: float | None = None
    top: tuple[str, ...] = ()
    reason: str | None = None
    recalled: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """One row of a test set with its codes and the variant's answers; axes without a given code are left out.

    `row` is `file:number`, `notes` are the set's own remarks on the row (`doubtful`, `in_alpha_id`, ...) and
    `seen` or `unseen`: whether the text is a catalogue term that training may have read. `cluster` names the
    near-duplicates. `tumour` is (given, said), None where the set or the variant does not say. `missed` are the
    expectations of a trap that the answer does not meet, None for a row that is no trap.
    """

    row: str
    gold: Mapping[CodeSystem, str]
    answers: Mapping[CodeSystem, Answer]
    notes: tuple[str, ...] = ()
    cluster: str = ""
    tumour: tuple[bool | None, bool | None] = (None, None)
    missed: tuple[str, ...] | None = None

    def to_json(self) -> str:
        """One line, always the same for the same answers."""
        return json.dumps(_ANSWERED_ROW.dump_python(self, mode="json"), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> AnsweredRow:
        """Raises `ValueError` for a line of another form."""
        return _ANSWERED_ROW.validate_json(line)


_ANSWERED_ROW = TypeAdapter(AnsweredRow)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a chunk of rows cost: wall-clock seconds, tokens that a language model read and wrote, and the
    process' highest memory until then in MB. `questions` counts what was asked: rows times axes."""

    rows: int
    questions: int
    seconds: float
    tokens: int
    peak_mb: float


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, read."""

    path: Path

    def run(self) -> dict[str, Any]:
        """`run.json`. Raises `RunError` where there is none, or of another format."""
        try:
            run: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise RunError(f"{self.path}: holds no run; make one with `onkokode eval run`") from None
        if run.get("format") != FORMAT:
            raise RunError(f"{self.path}: format {run.get('format')} instead of {FORMAT}; run it again")
        return run

    def rows(self) -> tuple[AnsweredRow, ...]:
        """All answered rows. Raises `RunError` naming the line that cannot be read."""
        found = []
        for number, line in enumerate(self._lines("rows.jsonl"), start=1):
            try:
                found.append(AnsweredRow.from_json(line))
            except ValueError:
                raise RunError(f"{self.path / 'rows.jsonl'}, line {number}: is no answered row") from None
        return tuple(found)

    def costs(self) -> tuple[Cost, ...]:
        """The costs, chunk by chunk."""
        return tuple(Cost(**json.loads(line)) for line in self._lines("cost.jsonl"))

    def _lines(self, name: str) -> list[str]:
        path = self.path / name
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


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
        # In this order: a cost says that its rows are whole.
        added = {"rows.jsonl": [row.to_json() for row in rows], "cost.jsonl": [json.dumps(asdict(cost))]}
        for name, lines in added.items():
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
