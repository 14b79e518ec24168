"""The folder beside an output while a run lasts: what is being coded with what, and the codes of each chunk.

    with WorkFolder(target, restart=False) as work:      # one run at a time
        work.must_be_of({"column": 3, ...})
        work.keep(0, digest, answers); work.answers(0, digest)

It holds no text: codes, and digests of chunks under a salt of the run. It is there for its owner only, and a lock of
the operating system, which ends with the process, keeps two runs apart.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agent.apps.files.answer import COLUMNS
from agent.apps.files.table import TableFileError
from index.io.atomic import write_whole
from index.io.language import say

Answers = list[list[Any]]

_LOCK = "lock"


class UnfinishedRunError(TableFileError):
    """What an earlier run left cannot be gone on with: it is another run's, or damaged. `restart` forgets it."""


class WorkFolder:
    """`OUT.onkokode`. `salt` is the run's, kept over restarts of the program.

    Raises:
        TableFileError: another run is at work on the same output.
        UnfinishedRunError: the folder is damaged.
    """

    def __init__(self, target: Path, *, restart: bool) -> None:
        self.path = target.with_name(target.name + ".onkokode")
        self._record = self.path / "run.json"
        self._restart = restart
        self._known: dict[str, Any] | None = None
        self.salt = b""

    def __enter__(self) -> WorkFolder:
        if self.path.exists() and not self.path.is_dir():
            raise TableFileError(say("work-in-the-way", path=self.path))
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._lock = FileLock(self.path / _LOCK, timeout=0, mode=0o600)
        try:
            self._lock.acquire()
        except (Timeout, FileNotFoundError):  # the folder may just have been removed by the run that ends
            raise TableFileError(say("work-busy", path=self.path)) from None
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._record.exists():  # nothing was begun that one could go on with
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def _begin(self) -> None:
        if self._restart:
            for path in self.path.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != _LOCK:
                    path.unlink()
        try:
            if self._record.exists():
                self._known = json.loads(self._record.read_text(encoding="utf-8"))
                self.salt = bytes.fromhex(self._known["salt"])  # type: ignore[index]  # what is wrong raises
                if len(self.salt) != 32:
                    raise ValueError("no salt")
                return
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise UnfinishedRunError(say("work-damaged", path=self._record)) from None
        self.salt = secrets.token_bytes(32)

    def must_be_of(self, facts: dict[str, Any]) -> None:
        """Record what the run is, or find that the folder is the same run's."""
        facts = json.loads(json.dumps(facts | {"salt": self.salt.hex()}, default=str))
        if self._known is None:
            write_whole(self._record, json.dumps(facts, ensure_ascii=False, indent=1), private=True)
            return
        differing = sorted(name for name in facts if self._known.get(name) != facts[name])
        if differing:
            raise UnfinishedRunError(say("work-other-run", path=self.path, facts=", ".join(differing)))

    def keep(self, number: int, digest: str, answers: Answers) -> None:
        """Write the answers of a chunk, whole or not at all, with the digest of the rows that they belong to."""
        lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in (digest, *answers))
        write_whole(self._part(number), "".join(lines), private=True)

    def answers(self, number: int, digest: str) -> Answers | None:
        """The answers to a chunk; None where there are none, none that are whole, or those to other rows."""
        try:
            known, *answers = map(json.loads, self._part(number).read_text("utf-8").splitlines())
        except (OSError, ValueError):
            return None
        whole = all(isinstance(answer, list) and len(answer) == len(COLUMNS) for answer in answers)
        return answers if whole and known == digest else None

    def remove(self) -> None:
        """Remove the folder: the output is complete."""
        shutil.rmtree(self.path)

    def _part(self, number: int) -> Path:
        return self.path / f"{number:08d}.jsonl"
