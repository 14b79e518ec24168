"""What a person has chosen for one item and not decided yet: codes, side, certainty, metastases, comment.

choice = Choice.of(coding, decision)        # as it stands; without a decision, as the agent proposes
choice.codes[CodeSystem.ICD10GM] = "C50.4"
choice.same(Choice.of(coding))              # False: a change
Choice.restored(choice.kept())              # through JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.apps.review.decision import (
    GIVING,
    Decision,
    decided_certainty,
    decided_metastases,
    decided_side,
    proposal,
    proposed_metastases,
)
from index.records import AXES, CodeSystem


@dataclass
class Choice:
    """What confirming would store. `side` and `certainty` are empty where none is named; `metastases` is None for an
    entry."""

    codes: dict[CodeSystem, str | None] = field(default_factory=dict)
    side: str = ""
    certainty: str = ""
    metastases: tuple[str, ...] | None = None
    comment: str = ""

    @classmethod
    def of(cls, coding: Mapping[str, Any], decision: Decision | None = None) -> Choice:
        """What a decision chose; without one that gives codes, what the agent proposes."""
        spread = proposed_metastases(coding)
        if decision is None or decision.action not in GIVING:
            return cls(proposal(coding), coding["side"] or "", coding["certainty"] or "", spread)
        return cls(
            dict(decision.codes),
            decided_side(coding, decision) or "",
            decided_certainty(coding, decision) or "",
            None if spread is None else decided_metastases(coding, decision),
            decision.comment,
        )

    def same(self, other: Choice) -> bool:
        """Whether both give the same, whatever their comments say."""
        return (self.codes, self.side, self.certainty, set(self.metastases or ())) == (
            other.codes,
            other.side,
            other.certainty,
            set(other.metastases or ()),
        )

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "codes": {axis.value: code for axis, code in self.codes.items()},
            "side": self.side,
            "certainty": self.certainty,
            "metastases": None if self.metastases is None else list(self.metastases),
            "comment": self.comment,
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Choice:
        """What `kept` gave."""
        spread = kept["metastases"]
        return cls(
            {axis: kept["codes"][axis.value] for axis in AXES},
            kept["side"],
            kept["certainty"],
            None if spread is None else tuple(spread),
            kept["comment"],
        )
