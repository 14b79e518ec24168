"""How the work went: how much is decided, how often proposals were changed, and how often two readers agree, by axis.

Statistics.of(store).axes[0]        # AxisCount('icd10gm', same=180, of=200, agreed=46, read=50)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from agent.apps.review.decision import GIVING, Action, Decision, proposal
from agent.apps.review.items import Status
from agent.apps.review.second import COMPARED, METASTASES, blind_pairs, differing
from agent.apps.review.store import Store


@dataclass(frozen=True, slots=True)
class AxisCount:
    """One axis: of how many decisions that give codes it is as proposed, and on how many of those that were read twice both
    readers agreed before they knew of each other."""

    axis: str
    same: int
    of: int
    agreed: int
    read: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of a work list. `together` is how many decisions that stand were made by threshold; `agreed` of `read` items
    were the same on all axes."""

    status: Status
    together: int
    axes: tuple[AxisCount, ...]
    agreed: int
    read: int

    @classmethod
    def of(cls, store: Store) -> Statistics:
        """Counts what stands."""
        same, of, agreed, read = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        together = whole = pairs = 0
        for item, decision in store.decided():
            together += decision.threshold is not None
            if decision.action in GIVING:
                proposed = Decision(Action.ACCEPT, proposal(item.coding), decision.by)
                other = differing(item.coding, proposed, decision)
                for axis in _axes(item.coding):
                    of[axis] += 1
                    same[axis] += axis not in other
        for row in store.rows("SELECT DISTINCT item FROM readings ORDER BY item"):
            item = store.item(row["item"])
            pair = blind_pairs(store.history(item.id), store.readings(item.id))
            if pair is None or item.state == Action.REMOVE:
                continue
            other = differing(item.coding, *pair)
            pairs, whole = pairs + 1, whole + (not other)
            for axis in _axes(item.coding):
                read[axis] += 1
                agreed[axis] += axis not in other
        axes = tuple(
            AxisCount(axis, same[axis], of[axis], agreed[axis], read[axis])
            for axis in COMPARED
            if axis != METASTASES or of[axis] or read[axis]
        )
        return cls(store.status(), together, axes, whole, pairs)


def _axes(coding: dict[str, object]) -> tuple[str, ...]:
    """The axes that a coding has: only a document's tumour has metastases."""
    return COMPARED if "metastases" in coding else tuple(axis for axis in COMPARED if axis != METASTASES)
