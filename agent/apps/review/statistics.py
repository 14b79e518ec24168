"""How the work went: how much is decided, how often proposals were changed, and how often two readers agree, by axis.

Statistics.of(store).axes[0]        # AxisCount('icd10gm', same=180, of=200, agreed=46, read=50, kappa=Kappa(…))
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.apps.review.decision import GIVING, Action, Decision, proposal
from agent.apps.review.items import Status
from agent.apps.review.rows import DECISION_COLUMNS, decision_of
from agent.apps.review.second import COMPARED, METASTASES, differing, said
from agent.apps.review.store import Store
from agent.apps.shares import Kappa, cohen_kappa

_BOTH = ", ".join(
    f"{table}.{name} AS {prefix}_{name}"
    for table, prefix in (("d", "first"), ("r", "second"))
    for name in ("action", "revision", *DECISION_COLUMNS)
)
_BLIND = (
    f"SELECT items.coding, {_BOTH} FROM readings r JOIN items ON items.id = r.item "
    "JOIN decisions d ON d.item = r.item AND d.revision = r.revision "
    f"WHERE r.id IN (SELECT min(id) FROM readings GROUP BY item) AND items.state <> '{Action.REMOVE}' ORDER BY r.item"
)


@dataclass(frozen=True, slots=True)
class AxisCount:
    """One axis: of how many decisions that give codes it is as proposed, and on how many of those that were read twice both
    readers agreed before they knew of each other; `kappa` says how far beyond chance, None where that cannot be told."""

    axis: str
    same: int
    of: int
    agreed: int
    read: int
    kappa: Kappa | None = None


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
        same, of, agreed = Counter[str](), Counter[str](), Counter[str]()
        labels: defaultdict[str, list[tuple[Hashable, Hashable]]] = defaultdict(list)
        together = whole = pairs = 0
        for item, decision in store.decided():
            together += decision.threshold is not None
            if decision.action in GIVING:
                proposed = Decision(Action.ACCEPT, proposal(item.coding), decision.by)
                other = differing(item.coding, proposed, decision)
                for axis in _axes(item.coding):
                    of[axis] += 1
                    same[axis] += axis not in other
        for coding, first, second in blind_pairs(store):
            other = differing(coding, first, second)
            pairs, whole = pairs + 1, whole + (not other)
            one, two = said(coding, first), said(coding, second)
            for axis in _axes(coding):
                agreed[axis] += axis not in other
                # To reject is a label of its own: it agrees with no code, not even with none.
                labels[axis].append(
                    ((first.action in GIVING, one[axis]), (second.action in GIVING, two[axis]))
                )
        axes = tuple(
            AxisCount(
                axis,
                same[axis],
                of[axis],
                agreed[axis],
                len(labels[axis]),
                cohen_kappa([a for a, _ in labels[axis]], [b for _, b in labels[axis]]),
            )
            for axis in COMPARED
            if axis != METASTASES or of[axis] or labels[axis]
        )
        return cls(store.status(), together, axes, whole, pairs)


def blind_pairs(store: Store) -> Iterator[tuple[dict[str, Any], Decision, Decision]]:
    """Of each item that was read twice and not removed its coding, the first decision and the second reader's, as they were
    before either knew of the other's."""
    for row in store.rows(_BLIND):
        yield json.loads(row["coding"]), decision_of(row, "first_"), decision_of(row, "second_")


def _axes(coding: Mapping[str, object]) -> tuple[str, ...]:
    """The axes that a coding has: only a document's tumour has metastases."""
    return COMPARED if "metastases" in coding else tuple(axis for axis in COMPARED if axis != METASTASES)
