"""What travels through the graph: a batch of texts, and what each node found out about the statements in them.

A *statement* is one diagnosis of a text. Most texts have one; the nodes work on flat lists of statements, so the
encoder and the language model always see full batches. Each key is written by one node, which returns new frozen
values; lists hold one value per statement, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, TypeVar

from langgraph.channels import UntrackedValue

from agent.decide.records import Agreement, Decision, Reading
from agent.prepare import Case, Prepared, Segment
from agent.results import Check, CodedText
from index.records import CodeSystem
from index.search.retriever import Retrieval

_T = TypeVar("_T")
# Lives as long as its run: where a graph has checkpoints, they keep what was given and what was answered, not thirty
# thousand scores per text. All of it can be serialised (tests/agent/test_agent_graph.py).
_Working = Annotated[_T, UntrackedValue]


@dataclass(frozen=True, slots=True)
class Statement:
    """One diagnosis of the text with number `text`."""

    text: int
    segment: Segment


class State(TypedDict, total=False):
    """The graph's state."""

    texts: list[str]
    """The diagnosis texts of the batch, as given."""
    cases: dict[int, Case]
    """Of texts that were given in fields: the fields, by the text's number."""
    prepared: _Working[list[Prepared]]
    """`prepare`, per text: its diagnoses, cleaned. Given, where the texts were read ahead."""
    statements: _Working[list[Statement]]
    """`prepare`: all diagnoses of all texts that are coded."""
    tumour_probabilities: _Working[list[float]]
    """`recognise`: how likely each statement is a tumour of the patient."""
    reading: _Working[Reading]
    """`recognise`: what the model says of each statement on every axis; there where it says all in one pass."""
    retrievals: _Working[dict[CodeSystem, Retrieval]]
    """`retrieve`, per axis: what the catalogue lines say, row i of statement i."""
    decisions: _Working[list[dict[CodeSystem, Decision]]]
    """`choose`: a distribution over the codes of each axis."""
    attempt: _Working[int]
    """`choose`: how often the codes were chosen."""
    agreements: _Working[list[Agreement]]
    """`reconcile`: the codes that can stand together; none of what is no tumour."""
    checks: _Working[list[tuple[Check, ...]]]
    """`check`: the numbered checks of these codes."""
    signals: _Working[list[dict[CodeSystem, dict[str, float]]]]
    """`check`: what speaks for and against each axis' code (`agent.decide.confidence`)."""
    again: _Working[dict[int, tuple[str, ...]]]
    """`check`: which statements are to be chosen again among more candidates, and why: failed checks by their
    number, `none` and an axis where the model says that no candidate fits."""
    results: _Working[list[CodedText]]
    """`explain`: the answer, one per text, in order."""
    reviewed: list[dict[str, Any]]
    """The nodes of a review, where there is one (`agent.apps.review.interrupt`)."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the nodes found out about the statement with number `number`."""

    number: int
    statement: Statement
    tumour_probability: float
    decisions: dict[CodeSystem, Decision]
    agreement: Agreement
    checks: tuple[Check, ...]
    signals: dict[CodeSystem, dict[str, float]]

    @property
    def segment(self) -> Segment:
        return self.statement.segment

    @property
    def tumour(self) -> bool:
        return is_tumour(self.tumour_probability)


def findings(state: Mapping[str, object]) -> list[Findings]:
    """The findings of all statements of a `State`, once they are checked."""
    keys = ("statements", "tumour_probabilities", "decisions", "agreements", "checks", "signals")
    columns: list[Any] = [state[key] for key in keys]
    return [Findings(number, *row) for number, row in enumerate(zip(*columns, strict=True))]


def is_tumour(probability: float) -> bool:
    """Whether a statement with this probability is taken for a tumour."""
    return probability >= 0.5


def tumours(state: State) -> list[int]:
    """The numbers of the statements that are taken for tumours."""
    return [number for number, p in enumerate(state["tumour_probabilities"]) if is_tumour(p)]
