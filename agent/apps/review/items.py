"""What stands on the work list: a diagnosis with its coding, its state, and how far the list is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NewItem:
    """A diagnosis for the work list. `source` names where the text came from and `reference` its own id or row
    number there; `part` of `parts` tells several diagnoses of one text apart; `context` is what else stands in its row
    of the table, by column."""

    source: str
    reference: str
    text: str
    coding: Mapping[str, Any]
    part: int = 1
    parts: int = 1
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A diagnosis on the work list. `state` is `open` or the action of its last decision, `revision` how many
    decisions it has had. `first` is the number of the first diagnosis of its text, `urgency` the largest uncertainty of
    them all, and `second` what its second reading came to (`second.Agreement`)."""

    id: int
    source: str
    reference: str
    part: int
    parts: int
    text: str
    coding: dict[str, Any]
    uncertainty: float
    added: str
    state: str
    revision: int
    first: int
    urgency: float
    context: dict[str, str]
    second: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far a work list is: items by state, how many items each person's decision stands for, how many second readers
    disagree on, and how many wait for the second reader who asked."""

    open: int = 0
    accepted: int = 0
    changed: int = 0
    rejected: int = 0
    by: dict[str, int] = field(default_factory=dict)
    later: int = 0
    removed: int = 0
    disputed: int = 0
    to_read: int = 0

    @property
    def decided(self) -> int:
        return self.accepted + self.changed + self.rejected

    @property
    def total(self) -> int:
        """All but what was removed."""
        return self.open + self.later + self.decided
