"""What travels through the graph: a batch of texts and what each node found out about their diagnoses.

A *unit* is one diagnosis (a segment of a text). Most texts have one unit; the nodes work on flat lists of
units, so the encoder and the language model always see full batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from agent.decide.fuse import Decision
from agent.decide.reconcile import Agreement
from agent.prepare import Prepared, Segment
from agent.results import Check, CodedText, Coding
from index.records import CodeSystem, Match
from index.search.retriever import Retrieval


@dataclass
class Unit:
    """One diagnosis of the text with number `text`, and what is known of it so far.

    `signals` holds what speaks for and against each axis' code (`agent.decide.confidence`).
    `wide` is set when verification asked for a second choice among more candidates; `beside` holds the
    lines near a diagnosis that is no tumour (other diagnoses, procedures).
    """

    text: int
    segment: Segment
    tumour_probability: float = 0.0
    decisions: dict[CodeSystem, Decision] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    agreement: Agreement = field(default_factory=lambda: Agreement({}))
    signals: dict[CodeSystem, dict[str, float]] = field(default_factory=dict)
    wide: bool = False
    beside: tuple[Match, ...] = ()
    codings: dict[CodeSystem, Coding] = field(default_factory=dict)

    @property
    def tumour(self) -> bool:
        return self.tumour_probability >= 0.5


class State(TypedDict, total=False):
    """The graph's state."""

    texts: list[str]
    """The diagnosis texts of the batch, as given."""
    prepared: list[Prepared]
    """Per text: its diagnoses, cleaned."""
    units: list[Unit]
    """All diagnoses of all texts, in order."""
    retrievals: dict[CodeSystem, Retrieval]
    """Per axis: retrieval for all units, row i for unit i."""
    attempt: int
    """How often the codes were chosen; verification may ask for one wider retry."""
    results: list[CodedText]
    """The answer, one per text, in order."""
