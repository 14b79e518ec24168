"""Whole documents on the work list: an entry for each tumour that one tells, with the places that tell it.

    for coding in tumour_codings(agent.read(document)): coding["facts"], coding["metastases"]

Such a coding has the form of `CodedText.to_dict()` and two keys more, `facts` and `metastases`, as
`CodedTumour.to_dict()` has them; facts are in the order of the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.apps.review.items import Item
from agent.reading.results import CodedDocument
from index.records import AXES

_NO_TUMOUR = "Das Dokument nennt keinen Tumor des Patienten."
_ADDED = "Von Hand hinzugefügt."
# What of a tumour is its diagnosis, and no metastasis and no formula.
_DIAGNOSIS = ("name", "place", "side")


def tumour_codings(document: CodedDocument) -> list[dict[str, Any]]:
    """A coding for each tumour; one that says so where there is none, so that no document goes unseen."""
    common = {"span": [0, len(document.text)], "further": [], "problem": document.problem}
    found = [
        {
            **told,
            **common,
            "tumour": True,
            "tumour_probability": told["probability"],
            "facts": _facts(told),
        }
        for told in (tumour.to_dict() for tumour in document.tumours)
    ]
    return found or [{**_undetermined(_NO_TUMOUR), **common}]


def added_coding(text: str, beside: Mapping[str, Any], span: tuple[int, int] | None = None) -> dict[str, Any]:
    """The coding of a diagnosis that a person saw and the agent did not, `beside` another one of the same text: its codes
    are the person's. `span` is where the text tells it."""
    start, end = span if span is not None and 0 <= span[0] < span[1] <= len(text) else (0, len(text))
    seen = {"tumour": True, "tumour_probability": 1.0, "further": [], "problem": None}
    added = {**_undetermined(_ADDED), **seen, "certainty": None, "added": True}
    if facts_of(beside) is None:
        entry = {name: value for name, value in added.items() if name not in ("facts", "metastases")}
        return {**entry, "span": [start, end]}
    told = [{"kind": "name", "span": [start, end]}] if (start, end) != (0, len(text)) else []
    return {**added, "span": [0, len(text)], "facts": told}


def facts_of(coding: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The places that tell a tumour of a document; None for the coding of an entry."""
    return coding.get("facts")


def spoken_of(text: str, coding: Mapping[str, Any]) -> str:
    """The words of a text that a coding speaks of."""
    facts = facts_of(coding)
    if facts is None:
        return text[slice(*coding["span"])]
    words = (text[slice(*fact["span"])] for fact in facts if fact["kind"] in _DIAGNOSIS)
    return ", ".join(dict.fromkeys(" ".join(word.split()) for word in words))


def words_of(item: Item) -> str:
    """The words that an item is about: of a text with several diagnoses, and of a document, those that its coding speaks
    of; else all."""
    several = item.parts > 1 or facts_of(item.coding)
    return spoken_of(item.text, item.coding) if several else item.text


def _facts(tumour: dict[str, Any]) -> list[dict[str, Any]]:
    every = [*tumour["facts"], *(fact for one in tumour["metastases"] for fact in one["facts"])]
    unique = {(*fact["span"], fact["kind"]): fact for fact in every}
    return [unique[key] for key in sorted(unique)]


def _undetermined(reason: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "code": None, "title": None, "confidence": 0.0, "abstained": True, "reason": reason, "missing": [],
        "alternatives": [], "evidence": [], "checks": [],
    }  # fmt: skip
    return {
        **{axis.value: nothing for axis in AXES}, "tumour": False, "tumour_probability": 0.0,
        "certainty": "gesichert", "side": None, "facts": [], "metastases": [],
    }  # fmt: skip
