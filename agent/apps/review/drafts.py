"""What people have chosen and not yet decided, kept so that it survives moving on, a reload and a killed server.

    drafts = Drafts(store)
    drafts.keep(item, "M. Ernst", {"codes": …})
    drafts.of(item.id, "M. Ernst")                  # {'codes': …}, or None

A draft is no decision: it is replaced, and gone as soon as its person decides (`store`) or resets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.apps.review.items import Item
from agent.apps.review.selection import folded
from agent.apps.review.store import Store


class Drafts:
    """The drafts of a work list."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, item: Item, by: str, chosen: Mapping[str, Any]) -> None:
        """Keep what a person has chosen for an item. It is on the disk when this returns."""
        with self._store.writing() as cursor:
            cursor.execute(
                "INSERT OR REPLACE INTO drafts (item, chosen_by, revision, chosen) VALUES (?, ?, ?, ?)",
                (item.id, folded(by), item.revision, json.dumps(dict(chosen), ensure_ascii=True)),
            )

    def drop(self, number: int, by: str) -> None:
        """Forget a person's draft, if there is one."""
        if self.of(number, by) is not None:
            with self._store.writing() as cursor:
                cursor.execute("DELETE FROM drafts WHERE item = ? AND chosen_by = ?", (number, folded(by)))

    def of(self, number: int, by: str) -> dict[str, Any] | None:
        """What a person has chosen for an item and not decided."""
        rows = self._store.rows(
            "SELECT chosen FROM drafts WHERE item = ? AND chosen_by = ?", (number, folded(by))
        )
        return json.loads(rows[0]["chosen"]) if rows else None

    def among(self, numbers: Sequence[int], by: str) -> set[int]:
        """Those of these items that a person has a draft for."""
        marks = ", ".join("?" * len(numbers))
        rows = self._store.rows(
            f"SELECT item FROM drafts WHERE chosen_by = ? AND item IN ({marks})", (folded(by), *numbers)
        )
        return {row["item"] for row in rows}
