"""LoRA training on small random models of three families, from saved folders to an adapter that loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from agent.code_model import LocalModel, Question
from agent.prompts import Prompts
from index.errors import ModelError
from index.records import CodeSystem
from tests.agent.tiny_models import FAMILIES, save_tiny_model
from training.lora import LoraPlan, train_lora

CODES = ("C50.9", "C34.1", "C61", "C18.7")
PLAN = LoraPlan(epochs=2, batch=4, learning_rate=1e-2, development_rows=8, save_steps=3)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    ask = Prompts("instruct")
    rows = [
        {
            "task": "icd10gm",
            "prompt": ask.question(f"Befund {code} {n}", CodeSystem.ICD10GM),
            "completion": code,
        }
        for n in range(6)
        for code in CODES
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:8]), folder / "development.parquet")
    (folder / "card.json").write_text(json.dumps({"sha256": {"train": "abc"}}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_is_measured_saved_and_loads(family: str, pairs: Path, tmp_path: Path) -> None:
    model, out = save_tiny_model(family, tmp_path / family), tmp_path / "adapter"
    results = train_lora(model, pairs, out, PLAN, say=lambda _: None)
    assert [result.epoch for result in results] == [0, 1, 2]
    assert results[2].loss < results[0].loss
    assert (out / "epochs.png").read_bytes().startswith(b"\x89PNG")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "abc" in card and "| 0 |" in card
    assert not (out / "checkpoints").exists() and not list(out.rglob("*.bin"))
    config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    question = Question(Prompts.of(model, out).question("Befund", CodeSystem.ICD10GM), CODES)
    [[with_adapter]] = LocalModel.load(model, out).score([[question]])
    [[without]] = LocalModel.load(model).score([[question]])
    assert abs(with_adapter - without).max() > 0.1


def test_only_the_answer_counts_and_the_prompt_is_the_agents(pairs: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from agent.prompt_encoder import PromptEncoder
    from training.lora import _dataset, _rows

    tokenizer = AutoTokenizer.from_pretrained(save_tiny_model("llama", tmp_path / "llama"))
    rows = _rows(pairs / "development.parquet", (), None, 13)
    example = _dataset(rows, PromptEncoder(tokenizer), 512)[0]
    answer = [i for i, counts in zip(example["input_ids"], example["completion_mask"], strict=True) if counts]
    assert tokenizer.decode(answer) == rows[0]["completion"] + tokenizer.eos_token
    assert "Cutting Knowledge" not in tokenizer.decode(example["input_ids"])


@pytest.mark.parametrize("family", FAMILIES)
def test_packing_keeps_pairs_apart(family: str, pairs: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agent.prompt_encoder import PromptEncoder
    from training.lora import _dataset, _rows, _trainer

    model = save_tiny_model(family, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    data = _dataset(_rows(pairs / "train.parquet", (), None, 13), PromptEncoder(tokenizer), 512)
    network = AutoModelForCausalLM.from_pretrained(model)
    plan = replace(PLAN, packing=True, longest=512, batch=1)
    trainer = _trainer(network, tokenizer, data, data, tmp_path / "out", plan)
    batch = next(iter(trainer.get_train_dataloader()))
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    assert len(starts) > 1
    second = slice(starts[1], starts[2] if len(starts) > 2 else None)
    trainer.model.eval()
    with torch.no_grad():
        packed = trainer.model(**{k: v for k, v in batch.items() if k != "labels"}).logits[0, second]
        alone = trainer.model(input_ids=batch["input_ids"][:, second]).logits[0]
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)


_RUN = """
import sys
from pathlib import Path
from tests.training.test_lora import PLAN
from training.lora import train_lora
train_lora(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), PLAN)
"""


def test_a_killed_run_goes_on_to_the_same_weights(pairs: Path, tmp_path: Path) -> None:
    model = save_tiny_model("qwen3", tmp_path / "model")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(model), str(pairs), str(killed)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not list(killed.glob("checkpoints/checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "README.md").is_file()
    train_lora(model, pairs, killed, PLAN, say=lambda _: None)
    train_lora(model, pairs, whole, PLAN, say=lambda _: None)
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (killed, whole))
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)


def test_a_folder_with_another_run_is_refused(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="another folder"):
        train_lora("nowhere", pairs, tmp_path / "out", PLAN)


def test_missing_pairs_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="onkokode train pairs"):
        train_lora("nowhere", tmp_path, tmp_path / "out", PLAN)


def test_a_model_that_cannot_be_loaded_is_one_clear_error(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        train_lora(tmp_path / "empty", pairs, tmp_path / "out", PLAN)
