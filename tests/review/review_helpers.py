"""Codings for the tests of the review, without a model.

coding(C50_9, confidence=0.6)                   # the JSON object of `CodedText.to_dict()`
add(store, "Mamma-Ca", coding(C50_9))           # the number of the new item
"""

from __future__ import annotations

from typing import Any

from agent.apps.review.items import NewItem
from agent.apps.review.store import Store

C50_9 = ("C50.9", "C50.9", "8500/3")


def coding(
    codes: tuple[str | None, str | None, str | None] = C50_9,
    *,
    confidence: float = 0.9,
    tumour: float = 0.99,
    alternatives: tuple[str, ...] = (),
    failed: bool = False,
    span: tuple[int, int] = (0, 0),
) -> dict[str, Any]:
    """A coding of all three axes; a code that is None abstained."""

    def axis(code: str | None) -> dict[str, Any]:
        return {
            "code": code,
            "title": f"Titel {code}" if code else None,
            "confidence": confidence if code else 0.0,
            "abstained": code is None,
            "reason": None if code else "Der Text bestimmt keinen Kode.",
            "missing": [] if code else ["Sitz des Tumors"],
            "alternatives": [
                {"code": one, "title": f"Titel {one}", "confidence": 0.1} for one in alternatives
            ],
            "evidence": [],
            "checks": [{"number": "K04", "passed": not failed, "message": "Verhalten und Kode."}],
        }

    return {
        "tumour": tumour >= 0.5,
        "tumour_probability": tumour,
        "certainty": "gesichert",
        "side": None,
        "span": list(span),
        "icd10gm": axis(codes[0]),
        "icdo_topography": axis(codes[1]),
        "icdo_morphology": axis(codes[2]),
        "further": [],
    }


def add(store: Store, text: str, of: dict[str, Any], reference: str | None = None, **more: Any) -> int:
    """Puts a text on the list; returns its number."""
    own = reference if reference is not None else text
    assert store.add([NewItem("test", own, text, of, **more)]) == 1
    return next(
        item.id
        for item in store.page("all", "", 10_000)
        if (item.reference, item.part) == (own, more.get("part", 1))
    )
