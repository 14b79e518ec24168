"""The trainer for a plan: which weights are trained, how they are loaded, what is told while it runs.

    base = load_base("Qwen/Qwen3-8B", plan)
    trainer = trainer_for(base, train, development, out, plan)
    trainer.train()

`training/adapters/lora.py` makes a whole run of it, and `training/adapters/throughput.py` measures its steps.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from agent.models.generate import pad_id
from agent.models.local import LocalModel
from index.io.progress import Pace
from training.adapters.loss import AnswerLoss
from training.adapters.trees import Collator, PackedRows, Trees, real_tokens
from training.plan import LoraPlan
from training.runs import log, trainer_settings


def load_base(model: str | Path, plan: LoraPlan) -> LocalModel:
    """The model to train. Under an adapter the weights have the type that inference would choose; full
    fine-tuning keeps fp32 weights, and a GPU computes in bf16 (a small step would be lost in bf16 weights).

    Raises:
        ModelError: `LocalModel.load` says why.
    """
    gpu = torch.cuda.is_available()
    # A network that will be sharded stays on the CPU until it is: no single GPU could hold it.
    return LocalModel.load(
        model,
        device=f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpu and not _sharded() else "cpu",
        dtype="auto" if plan.rank else "float32",
        quantise="4bit" if plan.four_bit else None,
    )


def trainer_for(
    base: LocalModel,
    train: Trees,
    development: Trees | None,
    out: Path,
    plan: LoraPlan,
    **changes: Any,
) -> Any:
    """A trainer of transformers by the plan; `changes` replace its settings."""
    from peft import get_peft_model
    from transformers import PrinterCallback, Trainer, TrainingArguments

    torch.manual_seed(plan.seed)
    network, tokenizer = base.model, base.encoder.tokenizer
    settings = {
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "per_device_eval_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulate,
        # Every weight that is trained takes part in every step.
        "ddp_find_unused_parameters": False,
        "eval_strategy": "no",
        "bf16": torch.cuda.is_available() or network.dtype == torch.bfloat16,
        "data_seed": plan.seed,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "prediction_loss_only": True,
    }
    if plan.rank:
        with warnings.catch_warnings():
            # PEFT asks transformers for names that it has deprecated; nobody here can act on that.
            warnings.simplefilter("ignore", FutureWarning)
            network = get_peft_model(network, lora_config(plan))
    if plan.compile:
        # Layer by layer: they are alike, so that the compiler has one of them to do.
        for layer in network.get_decoder().layers:
            layer.compile(dynamic=False)
    objective = AnswerLoss(base.method, train.answer_tokens(), plan.others)

    class AnswerTrainer(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = objective(model, inputs)
            return (loss, {}) if return_outputs else loss

    def rows(trees: Trees) -> PackedRows:
        return PackedRows(trees, plan.longest if base.method.tree else None, plan.seed)

    trainer: Any = AnswerTrainer(
        model=network,
        args=TrainingArguments(**trainer_settings(plan, out, **settings | changes)),
        train_dataset=rows(train),
        eval_dataset=rows(development) if development is not None else None,
        data_collator=Collator(plan.batch, plan.longest, pad_id(tokenizer)),
        processing_class=tokenizer,
    )
    # The loss is a mean already; without this the trainer would expect a sum and not divide it by its batches.
    trainer.model_accepts_loss_kwargs = False
    trainer.remove_callback(PrinterCallback)
    return trainer


def lora_config(plan: LoraPlan) -> Any:
    """PEFT's configuration of the plan's adapter, on all linear layers."""
    from peft import LoraConfig

    return LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _sharded() -> bool:
    """Whether each process holds a part of the weights, so that only the outermost module can be called."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")


def progress(trainer: Any) -> Any:
    """Counts what the trainer collates, and says how far it is; on a terminal the trainer's bar does."""
    from transformers import TrainerCallback

    class Paced(TrainerCallback):
        pace: Pace | None = None
        tokens: Any = 0
        since = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.pace = Pace(state.max_steps, "steps", log.info, done=state.global_step)
            self.since = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if self.pace is not None:
                self.pace.step(1, self.rate)

        def rate(self) -> str:
            now = time.monotonic()
            # One process speaks for all: their batches are alike.
            tokens = int(self.tokens) * trainer.args.world_size
            spent, self.tokens, self.since = now - self.since, 0, now
            return f"{tokens / spent:,.0f} tokens/s"

    callback = Paced()
    step = trainer.training_step

    def counted(network: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        callback.tokens = callback.tokens + real_tokens(inputs)
        return step(network, inputs, *rest, **named)

    trainer.training_step = counted
    return callback
