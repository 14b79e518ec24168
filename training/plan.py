"""The sizes of a run of `onkokode train all`, as its result records them in `plan.json`.

train_all(material(Path("../shared/catalogues")), Path("runs/models"), Plan(model_steps=100))
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """Sizes of a run. The defaults train such models in about two hours on two cores."""

    seed: int = 13
    composed: int = 500_000
    held_out: int = 12_000
    copies: int = 5
    contexts: int = 30_000
    encoder_steps: int = 1500
    dimensions: dict[str, int] = field(
        default_factory=lambda: {"icd10gm": 128, "icdo_topography": 64, "icdo_morphology": 64}
    )
    model_steps: int = 3000
    adapter_texts: int = 60_000
    adapter_measured: int = 600
    adapter_epochs: int = 1
    batch: int = 256
    adapter_rank: int = 16
    adapter_alpha: int = 32
    candidates: int = 10
    candidate_pairs: int = 80_000  # of those with candidates, which are longer, drawn by the seed
    candidate_folds: int = 3
    candidate_steps: int = 400


DEFAULT = Plan()
