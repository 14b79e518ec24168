"""The plans of training: sizes and settings with their defaults, as results record them and commands offer them.

train_all(material(Path("../shared/catalogues")), Path("runs/models"), Plan(model_steps=100))

@click.command("lora")
@plan_options(LoraPlan)                                 # --rank, --alpha … with default and help
def lora_command(**plan): train_lora(model, pairs, out, LoraPlan(**plan))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from index.errors import ModelError
from index.records import AXES


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of a plan that is an option too; `more` as `click.option` takes it, `name` where it has another."""
    return field(default=default, metadata={"help": help, **more})


def plan_options(plan: type, *names: str) -> Callable[[Any], Any]:
    """Adds the options of a plan's fields to a command, or those of `names` alone, in the order of the fields.

    The field's type says what is read: a flag, a choice (`Literal`), several values (`tuple`), or nothing by
    default (`int | None`). Each gets to the command under the field's name.
    """

    def add(command: Any) -> Any:
        types = get_type_hints(plan)
        for one in reversed(fields(plan)):
            if one.metadata and (not names or one.name in names):
                command = _option(one.name, types[one.name], one.default, **one.metadata)(command)
        return command

    return add


def _option(param: str, kind: Any, default: Any, name: str | None = None, **settings: Any) -> Any:
    settings["default"], settings["show_default"] = default, default is not None and kind is not bool
    if get_origin(kind) is tuple:
        settings |= {"multiple": True, "show_default": False}
    elif choices := _choices(kind):
        settings["type"] = click.Choice(choices)
    elif kind is bool:
        settings["is_flag"] = True
    else:
        settings["type"] = next(of for of in get_args(kind) or (kind,) if of is not NoneType)
    return click.option(f"--{name or param.replace('_', '-')}", param, **settings)


def _choices(kind: Any) -> tuple[str, ...]:
    """The values of a `Literal`, also of one that may be None."""
    literal = next((of for of in (kind, *get_args(kind)) if get_origin(of) is Literal), None)
    return get_args(literal)


# Parts of the corpus.
PARTS = ("catalogue", "composed_1", "composed_2", "other", "around", "annotated", "composed_heldout")


@dataclass(frozen=True)
class Plan:
    """Sizes of a run of `train all`. The defaults train such models in about two hours on two cores."""

    seed: int = 13
    composed: int = 500_000
    held_out: int = 12_000
    copies: int = 5
    contexts: int = 30_000
    annotated: int = 10_000  # annotated documents that recognition learns from, at most
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


@dataclass(frozen=True)
class PairsPlan:
    """Which instruction pairs are written, and where they go."""

    seed: int = option(13, "Of every draw.")
    hold_out_codes: float = option(0.02, "Share of codes that no training pair may show.")
    hold_out_terms: float = option(
        0.02,
        "Share of the terms kept for development, and as much for testing, beside the study's own split.",
    )
    candidates: int = option(
        0,
        "Show up to this many retrieved candidates in each prompt, cross-fitted (0: none; takes some minutes).",
    )
    folds: int = option(3, "Encoders for the candidates of the training lines.")
    encoder_steps: int = option(400, "Training steps of each such encoder.")


@dataclass(frozen=True)
class LoraPlan:
    """Rank, alpha and epochs as in the study; what it does not publish is chosen here.

    Rank 0 is full fine-tuning: every weight is trained, and a whole model is kept. Each step sees `batch` x
    `accumulate` rows, each filled with as many pairs as it holds. `four_bit` is NF4.
    """

    rank: int = option(8, "Rank of the adapter; 0 trains all weights.")
    alpha: int = option(16, "The adapter's output counts alpha / rank.")
    dropout: float = option(0.05, "Of the adapter's inputs; 0 saves time on a CPU.")
    epochs: int = option(5, "Times that each pair is seen.")
    learning_rate: float = option(2e-4, "At its peak.")
    batch: int = option(16, "Rows on a device at a time.")
    accumulate: int = option(1, "Batches per step.")
    longest: int = option(512, "Tokens of a row; what is longer loses its start.")
    rows: int | None = option(
        None, "Train on this many pairs, drawn by the seed with all questions about a text (all)."
    )
    development_rows: int | None = option(500, "Pairs answered after each epoch.")
    tasks: tuple[str, ...] = option((), "Only this task; may be given several times (all four).", name="task")
    style: Literal["instruct", "short"] | None = option(
        None, "How a text is asked: with an instruction or without (as the model's folder says, else with)."
    )
    others: int = option(4096, "Tokens that stand for all those that no answer is made of (0: take all).")
    compile: bool = option(False, "Compile the layers: a third faster on a CPU with a C++ compiler.")
    four_bit: bool = option(False, "Load the base model in 4 bits (GPU, bitsandbytes).")
    gradient_checkpointing: bool = option(False, "Less memory for a third more time.")
    save_steps: int = option(500, "Steps between two checkpoints.")
    seed: int = option(13, "Of every draw.")

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ModelError(f"rank {self.rank}: give a positive rank, or 0 for full fine-tuning")
        if self.rank == 0 and self.four_bit:
            raise ModelError("weights in 4 bits cannot be trained: give a rank, or leave out --four-bit")

    def kind(self) -> str:
        """What is trained, in words."""
        return f"LoRA adapter of rank {self.rank}" if self.rank else "full fine-tuning"


@dataclass(frozen=True)
class TuningPlan:
    """What an encoder is trained on. A line also gives `partners` pairs with other lines of its code."""

    axes: tuple[str, ...] = option(
        tuple(axis.value for axis in AXES), "Only this axis; may be given several times (all three).",
        name="axis", type=click.Choice([axis.value for axis in AXES]),
    )  # fmt: skip
    composed_rows: int = option(100_000, "Texts drawn from the composed file.")
    loss: Literal["mnrl", "cached-mnrl"] = option("mnrl", "Negatives of the batch, all at once or by parts.")
    scale: float = 20.0
    hard_negatives: int = option(1, "Near lines of other codes beside each pair.")
    partners: int = 2
    noisy_copies: int = option(2, "Copies of a line as a clinic might type it.")
    epochs: int = option(3, "Times that each pair is seen.")
    steps: int | None = option(None, "Stop after this many steps.")
    batch: int = option(128, "Pairs in a batch, each of another code.")
    mini_batch: int = option(32, "Texts in memory at a time (cached-mnrl).")
    learning_rate: float | None = option(None, "[default: 0.02 from scratch, 2e-5 from a model]")
    max_lines: int | None = option(None, "Train on this many lines of an axis, drawn by the seed (all).")
    dimension: int = option(128, "Width of the vectors, from scratch only.")
    gradient_checkpointing: bool = option(False, "Less memory for a third more time.")
    save_steps: int = option(500, "Steps between two checkpoints.")
    seed: int = option(13, "Of every draw.")


@dataclass(frozen=True)
class ReaderPlan:
    """The size of the reader of documents, and how long it learns."""

    model: str | None = option(
        None,
        "Read with the layers of this language model and an adapter, instead of a small network of our own.",
    )
    rank: int = option(16, "Rank of the adapter.")
    epochs: int = option(3, "Times that each document is seen.")
    learning_rate: float = option(1e-3, "At its peak.")
    keep: float = option(
        0.0,
        "Share that the weights of --start have in those that are kept: 0.5 is the mean of before and after.",
        type=click.FloatRange(0, 1, max_open=True),
    )
    pieces: int = option(6144, "Pieces of documents in a batch.")
    width: int = option(256, "Width of the network.")
    layers: int | None = option(None, "Layers of the network. [default: 4, of a language model the first 12]")
    annotated: int = option(6, "Times that an epoch holds each document that was annotated by hand.")
    held_out: int = option(500, "Documents that are measured after each epoch and not learnt from.")
    save_steps: int = option(200, "Steps between two savings.", type=click.IntRange(1))
    seed: int = option(13, "Of every draw.")
