"""TRL's trainer for a plan: which weights are trained, how they are loaded, what is told while it runs.

    network, tokenizer = load_base("Qwen/Qwen3-8B", plan)
    trainer = trainer_for(network, tokenizer, train, development, out, plan)
    trainer.train()

`training/adapters/lora.py` makes a whole run of it, and `training/adapters/throughput.py` measures its steps.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from agent.models.local import LocalModel
from index.io.progress import Pace
from training.adapters.packing import PackedRows, real_tokens
from training.plan import LoraPlan
from training.runs import log, trainer_settings


def load_base(model: str | Path, plan: LoraPlan) -> tuple[Any, Any]:
    """Network and tokenizer to train: fp32 on a CPU, bf16 on a GPU, where full fine-tuning keeps fp32 weights and
    computes in bf16 (a small step would be lost in bf16 weights).

    Raises:
        ModelError: `LocalModel.load` says why.
    """
    gpu = torch.cuda.is_available()
    # A network that will be sharded stays on the CPU until it is: no single GPU could hold it.
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")
    loaded = LocalModel.load(
        model,
        device=f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpu and not sharded else "cpu",
        dtype="bfloat16" if gpu and plan.rank else "float32",
        quantise="4bit" if plan.four_bit else None,
    )
    if plan.packing and flash_attention():
        loaded.model.set_attn_implementation("flash_attention_2")
    return loaded.model, loaded.encoder.tokenizer


def flash_attention() -> bool:
    """True where a kernel for packed rows is installed; without one PyTorch's attention gets a mask."""
    from transformers.utils import is_flash_attn_2_available

    return torch.cuda.is_available() and bool(is_flash_attn_2_available())


def trainer_for(
    network: Any, tokenizer: Any, train: Any, development: Any, out: Path, plan: LoraPlan, **changes: Any
) -> Any:
    """TRL's trainer by the plan; `changes` replace its settings."""
    import datasets
    from huggingface_hub import constants
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    # TRL reports each trainer that is built to the hub; nothing of ours leaves the machine.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    _score_only_answers()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    torch.manual_seed(plan.seed)
    own = {
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "per_device_eval_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulate,
        # Unpacked examples are short enough already; the trainer would go through them twice to make sure.
        "max_length": plan.longest if plan.packing else None,
        "packing": plan.packing,
        "eval_packing": False,
        # Pairs of one line stand together in the file and must not share their packed row.
        "shuffle_dataset": plan.packing,
        # Every weight that is trained takes part in every step.
        "ddp_find_unused_parameters": False,
        "eval_strategy": "no",
        "data_seed": plan.seed,
    }
    adapter = LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # TRL and PEFT ask transformers for names that it has deprecated; nobody here can act on that.
        warnings.simplefilter("ignore", FutureWarning)
        trainer: Any = SFTTrainer(
            model=network,
            args=SFTConfig(**trainer_settings(plan, out, **own | changes)),
            train_dataset=train,
            eval_dataset=development,
            processing_class=tokenizer,
            peft_config=adapter if plan.rank else None,
        )
    trainer.remove_callback(PrinterCallback)
    if plan.packing and not flash_attention():
        trainer.data_collator = PackedRows(tokenizer.pad_token_id)
    return trainer


def _score_only_answers() -> None:
    """On a CPU TRL computes the vocabulary's scores for every position, though only the answers' count: for the
    compact model that is half of a step."""
    from trl.trainer import utils

    original = getattr(utils, "_use_triton", None)
    if original is not None and original.__module__ != __name__:

        def only_labelled(device: torch.device) -> bool:
            return device.type == "cpu" or bool(original(device))

        utils._use_triton = only_labelled


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
