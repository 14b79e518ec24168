"""How fast a fine-tuning step is, counted in tokens that are no padding: rows of trees against padded pairs.

    measured = measure_throughput("Qwen/Qwen3-8B", Path("runs/pairs"), LoraPlan())
    measured["arms"]["trees"]["tokens_per_second"]

The same weights, adapter, pairs and device, one arm after the other in one run. Two arms are TRL's `SFTTrainer` as it
comes, one pair a row padded to the longest of the batch, in random batches and with like lengths together. The third
is what `train lora` runs. All see about equally many real tokens a step. A tree holds what its pairs share once, so
pairs per second say more than tokens; both are given. The first steps of an arm are left out, the median of the others
counts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from index.io.markdown import markdown_table
from training.adapters.data import Example, PairFolder
from training.adapters.trainer import load_base, lora_config, trainer_for
from training.adapters.trees import Trees, real_tokens, write_trees
from training.plan import LoraPlan
from training.runs import log, trainer_settings

PADDED, GROUPED, TREES = ARMS = ("TRL, padded", "TRL, like lengths together", "trees")
_WARM_UP = 3
# Dense bf16 peaks of the makers' data sheets, in FLOP/s.
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
_STUDY_PAIRS, _STUDY_EPOCHS = 518_116, 5


def measure_throughput(
    model: str | Path, pairs: Path, plan: LoraPlan, *, steps: int = 20, rows: int = 20_000
) -> dict[str, Any]:
    """Per arm tokens and pairs per second, share of padding and seconds per step; the ratio of the trees to each.

    `plan.batch` is the rows of a step with trees. Raises `ModelError` where model or pairs cannot be used.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = load_base(model, plan)
        encoder, tokenizer = base.encoder, base.encoder.tokenizer
        given = PairFolder.open(
            pairs, plan.style or Prompts.of(model_folder(model)).style, tokenizer.get_vocab()
        )
        asked = [pair for chunk in given.read("train", plan.tasks, rows, plan.seed) for pair in chunk]
        with_end = given.prompts.style != "compact"
        write_trees([asked], encoder, folder / "train.arrow", longest=plan.longest, with_end=with_end)
        trees = Trees.open(folder / "train.arrow")
        trainer = trainer_for(base, trees, None, folder, plan, max_steps=_WARM_UP + steps, save_strategy="no")
        arms = {TREES: _timed(trainer, TREES, len(asked) / int(trees.sizes().sum()))}
        tokens = _pair_tokens(asked, encoder, plan.longest, with_end)
        mean = sum(len(one["input_ids"]) for one in tokens) / len(tokens)
        padded = replace(plan, batch=max(1, round(arms[TREES]["real_tokens_per_step"] / mean)))
        for arm in (PADDED, GROUPED):
            network = load_base(model, plan).model
            plain = _trl_trainer(network, tokenizer, tokens, folder, padded, arm, _WARM_UP + steps)
            arms[arm] = _timed(plain, arm, 1 / mean)
        parameters = sum(p.numel() for p in network.parameters())
    best = arms[TREES]
    lengths = [len(one["input_ids"]) for one in tokens]
    measured: dict[str, Any] = {
        "model": str(model),
        "parameters": parameters,
        "plan": asdict(plan),
        "pairs": len(asked),
        "tokens_per_pair": {
            "mean": round(mean, 1),
            "median": statistics.median(lengths),
            "longest": max(lengths),
        },
        "steps": steps,
        "arms": {arm: arms[arm] for arm in ARMS},
        "faster": {
            arm: {unit: round(best[unit] / arms[arm][unit], 2) for unit in ("tokens_per_second", "pairs_per_second")}
            for arm in (PADDED, GROUPED)
        },
        "hours_for_the_study": round(_STUDY_PAIRS * _STUDY_EPOCHS / best["pairs_per_second"] / 3600, 1),
    }  # fmt: skip
    return measured | _on_gpu(parameters, best["tokens_per_second"])


def _pair_tokens(
    asked: Sequence[Example], encoder: PromptEncoder, longest: int, with_end: bool
) -> list[dict[str, list[int]]]:
    """Each pair as TRL takes it: token ids, and a mask of those that are the answer."""
    prompts = encoder.prompts([pair.prompt for pair in asked])
    answers = encoder.answers([pair.answer for pair in asked])
    end = [encoder.tokenizer.eos_token_id] * with_end
    return [
        {
            "input_ids": prompt[-(longest - len(answer) - len(end)) :] + answer + end,
            "completion_mask": [0] * min(len(prompt), longest - len(answer) - len(end))
            + [1] * (len(answer) + len(end)),
        }
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _trl_trainer(
    network: Any, tokenizer: Any, tokens: list[dict[str, list[int]]], folder: Path, plan: LoraPlan, arm: str,
    steps: int,
) -> Any:  # fmt: skip
    from datasets import Dataset
    from huggingface_hub import constants
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    # TRL reports each trainer that is built to the hub; nothing of ours leaves the machine.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    settings = trainer_settings(
        plan, folder, max_steps=steps, save_strategy="no", disable_tqdm=True, max_length=None,
        bf16=torch.cuda.is_available() or network.dtype == torch.bfloat16,
        train_sampling_strategy="group_by_length" if arm == GROUPED else "random",
    )  # fmt: skip
    trainer: Any = SFTTrainer(
        model=network,
        args=SFTConfig(**settings),
        train_dataset=Dataset.from_list(tokens),
        processing_class=tokenizer,
        peft_config=lora_config(plan) if plan.rank else None,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _timed(trainer: Any, arm: str, pairs_per_token: float) -> dict[str, float]:
    """Runs a trainer; the median step's real tokens per second, and the share of padding over all steps."""
    from transformers import TrainerCallback

    real: list[int] = []
    computed: list[int] = []
    seconds: list[float] = []
    step = trainer.training_step

    def counted(network: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        real.append(int(real_tokens(inputs)))
        computed.append(inputs["input_ids"].numel())
        return step(network, inputs, *rest, **named)

    class Clock(TrainerCallback):
        started = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _wait()
            self.started = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _wait()
            seconds.append(time.monotonic() - self.started)

    trainer.training_step = counted
    trainer.add_callback(Clock())
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    tokens_per_second = statistics.median(
        [tokens / s for tokens, s in zip(real, seconds, strict=True)][_WARM_UP:]
    )
    result = {
        "tokens_per_second": round(tokens_per_second, 1),
        "pairs_per_second": round(tokens_per_second * pairs_per_token, 2),
        "seconds_per_step": round(statistics.median(seconds[_WARM_UP:]), 4),
        "real_tokens_per_step": round(statistics.mean(real), 1),
        "padding": round(1 - sum(real) / sum(computed), 4),
    }
    if torch.cuda.is_available():
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    log.info(
        f"{arm}: {result['tokens_per_second']:,.0f} tokens/s, {result['pairs_per_second']:,.1f} pairs/s, "
        f"{result['padding']:.0%} padding"
    )
    return result


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _on_gpu(parameters: int, tokens_per_second: float) -> dict[str, Any]:
    """Name of the card and, where its peak is known, the share of it that is used."""
    if not torch.cuda.is_available():
        return {}
    name = torch.cuda.get_device_name()
    peak = next((value for card, value in _PEAKS.items() if card in name), None)
    # Forward 2, backward to the inputs 2 operations per weight and token: an adapter's base needs no more.
    return {
        "gpu": name,
        "share_of_peak": round(4 * parameters * tokens_per_second / peak, 3) if peak else None,
    }


def to_markdown(measured: Mapping[str, Any], environment: str) -> str:
    """The measurement as a page."""
    mean, longest = (measured["tokens_per_pair"][name] for name in ("mean", "longest"))
    ratios = {arm: f"{ratio['pairs_per_second']:.1f} times" for arm, ratio in measured["faster"].items()}
    rows = [
        (arm, f"{one['tokens_per_second']:,.0f}", f"{one['pairs_per_second']:,.1f}", f"{one['padding']:.0%}",
         f"{one['seconds_per_step']:.3f}", ratios.get(arm, ""))
        for arm, one in measured["arms"].items()
    ]  # fmt: skip
    parts = (
        "# Training throughput: rows of trees against padded pairs",
        f"`{measured['model']}`, {measured['parameters'] / 1e6:,.1f} M parameters, rank {measured['plan']['rank']}; "
        f"{measured['pairs']:,} pairs of {mean} tokens on average (longest {longest}, allowed "
        f"{measured['plan']['longest']}). Real tokens, medians of {measured['steps']} steps, one run. {environment}",
        markdown_table(
            ("arm", "real tokens/s", "pairs/s", "padding", "s per step", "trees learn pairs faster by"), rows
        ),
        f"Five epochs on {_STUDY_PAIRS:,} pairs of this length would take {measured['hours_for_the_study']:,} h.",
    )
    return "\n\n".join(parts) + "\n"
