"""All proposals above a confidence, to be looked at before they are accepted together.

    preview = Preview.of(store, 0.95, "", Narrow(source="faelle.csv"))
    preview.count, preview.rows                     # how many, and which
    store.accept(preview.seen, preview.threshold, "M. Ernst")

What is accepted is what the preview held, not what would be found a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.apps.review.decision import proposal
from agent.apps.review.documents import words_of
from agent.apps.review.selection import Narrow
from agent.apps.review.store import Store

THRESHOLDS = (0.99, 0.95, 0.9, 0.8)
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Preview:
    """Open items at or above a threshold, each with the revision that was seen."""

    threshold: float
    seen: tuple[tuple[int, int], ...]
    rows: tuple[tuple[float, str, tuple[str, ...]], ...]  # confidence, text and codes, the least sure first

    @classmethod
    def of(cls, store: Store, threshold: float, words: str, narrow: Narrow) -> Preview:
        """The open items of a list that have at least this confidence."""
        bounds = replace(narrow, least=max(threshold, narrow.least or 0.0))
        items = store.page("open", words, _MOST, bounds)
        items.sort(key=lambda item: -item.uncertainty)
        rows = tuple(
            (1 - item.uncertainty, words_of(item) or item.text, _codes(item.coding)) for item in items
        )
        return cls(threshold, tuple((item.id, item.revision) for item in items), rows)

    @property
    def count(self) -> int:
        return len(self.seen)


def _codes(coding: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(code or "–" for code in proposal(coding).values())
