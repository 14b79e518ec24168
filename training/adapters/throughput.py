"""How fast a fine-tuning step is, counted in tokens that are no padding: packed rows against padded ones.

    measured = measure_throughput("Qwen/Qwen3-8B", Path("runs/pairs"), LoraPlan(packing=True))
    measured["arms"]["packed"]["tokens_per_second"]

The same network, adapter, pairs and device, one arm after the other in one run. Three arms are the plain `Trainer`
of transformers with random batches: padded to the longest length allowed, padded to the longest of the batch,
and that with pairs of like length together. The fourth is what `train lora --packing` runs. All see about
equally many real tokens a step. The first steps of an arm are left out, the median of the others counts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from index.io.markdown import markdown_table
from training.adapters.data import PairFolder, examples, write_examples
from training.adapters.packing import PackedRows
from training.adapters.trainer import load_base, trainer_for
from training.plan import LoraPlan
from training.runs import log, trainer_settings

PADDED_FULL, PADDED, GROUPED, PACKED = ARMS = (
    "padded to the longest allowed",
    "padded to the longest of the batch",
    "padded, like lengths together",
    "packed",
)
_WARM_UP = 3
# Dense bf16 peaks of the makers' data sheets, in FLOP/s.
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
_STUDY_PAIRS, _STUDY_EPOCHS = 518_116, 5


def measure_throughput(
    model: str | Path, pairs: Path, plan: LoraPlan, *, steps: int = 20, rows: int = 20_000
) -> dict[str, Any]:
    """Per arm tokens per second, share of padding and seconds per step; the ratio of the packed arm to each.

    `plan.batch` is the pairs of a padded step. Raises `ModelError` where model or pairs cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokens_file = Path(folder) / "train.arrow"
        network, tokenizer = load_base(model, plan)
        given = PairFolder.open(pairs, Prompts.of(model_folder(model)).style, tokenizer.get_vocab())
        chunks = given.read("train", plan.tasks, rows, plan.seed)
        with_end = given.prompts.style == "instruct"
        count = write_examples(chunks, PromptEncoder(tokenizer), plan.longest, tokens_file, with_end=with_end)
        data = examples(tokens_file)
        lengths = [len(ids) for ids in data["input_ids"]]
        mean = sum(lengths) / count
        parameters = sum(p.numel() for p in network.parameters())
        # TRL attaches the adapter; the plain arms train the same network.
        packed_rows = max(1, round(plan.batch * mean / plan.longest))
        trainer = trainer_for(
            network, tokenizer, data, None, Path(folder), replace(plan, packing=True, batch=packed_rows),
            max_steps=_WARM_UP + steps, save_strategy="no",
        )  # fmt: skip
        arms = {PACKED: _timed(trainer, PACKED)}
        for arm in ARMS[:3]:
            plain = _plain_trainer(trainer.model, tokenizer, data, Path(folder), plan, arm, _WARM_UP + steps)
            arms[arm] = _timed(plain, arm)
    fastest = arms[PACKED]["tokens_per_second"]
    measured: dict[str, Any] = {
        "model": str(model),
        "parameters": parameters,
        "plan": asdict(plan),
        "pairs": count,
        "tokens_per_pair": {
            "mean": round(mean, 1),
            "median": statistics.median(lengths),
            "longest": max(lengths),
        },
        "steps": steps,
        "arms": {arm: arms[arm] for arm in ARMS},
        "packed_to": {arm: round(fastest / arms[arm]["tokens_per_second"], 2) for arm in ARMS[:3]},
        "hours_for_the_study": round(_STUDY_PAIRS * _STUDY_EPOCHS * mean / fastest / 3600, 1),
    }
    return measured | _on_gpu(parameters, fastest)


def _plain_trainer(
    network: Any, tokenizer: Any, data: Any, folder: Path, plan: LoraPlan, arm: str, steps: int
) -> Any:
    from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainingArguments

    full = arm == PADDED_FULL
    settings = trainer_settings(
        plan, folder, max_steps=steps, save_strategy="no", disable_tqdm=True,
        train_sampling_strategy="group_by_length" if arm == GROUPED else "random",
    )  # fmt: skip
    trainer = Trainer(
        model=network,
        args=TrainingArguments(**settings),
        train_dataset=data,
        data_collator=DataCollatorForSeq2Seq(
            tokenizer, padding="max_length" if full else "longest", max_length=plan.longest if full else None
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _timed(trainer: Any, arm: str) -> dict[str, float]:
    """Runs a trainer; the median step's real tokens per second, and the share of padding over all steps."""
    from transformers import TrainerCallback

    real: list[int] = []
    computed: list[int] = []
    seconds: list[float] = []
    collate = trainer.data_collator
    packed = isinstance(collate, PackedRows)

    def counted(rows: Any) -> Any:
        real.append(sum(len(row["input_ids"]) for row in rows))
        batch = collate(rows)
        computed.append(batch["input_ids"].numel())
        return batch

    class Clock(TrainerCallback):
        started = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _wait()
            self.started = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _wait()
            seconds.append(time.monotonic() - self.started)

    trainer.data_collator = counted
    trainer.add_callback(Clock())
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    # The trainer may have collated batches ahead that it did not train on.
    rates = [tokens / s for tokens, s in zip(real, seconds, strict=False)][_WARM_UP:]
    result = {
        "tokens_per_second": round(statistics.median(rates), 1),
        "seconds_per_step": round(statistics.median(seconds[_WARM_UP:]), 4),
        "real_tokens_per_step": round(statistics.mean(real[: len(seconds)]), 1),
        "padding": round(1 - sum(real) / sum(computed), 4),
    }
    if torch.cuda.is_available():
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    log.info(
        f"{arm}: {result['tokens_per_second']:,.0f} tokens/s, {result['padding']:.0%} padding"
        + " (packed)" * packed
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
    ratios = {arm: f"{ratio:.1f} times" for arm, ratio in measured["packed_to"].items()}
    rows = [
        (arm, f"{one['tokens_per_second']:,.0f}", f"{one['padding']:.0%}", f"{one['seconds_per_step']:.3f}",
         ratios.get(arm, ""))
        for arm, one in measured["arms"].items()
    ]  # fmt: skip
    parts = (
        "# Training throughput: packed against padded",
        f"`{measured['model']}`, {measured['parameters'] / 1e6:,.1f} M parameters, rank {measured['plan']['rank']}; "
        f"{measured['pairs']:,} pairs of {mean} tokens on average (longest {longest}, allowed "
        f"{measured['plan']['longest']}). Real tokens, medians of {measured['steps']} steps, one run. {environment}",
        markdown_table(("arm", "real tokens/s", "padding", "s per step", "packed is faster by"), rows),
        f"Five epochs on {_STUDY_PAIRS:,} pairs of this length would take {measured['hours_for_the_study']:,} h.",
    )
    return "\n\n".join(parts) + "\n"
