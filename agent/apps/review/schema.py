"""The tables of a work list, and how its file is opened: readable by its owner only, and every commit on the disk.

    connection = connect(Path("review.sqlite"))     # makes the file where there is none

`agent.apps.review.store` is the only module that uses the connection.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from agent.apps.review.decision import ReviewError
from index.records import AXES

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x4F4E4B52  # "ONKR", so that another program's database is not taken for ours
_OWNER_ONLY = 0o600
# A command may wait while another program writes; the page says otherwise.
BUSY_SECONDS = 15.0
_SOURCES = "CREATE TABLE sources (name TEXT PRIMARY KEY, path TEXT NOT NULL) STRICT"
_SCHEMA = f"""
CREATE TABLE items (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  reference TEXT NOT NULL,
  part INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  text TEXT NOT NULL,
  folded TEXT NOT NULL,
  coding TEXT NOT NULL,
  uncertainty REAL NOT NULL,
  added TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accept', 'change', 'reject')),
  revision INTEGER NOT NULL DEFAULT 0,
  UNIQUE (source, reference, part)
) STRICT;
{_SOURCES};
CREATE INDEX items_by_state ON items (state, uncertainty DESC, id);
CREATE INDEX items_by_uncertainty ON items (uncertainty DESC, id);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY,
  item INTEGER NOT NULL REFERENCES items (id),
  revision INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('accept', 'change', 'reject', 'reopen')),
  {", ".join(f"{axis} TEXT" for axis in AXES)},
  decided_by TEXT NOT NULL CHECK (decided_by <> ''),
  decided_at TEXT NOT NULL,
  comment TEXT NOT NULL DEFAULT '',
  metastases TEXT,
  UNIQUE (item, revision)
) STRICT;
CREATE TRIGGER decisions_are_not_changed BEFORE UPDATE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
CREATE TRIGGER decisions_are_not_deleted BEFORE DELETE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
# What a list of an older version lacks, by the version that brought it.
_SINCE = {
    2: (
        "ALTER TABLE decisions ADD COLUMN metastases TEXT",
        _SOURCES,
    )
}


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a work list's file, or make it. A statement waits `busy_seconds` while another program locks the file.

    Raises:
        ReviewError: it cannot be opened, is no work list, or a newer version made it.
        OSError: its mode cannot be set.
    """
    try:
        made_for_its_owner(path)
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=busy_seconds
        )
    except (OSError, sqlite3.Error) as error:
        raise ReviewError(f"{path}: cannot be opened ({error})") from error
    connection.row_factory = sqlite3.Row
    try:
        _prepare(connection, path)
        only_for_its_owner(path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise ReviewError(
                f"{path}: not a work list of `onkokode review`, or damaged ({error})"
            ) from error
        raise
    return connection


def made_for_its_owner(path: Path) -> None:
    """Makes a file that is missing, readable by its owner only from its first moment; SQLite gives its log files
    the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY))


def only_for_its_owner(path: Path) -> None:
    """The same for a file of ours that may be there already, with another mode."""
    made_for_its_owner(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(_OWNER_ONLY)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    # Before anything is written: WAL mode alone would change another program's file.
    if application not in (0, _APPLICATION_ID) or (application == 0 and tables):
        raise ReviewError(f"{path}: a database of another program")
    if version > SCHEMA_VERSION:
        raise ReviewError(f"{path}: made by a newer version of Onkokode (schema {version}); update this one")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Another process may have been first.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for since, statements in _SINCE.items():
            if application == _APPLICATION_ID and version < since:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {since}")
        if connection.execute("PRAGMA application_id").fetchone()[0] == 0:
            # One by one: `executescript` would commit the transaction around them.
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
