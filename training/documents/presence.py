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
    from sklearn.linear_model import LogisticRegression

    resources = dataclasses.replace(embedded_resources())
    vars(resources)["reader"] = tagger
    rows, right = [], []
    for document in documents:
        state = label({"documents": [document["text"]]}, resources)
        (tumours,) = join(state, resources)["tumours"]
        places = [(m["start"], m["end"]) for m in document["mentions"] if m["tumour"] is not None]
        for tumour in tumours:
            anchors = [one for one in tumour.mentions if one.role in ANCHORS] or list(tumour.mentions)
            rows.append(features(anchors))
            right.append(any(a < one.end and one.start < b for one in anchors for a, b in places))
    counts = np.bincount(np.array(right, dtype=np.int64), minlength=2)
    if counts.min() < _FEWEST:
        log.info(f"presence: {counts[1]} of the patient, {counts[0]} not; too few to fit")
        return Presence()
    fitted = LogisticRegression().fit(np.stack(rows), right)
    log.info(f"presence: fitted on {counts[1]} tumours of the patient and {counts[0]} that are none")
    weights = (*fitted.coef_[0].round(4).tolist(), round(float(fitted.intercept_[0]), 4))
    return Presence(weights)
