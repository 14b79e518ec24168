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
from agent.apps.review.selection import folded
from index.records import AXES

SCHEMA_VERSION = 3
_APPLICATION_ID = 0x4F4E4B52  # "ONKR", so that another program's database is not taken for ours
_OWNER_ONLY = 0o600
# A command may wait while another program writes; the page says otherwise.
BUSY_SECONDS = 15.0
_ITEMS = """
CREATE TABLE {name} (
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
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accept', 'change', 'reject', 'later', 'remove')),
  revision INTEGER NOT NULL DEFAULT 0,
  first INTEGER NOT NULL DEFAULT 0,
  urgency REAL NOT NULL DEFAULT 0,
  codes TEXT NOT NULL DEFAULT '',
  context TEXT NOT NULL DEFAULT '{{}}',
  second TEXT NOT NULL DEFAULT '' CHECK (second IN ('', 'agreed', 'disputed', 'settled')),
  UNIQUE (source, reference, part)
) STRICT"""
_ITEM_INDEXES = """
CREATE INDEX items_by_state ON items (state, urgency DESC, first, part);
CREATE INDEX items_by_urgency ON items (urgency DESC, first, part);
CREATE INDEX items_by_first ON items (first, part)"""
# What both tables of decisions hold of one.
_DECIDED = f"""
  {", ".join(f"{axis} TEXT" for axis in AXES)},
  decided_by TEXT NOT NULL CHECK (decided_by <> ''),
  decided_at TEXT NOT NULL,
  comment TEXT NOT NULL DEFAULT '',
  metastases TEXT,
  side TEXT,
  certainty TEXT,
  threshold REAL"""
_DECISIONS = f"""
CREATE TABLE {{name}} (
  id INTEGER PRIMARY KEY,
  item INTEGER NOT NULL REFERENCES items (id),
  revision INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('accept', 'change', 'reject', 'reopen', 'later', 'remove')),{_DECIDED},
  UNIQUE (item, revision)
) STRICT"""


def _only_added(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_are_not_changed BEFORE UPDATE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} are only added'); END;
CREATE TRIGGER {table}_are_not_deleted BEFORE DELETE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} are only added'); END"""


# A second reader's decision; `revision` is that of the first's decision, which it is compared with.
_READINGS = f"""
CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  item INTEGER NOT NULL REFERENCES items (id),
  revision INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('accept', 'change', 'reject')),{_DECIDED}
) STRICT;
CREATE INDEX readings_by_item ON readings (item);{_only_added("readings")}"""
# What a person has chosen and not yet decided: no decision, so it is replaced and removed.
_DRAFTS = """
CREATE TABLE drafts (
  item INTEGER NOT NULL REFERENCES items (id),
  chosen_by TEXT NOT NULL,
  revision INTEGER NOT NULL,
  chosen TEXT NOT NULL,
  PRIMARY KEY (item, chosen_by)
) STRICT"""
_SCHEMA = f"""{_ITEMS.format(name="items")};{_ITEM_INDEXES};{_DECISIONS.format(name="decisions")};{_only_added("decisions")};
CREATE TABLE sources (name TEXT PRIMARY KEY, path TEXT NOT NULL, reading TEXT NOT NULL DEFAULT '{{}}') STRICT;
{_READINGS};{_DRAFTS}"""
_OLD_ITEMS = "id, source, reference, part, parts, text, folded, coding, uncertainty, added, state, revision"
_OLD_DECISIONS = f"id, item, revision, action, {', '.join(AXES)}, decided_by, decided_at, comment, metastases"
_CODES = " || ' ' || ".join(f"coalesce(d.{axis}, '')" for axis in AXES)
_PROPOSED = " || ' ' || ".join(f"coalesce(json_extract(o.coding, '$.{axis}.code'), '')" for axis in AXES)
_SAME_TEXT = "FROM items g WHERE g.source = o.source AND g.reference = o.reference"
# What a list of an older version lacks, by the version that brought it. SQLite changes no CHECK of a table that is
# there, so the third makes both tables anew and takes everything over.
_SINCE = {
    2: """
ALTER TABLE decisions ADD COLUMN metastases TEXT;
CREATE TABLE sources (name TEXT PRIMARY KEY, path TEXT NOT NULL) STRICT""",
    3: f"""
ALTER TABLE sources ADD COLUMN reading TEXT NOT NULL DEFAULT '{{}}';
{_ITEMS.format(name="newer_items")};
INSERT INTO newer_items ({_OLD_ITEMS}, first, urgency, codes)
  SELECT {_OLD_ITEMS}, (SELECT min(id) {_SAME_TEXT}), (SELECT max(uncertainty) {_SAME_TEXT}), ' ' || coalesce(
    (SELECT {_CODES} FROM decisions d WHERE d.item = o.id AND d.revision = o.revision AND o.state <> 'open'), {_PROPOSED})
  FROM items o;
{_DECISIONS.format(name="newer_decisions")};
INSERT INTO newer_decisions ({_OLD_DECISIONS}) SELECT {_OLD_DECISIONS} FROM decisions;
DROP TABLE decisions;
DROP TABLE items;
ALTER TABLE newer_items RENAME TO items;
ALTER TABLE newer_decisions RENAME TO decisions;{_ITEM_INDEXES};{_only_added("decisions")};
{_READINGS};{_DRAFTS}""",
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
    connection.create_function("fold", 1, folded, deterministic=True)
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
    if version < SCHEMA_VERSION:
        _bring_up(connection, application)
    # Not before: tables that are made anew would be missed by those that refer to them.
    connection.execute("PRAGMA foreign_keys = ON")


def _bring_up(connection: sqlite3.Connection, application: int) -> None:
    """Makes the tables, or those of an older version into ours; all or nothing."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Another process may have been first.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for since, statements in _SINCE.items():
            if application == _APPLICATION_ID and version < since:
                _run(connection, statements)
                connection.execute(f"PRAGMA user_version = {since}")
        if connection.execute("PRAGMA application_id").fetchone()[0] == 0:
            _run(connection, _SCHEMA)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """One by one: `executescript` would commit the transaction around them."""
    for statement in statements.split(";\n"):
        connection.execute(statement)
