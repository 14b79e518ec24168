"""Files that people bring to the page: taken in parts, kept beside the work list, readable by its owner only.

    uploads = Uploads(folder)
    uploads.take(token, "faelle.csv", b"…", at=0)       # the next bytes of an upload
    path = uploads.file(token)
    uploads.drop(path)

    inbox = Inbox(folder)
    inbox.keep(uploads.file(token))                     # whole documents wait here until they are read

A table stays where it was put, for the way back; a document goes once its text is on the list.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from agent.apps.documents.formats import ENDINGS as DOCUMENT_ENDINGS
from agent.apps.documents.formats import MAX_BYTES as LARGEST_DOCUMENT
from agent.apps.files.formats import TABLE_ENDINGS
from agent.apps.review.decision import ReviewError
from index.text import writable

LARGEST = 64 << 20
_NOT_WHOLE = "Die Datei kam nicht vollständig an; bitte wählen Sie sie noch einmal."
_NOT_KEPT = "Die Datei kann nicht abgelegt werden; der Datenträger ist voll oder nicht beschreibbar."
_TOKEN = re.compile(r"[0-9a-f]{32}")
_NOT_IN_NAMES = re.compile(r"[^\w .()+-]")
_log = logging.getLogger(__name__)


class IntakeError(ReviewError):
    """A file is not taken; the message is for the person who brought it, and repeats nothing of it."""


def is_document(path: Path) -> bool:
    """Whether a file holds a document, by its ending; else it is a table."""
    return path.suffix.lower() in DOCUMENT_ENDINGS


class Uploads:
    """Uploads in a folder, each in a folder of its own, so that its name stays as the person knows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, token: str, name: str, part: bytes, at: int) -> int:
        """Adds the next bytes of an upload; returns how many there are now.

        Raises:
            IntakeError: it is too large, neither table nor document, out of order, or the disk is full.
        """
        path = self._path(token, name)
        if not is_document(path) and path.suffix.lower() not in TABLE_ENDINGS:
            tables, documents = (", ".join(sorted(ends)) for ends in (TABLE_ENDINGS, DOCUMENT_ENDINGS))
            raise IntakeError(
                f"Tabellen haben eine der Endungen {tables}, Dokumente eine der Endungen {documents}."
            )
        limit = LARGEST_DOCUMENT if is_document(path) else LARGEST
        if at + len(part) > limit:
            raise IntakeError(f"Die Datei ist größer als {limit >> 20} MB.")
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
            self.drop(path)
            _log.error("a file could not be kept: %s", error.strerror)
            raise IntakeError(_NOT_KEPT) from error
        return at + len(part)

    def file(self, token: str) -> Path:
        """Where an upload lies. Raises `IntakeError` where there is none."""
        folder = self._path(token, "x").parent
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        if len(found) != 1:
            raise IntakeError(_NOT_WHOLE)
        return found[0]

    def drop(self, path: Path) -> None:
        """What cannot be used is not kept: it holds patients' texts."""
        _gone(path)

    def _path(self, token: str, name: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise IntakeError(_NOT_WHOLE)
        plain = _NOT_IN_NAMES.sub("_", writable(name).replace("\\", "/").rpartition("/")[2]).strip(". ")
        return self.folder / token / (plain[-120:] or "tabelle.csv")


class Inbox:
    """Documents that wait to be read, in a folder: what lies there came whole and is not on the list yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, path: Path) -> None:
        """Takes an upload over, at once as a whole. Raises `IntakeError` where the disk does not let it."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path.parent.rename(self.folder / path.parent.name)
        except OSError as error:
            _log.error("a document could not be kept: %s", error.strerror)
            raise IntakeError(_NOT_KEPT) from error

    def waiting(self) -> list[Path]:
        """The documents, in the order of their names."""
        found = self.folder.glob("*/*") if self.folder.is_dir() else ()
        return sorted(found, key=lambda path: (path.name, path.parent.name))

    def drop(self, path: Path) -> None:
        """A document that is on the list, or that cannot be read, is not kept."""
        _gone(path)


def _gone(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
