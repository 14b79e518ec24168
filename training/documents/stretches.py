"""What recognition learns from annotated documents: stretches as preparation takes them for one diagnosis, with whether
they name a tumour of the patient, and clauses that say nothing of one.

    [*stretches(learnt)]            # [Stretch('Klassifikation: Mammakarzinom li.', 'Mammakarzinom', True), …]
    clauses(learnt)                 # ('Wir bitten um Mitbehandlung', …)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from agent.prepare import prepare
from agent.prepare.context import names_tumour
from training.documents.skeletons import load_moves
from training.documents.writer import ComposedDocument, Said

_TOGETHER = (1, 2, 3)  # sentences that are read as one text, as somebody copies them into a field
_LONGEST = 400  # characters of such a text
_CLAUSE = range(8, 110)  # characters of a clause
_SENTENCE = re.compile(r"(?<=[a-zäöüß)]{3})[.;!?]\s+|\n+")
# What names no organ of the patient that could be taken for a tumour's.
_HARMLESS = (
    "none",
    "header",
    "greeting",
    "intro",
    "plan",
    "lab",
    "medication",
    "social",
    "technique",
    "closing",
)
# A lipoma is no tumour in a patient's document and one in an entry.
_MAY_BE_BENIGN = {"benign", "finding", "ailment", "no_tumour"}
_ALONE = 5  # words of a core below which nothing tells that the tumour that it names is none
_NAMING = ("name", "metastasis")  # the roles that make a tumour of a stretch


class Stretch(NamedTuple):
    """A stretch that recognition reads, its core, and whether it names a tumour of the patient."""

    text: str
    core: str
    tumour: bool


def stretches(documents: Iterable[ComposedDocument]) -> Iterator[Stretch]:
    """The diagnoses that preparation finds in each one, two and three sentences of the documents. What names no tumour
    but speaks of one is left out: nobody can say what it is by itself."""
    for document in documents:
        for count in _TOGETHER:
            for first in range(0, len(document.sentences) - count + 1, count):
                told = document.sentences[first : first + count]
                start, end = told[0].start, told[-1].end
                if end - start <= _LONGEST:
                    yield from _found(document, told, document.text[start:end])


def _found(document: ComposedDocument, told: Sequence[Said], text: str) -> Iterator[Stretch]:
    offset = told[0].start
    for segment in prepare(text).diagnoses:
        if segment.denied or not segment.core.strip():
            continue
        start, end = (offset + place for place in segment.span)
        naming = any(
            one.role in _NAMING and one.tumour is not None and one.start < end and start < one.end
            for one in document.mentions
        )
        spoken = [said for said in told if said.start < end and start < said.end]
        if naming or _is_of_none({said.move for said in spoken}, segment.core):
            yield Stretch(segment.wording, segment.core, naming)


def _is_of_none(moves: Collection[str], core: str) -> bool:
    """Whether what sentences of these moves say names no neoplasm, benign ones included, and speaks of none."""
    if any(load_moves()[move].of == "tumour" for move in moves):
        return False
    return not names_tumour(core) or not (_MAY_BE_BENIGN & set(moves) or len(core.split()) < _ALONE)


def clauses(documents: Iterable[ComposedDocument]) -> tuple[str, ...]:
    """Short clauses that name nothing, each once, in the order of the documents."""
    said = (
        part.strip(" \t-–•*.,;:")
        for document in documents
        for sentence in document.sentences
        if sentence.move in _HARMLESS
        for part in _SENTENCE.split(document.text[sentence.start : sentence.end])
    )
    return tuple(dict.fromkeys(part for part in said if len(part) in _CLAUSE))
