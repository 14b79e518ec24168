"""What the decision is made of: the fitted weights, an axis' distribution, and the codes that the axes agree on.

    weights = Weights.load()
    weights.axes[CodeSystem.ICD10GM].none_above, weights.recognition.offset

The weights are fitted on held-out development lines and composed texts by `training/fit.py` and shipped as
`weights/decision.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from index.errors import ModelError
from index.records import AXES, CodeSystem

DECISION = "decision.json"
WEIGHTS = Path(__file__).parents[1] / "weights" / DECISION
_Kind = TypeVar("_Kind", "AxisWeights", "RecognitionWeights")
_REMEDY = "install onkokode again, or fit it with `make models`"
RANKED = 32
"""How many codes a decision ranks: nobody looks further."""
# Fitted log-odds are a few; beyond this a single signal decides everything.
_LARGEST = 1000.0
# Without fitted coefficients: the fused share, lowered where a check failed or the axes were decided jointly.
UNFITTED: Mapping[str, float] = {"fused": 1.0, "failed": -2.0, "joint": -1.0}


@dataclass(frozen=True, slots=True)
class AxisWeights:
    """How an axis is fused and calibrated.

    score = retrieval x log share + model x log-probability; confidence of the axis by itself =
    logistic(slope x logit(p) + agreement [1 if both arms choose the same code, else 0] + offset) for the first
    code; `confidence` holds the coefficients of `agent.decide.confidence` for the agent's answer. `none_above`: the
    model's probability of "no code fits" from which the axis abstains (1: what a model says that was never fitted to
    say it decides nothing). `abstain_below`: the confidence
    under which it does.
    """

    retrieval: float = 1.0
    model: float = 1.0
    slope: float = 1.0
    agreement: float = 0.0
    offset: float = 0.0
    none_above: float = 1.0
    abstain_below: float = 0.2
    confidence: Mapping[str, float] = field(default_factory=lambda: dict(UNFITTED))


@dataclass(frozen=True, slots=True)
class RecognitionWeights:
    """log-odds of a tumour: `n_grams` x those of the n-grams of the text, `core` x those of its core, `model` x
    those of the language model (without a fit it is not heard), `named` where a word names a tumour, and `offset`."""

    n_grams: float = 1.0
    model: float = 0.0
    core: float = 0.0
    named: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Weights:
    """All fitted numbers of the decision."""

    axes: Mapping[CodeSystem, AxisWeights] = field(
        default_factory=lambda: {axis: AxisWeights() for axis in AXES}
    )
    recognition: RecognitionWeights = field(default_factory=RecognitionWeights)

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Weights:
        """The fitted weights; neutral ones where none were fitted (in training, before it).

        Raises `ModelError` that names the file and the number for one that is missing, no number or of no sense, and
        where the package's own file is missing.
        """
        if not path.is_file():
            if path == WEIGHTS:
                raise ModelError(f"{path}: is missing; {_REMEDY}")
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            axes = {axis: _fitted(AxisWeights, values, axis.value) for axis in AXES}
            recognition = _fitted(RecognitionWeights, values, "recognition")
            for axis, weights in axes.items():
                if weights.retrieval < 0 or weights.model < 0 or weights.retrieval + weights.model == 0:
                    raise ValueError(f"{axis.value}: the weights of the arms are below 0, or both 0")
                if not (0 <= weights.none_above <= 1 and 0 <= weights.abstain_below <= 1):
                    raise ValueError(f"{axis.value}: a limit is no probability")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{path}: holds no fitted weights ({error}); {_REMEDY}") from None
        return cls(axes, recognition)

    @classmethod
    def beside(cls, folder: str | Path) -> Weights:
        """Those that `onkokode train fit --model` has kept in the folder of an adapter or model; neutral ones for a
        model that was never fitted, or is no folder."""
        return cls.load(Path(folder) / DECISION)

    def save(self, path: Path = WEIGHTS) -> None:
        values = {axis.value: asdict(weights) for axis, weights in self.axes.items()}
        values["recognition"] = asdict(self.recognition)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _fitted(kind: type[_Kind], values: Any, part: str) -> _Kind:
    """One part of the file. Raises `ValueError`, `KeyError` or `TypeError` unless it has every number of `kind`, no
    other, and all are finite."""
    read = values[part]
    for name in (one.name for one in fields(kind)):
        if name not in read:
            # It would be a neutral one without a word.
            raise ValueError(f"{part}: {name} is missing")
        inner = read[name] if name == "confidence" else {name: read[name]}
        if not isinstance(inner, dict) or not inner:
            raise ValueError(f"{part}: {name} holds no coefficients")
        for key, number in inner.items():
            sound = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
            if not sound or abs(number) > _LARGEST:
                raise ValueError(f"{part}: {key} is no number between -{_LARGEST:g} and {_LARGEST:g}")
    return kind(**read)


@dataclass(frozen=True, slots=True)
class Decision:
    """A distribution over the codes of an axis.

    `order` ranks the codes, best first, down to the `RANKED`th; `probabilities` (m,) are the fused shares, `confidence` the
    calibrated probability that the first code is right, `none` the model's probability that no code fits;
    `log_shares` and `log_probabilities` (m,) are what retrieval and model say, each a distribution over the
    codes (None: no model was asked).
    """

    codes: tuple[str, ...]
    order: np.ndarray
    probabilities: np.ndarray
    confidence: float
    none: float
    agree: bool
    log_shares: np.ndarray
    log_probabilities: np.ndarray | None = None

    @property
    def first(self) -> str | None:
        return self.codes[int(self.order[0])] if len(self.order) else None

    def place(self, code: str) -> int:
        """Where the code stands among `codes`."""
        return int(self.order[0]) if code == self.first else self.codes.index(code)

    def ranked(
        self, k: int, code: str | None = None, confidence: float | None = None
    ) -> list[tuple[str, float]]:
        """`code` (the first one, where none is given) with its confidence, and the k - 1 best others. The others
        share what it leaves, in the proportion of their fused shares."""
        if not len(self.order):
            return []
        code = self.first if code is None else code
        confidence = self.confidence if confidence is None else confidence
        place = self.place(str(code))
        others = [int(i) for i in self.order[:k] if int(i) != place]
        # Summed without the first, not subtracted from the whole: beside a share of nearly 1 nothing exact is left.
        rest = max(1e-300, float(self.probabilities[:place].sum() + self.probabilities[place + 1 :].sum()))
        ranked = [(str(code), confidence)]
        for i in others[: k - 1]:
            share = float(self.probabilities[i]) / rest * (1.0 - confidence)
            ranked.append((self.codes[i], min(share, confidence)))
        return ranked


@dataclass(frozen=True, slots=True)
class Agreement:
    """The codes of the three axes (None where the model says that none fits).

    `joint` is true where they were decided against an axis' own choice; `shares` are then the chosen codes' shares
    among the triples that can stand together. A metastasis that takes the histology of its primary has the
    primary's number among the batch's statements as `primary`, and the morphology of its own as `replaced`.
    """

    codes: dict[CodeSystem, str | None] = field(default_factory=dict)
    joint: bool = False
    shares: dict[CodeSystem, float] = field(default_factory=dict)
    primary: int | None = None
    replaced: str | None = None

    @property
    def own_codes(self) -> dict[CodeSystem, str | None]:
        """The codes without what was taken from a primary."""
        return self.codes if self.primary is None else {**self.codes, CodeSystem.MORPHOLOGY: self.replaced}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of n texts that scores every answer in the pass that reads the text.

    `tumour` (n,) is the difference of the log-probabilities of yes and no; `axes` are those of each axis' m codes and,
    last, of "no code fits": (n, m + 1).
    """

    tumour: np.ndarray
    axes: Mapping[CodeSystem, np.ndarray]
