"""What stands on the work list: a diagnosis with its coding, its state, and how far the list is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NewItem:
    """A diagnosis for the work list. `source` names where the text came from and `reference` its own id or row
    number there; `part` of `parts` tells several diagnoses of one text apart."""

    source: str
    reference: str
    text: str
    coding: Mapping[str, Any]
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """A diagnosis on the work list. `state` is `open` or the action of its last decision, `revision` how many
    decisions it has had."""

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


@dataclass(frozen=True, slots=True)
class Status:
    """How far a work list is: items by state, and how many items each person's decision stands for."""

    open: int
    accepted: int
    changed: int
    rejected: int
    by: dict[str, int]

    @property
    def decided(self) -> int:
        return self.accepted + self.changed + self.rejected

    @property
    def total(self) -> int:
        return self.open + self.decided
