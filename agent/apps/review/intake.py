"""Tables and documents that a person brings to the page, and how their texts are coded onto the work list.

    intake = Intake(store, coded, changed, documents)
    intake.uploads.take(token, "faelle.csv", b"…", at=0)    # the next bytes of an upload
    table = intake.look(TableForm(token))                   # how it is read, its columns, and what is to be chosen
    intake.begin(TableForm(token, text="Diagnose", reference="Fall"))
    intake.begin_documents([token, …])
    intake.progress                                         # how far it is, and what went wrong

A table stays beside the work list, readable by its owner only, so that the decisions can be written into it again and a
reading that was broken off goes on (`resume`); documents that are not on the list yet wait there (`resume_documents`).
One reading runs at a time. What is wrong with a file is said in German, as all of the page is, whatever locale the
service was started in.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from agent.apps.documents.formats import SourceError
from agent.apps.files.formats import TABLE_ENDINGS, open_table
from agent.apps.files.table import TableFileError
from agent.apps.review.brought import Brought, TableForm, look
from agent.apps.review.faults import Fault, StoreError
from agent.apps.review.filling import Codings, fill
from agent.apps.review.sources import TextRow, UnreadableTexts, read, read_documents
from agent.apps.review.store import Store
from agent.apps.review.tables import Reading, Source, Tables
from agent.apps.review.uploads import Inbox, IntakeError, Uploads, is_document
from index.errors import OnkokodeError
from index.io.failures import MissingPackage
from index.io.language import speaking

_STOPPED = "Der Dienst wurde beendet; lesen Sie danach weiter ein."
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a reading is: rows of a table, or documents, that are done of all, what became of the texts, which documents
    could not be read, and in words why it ended early."""

    name: str = ""
    unit: str = "Zeilen"
    rows: int = 0
    done: int = 0
    running: bool = False
    failed: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)


class Intake:
    """Takes tables and documents for one work list. `coded` codes texts, `documents` whole documents, and `changed` is
    called as the list grows."""

    def __init__(
        self,
        store: Store,
        coded: Codings,
        changed: Callable[[], None] = lambda: None,
        documents: Codings | None = None,
    ) -> None:
        self._store, self._coded, self._changed = store, coded, changed
        self._documents = documents or coded
        self.uploads = Uploads(store.path.with_name(store.path.name + ".tables"))
        self.inbox = Inbox(store.path.with_name(store.path.name + ".documents"))
        self.tables = Tables(store)
        self.progress = Progress()
        self._one = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @speaking("de")
    def look(self, form: TableForm) -> Brought:
        """What an upload holds. A table that cannot be read is removed.

        Raises:
            IntakeError: it is no table that can be read; the message says what would help.
        """
        path = self.uploads.file(form.token)
        if is_document(path):
            raise IntakeError("Das ist keine Tabelle; lesen Sie die Datei als Dokument ein.")
        try:
            return look(path, form)
        except (TableFileError, OSError) as error:
            self.uploads.drop(path)
            said = str(error) if isinstance(error, TableFileError) else "Die Datei kann nicht gelesen werden."
            raise IntakeError(said.removeprefix(f"{path}: ")) from None

    @speaking("de")
    def begin(self, form: TableForm) -> None:
        """Begins to read a table that was looked at.

        Raises:
            IntakeError: another reading runs, something is to be chosen first, or it has no such column.
        """
        brought = self.look(form)
        if brought.question:
            raise IntakeError(brought.question)
        if form.text not in brought.columns or (form.reference and form.reference not in brought.columns):
            raise IntakeError("Diese Spalte hat die Tabelle nicht.")
        path = self.uploads.file(form.token)
        self._start(Progress(path.name), lambda: self._read_table(path, None, form.reading))

    def begin_documents(self, tokens: Iterable[str]) -> None:
        """Begins to read documents that were brought, each of them in an upload of its own.

        Raises:
            IntakeError: another reading runs, or an upload is none of a document.
        """
        paths = [self.uploads.file(token) for token in dict.fromkeys(tokens)]
        if not paths or not all(map(is_document, paths)):
            raise IntakeError("Das sind keine Dokumente; Tabellen lesen Sie einzeln ein.")

        def kept() -> None:
            for path in paths:
                self.inbox.keep(path)

        try:
            self._start(Progress(unit="Dokumente"), self._read_documents, kept)
        except IntakeError:
            for path in paths:
                self.uploads.drop(path)
            raise

    def resume(self, name: str) -> None:
        """Goes on with a table whose reading was broken off. What is on the list already is not coded again."""
        source = self.source(name)
        if source is None:
            raise IntakeError("Diese Tabelle liegt nicht mehr vor.")
        self._start(Progress(source.name), lambda: self._read_table(source.path, source.name, source.reading))

    def resume_documents(self) -> None:
        """Goes on with the documents that are not on the list yet."""
        self._start(Progress(unit="Dokumente"), self._read_documents)

    def discard_documents(self) -> None:
        """Removes the documents that are not on the list yet. Raises `IntakeError` while they are read."""
        if not self._one.acquire(blocking=False):
            raise IntakeError("Gerade wird eingelesen; bitte warten Sie, bis das fertig ist.")
        try:
            for path in self.inbox.waiting():
                self.inbox.drop(path)
        finally:
            self._one.release()

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

    def _start(
        self, progress: Progress, work: Callable[[], None], before: Callable[[], None] = lambda: None
    ) -> None:
        """Does the work in a thread, where no other runs; `before` is done at once."""
        if not self._one.acquire(blocking=False):
            raise IntakeError("Gerade wird schon eingelesen; bitte warten Sie, bis das fertig ist.")
        try:
            before()
        except BaseException:
            self._one.release()
            raise
        progress.running = True
        self.progress = progress
        self._thread = threading.Thread(target=self._run, args=(work,), name="review-intake", daemon=True)
        self._thread.start()

    @speaking("de")
    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.progress.failed = _why(error)
            _log.error("a reading was not finished: %s", type(error).__name__)
        finally:
            self.progress.running = False
            self._one.release()
            self._changed()

    def _read_table(self, path: Path, name: str | None, reading: Reading) -> None:
        progress, column, own = self.progress, reading.text_column, reading.id_column
        try:
            progress.rows = open_table(path, reading.options).rows
            rows = (
                read_documents(path, column, reading.options, own)
                if reading.document
                else read(path, text_column=column, id_column=own, options=reading.options)
            )
            if name is None:
                name, rows = self._named(path, rows)
                progress.name = name
            self.tables.remember(name, reading)
            coded = self._documents if reading.document else self._coded
            fill(self._store, rows, name, coded, progress.counts, self._advance)
        except (UnreadableTexts, TableFileError) as error:
            raise IntakeError(str(error).removeprefix(f"{path}: ")) from error

    def _read_documents(self) -> None:
        """Reads what waits, one after the other; what cannot be read is named and stops no other."""
        progress, waiting = self.progress, self.inbox.waiting()
        progress.rows = len(waiting)
        for path in waiting:
            progress.name = path.name
            try:
                name, rows = self._named(path, read_documents(path))
                fill(self._store, rows, name, self._documents, progress.counts)
                self.inbox.drop(path)
            except SourceError as error:
                progress.refused.append((path.name, str(error).removeprefix(f"{path}: ")))
                self.inbox.drop(path)
            except MissingPackage as error:
                progress.refused.append((path.name, str(error)))
            except OnkokodeError:
                raise  # of the service or of the list, not of the document: it is read later
            except Exception as error:
                # It stays, so that nobody takes it for read, and stops no other.
                progress.refused.append((path.name, "Beim Lesen ist ein Fehler aufgetreten."))
                _log.error("a document was not read: %s", type(error).__name__)
            self._advance(1)

    def _named(self, path: Path, rows: Iterator[TextRow]) -> tuple[str, Iterator[TextRow]]:
        """What a file that was brought is called in the list, and its rows."""
        first = next(rows, None)
        own = (first.reference, first.text) if first else None
        return self.tables.name_of(path, own, brought=True), chain([first] if first else [], rows)

    def _advance(self, done: int) -> None:
        self.progress.done += done
        self._changed()
        if self._stopping.is_set():
            raise IntakeError(_STOPPED)


def _why(error: Exception) -> str:
    """Why a reading ended early, for people; an error that may repeat a text is named by its kind alone."""
    if isinstance(error, StoreError):
        full = error.fault is Fault.FULL
        return "Der Datenträger ist voll." if full else "Die Arbeitsliste kann nicht beschrieben werden."
    if isinstance(error, IntakeError):
        return str(error)
    if isinstance(error, OnkokodeError | OSError):
        return "Gerade kann nicht kodiert werden; lesen Sie später weiter ein."
    return "Beim Einlesen ist ein Fehler aufgetreten."
