"""LoRA adapters for open-weight models, on instruction pairs, with TRL's `SFTTrainer` and PEFT.

    train_lora("Qwen/Qwen3-8B", Path("runs/pairs"), Path("runs/icd10gm-8b"), LoraPlan())

A pair becomes tokens by the agent's own `PromptEncoder`, so training and use read the same prompt: the chat
template of the family, no default system header (Llama), thinking off (Qwen3). Only the answer's tokens
count in the loss. The development pairs are answered before training and after every epoch; the epoch that
answers most of them right is the adapter. A killed run goes on from its last checkpoint.

The trainer's checkpoints hold its optimiser as a `.pt` file, which PyTorch reads with `weights_only`; they are
deleted at the end, and the adapter itself is safetensors.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from agent.code_model import LocalModel
from agent.prompt_encoder import PromptEncoder
from agent.prompts import Prompts
from index.errors import ModelError

_CARD = Path(__file__).parent / "adapter_card.md"
_CHUNK = 10_000


@dataclass(frozen=True)
class LoraPlan:
    """Rank, alpha and epochs as in the study; what it does not publish is chosen here.

    `rows` and `development_rows` limit the pairs by a seeded draw (None: all). Each step sees `batch` x
    `accumulate` pairs. `packing` fills rows of `longest` tokens with whole pairs; it needs an attention that
    keeps packed pairs apart. `four_bit` loads the base in NF4 (needs bitsandbytes and a GPU).
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    epochs: int = 5
    learning_rate: float = 2e-4
    batch: int = 16
    accumulate: int = 1
    longest: int = 512
    rows: int | None = None
    development_rows: int | None = 500
    tasks: tuple[str, ...] = ()
    packing: bool = False
    four_bit: bool = False
    gradient_checkpointing: bool = False
    save_steps: int = 500
    seed: int = 13


@dataclass(frozen=True)
class EpochResult:
    """How the development pairs were answered: shares of exact and partial answers, and the mean loss."""

    epoch: int
    n: int
    exact: float
    partial: float
    loss: float


def train_lora(
    model: str | Path, pairs: Path, out: Path, plan: LoraPlan = LoraPlan(), say: Callable[[str], None] = print
) -> list[EpochResult]:
    """Train an adapter into `out`; returns the results before training and after each epoch.

    Raises:
        ModelError: the model or the pairs cannot be used, or `out` holds a run with other settings.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    data = _data_hash(pairs)
    out.mkdir(parents=True, exist_ok=True)
    _same_run(out, {"model": str(model), "data": data, "plan": asdict(plan)})
    results = _read_results(out)
    if (out / "README.md").is_file():
        say(f"{out}: trained already")
        return results

    gpu = torch.cuda.is_available()
    quantised = {}
    if plan.four_bit:
        quantised["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model), trust_remote_code=False)
        network = AutoModelForCausalLM.from_pretrained(
            str(model),
            dtype=torch.bfloat16 if gpu else torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            **quantised,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{model}: cannot be loaded for training ({type(error).__name__})") from error
    encoder = PromptEncoder(tokenizer)
    train_rows = _rows(pairs / "train.parquet", plan.tasks, plan.rows, plan.seed)
    development = _rows(pairs / "development.parquet", plan.tasks, plan.development_rows, plan.seed)
    trainer = _trainer(network, tokenizer, _dataset(train_rows, encoder, plan.longest),
                       _dataset(development, encoder, plan.longest), out, plan)  # fmt: skip

    def measure(epoch: int) -> None:
        if any(result.epoch == epoch for result in results):
            return
        results.append(_answered(trainer, tokenizer, development, epoch))
        say(
            "epoch {epoch}: exact {exact:.1%}, partial {partial:.1%}, loss {loss:.3f}".format(
                **asdict(results[-1])
            )
        )
        trained = [result for result in results if result.epoch]
        if epoch and _best(trained).epoch == epoch:
            trainer.model.save_pretrained(str(out), safe_serialization=True)
        # After the weights: a run that is killed between the two measures and saves the epoch once more.
        _write(out / "epochs.json", [asdict(result) for result in results])

    trainer.add_callback(_each_epoch(measure))
    last = _last_checkpoint(out / "checkpoints")
    if last is not None:
        say(f"goes on from {last.name}")
    trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    Prompts("instruct").save(out)
    plot_epochs(results, out / "epochs.png")
    (out / "README.md").write_text(_card(str(model), data, plan, results), encoding="utf-8")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return results


def _trainer(network: Any, tokenizer: Any, train: Any, development: Any, out: Path, plan: LoraPlan) -> Any:
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    gpu = torch.cuda.is_available()
    torch.manual_seed(plan.seed)
    return SFTTrainer(
        model=network,
        args=SFTConfig(
            output_dir=str(out / "checkpoints"),
            num_train_epochs=plan.epochs,
            learning_rate=plan.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.03,
            per_device_train_batch_size=plan.batch,
            per_device_eval_batch_size=plan.batch,
            gradient_accumulation_steps=plan.accumulate,
            activation_checkpointing=plan.gradient_checkpointing,
            max_length=plan.longest,
            packing=plan.packing,
            eval_packing=False,
            completion_only_loss=True,
            bf16=gpu,
            use_cpu=not gpu,
            save_strategy="steps",
            save_steps=plan.save_steps,
            save_total_limit=2,
            eval_strategy="no",
            logging_strategy="no",
            report_to="none",
            seed=plan.seed,
            data_seed=plan.seed,
        ),
        train_dataset=train,
        eval_dataset=development,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=plan.rank,
            lora_alpha=plan.alpha,
            lora_dropout=plan.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def _each_epoch(measure: Callable[[int], None]) -> Any:
    from transformers import TrainerCallback

    class EachEpoch(TrainerCallback):
        """Measures before the first step and after each epoch."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            measure(0)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            measure(round(state.epoch))

    return EachEpoch()


def _answered(trainer: Any, tokenizer: Any, rows: Sequence[dict[str, str]], epoch: int) -> EpochResult:
    """Greedy answers to the development prompts; partial is equal before point or slash."""
    # The random state belongs to the training: measuring must not move it.
    state = torch.get_rng_state()
    loss = float(trainer.evaluate()["eval_loss"])
    network = trainer.accelerator.unwrap_model(trainer.model)
    said = LocalModel(network, tokenizer, "in training").free([row["prompt"] for row in rows])
    network.train()
    torch.set_rng_state(state)
    exact = [answer.strip() == row["completion"] for answer, row in zip(said, rows, strict=True)]
    partial = [_stem(answer) == _stem(row["completion"]) for answer, row in zip(said, rows, strict=True)]
    return EpochResult(epoch, len(rows), sum(exact) / len(rows), sum(partial) / len(rows), loss)


def _stem(answer: str) -> str:
    return answer.strip().split(".")[0].split("/")[0]


def _best(results: Sequence[EpochResult]) -> EpochResult:
    return max(results, key=lambda result: (result.exact, -result.loss, -result.epoch))


def _dataset(rows: Sequence[dict[str, str]], encoder: PromptEncoder, longest: int) -> Any:
    from datasets import Dataset, concatenate_datasets

    end = encoder.tokenizer.eos_token_id
    parts = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        prompts = encoder.prompts([row["prompt"] for row in chunk])
        answers = encoder.answers([row["completion"] for row in chunk])
        ids, masks = [], []
        for prompt, answer in zip(prompts, answers, strict=True):
            answer = [*answer, end]
            # The question stands at the end of a prompt and the answer after it: what is too long loses its start.
            prompt = prompt[-(longest - len(answer)) :]
            ids.append(prompt + answer)
            masks.append([0] * len(prompt) + [1] * len(answer))
        parts.append(Dataset.from_dict({"input_ids": ids, "completion_mask": masks}))
    return concatenate_datasets(parts)


def _rows(path: Path, tasks: tuple[str, ...], limit: int | None, seed: int) -> list[dict[str, str]]:
    if not path.is_file():
        raise ModelError(f"{path} is missing; write it with `onkokode train pairs`")
    table = pq.read_table(path, columns=["task", "prompt", "completion"])
    rows = [row for row in table.to_pylist() if not tasks or row["task"] in tasks]
    if not rows:
        raise ModelError(f"{path}: no pair of the tasks {', '.join(tasks) or '(any)'}")
    return rows if limit is None or limit >= len(rows) else random.Random(seed).sample(rows, limit)


def _data_hash(pairs: Path) -> str:
    try:
        return str(json.loads((pairs / "card.json").read_text(encoding="utf-8"))["sha256"]["train"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{pairs}: no data card; write the pairs with `onkokode train pairs`") from error


def _same_run(out: Path, settings: dict[str, Any]) -> None:
    path = out / "run.json"
    settings = json.loads(json.dumps(settings))
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise ModelError(f"{out} holds a run with another model, data or plan; choose another folder")
    _write(path, settings)


def _read_results(out: Path) -> list[EpochResult]:
    path = out / "epochs.json"
    if not path.is_file():
        return []
    return [EpochResult(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def _write(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; the trainer writes `trainer_state.json` last."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def plot_epochs(results: Sequence[EpochResult], path: Path) -> None:
    """The curve of exact and partial answers over the epochs, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    epochs = [result.epoch for result in results]
    axes.plot(epochs, [100 * result.partial for result in results], "o--", label="partial")
    axes.plot(epochs, [100 * result.exact for result in results], "o-", label="exact")
    axes.set(
        xlabel="epoch (0: before training)",
        ylabel=f"development pairs, % (n = {results[0].n})",
        ylim=(0, 100),
    )
    axes.set_xticks(epochs)
    axes.legend()
    figure.savefig(path, dpi=150)


def _card(model: str, data: str, plan: LoraPlan, results: Sequence[EpochResult]) -> str:
    from string import Template

    best = _best([result for result in results if result.epoch])
    table = "\n".join(
        f"| {r.epoch} | {r.exact:.1%} | {r.partial:.1%} | {r.loss:.3f} |{' kept' if r is best else ''} |"
        for r in results
    )
    return Template(_CARD.read_text(encoding="utf-8")).substitute(
        model=model,
        data=data,
        table=table,
        n=best.n,
        epoch=best.epoch,
        plan=json.dumps(asdict(plan), indent=2),
    )
