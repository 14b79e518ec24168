"""Which tables the texts came from: the name of each in the list, where its file lies, and how it was read.

tables = Tables(store)
name = tables.name_of(Path("faelle.csv"), first)                # 'faelle.csv', or its path where that is taken
tables.remember(name, Reading("Diagnose", "Fall", options))     # for the way back: `own_table`
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path

from agent.apps.files.table import TableOptions
from agent.apps.review.selection import DECIDED
from agent.apps.review.store import Store
from index.text import writable


@dataclass(frozen=True, slots=True)
class Reading:
    """How a table was read: its columns of texts and of references, what was said about its form, and whether each row
    is a whole document."""

    text_column: str | None = None
    id_column: str | None = None
    options: TableOptions | None = None
    document: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A file that texts came from, with how many items it has on the list and how many of them are decided."""

    name: str
    path: Path
    items: int
    decided: int
    reading: Reading


class Tables:
    """The files of a work list."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def name_of(self, path: Path, first: tuple[str, str] | None, *, brought: bool = False) -> str:
        """The source that a file is in the list: its name, or its path where another file has the name; of one that was
        brought to the page, whose path tells nobody anything, the name with a number. A file that was moved is known by
        its `first` reference and text."""
        whole = str(path.resolve())
        numbered = (f"{path.stem} ({number}){path.suffix}" for number in count(2))
        for name in chain([path.name], numbered if brought else (str(path), whole)):
            known = [
                row["path"]
                for row in self._store.rows("SELECT path FROM sources WHERE name = ?", (writable(name),))
            ]
            same = first is not None and self._store.texts_of(name, [first[0]]).get(first[0]) == writable(
                first[1]
            )
            if not known or whole in known or same:
                break
        with self._store.writing() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO sources (name, path) VALUES (?, ?)", (writable(name), whole)
            )
        return name

    def named(self, path: Path) -> str:
        """The source that a file was added as."""
        rows = self._store.rows("SELECT name FROM sources WHERE path = ?", (str(path.resolve()),))
        return rows[0]["name"] if rows else path.name

    def remember(self, name: str, reading: Reading) -> None:
        """Keep how a file was read."""
        with self._store.writing() as cursor:
            kept = json.dumps(asdict(reading))
            cursor.execute("UPDATE sources SET reading = ? WHERE name = ?", (kept, writable(name)))

    def all(self) -> list[Source]:
        """All files, in the order of their names."""
        rows = self._store.rows(
            "SELECT s.name, s.path, s.reading, count(i.id) AS items, "
            f"coalesce(sum(i.{DECIDED}), 0) AS decided "
            "FROM sources s LEFT JOIN items i ON i.source = s.name AND i.state <> 'remove' GROUP BY s.name ORDER BY s.name"
        )
        return [
            Source(row["name"], Path(row["path"]), row["items"], row["decided"], _reading(row["reading"]))
            for row in rows
        ]


def _reading(kept: str) -> Reading:
    told = json.loads(kept)
    if not told:
        return Reading()
    options = told["options"]
    return Reading(
        told["text_column"],
        told["id_column"],
        None if options is None else TableOptions(**options),
        told.get("document", False),
    )
