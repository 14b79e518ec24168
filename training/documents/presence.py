"""Fits how sure it is that a tumour that was read is the patient's, on annotated documents that the reader did not learn.

tagger.presence = fit_presence(tagger, documents)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.reading.graph import join, label
from agent.reading.presence import Presence, features
from agent.reading.tagger import Tagger
from agent.reading.tumours import ANCHORS
from agent.resources import embedded_resources
from training.runs import log

_FEWEST = 10  # of both kinds; with fewer the surest mention decides


def fit_presence(tagger: Tagger, documents: Sequence[Mapping[str, Any]]) -> Presence:
    """A tumour that was read is the patient's where a name or place of it is annotated as one of a tumour of the
    patient."""
    if not documents:
        return Presence()
    from sklearn.linear_model import LogisticRegression

    resources = dataclasses.replace(embedded_resources())
    resources.reader = tagger
    rows, right = [], []
    for document in documents:
        state = label({"documents": [document["text"]]}, resources)
        (tumours,) = join(state, resources)["tumours"]
        places = [
            (mention["start"], mention["end"])
            for mention in document["mentions"]
            if mention["tumour"] is not None and mention["role"] in ANCHORS
        ]
        # Mentions count characters of the normal form, annotations those of the text.
        (clean,) = state["clean"]
        for tumour in tumours:
            spans = [clean.original_span(one.start, one.end) for one in tumour.told_by]
            rows.append(features(tumour.told_by))
            right.append(any(a < end and start < b for start, end in spans for a, b in places))
    counts = np.bincount(np.array(right, dtype=np.int64), minlength=2)
    if counts.min() < _FEWEST:
        log.info(f"presence: {counts[1]} of the patient, {counts[0]} not; too few to fit")
        return Presence()
    fitted = LogisticRegression().fit(np.stack(rows), right)
    log.info(f"presence: fitted on {counts[1]} tumours of the patient and {counts[0]} that are none")
    weights = (*fitted.coef_[0].round(4).tolist(), round(float(fitted.intercept_[0]), 4))
    return Presence(weights)
