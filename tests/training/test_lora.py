"""LoRA and full training on small random models: from saved folders and pairs to weights that load."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from agent.models.base import Question
from agent.models.generate import answer_text, greedy
from agent.models.local import LocalModel
from agent.models.prompts import CANDIDATES_FOLLOW, TUMOUR, Prompts
from agent.models.tokens import PromptEncoder
from index.errors import ModelError
from index.records import CodeSystem
from tests.agent.tiny_models import FAMILIES, save_tiny_model
from training.adapters.data import Example, PairFolder
from training.adapters.lora import train_lora
from training.adapters.measure import TaskScore, judge, measure_pairs
from training.adapters.report import EpochResult, compare_runs
from training.adapters.trainer import load_base
from training.adapters.trees import Trees, write_trees
from training.commands import train
from training.plan import LoraPlan
from training.runs import read_epochs

CODES = ("C50.9", "C34.1", "C61", "C18.7")
COMPACT_CODES = ("C50.9", "C34.1", "C16.0", "C18.7")  # C50.9 has no token in the tiny tokenizer
PLAN = LoraPlan(epochs=2, batch=1, learning_rate=1e-2, development_rows=8, save_steps=3)
ICD = CodeSystem.ICD10GM


def write_pairs_folder(folder: Path, rows: list[dict[str, Any]], **card: Any) -> Path:
    """A folder of pairs: all rows to train on, the first eight to measure."""
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:8]), folder / "development.parquet")
    card = {"sha256": {"train": "abc"}, **card}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def instruct_rows() -> list[dict[str, Any]]:
    ask = Prompts("instruct")
    return [
        {"task": "icd10gm", "prompt": ask.question(f"Befund {code} {n}", ICD), "completion": code}
        for n in range(6)
        for code in CODES
    ]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs_folder(tmp_path / "pairs", instruct_rows())


@pytest.fixture
def compact_pairs(tmp_path: Path) -> Path:
    """Each text in two forms of asking, with two candidates, and one recognition pair."""
    rows = [
        {
            "task": "icd10gm",
            "prompt": f"form {form}",
            "completion": code,
            "text": f"Magenkarzinom {word}",
            "code": code,
            "form": form,
            "candidates": [code, "C20.0"],
            "candidate_lines": ["eine Zeile", "noch eine"],
        }
        for code in COMPACT_CODES
        for word in ("Corpus", "Antrum", "Cardia")
        for form in (0, 1)
    ]
    empty: dict[str, Any] = {"candidates": [], "candidate_lines": []}
    rows.append(
        {**rows[0], "task": TUMOUR, "prompt": "", "completion": "ja", "text": "Karzinom", **empty},
    )
    return write_pairs_folder(tmp_path / "compact-pairs", rows, candidates=1)


@pytest.fixture
def compact_model(tmp_path: Path) -> Path:
    model = save_tiny_model("compact", tmp_path / "compact")
    Prompts("compact").save(model)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_is_measured_saved_and_loads(family: str, pairs: Path, tmp_path: Path) -> None:
    model, out = save_tiny_model(family, tmp_path / family), tmp_path / "adapter"
    results = train_lora(model, pairs, out, PLAN)
    assert [result.epoch for result in results] == [0, 1, 2]
    assert results[2].loss < results[0].loss
    assert results == read_epochs(out, EpochResult)
    assert results[1].tasks == {"icd10gm": (8, results[1].exact, results[1].partial)}
    assert results[1].seconds > 0
    assert (out / "epochs.png").read_bytes().startswith(b"\x89PNG")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "abc" in card and "| 0 |" in card and "# LoRA adapter" in card
    # Whose weights they are is not known here, and they are not ours.
    assert "license: other" in card and "terms of its maker" in card
    assert not (out / "checkpoints").exists() and not list(out.rglob("*.bin"))
    config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    about = json.loads((out / "run.json").read_text(encoding="utf-8"))
    weights = load_file(out / "adapter_model.safetensors")
    assert about["trainable_parameters"] == sum(weight.numel() for weight in weights.values())
    _assert_layout_of_vllm(config, weights)
    question = Question(Prompts.of(model, out).question("Befund", ICD), CODES)
    [[with_adapter]] = LocalModel.load(model, out).score([[question]])
    [[without]] = LocalModel.load(model).score([[question]])
    assert abs(with_adapter - without).max() > 0.1


def _assert_layout_of_vllm(config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
    """What vLLM's loader asks of an adapter: pairs of A and B on the projections of its layers and nowhere else
    (it loads no adapter on embeddings or the output head by default), a rank of at most 512, no bias, no DoRA, no
    whole modules beside."""
    name = re.compile(
        r"base_model\.model\.model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.lora_([AB])\.weight"
    )
    found = [name.fullmatch(key) for key in weights]
    assert all(found)
    assert len({hit[1] for hit in found if hit}) == 7
    assert all(min(weight.shape) == config["r"] for weight in weights.values())
    assert config["r"] <= 512
    assert config["peft_type"] == "LORA" and config["bias"] == "none"
    assert not config["use_dora"] and not config["use_rslora"] and not config["modules_to_save"]
    # PEFT names whole paths in a network as small as this one. vLLM goes by the weights' names in any case.
    assert {target.rpartition(".")[2] for target in config["target_modules"]} == {
        hit[1].rpartition(".")[2] for hit in found if hit
    }


def test_gradient_checkpointing_ends_at_the_same_weights(pairs: Path, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    for name, checkpointing in (("plain", False), ("saving", True)):
        plan = replace(PLAN, epochs=1, gradient_checkpointing=checkpointing)
        train_lora(model, pairs, tmp_path / name, plan)
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("plain", "saving"))
    for key in one:
        torch.testing.assert_close(one[key], other[key], atol=1e-5, rtol=1e-4)


def test_configurations_for_several_gpus_are_found_and_say_what_they_shard() -> None:
    import yaml

    for name, kind in (("multi_gpu", "MULTI_GPU"), ("fsdp", "FSDP")):
        done = CliRunner().invoke(train, ["accelerate-config", name])
        config = yaml.safe_load(Path(done.output.strip()).read_text(encoding="utf-8"))
        assert config["distributed_type"] == kind and config["mixed_precision"] == "bf16"
    assert config["fsdp_config"]["fsdp_version"] == 2


def test_rank_zero_trains_and_keeps_a_whole_model(
    pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, out = save_tiny_model("qwen3", tmp_path / "model"), tmp_path / "full"
    caplog.set_level(logging.INFO, "training")
    results = train_lora(model, pairs, out, replace(PLAN, rank=0, learning_rate=2e-3))
    assert results[2].loss < results[0].loss
    assert not (out / "adapter_config.json").exists()
    assert any("full fine-tuning" in line for line in caplog.messages)
    assert "Fully fine-tuned model" in (out / "README.md").read_text(encoding="utf-8")
    loaded = LocalModel.load(out)
    assert loaded.model.config.use_cache
    assert Prompts.of(out) == Prompts("instruct", 0)
    measured = measure_pairs(out, None, pairs)
    best = max(results[1:], key=lambda result: (result.exact, -result.loss))
    assert measured.tasks["icd10gm"].exact / 8 == best.exact


def test_a_compact_model_learns_its_own_prompts(
    compact_pairs: Path, compact_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "training")
    out = tmp_path / "out"
    results = train_lora(compact_model, compact_pairs, out, replace(PLAN, epochs=8, learning_rate=3e-2))
    about = json.loads((out / "run.json").read_text(encoding="utf-8"))
    # Three codes with a token, three texts each; the two forms are one pair, and yes and no have no token.
    assert about["train_texts"] == 9 and about["left_out"]["train"] == 7
    assert any("7 pairs left out" in line for line in caplog.messages)
    assert json.loads((out / "onkokode.json").read_text()) == {"style": "compact", "candidates": 1}
    assert max(result.exact for result in results) > results[0].exact
    measured = measure_pairs(compact_model, out, compact_pairs)
    best = max(result.exact for result in results[1:])
    assert measured.tasks["icd10gm"].exact == round(best * measured.tasks["icd10gm"].n)


def test_a_compact_prompt_shows_its_candidates_and_ends_with_the_answer(
    compact_pairs: Path, compact_model: Path, tmp_path: Path
) -> None:
    tokenizer = LocalModel.load(compact_model).encoder.tokenizer
    given = PairFolder.open(compact_pairs, "compact", tokenizer.get_vocab())
    asked = [pair for chunk in given.read("train", ("icd10gm",), None, 13) for pair in chunk]
    first = asked[0]
    assert first.prompt == f"Magenkarzinom Corpus{CANDIDATES_FOLLOW}<|icd10gm:C34.1|><|icd10gm|>"
    write_trees([asked], PromptEncoder(tokenizer), tmp_path / "x.arrow", longest=64, with_end=False)
    tree = Trees.open(tmp_path / "x.arrow")[0]
    tokens = tokenizer.convert_ids_to_tokens(tree["tokens"])
    assert tokens[-2:] == ["<|icd10gm:C34.1|>", "<|icd10gm|>"]
    assert tokenizer.convert_ids_to_tokens(tree["edge_token"]) == ["<|icd10gm:C34.1|>"]


def test_only_the_answer_counts_and_the_prompt_is_the_agents(pairs: Path, tmp_path: Path) -> None:
    tokenizer = LocalModel.load(save_tiny_model("llama", tmp_path / "llama")).encoder.tokenizer
    asked = next(PairFolder.open(pairs).read("development", (), None, 13))
    write_trees([asked], PromptEncoder(tokenizer), tmp_path / "x.arrow", longest=512, with_end=True)
    tree = Trees.open(tmp_path / "x.arrow")[0]
    assert tokenizer.decode(tree["edge_token"]) == asked[0].answer + tokenizer.eos_token
    assert "Cutting Knowledge" not in tokenizer.decode(tree["tokens"])


def test_a_draw_is_the_same_each_time_and_keeps_the_tasks(pairs: Path) -> None:
    given = PairFolder.open(pairs)
    one, other = ([pair.row for chunk in given.read("train", (), 5, 7) for pair in chunk] for _ in range(2))
    assert one == other and len(one) == 5
    with pytest.raises(ModelError, match="no pair of the tasks tumour"):
        next(given.read("train", ("tumour",), None, 7))


def test_a_draw_takes_all_questions_about_a_text(tmp_path: Path) -> None:
    rows = [
        {"task": task, "prompt": f"{task}: Text {n}", "completion": "C61", "line": f"train:{n}", "form": 0}
        for n in range(40)
        for task in ("icd10gm", "icdo_topography", TUMOUR)
    ]
    given = PairFolder.open(write_pairs_folder(tmp_path / "texts", rows))
    drawn = [pair for chunk in given.read("train", (), 30, 7) for pair in chunk]
    assert len(drawn) == 30 and len({pair.group for pair in drawn}) == 10
    assert {pair.group for pair in drawn} != {
        pair.group for c in given.read("train", (), 30, 8) for pair in c
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_generate(family: str, tmp_path: Path) -> None:
    loaded = LocalModel.load(save_tiny_model(family, tmp_path / "model"))
    prompts = [Prompts().question(text, ICD) for text in ("Karzinom", "Mamma-Ca links oben außen", "x")]
    tokenizer = loaded.encoder.tokenizer
    asked = loaded.encoder.prompts(prompts)
    found = [
        loaded.model.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=24, eos_token_id=tokenizer.eos_token_id
        )[0, len(ids) :]
        for ids in asked
    ]
    said = [
        answer_text(ids, tokenizer, "icd10gm", Prompts())
        for ids in greedy(loaded.model, tokenizer, asked, 24)
    ]
    assert said == [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in found]


def test_answers_are_judged_as_in_the_study() -> None:
    pair = Example(3, "icd10gm", "", "C50.9", "C50.9", "3")
    worth = {
        said: (hit.exact, hit.partial, hit.malformed)
        for said in ("C50.9", "Der Kode ist C50.1.", "keiner", "C34.1")
        for hit in [judge(pair, said)]
    }
    assert worth == {
        "C50.9": (True, True, False),
        "Der Kode ist C50.1.": (False, True, False),
        "keiner": (False, False, True),
        "C34.1": (False, False, False),
    }
    tumour = Example(4, TUMOUR, "", "ja", "ja", "4")
    assert judge(tumour, "Ja.").exact and judge(tumour, "vielleicht").malformed
    low, high = TaskScore(100, 88, 90, 0).interval(88)
    assert (round(low, 3), round(high, 3)) == (0.802, 0.930)


def test_measuring_writes_rows_without_texts(pairs: Path, tmp_path: Path) -> None:
    model, out = save_tiny_model("mistral", tmp_path / "model"), tmp_path / "m.json"
    done = CliRunner().invoke(
        train, ["measure", "--model", str(model), "--pairs", str(pairs), "--rows", "5", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["tasks"]["icd10gm"]["n"] == len(written["rows"]) == 5
    assert "Befund" not in out.read_text(encoding="utf-8")


def test_runs_are_compared(tmp_path: Path) -> None:
    for name, rank in (("low", 8), ("full", 0)):
        folder = tmp_path / name
        folder.mkdir()
        plan = {"rank": rank, "learning_rate": 1e-3}
        (folder / "run.json").write_text(
            json.dumps({"plan": plan, "trainable_parameters": 1234, "train_texts": 9})
        )
        epochs = [
            {"epoch": e, "n": 20, "exact": e / 4, "partial": e / 3, "loss": 1.0, "seconds": 2.0 * e}
            | {"tasks": {"icd10gm": [10, e / 4, e / 3]}}
            for e in (0, 1, 2)
        ]
        (folder / "epochs.json").write_text(json.dumps(epochs))
    text = compare_runs([tmp_path / "low", tmp_path / "full"], tmp_path / "out", task="icd10gm")
    assert "| full | 0 (full) | 1,234 | 0.001 | 9 | 3 | 0.0% / 0.0% | 25.0% / 33.3% |" in text
    assert (tmp_path / "out" / "compare.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="no results for tumour"):
        compare_runs([tmp_path / "low"], tmp_path / "out", task="tumour")


_RUN = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.training.test_lora import PLAN
import training.adapters.lora as lora
model, pairs, out, moment = sys.argv[1:]
plan = PLAN
if moment == "between":
    # The checkpoint of the epoch's last step is written, and its measuring has begun.
    plan = replace(plan, save_steps=1)
    def killed(trainer, encoder, prompts, asked, epoch, *rest, measured=lora._measured):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return measured(trainer, encoder, prompts, asked, epoch, *rest)
    lora._measured = killed
lora.train_lora(Path(model), Path(pairs), Path(out), plan)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["within", "between"])
def test_a_killed_run_goes_on_to_the_same_weights(moment: str, pairs: Path, tmp_path: Path) -> None:
    model = save_tiny_model("qwen3", tmp_path / "model")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(model), str(pairs), str(killed), moment],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    if moment == "between":
        assert process.wait(timeout=120) == -signal.SIGKILL
    else:
        while not list(killed.glob("checkpoints/checkpoint-*/trainer_state.json")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "README.md").is_file()
    plan = replace(PLAN, save_steps=1) if moment == "between" else PLAN
    results = train_lora(model, pairs, killed, plan)
    assert [result.epoch for result in results] == [0, 1, 2]
    expected = train_lora(model, pairs, whole, plan)
    assert [(r.exact, round(r.loss, 4)) for r in results] == [(r.exact, round(r.loss, 4)) for r in expected]
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
    with pytest.raises(ModelError, match="holds no model configuration"):
        train_lora(tmp_path / "empty", pairs, tmp_path / "out", PLAN)


def test_a_base_in_four_bits_gets_an_adapter(pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model, plan = save_tiny_model("qwen3", tmp_path / "model"), replace(PLAN, four_bit=True)
    network = load_base(model, plan).model
    assert {type(m).__name__ for n, m in network.named_modules() if n.endswith("_proj")} == {"Linear4bit"}
    results = train_lora(model, pairs, tmp_path / "out", plan)
    assert results[2].loss < results[0].loss
    loaded = LocalModel.load(model, tmp_path / "out", quantise="4bit")
    assert greedy(loaded.model, loaded.encoder.tokenizer, loaded.encoder.prompts(["Befund"]), 24)


def test_four_bits_cannot_be_trained_in_full() -> None:
    with pytest.raises(ModelError, match="give a rank"):
        LoraPlan(rank=0, four_bit=True)
