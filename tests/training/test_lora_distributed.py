"""Two processes on a CPU train one adapter: each with the whole network (DDP), and sharing it (FSDP version 2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agent.models.local import LocalModel
from tests.agent.tiny_models import save_tiny_model
from tests.training.test_lora import instruct_rows, write_pairs_folder
from training.adapters.report import EpochResult
from training.runs import read_epochs

DDP = ("--multi_gpu",)
FSDP = (
    "--use_fsdp",
    *("--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"),
    *("--fsdp_cpu_ram_efficient_loading", "true", "--fsdp_state_dict_type", "SHARDED_STATE_DICT"),
)
# accelerate shards on accelerators only, and on CPUs quietly trains whole copies instead. Told that the CPU is an
# accelerator, it takes the path that it takes on GPUs. Each process says what it trained.
_RUN = """
import logging, os, sys
from pathlib import Path
import torch
from accelerate import state
from accelerate.utils import DistributedType

sharded = sys.argv[4] == "sharded"
torch.distributed.init_process_group("gloo")
if sharded:
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    def backend(self, *_, **__):
        self._cpu = False
        return "gloo", DistributedType.MULTI_GPU
    state.PartialState._prepare_backend = backend

if os.environ["RANK"] == "0":  # as the command line does
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("training").setLevel(logging.INFO)
import training.adapters.lora as lora
keep = lora._keep
def seen(trainer, *rest, **named):
    kind = type(next(trainer.model.parameters())).__name__
    assert (kind == "DTensor") == sharded, kind
    return keep(trainer, *rest, **named)
lora._keep = seen
plan = lora.LoraPlan(epochs=2, batch=2, learning_rate=1e-2, development_rows=7, save_steps=3)
lora.train_lora(*map(Path, sys.argv[1:4]), plan)
"""


def _train(how: tuple[str, ...], model: Path, pairs: Path, out: Path, script: Path) -> None:
    script.write_text(_RUN, encoding="utf-8")
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how, "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0"]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [*launch, *map(str, (script, model, pairs, out)), "sharded" if how == FSDP else "whole"],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Only one process speaks.
    assert [line[:7] for line in done.stdout.splitlines() if line.startswith("epoch")] == [
        f"epoch {number}" for number in (0, 1, 2)
    ]


@pytest.mark.slow
def test_two_processes_train_one_adapter_whole_or_sharded(tmp_path: Path) -> None:
    model = save_tiny_model("qwen3", tmp_path / "model")
    pairs = write_pairs_folder(tmp_path / "pairs", instruct_rows())
    for name, how in (("whole", DDP), ("sharded", FSDP)):
        out = tmp_path / name
        _train(how, model, pairs, out, tmp_path / "run.py")
        results = read_epochs(out, EpochResult)
        # Seven pairs do not divide by two processes; each still counts once.
        assert [(result.epoch, result.n) for result in results] == [(0, 7), (1, 7), (2, 7)]
        assert results[2].loss < results[0].loss
        assert json.loads((out / "run.json").read_text(encoding="utf-8"))["processes"] == 2
        assert LocalModel.load(model, out)
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "sharded"))
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(one[key], other[key], atol=1e-5, rtol=1e-4)
