"""What can go wrong between a decision and the disk, named so that a person can be told what helps."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from agent.apps.review.decision import Decision, ReviewError


class ConflictError(ReviewError):
    """Somebody else decided in between; `latest` is their decision."""

    def __init__(self, latest: Decision) -> None:
        super().__init__(f"{latest.by} decided this item at {latest.at}; look at it again")
        self.latest = latest


class Fault(StrEnum):
    """Why the file could not be used; the value is what helps."""

    LOCKED = "close the program that uses it, then try again"
    FULL = "make room, then try again"
    OTHER = ""


FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_FULL: Fault.FULL,
}


class StoreError(ReviewError):
    """The file could not be read, or with `writing` not be written: what was to be stored is not."""

    def __init__(self, path: Path, error: sqlite3.Error | str, fault: Fault, *, writing: bool) -> None:
        super().__init__("; ".join(filter(None, (f"{path}: {error}", fault.value))))
        self.fault, self.writing = fault, writing
