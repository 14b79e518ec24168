"""How sure it is that a tumour that was read is one of the patient's.

    Presence((1.0, 0.3, 0.2, 0.0)).probability(facts.mentions)

Each name and place has a probability that it names something and that its sentence speaks of a tumour of the patient. A
logistic regression on the surest of a tumour's mentions, on all of them, and on their number, fitted on annotated
documents that the reader did not learn, makes one probability of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.reading.mentions import Mention

_LEAST = 1e-4


def features(mentions: Sequence[Mention]) -> np.ndarray:
    """(3,): the log-odds of the surest mention and of the mean, and the logarithm of their number."""
    sure = np.clip([one.probability * one.presence for one in mentions], _LEAST, 1 - _LEAST)
    odds = [np.log(p / (1 - p)) for p in (sure.max(), sure.mean())]
    return np.array([*odds, np.log(len(mentions))])


@dataclass(frozen=True, slots=True)
class Presence:
    """The weights of the three features and the bias; without any that were fitted, the surest mention decides."""

    weights: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)

    def probability(self, mentions: Sequence[Mention]) -> float:
        """That what these mentions name is a tumour of the patient; without mentions, nothing is known."""
        if not mentions:
            return 0.5
        odds = features(mentions) @ self.weights[:3] + self.weights[3]
        return float(1 / (1 + np.exp(-odds)))
