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

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.apps.review.decision import (
    DECIDING,
    GIVING,
    Action,
    Decision,
    ReviewError,
    decide,
    proposal,
)
from agent.apps.review.faults import FAULTS, ConflictError, Fault, StoreError
from agent.apps.review.items import Item, NewItem, Status
from agent.apps.review.rows import (
    DECISION_COLUMNS,
    decision_of,
    insert_decision,
    insert_item,
    item_of,
    listed,
)
from agent.apps.review.schema import BUSY_SECONDS, connect
from agent.apps.review.second import Agreement, agreement
from agent.apps.review.selection import DECIDED, Filter, Narrow, folded
from index.records import AXES
from index.text import writable

_AT_A_TIME = 500  # values in one query
_ALL = Narrow()
_SAME_TEXT = "source = ? AND reference = ?"
# The decided items, each with the decision that stands.
_STANDING = (
    f"FROM items JOIN decisions d ON d.item = items.id AND d.revision = items.revision WHERE items.{DECIDED}"
)


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
        texts: dict[tuple[str, str], None] = {}
        count = 0
        with self.writing() as cursor:
            for item in items:
                if insert_item(cursor, item):
                    count += 1
                    texts[writable(item.source), writable(item.reference)] = None
            for same in texts:
                # All diagnoses of a text stand together, where its least sure one belongs.
                cursor.execute(
                    f"UPDATE items SET (first, urgency) = (SELECT min(id), max(uncertainty) FROM items "
                    f"WHERE {_SAME_TEXT}) WHERE {_SAME_TEXT}",
                    (*same, *same),
                )
        return count

    def add_beside(self, number: int, coding: Mapping[str, Any]) -> Item:
        """Put another diagnosis of an item's text on the list, which the agent did not see."""
        item = self.item(number)
        same = (item.source, item.reference)
        with self.writing() as cursor:
            cursor.execute(f"UPDATE items SET parts = parts + 1 WHERE {_SAME_TEXT}", same)
            query = f"SELECT max(part) + 1, max(parts) FROM items WHERE {_SAME_TEXT}"
            part, parts = cursor.execute(query, same).fetchone()
            insert_item(cursor, NewItem(*same, item.text, coding, part, parts, item.context))
            added = cursor.lastrowid
            cursor.execute(
                "UPDATE items SET first = ?, urgency = ? WHERE id = ?", (item.first, item.urgency, added)
            )
            return _item_now(cursor, added)

    def of_text(self, item: Item) -> list[Item]:
        """All diagnoses of an item's text, those that were removed too."""
        return self._items("WHERE first = ? ORDER BY part", (item.first,))

    def sources(self) -> list[str]:
        """The names of the files that the texts came from."""
        return [row[0] for row in self.rows("SELECT DISTINCT source FROM items ORDER BY source")]

    def texts_of(self, source: str, references: Sequence[str]) -> dict[str, str]:
        """The texts that the list holds already, by reference."""
        marks = ", ".join("?" * len(references))
        rows = self.rows(
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

    def page(self, shown: Filter, search: str, limit: int = 100, narrow: Narrow = _ALL) -> list[Item]:
        """The first items in working order, the least certain texts first."""
        where, values = narrow.where(shown, search)
        return self._items(f"WHERE {where} ORDER BY urgency DESC, first, part LIMIT ?", (*values, limit))

    def count(self, shown: Filter, search: str, narrow: Narrow = _ALL) -> int:
        """How many items there are."""
        where, values = narrow.where(shown, search)
        return int(self.rows(f"SELECT count(*) FROM items WHERE {where}", values)[0][0])

    def beside(
        self, item: Item, shown: Filter, search: str, *, forward: bool = True, narrow: Narrow = _ALL
    ) -> Item | None:
        """The item after or before this one in working order, whether or not this one is itself shown."""
        where, values = narrow.where(shown, search)
        than, order = (
            (">", "urgency DESC, first, part") if forward else ("<", "urgency, first DESC, part DESC")
        )
        found = self._items(
            f"WHERE {where} AND (-urgency, first, part) {than} (-?, ?, ?) ORDER BY {order} LIMIT 1",
            (*values, item.urgency, item.first, item.part),
        )
        return found[0] if found else None

    def decide(self, number: int, decision: Decision, *, seen: int) -> Item:
        """Add a decision; it is on the disk when this returns. Gives back the item as it is now.

        Raises:
            ConflictError: the item has had another decision than the `seen` that the person knew of.
        """
        with self.writing() as cursor:
            return self._append(cursor, number, decision, seen)

    def undo(self, number: int, by: str, *, seen: int) -> Item:
        """Take the last decision back with a new one, which restores the one before it, or opens the item."""
        with self.writing() as cursor:
            history = self.history(number)
            if not history:
                raise ReviewError("nothing is decided here that could be taken back")
            before = history[-2] if len(history) > 1 else None
            restored = Decision(Action.REOPEN, dict.fromkeys(AXES), by) if before is None else before
            return self._append(cursor, number, replace(restored, by=by, threshold=None), seen)

    def accept(self, seen: Sequence[tuple[int, int]], threshold: float, by: str) -> list[int]:
        """Accept the proposals of these items, given with their revisions: a decision for each, all of them or none.
        What somebody else has decided since stays as it is. Returns the numbers of what was accepted."""
        accepted = []
        with self.writing() as cursor:
            for number, revision in seen:
                item = _item_now(cursor, number)
                if (item.revision, item.state) == (revision, "open"):
                    decision = decide(item.coding, Action.ACCEPT, by=by, threshold=threshold)
                    self._append(cursor, number, decision, revision)
                    accepted.append(number)
        return accepted

    def read(self, number: int, decision: Decision, *, seen: int) -> Item:
        """Add a second reader's decision, which is kept beside the first one's; gives back the item as it is now.

        Raises:
            ReviewError: this person has decided on the item, or it has no decision.
            ConflictError: the decision that it would be compared with is another one by now, or somebody else has read it.
        """
        with self.writing() as cursor:
            item = _item_now(cursor, number)
            history, readings = _protocol(cursor, number)
            if item.revision != seen:
                raise ConflictError(history[-1])
            if item.state not in DECIDING:
                raise ReviewError("nothing is decided here that could be read again")
            mine = folded(decision.by)
            if item.second != Agreement.DISPUTED:
                if item.second:
                    raise ConflictError(readings[-1])
                if any(folded(one.by) == mine for one in history):
                    raise ReviewError("who has decided on an item is no second reader of it")
            elif folded(readings[-1].by) != mine:
                raise ConflictError(readings[-1])
            insert_decision(cursor, "readings", number, seen, decision)
            _drop_draft(cursor, number, decision.by)
            return _settled(cursor, number)

    def history(self, number: int) -> list[Decision]:
        """All decisions on an item, the first one first."""
        rows = self.rows("SELECT * FROM decisions WHERE item = ? ORDER BY revision", (number,))
        return [decision_of(row) for row in rows]

    def readings(self, number: int) -> list[Decision]:
        """What second readers decided on an item, the first one first; `revision` is that of the decision that each is
        compared with."""
        rows = self.rows("SELECT * FROM readings WHERE item = ? ORDER BY id", (number,))
        return [decision_of(row) for row in rows]

    def standing(self, numbers: Sequence[int]) -> dict[int, Decision]:
        """The decisions that stand, for those of these items that are not open."""
        marks = ", ".join("?" * len(numbers))
        rows = self.rows(f"SELECT d.* {_STANDING} AND items.id IN ({marks})", numbers)
        return {row["item"]: decision_of(row) for row in rows}

    def decided(self) -> Iterator[tuple[Item, Decision]]:
        """Every decided item with the decision that stands, in the order in which the items were added."""
        last, size = 0, 500
        while True:
            rows = self.rows(
                f"SELECT items.*, d.action, d.{', d.'.join(DECISION_COLUMNS)} "
                f"{_STANDING} AND items.id > ? ORDER BY items.id LIMIT ?",
                (last, size),
            )
            yield from ((item_of(row), decision_of(row)) for row in rows)
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

    def status(self, reader: str = "") -> Status:
        """How far the work is, and by whom; with a `reader`, also how much that person may read as the second one."""
        states = {row[0]: row[1] for row in self.rows("SELECT state, count(*) FROM items GROUP BY state")}
        people = self.rows(
            f"SELECT d.decided_by, count(*) {_STANDING} "
            "GROUP BY d.decided_by ORDER BY count(*) DESC, d.decided_by"
        )
        opened, accepted, changed, rejected, later, removed = (
            states.get(state, 0) for state in ("open", "accept", "change", "reject", "later", "remove")
        )
        to_read = self.count("second", "", Narrow(reader=reader)) if reader else 0
        disputed = self.count("disputed", "")
        by = dict(map(tuple, people))
        return Status(opened, accepted, changed, rejected, by, later, removed, disputed, to_read)

    def version(self) -> tuple[int, ...]:
        """Changes whenever an item, a decision or a reading was added, by anybody."""
        tables = ("items", "decisions", "readings")
        row = self.rows("SELECT " + ", ".join(f"(SELECT max(id) FROM {name})" for name in tables))[0]
        return tuple(one or 0 for one in row)

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
        insert_decision(cursor, "decisions", number, seen + 1, decision)
        _drop_draft(cursor, number, decision.by)
        # Read before it is committed: nothing that fails afterwards may make it look as if it were not stored.
        return _settled(cursor, number)

    def _items(self, query: str, values: Sequence[object]) -> list[Item]:
        return [item_of(row) for row in self.rows(f"SELECT * FROM items {query}", values)]

    def rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """What a query finds; for the modules of the review."""
        with self._reading_lock, self._named_errors(writing=False):
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Cursor]:
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
            raise StoreError(self.path, error, FAULTS.get(code, Fault.OTHER), writing=writing) from error


def _item_now(cursor: sqlite3.Cursor, number: int | None) -> Item:
    """An item as the transaction sees it. Raises `ReviewError` where there is none."""
    row = cursor.execute("SELECT * FROM items WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise ReviewError(f"the work list has no item {number}")
    return item_of(row)


def _protocol(cursor: sqlite3.Cursor, number: int) -> tuple[list[Decision], list[Decision]]:
    """All decisions on an item, and those of its second readers, as the transaction sees them."""
    history, readings = (
        [
            decision_of(row)
            for row in cursor.execute(f"SELECT * FROM {table} WHERE item = ? ORDER BY id", (number,))
        ]
        for table in ("decisions", "readings")
    )
    return history, readings


def _settled(cursor: sqlite3.Cursor, number: int) -> Item:
    """Brings what an item's row tells of its protocol up to date; the protocol alone says what holds."""
    item = _item_now(cursor, number)
    history, readings = _protocol(cursor, number)
    standing = history[-1] if history else None
    codes = standing.codes if standing is not None and standing.action in GIVING else proposal(item.coding)
    second = agreement(item.coding, history, readings)
    cursor.execute("UPDATE items SET codes = ?, second = ? WHERE id = ?", (listed(codes), second, number))
    return replace(item, second=second.value)


def _drop_draft(cursor: sqlite3.Cursor, number: int, by: str) -> None:
    """What was chosen and not yet decided is decided now, or given up."""
    cursor.execute("DELETE FROM drafts WHERE item = ? AND chosen_by = ?", (number, folded(by)))
