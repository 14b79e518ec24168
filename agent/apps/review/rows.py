"""Items and decisions as rows of the work list's tables. `store` is who reads and writes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from agent.apps.review.decision import Action, Decision, proposal, uncertainty
from agent.apps.review.items import Item, NewItem
from index.records import AXES, CodeSystem
from index.text import writable

DECISION_COLUMNS = (
    *AXES, "decided_by", "decided_at", "comment", "metastases", "side", "certainty", "threshold",
)  # fmt: skip


def insert_item(cursor: sqlite3.Cursor, item: NewItem) -> int:
    """How many items are new: one, or none where it is there already."""
    text, reference = writable(item.text), writable(item.reference)
    codes = listed(proposal(item.coding))
    cursor.execute(
        "INSERT INTO items (source, reference, part, parts, text, folded, coding, uncertainty, added, codes, context) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            writable(item.source), reference, item.part, item.parts, text, f"{text}\n{reference}\n{codes[1:]}".casefold(),
            json.dumps(item.coding, ensure_ascii=True), uncertainty(item.coding), now(), codes,
            json.dumps(dict(item.context), ensure_ascii=True),
        ),
    )  # fmt: skip
    return cursor.rowcount


def item_of(row: sqlite3.Row) -> Item:
    given = {column.name: row[column.name] for column in fields(Item)}
    return Item(**{**given, "coding": json.loads(row["coding"]), "context": json.loads(row["context"])})


def decision_of(row: sqlite3.Row, prefix: str = "") -> Decision:
    """A decision; `prefix` is what the names of its columns begin with, where a row holds two."""
    given = {name: row[prefix + name] for name in ("action", "revision", *DECISION_COLUMNS)}
    spread = None if given["metastases"] is None else tuple(given["metastases"].split())
    return Decision(
        Action(given["action"]),
        {axis: given[axis.value] for axis in AXES},
        given["decided_by"],
        given["comment"],
        given["decided_at"],
        given["revision"],
        spread,
        given["side"],
        given["certainty"],
        given["threshold"],
    )


def insert_decision(cursor: sqlite3.Cursor, table: str, number: int, revision: int, given: Decision) -> None:
    """Adds a decision on an item to one of the two tables of decisions."""
    columns = ("item", "revision", "action", *DECISION_COLUMNS)
    values = (
        number, revision, given.action.value, *(given.codes[axis] for axis in AXES), writable(given.by), now(),
        writable(given.comment), None if given.metastases is None else " ".join(given.metastases), given.side,
        given.certainty, given.threshold,
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)


def listed(codes: Mapping[CodeSystem, Any]) -> str:
    """Codes as an item's row holds them: a blank before each, so that one is found by how it begins."""
    return " " + " ".join(str(codes[axis] or "") for axis in AXES)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
