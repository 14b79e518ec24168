"""The work list and its decisions, in one SQLite file that only its owner can read: it holds patients' texts.

    with Store.open(Path("review.sqlite")) as store:
        store.add([NewItem("diagnosen.csv", "4711", text, coded.to_dict())])
        item = store.page("open", "")[0]
        store.decide(item.id, decision, seen=item.revision)

Decisions are only ever added; triggers refuse anything else. `seen` is the number of decisions that the person had
in front of them: where another came in between, `ConflictError` says so and nothing is written. A decision is on the
disk when `decide` returns (write-ahead log, `synchronous=FULL`); else `StoreError` says why.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from agent.apps.review.decision import Action, Decision, ReviewError, uncertainty
from agent.apps.review.items import Item, NewItem, Status
from agent.apps.review.schema import BUSY_SECONDS, connect
from index.records import AXES
from index.text import writable

_AT_A_TIME = 500  # values in one query
Filter = Literal["open", "decided", "all"]

_AXIS_COLUMNS = ", ".join(AXES)
# The decided items, each with the decision that stands.
_STANDING = (
    "FROM items JOIN decisions d ON d.item = items.id AND d.revision = items.revision "
    "WHERE items.state <> 'open'"
)


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


_FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_FULL: Fault.FULL,
}


class StoreError(ReviewError):
    """The file could not be read, or with `writing` not be written: what was to be stored is not."""

    def __init__(self, path: Path, error: sqlite3.Error | str, fault: Fault, *, writing: bool) -> None:
        super().__init__("; ".join(filter(None, (f"{path}: {error}", fault.value))))
        self.fault, self.writing = fault, writing


class Store:
    """A work list in a file. Safe for several threads and several processes."""

    def __init__(
        self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection, busy_seconds: float
    ) -> None:
        self.path = path
        self._writer, self._reader = writer, reader
        self._busy_seconds = busy_seconds
        # Two, so that who reads does not wait behind a writer that waits for another program.
        self._writing_lock, self._reading_lock = threading.Lock(), threading.Lock()

    @classmethod
    def open(cls, path: Path, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Store:
        """Open a work list, or make an empty one. `busy_seconds` is how long reading or writing waits while another
        program locks the file.

        Raises:
            ReviewError: the file is missing (with `create=False`), is no work list, or a newer version made it.
        """
        if not path.exists() and not create:
            raise ReviewError(f"{path}: no such work list; fill one with `onkokode review add`")
        writer = connect(path, busy_seconds)
        try:
            reader = connect(path, busy_seconds)
        except BaseException:
            writer.close()
            raise
        return cls(path, writer, reader, busy_seconds)

    def close(self) -> None:
        with self._writing_lock, self._reading_lock:
            # The last to close puts the log into the file, which a reader may not.
            self._reader.close()
            self._writer.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, items: Iterable[NewItem]) -> int:
        """Put items on the list, all or none; one that is there already stays as it is. Returns how many are new."""
        with self._writing() as cursor:
            return sum(_insert(cursor, item) for item in items)

    def add_beside(self, number: int, coding: Mapping[str, Any]) -> Item:
        """Put another diagnosis of an item's text on the list, which the agent did not see."""
        item = self.item(number)
        same = (item.source, item.reference)
        with self._writing() as cursor:
            cursor.execute("UPDATE items SET parts = parts + 1 WHERE source = ? AND reference = ?", same)
            query = "SELECT max(part) + 1, max(parts) FROM items WHERE source = ? AND reference = ?"
            part, parts = cursor.execute(query, same).fetchone()
            _insert(cursor, NewItem(*same, item.text, coding, part, parts))
            return _item(cursor.execute("SELECT * FROM items WHERE id = ?", (cursor.lastrowid,)).fetchone())

    def remove_added(self, item: Item) -> bool:
        """Take an item that a person added, and that nobody has decided, from the list; whether it was one."""
        if not item.coding.get("added") or item.revision:
            return False
        with self._writing() as cursor:
            cursor.execute("DELETE FROM items WHERE id = ? AND revision = 0", (item.id,))
            if cursor.rowcount:
                same = (item.source, item.reference)
                cursor.execute("UPDATE items SET parts = parts - 1 WHERE source = ? AND reference = ?", same)
            return bool(cursor.rowcount)

    def name_of(self, path: Path, first: tuple[str, str] | None) -> str:
        """The source that a file is in the list: its name, or its path where another file has the name. A file that was
        moved is known by its `first` reference and text."""
        whole = str(path.resolve())
        for name in (path.name, str(path), whole):
            known = [
                row["path"]
                for row in self._read("SELECT path FROM sources WHERE name = ?", (writable(name),))
            ]
            same = first is not None and self.texts_of(name, [first[0]]).get(first[0]) == writable(first[1])
            if not known or whole in known or same:
                break
        with self._writing() as cursor:
            cursor.execute("INSERT OR IGNORE INTO sources VALUES (?, ?)", (writable(name), whole))
        return name

    def named(self, path: Path) -> str:
        """The source that a file was added as."""
        rows = self._read("SELECT name FROM sources WHERE path = ?", (str(path.resolve()),))
        return rows[0]["name"] if rows else path.name

    def texts_of(self, source: str, references: Sequence[str]) -> dict[str, str]:
        """The texts that the list holds already, by reference."""
        marks = ", ".join("?" * len(references))
        rows = self._read(
            f"SELECT DISTINCT reference, text FROM items WHERE source = ? AND reference IN ({marks})",
            (writable(source), *map(writable, references)),
        )
        return {row["reference"]: row["text"] for row in rows}

    def item(self, number: int) -> Item:
        """One item. Raises `ReviewError` where there is none."""
        found = self._items("WHERE id = ?", (number,))
        if not found:
            raise ReviewError(f"the work list has no item {number}")
        return found[0]

    def page(self, shown: Filter, search: str, limit: int = 100) -> list[Item]:
        """The first items in working order, the least certain first."""
        where, values = _where(shown, search)
        return self._items(f"WHERE {where} ORDER BY uncertainty DESC, id LIMIT ?", (*values, limit))

    def count(self, shown: Filter, search: str) -> int:
        """How many items there are."""
        where, values = _where(shown, search)
        return int(self._read(f"SELECT count(*) FROM items WHERE {where}", values)[0][0])

    def beside(self, item: Item, shown: Filter, search: str, *, forward: bool = True) -> Item | None:
        """The item after or before this one in working order, whether or not this one is itself shown."""
        where, values = _where(shown, search)
        than, order = (">", "uncertainty DESC, id") if forward else ("<", "uncertainty, id DESC")
        found = self._items(
            f"WHERE {where} AND (-uncertainty, id) {than} (-?, ?) ORDER BY {order} LIMIT 1",
            (*values, item.uncertainty, item.id),
        )
        return found[0] if found else None

    def decide(self, number: int, decision: Decision, *, seen: int) -> Item:
        """Add a decision; it is on the disk when this returns. Gives back the item as it is now.

        Raises:
            ConflictError: the item has had another decision than the `seen` that the person knew of.
        """
        with self._writing() as cursor:
            return self._append(cursor, number, decision, seen)

    def undo(self, number: int, by: str, *, seen: int) -> Item:
        """Take the last decision back with a new one, which restores the one before it, or opens the item."""
        with self._writing() as cursor:
            history = self.history(number)
            if not history:
                raise ReviewError("nothing is decided here that could be taken back")
            before = history[-2] if len(history) > 1 else None
            restored = Decision(Action.REOPEN, dict.fromkeys(AXES), by) if before is None else before
            return self._append(cursor, number, replace(restored, by=by), seen)

    def history(self, number: int) -> list[Decision]:
        """All decisions on an item, the first one first."""
        rows = self._read("SELECT * FROM decisions WHERE item = ? ORDER BY revision", (number,))
        return [_decision(row) for row in rows]

    def standing(self, numbers: Sequence[int]) -> dict[int, Decision]:
        """The decisions that stand, for those of these items that are not open."""
        marks = ", ".join("?" * len(numbers))
        rows = self._read(f"SELECT d.* {_STANDING} AND items.id IN ({marks})", numbers)
        return {row["item"]: _decision(row) for row in rows}

    def decided(self) -> Iterator[tuple[Item, Decision]]:
        """Every decided item with the decision that stands, in the order in which the items were added."""
        last, size = 0, 500
        while True:
            rows = self._read(
                f"SELECT items.*, d.action, d.{', d.'.join(AXES)}, d.decided_by, d.decided_at, d.comment, d.metastases "
                f"{_STANDING} AND items.id > ? ORDER BY items.id LIMIT ?",
                (last, size),
            )
            yield from ((_item(row), _decision(row)) for row in rows)
            if len(rows) < size:
                return
            last = rows[-1]["id"]

    def of_references(
        self, source: str, references: Sequence[str]
    ) -> dict[str, list[tuple[Item, Decision | None]]]:
        """The items of these references of a source, in the order of their parts, each with the decision that stands."""
        found: dict[str, list[tuple[Item, Decision | None]]] = {}
        for first in range(0, len(references), _AT_A_TIME):
            some = references[first : first + _AT_A_TIME]
            marks = ", ".join("?" * len(some))
            items = self._items(
                f"WHERE source = ? AND reference IN ({marks}) ORDER BY part",
                (writable(source), *map(writable, some)),
            )
            standing = self.standing([item.id for item in items])
            for item in items:
                found.setdefault(item.reference, []).append((item, standing.get(item.id)))
        return found

    def status(self) -> Status:
        """How far the work is, and by whom."""
        states = {row[0]: row[1] for row in self._read("SELECT state, count(*) FROM items GROUP BY state")}
        people = self._read(
            f"SELECT d.decided_by, count(*) {_STANDING} "
            "GROUP BY d.decided_by ORDER BY count(*) DESC, d.decided_by"
        )
        opened, accepted, changed, rejected = (
            states.get(state, 0) for state in ("open", "accept", "change", "reject")
        )
        return Status(opened, accepted, changed, rejected, dict(map(tuple, people)))

    def version(self) -> tuple[int, int]:
        """Changes whenever an item or a decision was added, by anybody."""
        row = self._read("SELECT (SELECT max(id) FROM items), (SELECT max(id) FROM decisions)")[0]
        return row[0] or 0, row[1] or 0

    def _append(self, cursor: sqlite3.Cursor, number: int, decision: Decision, seen: int) -> Item:
        state = "open" if decision.action is Action.REOPEN else decision.action.value
        cursor.execute(
            "UPDATE items SET revision = revision + 1, state = ? WHERE id = ? AND revision = ?",
            (state, number, seen),
        )
        if not cursor.rowcount:
            self.item(number)
            history = self.history(number)
            if not history:
                raise ReviewError(f"item {number} has no decision yet, let alone {seen}")
            raise ConflictError(history[-1])
        cursor.execute(
            f"INSERT INTO decisions (item, revision, action, {_AXIS_COLUMNS}, decided_by, decided_at, comment, metastases) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number, seen + 1, decision.action.value, *(decision.codes[axis] for axis in AXES),
                writable(decision.by), _now(), writable(decision.comment),
                None if decision.metastases is None else " ".join(decision.metastases),
            ),
        )  # fmt: skip
        # Read before it is committed: nothing that fails afterwards may make it look as if it were not stored.
        return _item(cursor.execute("SELECT * FROM items WHERE id = ?", (number,)).fetchone())

    def _items(self, query: str, values: Sequence[object]) -> list[Item]:
        return [_item(row) for row in self._read(f"SELECT * FROM items {query}", values)]

    def _read(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._reading_lock, self._named_errors(writing=False):
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        """One transaction; IMMEDIATE, so that two writers wait for each other instead of failing halfway."""
        if not self._writing_lock.acquire(timeout=self._busy_seconds):
            # Another of our own threads waits for the file already.
            raise StoreError(self.path, "database is locked", Fault.LOCKED, writing=True)
        try:
            with self._named_errors(writing=True):
                cursor = self._writer.cursor()
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    yield cursor
                    cursor.execute("COMMIT")
                except BaseException as error:
                    if self._writer.in_transaction:
                        cursor.execute("ROLLBACK")
                    if isinstance(error, StoreError):
                        error.writing = True  # what was read on the way to be written
                    raise
        finally:
            self._writing_lock.release()

    @contextmanager
    def _named_errors(self, *, writing: bool) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise StoreError(self.path, error, _FAULTS.get(code, Fault.OTHER), writing=writing) from error


def _where(shown: Filter, search: str) -> tuple[str, tuple[object, ...]]:
    condition = {"open": "state = 'open'", "decided": "state <> 'open'", "all": "1"}[shown]
    words = writable(search).casefold().split()
    return " AND ".join([condition, *["instr(folded, ?) > 0"] * len(words)]), tuple(words)


def _insert(cursor: sqlite3.Cursor, item: NewItem) -> int:
    """How many items are new: one, or none where it is there already."""
    text, reference = writable(item.text), writable(item.reference)
    codes = " ".join(str(item.coding[axis]["code"] or "") for axis in AXES)
    cursor.execute(
        "INSERT INTO items (source, reference, part, parts, text, folded, coding, uncertainty, added) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            writable(item.source), reference, item.part, item.parts, text, f"{text}\n{reference}\n{codes}".casefold(),
            json.dumps(item.coding, ensure_ascii=True), uncertainty(item.coding), _now(),
        ),
    )  # fmt: skip
    return cursor.rowcount


def _item(row: sqlite3.Row) -> Item:
    given = {column.name: row[column.name] for column in fields(Item)}
    return Item(**{**given, "coding": json.loads(row["coding"])})


def _decision(row: sqlite3.Row) -> Decision:
    codes = {axis: row[axis.value] for axis in AXES}
    spread = None if row["metastases"] is None else tuple(row["metastases"].split())
    return Decision(
        Action(row["action"]),
        codes,
        row["decided_by"],
        row["comment"],
        row["decided_at"],
        row["revision"],
        spread,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
