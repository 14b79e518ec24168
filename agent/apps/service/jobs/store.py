"""The jobs as folders of one folder, which outlive the process: a folder each, for its owner only.

    store = JobStore(Path("jobs"), most=20, keep=timedelta(hours=24)); store.open()
    with store.place():
        record = store.add(JobForm(), stream, ".csv")
    store.get(record.job.id)

    jobs/lock                              one service at a time
    jobs/<id>/job.json                     the record
    jobs/<id>/tabelle.csv                  what was sent, until the job is over
    jobs/<id>/kodiert.csv                  the result; beside it, while it is coded, the folder of `code-file`

A job's folder has a name of our own making. Nothing of the file's name that a client sent becomes part of a path but
an ending that we know.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout
from pydantic import ValidationError

from agent.apps.files.formats import ENDINGS, READ_ONLY
from agent.apps.service.batcher import report
from agent.apps.service.jobs.record import Job, JobForm, Record, State
from agent.apps.service.settings import ServiceError
from index.errors import OnkokodeError
from index.io.atomic import new_file, write_whole

_LOG = logging.getLogger("onkokode.service")
_RECORD, _LOCK = "job.json", "lock"
ID_FORM = r"^[0-9a-f]{32}$"


class NoPlaceError(OnkokodeError):
    """As many jobs are held as may be."""


class JobStore:
    """All jobs. Its methods may be called from any thread."""

    def __init__(self, folder: Path, *, most: int, keep: timedelta) -> None:
        # As the messages of `code-file` name it.
        self._folder = folder.resolve()
        self._most = most
        self._keep = keep
        self._jobs: dict[str, Record] = {}
        self._arriving = 0
        self._changed = threading.Condition(threading.RLock())
        self._file_lock = FileLock(self._folder / _LOCK, timeout=0, mode=0o600, thread_local=False)

    def open(self) -> None:
        """Takes the folder, and in what lies there: what was not over waits again. Nothing, where it is open.

        Raises:
            ServiceError: another service has it.
        """
        if self._file_lock.is_locked:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._file_lock.acquire()
        except Timeout:
            raise ServiceError(
                f"{self._folder}: another service keeps its jobs there; name another folder with --jobs"
            ) from None
        self._jobs.clear()
        for path in self._folder.iterdir():
            if re.fullmatch(ID_FORM, path.name) and path.is_dir() and not path.is_symlink():
                self._take_in(path)
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].job.created))

    def close(self) -> None:
        """Gives the folder back; what is not over is begun again by whoever opens it next."""
        self._file_lock.release()

    def _take_in(self, path: Path) -> None:
        try:
            record = Record.model_validate_json((path / _RECORD).read_bytes())
        except (OSError, ValidationError) as error:
            # An upload that a kill cut off; its client has no id.
            _LOG.warning("a job's folder without a whole record is removed (%s)", type(error).__name__)
            shutil.rmtree(path, ignore_errors=True)
            return
        if not record.job.over:
            record.job.state = "queued"
        self._jobs[record.job.id] = record

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the jobs for one that is being sent; what was cancelled makes room.

        Raises:
            NoPlaceError: there is none.
        """
        with self._changed:
            cancelled = [record for record in self._jobs.values() if record.job.state == "cancelled"]
            while len(self._jobs) + self._arriving >= self._most:
                if not cancelled:
                    raise NoPlaceError(f"{self._most} jobs are held")
                self._forget(cancelled.pop(0))
            self._arriving += 1
        try:
            yield
        finally:
            with self._changed:
                self._arriving -= 1

    def add(self, form: JobForm, stream: IO[bytes], ending: str) -> Record:
        """A new job for the table in `stream`; `ending` is that of the name under which it was sent. Raises
        `OSError`."""
        known = ending if ending in ENDINGS | READ_ONLY else ""
        job = Job(id=secrets.token_hex(16), state="queued", created=_now())
        record = Record(form=form, job=job, source=f"tabelle{known}")
        folder = self.folder(record)
        folder.mkdir(mode=0o700)
        try:
            with new_file(folder / record.source, private=True) as half, half.open("wb") as file:
                shutil.copyfileobj(stream, file)
            self._write(record)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._changed:
            self._jobs[job.id] = record
            self._changed.notify_all()
        return record

    def get(self, job_id: str) -> Record | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def count(self, state: State) -> int:
        """How many jobs are in a state."""
        with self._changed:
            return sum(record.job.state == state for record in self._jobs.values())

    def folder(self, record: Record) -> Path:
        """Where a job lies."""
        return self._folder / record.job.id

    def next_queued(self, seconds: float) -> Record | None:
        """The oldest job that waits, now running; None where none comes within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._first_queued() is not None, seconds)
            record = self._first_queued()
            if record is not None:
                record.job.state, record.job.started = "running", record.job.started or _now()
                self.keep(record)
            return record

    def _first_queued(self) -> Record | None:
        return next((record for record in self._jobs.values() if record.job.state == "queued"), None)

    def keep(self, record: Record) -> None:
        """Writes what changed; on a disk that is full the process alone knows it."""
        try:
            self._write(record)
        except OSError as error:
            report("the state of a job is not written", error)

    def finish(self, record: Record, state: State, problem: str | None = None) -> None:
        """A job is over: what was sent is removed, and of one that is not done everything but its record. What was
        cancelled meanwhile stays cancelled."""
        with self._changed:
            if record.job.state != "cancelled":
                record.job.state, record.job.problem, record.job.ended = state, problem, _now()
            result = record.result if record.job.state == "done" else None
            # First: it makes room for the record.
            self._clear(record, {_RECORD, result})
            if record.job.id in self._jobs:
                self.keep(record)

    def drop(self, job_id: str) -> bool:
        """Cancels a job that is not over, and removes its files; forgets one that is. False where there is none."""
        with self._changed:
            record = self._jobs.get(job_id)
            if record is None:
                return False
            if record.job.over:
                self._forget(record)
            else:
                self.finish(record, "cancelled")
            return True

    def expire(self) -> None:
        """Removes what has been over for longer than it is kept."""
        with self._changed:
            for record in list(self._jobs.values()):
                if record.job.ended is not None and _now() - record.job.ended > self._keep:
                    self._forget(record)

    def _forget(self, record: Record) -> None:
        del self._jobs[record.job.id]
        shutil.rmtree(self.folder(record), ignore_errors=True)

    def _clear(self, record: Record, staying: set[str | None]) -> None:
        folder = self.folder(record)
        for path in list(folder.iterdir()) if folder.is_dir() else ():
            if path.name in staying:
                path.chmod(0o600)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        write_whole(self.folder(record) / _RECORD, record.model_dump_json(indent=1), private=True)


def _now() -> datetime:
    return datetime.now(UTC)
