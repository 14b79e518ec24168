"""Texts onto the work list: coded in batches, and those that are there already left alone.

counts = Counter()
fill(store, read(path), "faelle.csv", partial(entry_codings, lambda: agent), counts)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from agent.apps.review.documents import tumour_codings
from agent.apps.review.items import NewItem
from agent.apps.review.sources import TextRow, diagnoses
from agent.apps.review.store import Store
from index.text import writable

if TYPE_CHECKING:
    from agent.agent import CodingAgent

BATCH = 64
Codings = Callable[[list[str]], Iterable[list[dict[str, Any]]]]  # of each text, those of its diagnoses


def fill(
    store: Store,
    rows: Iterator[TextRow],
    source: str,
    coded: Codings,
    counts: Counter[str],
    advance: Callable[[int], object] = lambda rows: None,
) -> None:
    """Codes and stores in batches, each in one transaction, so that an interrupt loses a batch at most; `counts` what
    became of the texts, and `advance` hears of the rows that are done."""
    while batch := list(islice(rows, BATCH)):
        there = store.texts_of(source, [row.reference for row in batch])
        new: list[TextRow] = []
        for row in batch:
            reference, text = writable(row.reference), writable(row.text)
            if not text.strip():
                counts["blank"] += 1
            elif reference not in there:
                there[reference] = text
                new.append(row)
            else:
                counts["known" if there[reference] == text else "other"] += 1
        uncoded = [row.text for row in new if row.coding is None]
        codings = iter(coded(uncoded) if uncoded else ())
        items = [
            item
            for row in new
            for item in _items(source, row, next(codings) if row.coding is None else diagnoses(row.coding))
        ]
        counts["entries"] += store.add(items)
        counts["texts"] += len(new)
        advance(len(batch))


def entry_codings(agent: Callable[[], CodingAgent], texts: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Of each text the codings of its diagnoses."""
    yield from (diagnoses(one.to_dict()) for one in agent().code_many(texts))


def document_codings(agent: Callable[[], CodingAgent], texts: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Of each document the codings of its tumours."""
    yield from map(tumour_codings, agent().read_many(texts))


def _items(source: str, row: TextRow, found: list[dict[str, Any]]) -> list[NewItem]:
    return [
        NewItem(source, row.reference, row.text, one, number, len(found), row.context)
        for number, one in enumerate(found, start=1)
    ]
