"""Is a diagnosis a tumour of the patient? What speaks for it, and how likely that makes it.

    tumour_log_odds(resources, ["Coecum-Ca stenosierend, Hemikolektomie re."], ["Zäkumkarzinom stenosierend"])

N-grams of the text know the words around a diagnosis (Ausschluss, Screening, -itis), those of the core what is left
when a note's other words are set aside; the language model reads the core; and a word may name a tumour outright.
`training/fit.py` fits the weights of the four.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.models.base import Question
from agent.prepare.context import names_definite_tumour
from agent.resources import Resources
from index.errors import ModelError

_CERTAIN = 12.0  # log-odds beyond this say the same


def tumour_signals(resources: Resources, raw: Sequence[str], cores: Sequence[str]) -> np.ndarray:
    """(n, 4): log-odds by the n-grams of the text and of its core and by the language model (0 without one), and
    whether the core names a tumour (1 or 0)."""
    said = np.zeros(len(cores))
    if resources.model is not None and len(cores):
        answers = (resources.prompts.tumour_answer(True), resources.prompts.tumour_answer(False))
        asked = [[Question(resources.prompts.tumour_question(core), answers)] for core in cores]
        said = np.array([float(scores[0][0] - scores[0][1]) for scores in resources.model.score(asked)])
    named = np.array([float(names_definite_tumour(core)) for core in cores])
    grams, grams_of_core = resources.recogniser.log_odds(raw), resources.recogniser.log_odds(cores)
    return np.stack([grams, grams_of_core, np.clip(said, -_CERTAIN, _CERTAIN), named], 1)


def tumour_log_odds(resources: Resources, raw: Sequence[str], cores: Sequence[str]) -> np.ndarray:
    """Log-odds (n,) that each diagnosis is a tumour; `raw` is its stretch of the text, `cores` what models read.

    Raises `ModelError` where a score is no number.
    """
    weights = resources.weights.recognition
    by_signal = np.array([weights.n_grams, weights.core, weights.model, weights.named])
    log_odds = tumour_signals(resources, raw, cores) @ by_signal + weights.offset
    if not np.isfinite(log_odds).all():
        # As a probability it would be below every limit: no tumour, without a word.
        raise ModelError("recognition gives scores that are no numbers; load the models again")
    return log_odds
