"""How sure it is that a tumour that was read is one of the patient's, and that its code is right.

    Calibration().presence(facts.told_by)                # 0.93
    Calibration().code(coding.confidence, facts.told_by, agreeing=0.5)

An entry's confidence holds for its words; in a document the words that name a tumour may have been read wrongly too.
Each is a logistic regression on three features, fitted (`training.documents.calibration`) on annotated documents that
the reader did not learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.reading.mentions import Mention

_LEAST = 1e-4
Weights = tuple[float, float, float, float]
"""Those of three features, and the bias."""


def presence_features(mentions: Sequence[Mention]) -> np.ndarray:
    """(3,): the log-odds of the surest mention and of the mean, and the logarithm of their number."""
    sure = [one.probability * one.presence for one in mentions]
    return np.array([_odds(max(sure)), _odds(float(np.mean(sure))), np.log(len(mentions))])


def code_features(confidence: float, mentions: Sequence[Mention], agreeing: float) -> np.ndarray:
    """(3,): the log-odds of the entry's confidence and of the mean mention, and the share of the tumour's wordings that
    have the same code."""
    sure = [one.probability * one.presence for one in mentions] or [0.5]
    return np.array([_odds(confidence), _odds(float(np.mean(sure))), agreeing])


def _odds(probability: float) -> float:
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(p / (1 - p)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights; without any that were fitted, the surest mention decides, and a code is as sure as in an entry."""

    of_presence: Weights = (1.0, 0.0, 0.0, 0.0)
    of_codes: Weights = (1.0, 0.0, 0.0, 0.0)

    def presence(self, mentions: Sequence[Mention]) -> float:
        """That what these mentions name is a tumour of the patient; without mentions, nothing is known."""
        return _probability(self.of_presence, presence_features(mentions)) if mentions else 0.5

    def code(self, confidence: float, mentions: Sequence[Mention], agreeing: float) -> float:
        """That the code of a tumour is right, whose wording has it with this confidence as an entry."""
        return _probability(self.of_codes, code_features(confidence, mentions, agreeing))


def _probability(weights: Weights, features: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-(features @ weights[:3] + weights[3]))))
