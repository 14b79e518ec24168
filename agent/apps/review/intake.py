"""A table that a person brings to the page: taken in parts, looked at, and its texts coded onto the work list.

    intake = Intake(store, code)
    intake.take(token, "faelle.csv", b"…", at=0)            # the next bytes of an upload
    table = intake.look(token)                              # its columns, and which one may hold the texts
    intake.begin(token, text_column="Diagnose", id_column="Fall")
    intake.progress                                         # how far it is, and what went wrong

The table stays beside the work list, readable by its owner only, so that the decisions can be written into it again and a
reading that was broken off goes on (`resume`). One table is read at a time. What is wrong with one is said in German,
as all of the page is, whatever locale the service was started in.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from agent.apps.files.columns import find_text_column
from agent.apps.files.formats import TABLE_ENDINGS, open_table
from agent.apps.files.table import TableFileError, TableOptions
from agent.apps.review.decision import ReviewError
from agent.apps.review.faults import Fault, StoreError
from agent.apps.review.filling import Codings, fill
from agent.apps.review.sources import UnreadableTexts, read
from agent.apps.review.store import Store
from agent.apps.review.tables import Reading, Source, Tables
from index.errors import OnkokodeError
from index.io.language import speaking
from index.text import writable

LARGEST = 64 << 20
_NOT_WHOLE = "Die Datei kam nicht vollständig an; bitte wählen Sie sie noch einmal."
_TOKEN = re.compile(r"[0-9a-f]{32}")
_NOT_IN_NAMES = re.compile(r"[^\w .()+-]")
_log = logging.getLogger(__name__)


class IntakeError(ReviewError):
    """A table is not taken; the message is for the person who brought it, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A table that was looked at: its columns, and the one that holds the texts where that can be told."""

    token: str
    name: str
    columns: tuple[str, ...]
    text_column: str | None
    rows: int


@dataclass
class Progress:
    """How far a reading is: rows done of all, what became of the texts, and in words why it ended early."""

    name: str = ""
    rows: int = 0
    done: int = 0
    running: bool = False
    failed: str = ""
    counts: Counter[str] = field(default_factory=Counter)


class Intake:
    """Takes tables for one work list. `coded` codes texts, and `changed` is called as the list grows."""

    def __init__(self, store: Store, coded: Codings, changed: Callable[[], None] = lambda: None) -> None:
        self._store, self._coded, self._changed = store, coded, changed
        self.folder = store.path.with_name(store.path.name + ".tables")
        self.tables = Tables(store)
        self.progress = Progress()
        self._one = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, token: str, name: str, part: bytes, at: int) -> int:
        """Adds the next bytes of an upload; returns how many there are now.

        Raises:
            IntakeError: it is too large, no table, out of order, or the disk is full.
        """
        if Path(name).suffix.lower() not in TABLE_ENDINGS:
            raise IntakeError(f"Tabellen haben eine der Endungen {', '.join(sorted(TABLE_ENDINGS))}.")
        if at + len(part) > LARGEST:
            raise IntakeError(f"Die Datei ist größer als {LARGEST >> 20} MB.")
        path = self._path(token, name)
        try:
            for folder in (self.folder, path.parent):  # `parents` would give the outer one another mode
                folder.mkdir(mode=0o700, exist_ok=True)
            # Never a file that is there: a token names one upload.
            flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if at == 0 else 0)
            with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
                if file.seek(0, os.SEEK_END) != at:
                    raise IntakeError(_NOT_WHOLE)
                file.write(part)
                file.flush()
                os.fsync(file.fileno())
        except (FileExistsError, FileNotFoundError):
            raise IntakeError(_NOT_WHOLE) from None
        except OSError as error:
            self._removed(path)
            _log.error("a table could not be kept: %s", error.strerror)
            raise IntakeError(
                "Die Tabelle kann nicht abgelegt werden; der Datenträger ist voll oder nicht beschreibbar."
            ) from error
        return at + len(part)

    @speaking("de")
    def look(self, token: str) -> Brought:
        """What an upload holds. Where it cannot be read, it is removed.

        Raises:
            IntakeError: it is no table that can be read; the message says what would help.
        """
        path = self._there(token)
        try:
            table = open_table(path)
            try:
                found = find_text_column(table)
            except TableFileError:
                found = None
            return Brought(token, path.name, table.columns, found, table.rows)
        except (TableFileError, OSError) as error:
            self._removed(path)
            said = str(error) if isinstance(error, TableFileError) else "Die Datei kann nicht gelesen werden."
            raise IntakeError(said.removeprefix(f"{path}: ")) from None

    @speaking("de")
    def begin(self, token: str, text_column: str, id_column: str | None) -> None:
        """Begins to read a table that was looked at.

        Raises:
            IntakeError: another one is being read, or it has no such column.
        """
        path = self._there(token)
        columns = open_table(path).columns
        if text_column not in columns or (id_column and id_column not in columns):
            raise IntakeError("Diese Spalte hat die Tabelle nicht.")
        self._start(path, None, Reading(text_column, id_column or None, TableOptions(column=text_column)))

    def resume(self, name: str) -> None:
        """Goes on with a table whose reading was broken off. What is on the list already is not coded again."""
        source = self.source(name)
        if source is None:
            raise IntakeError("Diese Tabelle liegt nicht mehr vor.")
        self._start(source.path, source.name, source.reading)

    def source(self, name: str) -> Source | None:
        """A table whose file is there, by its name in the list."""
        return next((one for one in self.sources() if one.name == name), None)

    def sources(self) -> list[Source]:
        """The tables whose files are there, those that were added by command too."""
        return [
            one
            for one in self.tables.all()
            if one.path.suffix.lower() in TABLE_ENDINGS and one.path.is_file()
        ]

    def close(self) -> None:
        """Ends a reading after its batch; it can be resumed."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _start(self, path: Path, name: str | None, reading: Reading) -> None:
        if not self._one.acquire(blocking=False):
            raise IntakeError(
                "Gerade wird schon eine Tabelle eingelesen; bitte warten Sie, bis sie fertig ist."
            )
        self.progress = Progress(name or path.name, running=True)
        self._thread = threading.Thread(
            target=self._read, args=(path, name, reading), name="review-intake", daemon=True
        )
        self._thread.start()

    @speaking("de")
    def _read(self, path: Path, name: str | None, reading: Reading) -> None:
        progress = self.progress
        try:
            progress.rows = open_table(path, reading.options).rows
            rows = read(
                path, text_column=reading.text_column, id_column=reading.id_column, options=reading.options
            )
            if name is None:
                first = next(rows, None)
                rows = chain([first] if first else [], rows)
                name = self.tables.name_of(path, (first.reference, first.text) if first else None)
                progress.name = name
            self.tables.remember(name, reading)

            def advance(done: int) -> None:
                progress.done += done
                self._changed()
                if self._stopping.is_set():
                    raise IntakeError("Der Dienst wurde beendet; lesen Sie die Tabelle danach weiter ein.")

            fill(self._store, rows, name, self._coded, progress.counts, advance)
        except Exception as error:
            progress.failed = _why(error, path)
            _log.error("a table was not read to its end: %s", type(error).__name__)
        finally:
            progress.running = False
            self._one.release()
            self._changed()

    def _path(self, token: str, name: str) -> Path:
        """Where an upload lies: in a folder of its own, so that its name stays as the person knows it."""
        if not _TOKEN.fullmatch(token):
            raise IntakeError(_NOT_WHOLE)
        plain = _NOT_IN_NAMES.sub("_", writable(name).replace("\\", "/").rpartition("/")[2]).strip(". ")
        return self.folder / token / (plain[-120:] or "tabelle.csv")

    def _removed(self, path: Path) -> None:
        """What cannot be used is not kept: it holds patients' texts."""
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()

    def _there(self, token: str) -> Path:
        folder = self._path(token, "x").parent
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        if len(found) != 1:
            raise IntakeError(_NOT_WHOLE)
        return found[0]


def _why(error: Exception, path: Path) -> str:
    """Why a reading ended early, for people; an error that may repeat a text is named by its kind alone."""
    if isinstance(error, StoreError):
        full = error.fault is Fault.FULL
        return "Der Datenträger ist voll." if full else "Die Arbeitsliste kann nicht beschrieben werden."
    if isinstance(error, IntakeError | UnreadableTexts | TableFileError):
        return str(error).removeprefix(f"{path}: ")
    if isinstance(error, OnkokodeError | OSError):
        return "Die Tabelle kann gerade nicht kodiert werden; lesen Sie sie später weiter ein."
    return "Beim Einlesen ist ein Fehler aufgetreten."
