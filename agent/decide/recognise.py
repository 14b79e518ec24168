"""Is a diagnosis a tumour of the patient? What speaks for it, and how likely that makes it.

    tumour_log_odds(resources, ["Coecum-Ca stenosierend, Hemikolektomie re."], ["Zäkumkarzinom stenosierend"])
    Recogniser.load().log_odds(["Mammakarzinom", "Hypertonie"])      # array([ 7.1, -8.3])

N-grams of the text know the words around a diagnosis (Ausschluss, Screening, -itis, -ektomie), those of the core
what is left when a note's other words are set aside; the language model reads the core; and a word may name a tumour
outright. `training/fit.py` fits the weights of the four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.decide.ngrams import BUCKETS, buckets_of
from agent.models.base import Question
from agent.prepare.context import names_definite_tumour, names_tumour
from index.errors import ModelError

if TYPE_CHECKING:
    from agent.resources import Resources

WEIGHTS = Path(__file__).parents[1] / "weights" / "recogniser.safetensors"
_CERTAIN = 12.0  # log-odds beyond this say the same
# Against a statement that names no tumour, in a text that names one elsewhere and has a surer statement.
_BESIDE_SURER = 6.0
_SHAPES = {"weights": (BUCKETS,), "offset": (1,)}
_REMEDY = "install onkokode again, or train it with `make models`"


class Recogniser:
    """`weights` (2^18,) and an offset, in log-odds."""

    def __init__(self, weights: np.ndarray, offset: float) -> None:
        self._weights = weights.astype(np.float32)
        self._offset = offset

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Recogniser:
        """Raises `ModelError` for a file that is missing or holds something else, and names the tensor."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not path.is_file():
            raise ModelError(f"{path}: recogniser weights are missing; train them with `make models`")
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: cannot be read ({error}); {_REMEDY}") from None
        for name, shape in _SHAPES.items():
            if name not in tensors or tensors[name].shape != shape or tensors[name].dtype.kind != "f":
                raise ModelError(f"{path}: the tensor {name} is missing or of another shape; {_REMEDY}")
            if not np.isfinite(tensors[name]).all():
                raise ModelError(f"{path}: the tensor {name} holds values that are no numbers; {_REMEDY}")
        return cls(tensors["weights"], float(tensors["offset"][0]))

    def save(self, path: Path = WEIGHTS) -> None:
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, np.ndarray] = {
            "weights": self._weights.astype(np.float16),
            "offset": np.array([self._offset], np.float32),
        }
        save_file(tensors, path)

    def log_odds(self, texts: Sequence[str]) -> np.ndarray:
        """Log-odds of a tumour diagnosis, shape (n,)."""
        of = {text: self._log_odds(text) for text in dict.fromkeys(texts)}
        return np.array([of[text] for text in texts])

    def _log_odds(self, text: str) -> float:
        buckets, counts = np.unique(buckets_of(text), return_counts=True)
        length = float(np.sqrt(np.square(counts).sum())) or 1.0
        return float(counts @ self._weights[buckets]) / length + self._offset


def tumour_signals(
    resources: Resources, raw: Sequence[str], cores: Sequence[str], said: np.ndarray | None = None
) -> np.ndarray:
    """(n, 4): log-odds by the n-grams of the text and of its core and by the language model (0 without one), and
    whether the core names a tumour (1 or 0). `said` (n,) is what the model has said already."""
    if said is None and resources.model is not None and len(cores):
        texts = [resources.prompts.reads(*pair) for pair in zip(cores, raw, strict=True)]
        answers = (resources.prompts.tumour_answer(True), resources.prompts.tumour_answer(False))
        asked = [[Question(resources.prompts.tumour_question(text), answers)] for text in texts]
        said = np.array([float(scores[0][0] - scores[0][1]) for scores in resources.model.score(asked)])
    said = np.zeros(len(cores)) if said is None else said
    named = np.array([float(names_definite_tumour(core)) for core in cores])
    grams, grams_of_core = resources.recogniser.log_odds(raw), resources.recogniser.log_odds(cores)
    return np.stack([grams, grams_of_core, np.clip(said, -_CERTAIN, _CERTAIN), named], 1)


def tumour_log_odds(
    resources: Resources, raw: Sequence[str], cores: Sequence[str], said: np.ndarray | None = None
) -> np.ndarray:
    """Log-odds (n,) that each diagnosis is a tumour; `raw` is its stretch of the text, `cores` what rules left of it,
    `said` (n,) what the model has said already.

    Raises `ModelError` where a score is no number.
    """
    weights = resources.weights.recognition
    by_signal = np.array([weights.n_grams, weights.core, weights.model, weights.named])
    # What is not heard need not be asked.
    asked = resources if weights.model else replace(resources, model=None)
    log_odds = tumour_signals(asked, raw, cores, said) @ by_signal + weights.offset
    if not np.isfinite(log_odds).all():
        # As a probability it would be below every limit: no tumour, without a word.
        raise ModelError("recognition gives scores that are no numbers; load the models again")
    return log_odds


def beside_surer(log_odds: np.ndarray, texts: Sequence[int], cores: Sequence[str]) -> np.ndarray:
    """Log-odds (n,) of statements with what else stands in their texts (a number each): "Bitte um Mitbehandlung" beside
    a carcinoma is none, though it might be taken for one if it stood alone. The surest of a text is never held back, as
    its name may be one that no table has."""
    named = [names_tumour(core) for core in cores]
    naming = {text for text, names in zip(texts, named, strict=True) if names}
    surest: dict[int, float] = {}
    for text, value in zip(texts, log_odds, strict=True):
        surest[text] = max(value, surest.get(text, value))
    held_back = [
        not names and text in naming and value < surest[text]
        for text, names, value in zip(texts, named, log_odds, strict=True)
    ]
    return log_odds - np.where(held_back, _BESIDE_SURER, 0.0)
