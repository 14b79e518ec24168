"""Work lists as older versions made them: the schema of version 2 word for word, and what version 1 lacked.

older_list(database, 1)         # turns a list of today into one of version 1
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_VERSION_2 = """
CREATE TABLE items (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, reference TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL,
  text TEXT NOT NULL, folded TEXT NOT NULL, coding TEXT NOT NULL, uncertainty REAL NOT NULL, added TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accept', 'change', 'reject')),
  revision INTEGER NOT NULL DEFAULT 0,
  UNIQUE (source, reference, part)
) STRICT;
CREATE TABLE sources (name TEXT PRIMARY KEY, path TEXT NOT NULL) STRICT;
CREATE INDEX items_by_state ON items (state, uncertainty DESC, id);
CREATE INDEX items_by_uncertainty ON items (uncertainty DESC, id);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES items (id), revision INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('accept', 'change', 'reject', 'reopen')),
  icd10gm TEXT, icdo_topography TEXT, icdo_morphology TEXT,
  decided_by TEXT NOT NULL CHECK (decided_by <> ''), decided_at TEXT NOT NULL, comment TEXT NOT NULL DEFAULT '',
  metastases TEXT,
  UNIQUE (item, revision)
) STRICT;
CREATE TRIGGER decisions_are_not_changed BEFORE UPDATE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
CREATE TRIGGER decisions_are_not_deleted BEFORE DELETE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
PRAGMA application_id = 1330531154;
PRAGMA user_version = 2;
"""


def older_list(database: Path, version: int) -> None:
    """Turns a list of today into one of version 1 or 2."""
    older = database.with_suffix(".older")
    with closing(sqlite3.connect(database)) as now, closing(sqlite3.connect(older)) as then:
        then.executescript(_VERSION_2)
        for table in ("items", "decisions", "sources"):
            columns = [row[1] for row in then.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" * len(columns))
            rows = now.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            then.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        if version == 1:
            then.execute("DROP TABLE sources")
            then.execute("ALTER TABLE decisions DROP COLUMN metastases")
            then.execute("PRAGMA user_version = 1")
        then.commit()
    for leftover in ("-wal", "-shm"):
        database.with_name(database.name + leftover).unlink(missing_ok=True)
    older.replace(database)
