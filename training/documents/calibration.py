"""Fits how sure the tumours of a document are, and their codes, on annotated documents that the reader did not learn.

    tagger.calibration = fit_calibration(tagger, documents)    # at the end of a training
    fit_reader(Path("agent/reading/weights"))                  # by itself

Annotated documents have no codes. A code counts as right where the tumour as its author marked it, put together and
coded in the same way, has it too: what is fitted is what the reading adds to an entry's doubt.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.reading.answer import agreeing, coded_tumour
from agent.reading.calibration import Calibration, Weights, code_features, presence_features
from agent.reading.graph import code, join, label
from agent.reading.layout import ANCHORS
from agent.reading.mentions import Mention
from agent.reading.tagger import Tagger
from agent.reading.tumours import TumourFacts, assemble
from agent.resources import Resources, embedded_resources
from index.icd import same_code
from index.records import AXES
from index.search.encoder import Encoder
from training.documents.annotated import is_held_out, load_annotated
from training.runs import log

_FEWEST = 10  # right and wrong ones each; with fewer nothing is fitted
_Rows = list[tuple[np.ndarray, bool]]


def fit_calibration(tagger: Tagger, documents: Sequence[Mapping[str, Any]]) -> Calibration:
    """A tumour that was read is the patient's where a name or place of it is annotated as one of a tumour of the
    patient."""
    tagger.calibration = plain = Calibration()
    resources = dataclasses.replace(embedded_resources())
    resources.reader = tagger
    presence: _Rows = []
    codes: _Rows = []
    for document in documents:
        _compare(document, resources, presence, codes)
    return Calibration(
        _fitted("presence", presence) or plain.of_presence, _fitted("codes", codes) or plain.of_codes
    )


def fit_reader(folder: Path) -> Calibration:
    """Fits a reader's calibration anew on the annotated documents that no reader learns, and keeps it in its folder; after
    a change of how mentions become tumours. Raises `ModelError` where the folder holds no reader."""
    tagger = Tagger.load(Encoder.load(), folder)
    documents = [json.loads(one.to_json()) for one in load_annotated() if is_held_out(one.text)]
    tagger.calibration = fit_calibration(tagger, documents)
    tagger.save_calibration(folder)
    return tagger.calibration


def _compare(document: Mapping[str, Any], resources: Resources, presence: _Rows, codes: _Rows) -> None:
    """Adds a row for each tumour that was read, and one for each code of those that are the patient's."""
    state = label({"documents": [document["text"]]}, resources)
    state |= join(state, resources)
    (clean,), (read,) = state["clean"], state["tumours"]
    annotated = _annotated(document)
    state["tumours"] = [[*read, *annotated]]
    coded = code(state, resources)["coded"]
    for facts in read:
        tumour = coded_tumour(facts, coded, resources)
        if tumour is None:
            continue
        # Mentions count characters of the normal form, annotations those of the text.
        spans = [clean.original_span(one.start, one.end) for one in facts.told_by]
        own = max(annotated, key=lambda one: _common(one, spans), default=None)
        own = own if own is not None and _common(own, spans) else None
        presence.append((presence_features(facts.told_by), own is not None))
        expected = coded_tumour(own, coded, resources) if own is not None else None
        for axis in AXES if expected is not None else ():
            coding, right = tumour.coding(axis), expected.coding(axis).code  # type: ignore[union-attr]
            if coding.code is not None and right is not None:
                features = code_features(coding.confidence, facts.told_by, agreeing(coding, facts, coded))
                codes.append((features, same_code(coding.code, right)))


def _annotated(document: Mapping[str, Any]) -> list[TumourFacts]:
    """The tumours as the author marked them."""
    number = {(one["start"], one["end"]): one["tumour"] for one in document["mentions"]}
    mentions = [Mention(m["start"], m["end"], m["role"], m["move"]) for m in document["mentions"]]

    def same(kept: Sequence[Mention]) -> np.ndarray:
        owners = [number[one.start, one.end] for one in kept]
        return np.array([[4.0 if a == b else -4.0 for b in owners] for a in owners])

    return assemble(document["text"], [m for m in mentions if number[m.start, m.end] is not None], same)


def _common(facts: TumourFacts, spans: Sequence[tuple[int, int]]) -> int:
    return sum(a < m.end and m.start < b for a, b in spans for m in facts.mentions if m.role in ANCHORS)


def _fitted(what: str, rows: _Rows) -> Weights | None:
    counts = np.bincount(np.array([right for _, right in rows], dtype=np.int64), minlength=2)
    if counts.min() < _FEWEST:
        log.info(f"calibration of {what}: {counts[1]} right, {counts[0]} wrong; too few to fit")
        return None
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(np.stack([features for features, _ in rows]), [r for _, r in rows])
    log.info(f"calibration of {what}: fitted on {counts[1]} right and {counts[0]} wrong")
    a, b, c = fitted.coef_[0].round(4).tolist()
    return a, b, c, round(float(fitted.intercept_[0]), 4)
