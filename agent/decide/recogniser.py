"""Is a text a tumour diagnosis? A logistic model on character n-grams of the text as it stands.

    Recogniser.load().log_odds(["Mammakarzinom", "Hypertonie"])      # array([ 7.1, -8.3])

Hashed n-grams (2 to 5 characters, within words) catch what decides this question: word endings (-om, -itis,
-ektomie) and the words around a diagnosis (Ausschluss, Screening). The language model's answer to the same
question is added in `agent/nodes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import ModelError
from index.text import normalise

WEIGHTS = Path(__file__).parents[1] / "weights" / "recogniser.safetensors"
BUCKETS = 2**18
_SHAPES = {"weights": (BUCKETS,), "offset": (1,)}
_REMEDY = "install onkokode again, or train it with `make models`"


def features(texts: Sequence[str]) -> Any:
    """Sparse (n, 2^18) matrix of hashed n-grams, rows of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(2, 5),
        n_features=BUCKETS,
        alternate_sign=False,
        norm="l2",
        lowercase=False,
    )
    return vectoriser.transform([normalise(text) for text in texts])


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
        if not texts:
            return np.zeros(0)
        return features(texts) @ self._weights + self._offset
