"""The way of a document through the reader, as a LangGraph `StateGraph`.

    from agent.reading.graph import reading_graph
    reading_graph.invoke({"documents": [text]}, context=Resources.load())["results"][0]

`label -> assemble -> code -> explain`: pieces are labelled, mentions of one tumour joined, each tumour's phrase and each
of its metastases coded as entries by `agent.graph`, and the answers put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, TypedDict, TypeVar

import numpy as np
from langgraph.channels import UntrackedValue
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from agent.graph import graph
from agent.prepare.normalise import CleanText, normalise
from agent.prepare.patterns import TNM
from agent.reading.answer import coded_tumour
from agent.reading.entries import entry_tumours, is_entry
from agent.reading.layout import ANCHORS, odds_of_lines, words_of
from agent.reading.mentions import Mention, mentions_of, trimmed
from agent.reading.organs import odds_of_names
from agent.reading.results import CodedDocument, CodedTumour
from agent.reading.tumours import TumourFacts, assemble
from agent.reading.united import united
from agent.resources import Resources, embedded_resources
from agent.results import CodedText
from agent.untraced import untraced

_T = TypeVar("_T")
_Working = Annotated[_T, UntrackedValue]


class DocumentState(TypedDict, total=False):
    """The reading graph's state; each key is written by one node."""

    documents: list[str]
    """The documents of the batch, as given."""
    clean: _Working[list[CleanText]]
    """`label`, per document: its normal form, in which the others count characters."""
    mentions: _Working[list[list[Mention]]]
    """`label`, per document: what is named where."""
    tumours: _Working[list[list[TumourFacts]]]
    """`assemble`, per document: the patient's tumours."""
    coded: _Working[dict[str, CodedText]]
    """`code`: the answers to all phrases of the batch."""
    results: _Working[list[CodedDocument]]
    """`explain`: the answer, one per document, in order."""


# Far more than a patient's document has; beyond it a text is cut, and the answer says so.
MAX_CHARACTERS = 100_000
_EMPTY = "Das Dokument ist leer."
_CUT = "Gelesen sind nur die ersten 100.000 Zeichen des Dokuments."


def label(state: DocumentState, resources: Resources) -> DocumentState:
    """Label the pieces of each document and gather mentions."""
    clean = [normalise(text[:MAX_CHARACTERS]) for text in state["documents"]]
    return {"clean": clean, "mentions": [_mentions(one.text, resources) for one in clean]}


def _mentions(text: str, resources: Resources) -> list[Mention]:
    found = mentions_of(resources.reader.label(text), [match.span() for match in TNM.finditer(text)])
    return [mention for one in found if (mention := trimmed(text, one)) is not None]


def join(state: DocumentState, resources: Resources) -> DocumentState:
    """Join the mentions of each tumour: by what the reader says of them, and by the organs that they name."""

    def assembled(text: str, mentions: list[Mention]) -> list[TumourFacts]:
        def same(kept: Sequence[Mention]) -> np.ndarray:
            odds = resources.reader.same_tumour(kept)
            named = [n for n, mention in enumerate(kept) if mention.role in ANCHORS]
            odds[np.ix_(named, named)] += odds_of_names(resources, [words_of(text, kept[n]) for n in named])
            odds[np.ix_(named, named)] += odds_of_lines(text, [kept[n] for n in named])
            return odds

        return assemble(text, mentions, same)

    pairs = zip(state["clean"], state["mentions"], strict=True)
    return {"tumours": [assembled(clean.text, mentions) for clean, mentions in pairs]}


def code(state: DocumentState, resources: Resources) -> DocumentState:
    """Code the phrases of all tumours and metastases as entries, each once."""
    found = [tumour for of in state["tumours"] for tumour in of]
    named = (phrase.text for one in found for phrase in (*one.phrases, one.statement) if phrase is not None)
    phrases = dict.fromkeys((*named, *(told.phrase for one in found for told in one.spread)))
    phrases |= dict.fromkeys(clean.text for clean in state["clean"] if is_entry(clean.text))
    if not phrases:
        return {"coded": {}}
    results = graph.invoke({"texts": list(phrases)}, context=resources)["results"]
    return {"coded": dict(zip(phrases, results, strict=True))}


def explain(state: DocumentState, resources: Resources) -> DocumentState:
    """Put the answers together; places are those of the document as it was given."""
    coded = state["coded"]
    documents = zip(state["documents"], state["clean"], state["tumours"], strict=True)
    return {
        "results": [
            CodedDocument(
                text,
                tuple(one.placed(clean.original_span) for one in _tumours(clean.text, of, coded, resources)),
                _problem(text),
            )
            for text, clean, of in documents
        ]
    }


def _tumours(
    text: str, facts: Iterable[TumourFacts], coded: Mapping[str, CodedText], resources: Resources
) -> tuple[CodedTumour, ...]:
    every = (coded_tumour(one, coded, resources) for one in facts)
    read = united(one for one in every if one is not None)
    return entry_tumours(coded[text], read) if is_entry(text) else read


def _problem(text: str) -> str | None:
    if not text.strip():
        return _EMPTY
    return _CUT if len(text) > MAX_CHARACTERS else None


def build() -> StateGraph[Any, Any, Any, Any]:
    """The reading graph, to be compiled."""

    def bound(
        node: Callable[[DocumentState, Resources], DocumentState],
    ) -> Callable[..., DocumentState]:
        def run(state: DocumentState, runtime: Runtime[Resources]) -> DocumentState:
            return node(state, runtime.context or embedded_resources())

        return run

    builder = StateGraph(DocumentState, context_schema=Resources)
    nodes = {"label": label, "assemble": join, "code": code, "explain": explain}
    for name, node in nodes.items():
        builder.add_node(name, bound(node))
    for before, after in pairwise([START, *nodes, END]):
        builder.add_edge(before, after)
    return builder


reading_graph = untraced(build().compile(name="onkokode-reading", checkpointer=False))
