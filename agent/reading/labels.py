"""What the reader tells of a document: what each stretch names, and what each sentence does.

ROLES are the kinds of mentions; a piece of text begins one, goes on in one, or is in none. What a sentence does is
its *move*; `ASSERTED` says which moves speak of a tumour that the patient has, may have, or had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Assertion = Literal["now", "suspected", "past", "absent"]

ROLES = ("name", "place", "side", "metastasis", "metastasis_place", "nodes", "formula")
# Outside, then for each role its beginning and its going on.
TAGS = ("O", *(f"{prefix}-{role}" for role in ROLES for prefix in ("B", "I")))
MOVES = (
    "none", "complaint", "lesion", "suspicion", "histology", "microscopy", "diagnosis", "subsite", "infiltration", "tnm",
    "nodes", "no_nodes", "metastasis", "no_metastasis", "possible_spread", "recurrence", "no_recurrence", "past", "therapy", "course",
    "excluded", "differential", "family", "screening", "benign", "mention", "ailment", "finding", "no_tumour",
)  # fmt: skip
ASSERTED: dict[str, Assertion] = {
    "lesion": "suspected", "suspicion": "suspected", "histology": "now", "diagnosis": "now", "past": "past",
    **dict.fromkeys(("excluded", "differential", "family", "screening", "benign", "mention", "ailment", "finding",
                     "no_tumour", "none"), "absent"),
}  # fmt: skip
LINK = 64  # width of the vectors that tell tumours apart


@dataclass(frozen=True, slots=True)
class Labels:
    """What the network says of n pieces: `offsets` (n, 2) into the text, the number of their word, log-probabilities `tags` (n, len(TAGS)) and
    `moves` (n, len(MOVES)), and `links` (n, LINK), whose products are log-odds that two pieces speak of one tumour."""

    offsets: np.ndarray
    words: np.ndarray
    tags: np.ndarray
    moves: np.ndarray
    links: np.ndarray


class HasLink(Protocol):
    """What has a vector that is near those of the same tumour."""

    @property
    def link(self) -> np.ndarray: ...
