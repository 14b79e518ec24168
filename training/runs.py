"""The folder of a training run: its settings, its files, and how a killed run is found again.

same_run(out, {"model": "Qwen/Qwen3-8B", "plan": asdict(plan)})     # raises where `out` holds another run
last_checkpoint(out / "checkpoints")                               # checkpoint-500, or None
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from index.errors import ModelError
from index.io.atomic import new_file, write_whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from torch.nn import Parameter
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from training.plan import LoraPlan, TuningPlan

_R = TypeVar("_R")
RUN_FILE = "run.json"
log = logging.getLogger("training")  # how far a step is, never a text; the command line prints its lines


def same_run(out: Path, settings: dict[str, Any]) -> None:
    """Raise `ModelError` where the folder holds a run with other settings; further entries do not count."""
    path = out / RUN_FILE
    settings = json.loads(json.dumps(settings))
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        if {name: known.get(name) for name in settings} != settings:
            raise ModelError(f"{out} holds a run with another model, data or plan; choose another folder")


def is_finished(out: Path) -> bool:
    """Whether the folder's run has written that it is `finished`."""
    path = out / RUN_FILE
    return path.is_file() and bool(json.loads(path.read_text(encoding="utf-8")).get("finished"))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint. The trainer writes `trainer_state.json` last; a kill may leave half of it."""
    complete = [path for path in folder.glob("checkpoint-*") if _is_json(path / "trainer_state.json")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def each_epoch(measure: Callable[[int, float], None], steps: int | None = None) -> Any:
    """A trainer's callback that measures before the first step and after each epoch, also one that a kill cut off
    before its measure. `measure` gets the epoch and its seconds of training; `steps` are those of an epoch, where
    the run may end within one."""
    from transformers import TrainerCallback

    class EachEpoch(TrainerCallback):
        started = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.steps = steps or state.max_steps // round(state.num_train_epochs)
            if state.global_step % self.steps == 0:
                measure(state.global_step // self.steps, 0.0)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            measure(ceil(state.global_step / self.steps), time.monotonic() - self.started)

    return EachEpoch()


def train_on(trainer: Any, out: Path) -> None:
    """Train to the end, from the last checkpoint where a killed run left one."""
    last = last_checkpoint(out / "checkpoints")
    if last is not None:
        log.info(f"goes on from {last.name}")
    trainer.train(resume_from_checkpoint=str(last) if last is not None else None)


_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def keep_state(path: Path, trained: Sequence[Parameter], optimiser: Optimizer, step: int) -> None:
    """Where no trainer of transformers keeps it: weights and AdamW's moments after so many steps, as safetensors."""
    from safetensors.torch import save_file

    tensors = {f"weight.{i}": p.detach().contiguous() for i, p in enumerate(trained)}
    for i, p in enumerate(trained):
        # What no batch has asked for yet has no moments.
        moments = optimiser.state.get(p, {})
        tensors |= {f"{name}.{i}": moments[name].contiguous() for name in _MOMENTS if name in moments}
    with new_file(path) as half:
        save_file(tensors, half, metadata={"step": str(step)})


def resume_state(
    path: Path, trained: Sequence[Parameter], optimiser: Optimizer, schedule: LRScheduler
) -> int:
    """Sets all of it as it was kept, and says how many steps had been taken; 0 where nothing was kept."""
    from safetensors import safe_open

    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        step, names = int(file.metadata()["step"]), set(file.keys())
        for i, p in enumerate(trained):
            p.data.copy_(file.get_tensor(f"weight.{i}"))
            if f"{_MOMENTS[0]}.{i}" in names:
                moments = {name: file.get_tensor(f"{name}.{i}") for name in _MOMENTS}
                # AdamW counts its steps on the CPU.
                optimiser.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in moments.items()}
    for _ in range(step):
        schedule.step()
    return step


def trainer_settings(plan: LoraPlan | TuningPlan, out: Path, **own: Any) -> dict[str, Any]:
    """What every trainer is told: sizes, bf16 where there is a GPU (the weights stay as they were loaded),
    checkpoints below `out`, and to report to nobody. `own` settings are added, or take the place of these."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / "checkpoints"),
        "num_train_epochs": plan.epochs,
        "learning_rate": plan.learning_rate,
        "per_device_train_batch_size": plan.batch,
        "activation_checkpointing": plan.gradient_checkpointing,
        "bf16": gpu,
        "use_cpu": not gpu,
        "save_strategy": "steps",
        "save_steps": plan.save_steps,
        "save_total_limit": 2,
        "logging_strategy": "no",
        "disable_tqdm": not sys.stderr.isatty(),
        "report_to": "none",
        "seed": plan.seed,
        **own,
    }


def read_epochs(out: Path, result: type[_R]) -> list[_R]:
    """The results that a run has written to `epochs.json` so far; `result` is their dataclass."""
    path = out / "epochs.json"
    return TypeAdapter(list[result]).validate_json(path.read_bytes()) if path.is_file() else []  # type: ignore[valid-type]


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(content, indent=1) + "\n")


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer whose file is there under its name only when all of it is."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as half, pq.ParquetWriter(half, schema, compression="zstd") as writer:
        yield writer
