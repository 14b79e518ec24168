"""The second reader: what became of two people's decisions on one text, and on which axes they agree.

    agreement(coding, history, readings)        # Agreement.DISPUTED
    differing(coding, first, second)            # ['icd10gm', 'side']

The second reader decides without seeing the first one's choice; the store keeps the reading beside the decision that
it is compared with. Where both differ, a third person's decision settles it, or both do: the first by deciding anew as the second
read it, the second by reading it anew as the first decided. Nobody settles it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from agent.apps.review.decision import (
    DECIDING,
    GIVING,
    Decision,
    decided_certainty,
    decided_metastases,
    decided_side,
)
from agent.apps.review.selection import folded
from index.records import AXES

SIDE, CERTAINTY, METASTASES = "side", "certainty", "metastases"
COMPARED = (*(axis.value for axis in AXES), SIDE, CERTAINTY, METASTASES)


class Agreement(StrEnum):
    """What a second reading came to."""

    NONE = ""
    AGREED = "agreed"
    DISPUTED = "disputed"
    SETTLED = "settled"


AGREEMENT_NAMES = {
    Agreement.AGREED: "Zweitlesung einig",
    Agreement.DISPUTED: "uneinig",
    Agreement.SETTLED: "Uneinigkeit geklärt",
}


def said(coding: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """What a decision says on each axis that two are compared on; nothing on any, where it rejects."""
    if decision.action not in GIVING:
        return dict.fromkeys(COMPARED)
    codes = {axis.value: decision.codes[axis] for axis in AXES}
    return {
        **codes,
        SIDE: decided_side(coding, decision),
        CERTAINTY: decided_certainty(coding, decision),
        METASTASES: tuple(sorted(decided_metastases(coding, decision))),
    }


def differing(coding: Mapping[str, Any], one: Decision, other: Decision) -> list[str]:
    """The axes on which two decisions differ; all where one gives codes and the other rejects."""
    if (one.action in GIVING) != (other.action in GIVING):
        return list(COMPARED)
    first, second = said(coding, one), said(coding, other)
    return [axis for axis in COMPARED if first[axis] != second[axis]]


def agreement(
    coding: Mapping[str, Any], history: Sequence[Decision], readings: Sequence[Decision]
) -> Agreement:
    """What stands between the first and the second reader of an item: `history` holds all of its decisions, `readings` the
    second reader's."""
    if not history or not readings or history[-1].action not in DECIDING:
        return Agreement.NONE
    standing, reading = history[-1], readings[-1]
    first = history[reading.revision - 1]
    people = folded(first.by), folded(reading.by)
    # A person who has decided since without either of the two, or with both of them, has the last word.
    if standing.revision > reading.revision and folded(standing.by) not in people:
        return Agreement.SETTLED
    if differing(coding, standing, reading) or (
        standing.revision > reading.revision and folded(standing.by) == people[1]
    ):
        return Agreement.DISPUTED
    blind = standing.revision == reading.revision and len(readings) == 1
    return Agreement.AGREED if blind else Agreement.SETTLED
