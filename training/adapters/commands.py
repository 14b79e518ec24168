"""`onkokode train lora` and what belongs to it: measure, compare, throughput, several GPUs.

onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/8b
accelerate launch --config_file "$(onkokode train accelerate-config fsdp)" -m agent train lora --model … --out …
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.apps.options import INPUT_FOLDER, OutputFile, OutputFolder
from index.io.failures import require
from index.io.language import say
from training.plan import LoraPlan, plan_options
from training.runs import write_json

_ACCELERATE = Path(__file__).parent / "accelerate"


_pairs = click.option(
    "--pairs", type=INPUT_FOLDER, required=True, help="Folder that `onkokode train pairs` wrote."
)


@click.command("lora")
@click.option(
    "--model",
    required=True,
    help="Model: a name of `onkokode model list`, a folder, a .gguf file, or a hub name such as Qwen/Qwen3-8B.",
)
@_pairs
@click.option("--out", type=OutputFolder(), required=True, help="Folder of the adapter.")
@plan_options(LoraPlan)
def lora_command(model: str, pairs: Path, out: Path, **plan: Any) -> None:
    """Train a LoRA adapter on instruction pairs, or with --rank 0 all weights; the same command goes on with a
    killed run.

    \b
    onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/8b --batch 32
    onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/full --rank 0 --learning-rate 1e-5
    """
    for package in ("accelerate", "matplotlib"):
        require(package, say("training-adapter"))
    from training.adapters.lora import train_lora

    train_lora(model, pairs, out, LoraPlan(**plan))


@click.command("statements")
@click.option(
    "--catalogues", type=INPUT_FOLDER, required=True, help="Folder with the official catalogue files."
)
@click.option(
    "--models",
    type=INPUT_FOLDER,
    default=Path("runs/models"),
    show_default=True,
    help="Folder of `onkokode train all` or `train corpus`, whose texts are drawn.",
)
@click.option("--out", type=OutputFolder(), default=Path("runs/statements"), show_default=True)
@click.option("--texts", default=200_000, show_default=True, help="Texts to learn from.")
@click.option("--measured", default=600, show_default=True, help="Unseen composed texts to measure on.")
@click.option("--seed", default=13, show_default=True)
def statements_command(catalogues: Path, models: Path, out: Path, **sizes: int) -> None:
    """Write clinical statements as pairs for an adapter of a pretrained model, which reads a text as it stands.

    \b
    onkokode train corpus --catalogues ../shared/catalogues
    onkokode train statements --catalogues ../shared/catalogues --out runs/statements
    onkokode train lora --model gemma-3-270m --style short --pairs runs/statements --out runs/gemma --epochs 1
    """
    from training.adapters.pairs import write_text_pairs
    from training.adapters.statements import statement_rows
    from training.recipe import material

    rows = statement_rows(material(catalogues), models, **sizes)
    write_text_pairs(out, rows)
    click.echo(", ".join(f"{part} {len(texts):,}" for part, texts in rows.items()) + f" texts: {out}")


@click.command("measure")
@click.option("--model", required=True, help="Model: name, folder, .gguf file or hub name.")
@click.option("--adapter", help="Adapter folder or hub name (none).")
@_pairs
@click.option(
    "--part",
    type=click.Choice(["development", "test_term", "test_code"]),
    default="development",
    show_default=True,
)
@plan_options(LoraPlan, "tasks", "seed")
@click.option("--rows", type=int, help="Ask this many pairs, drawn by the seed (all).")
@click.option("--out", type=OutputFile(new_folders=True), help="JSON file, with each row's result.")
def measure_command(
    model: str, adapter: str | None, pairs: Path, part: str, rows: int | None, out: Path | None, **plan: Any
) -> None:
    """Answer the pairs of a part greedily, with or without an adapter. Their own prompts are asked, with or without
    candidates.

    \b
    onkokode train measure --model Qwen/Qwen3-8B --adapter runs/8b --pairs runs/pairs --part test_term
    """
    from training.adapters.measure import measure_pairs

    measured = measure_pairs(model, adapter, pairs, part, rows=rows, **plan)
    for task, score in measured.tasks.items():
        shares = [
            f"{name} {count / score.n:.1%} ({low:.1%}-{high:.1%})"
            for name, count in (("exact", score.exact), ("partial", score.partial))
            for low, high in [score.interval(count)]
        ]
        click.echo(f"{task}: n {score.n:,}, {', '.join(shares)}, malformed {score.malformed:,}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, measured.to_dict())
        click.echo(f"rows: {out}")


@click.command("compare")
@click.argument("runs", type=INPUT_FOLDER, nargs=-1, required=True)
@click.option("--out", type=OutputFolder(), required=True, help="Folder for table and plot.")
@click.option("--task", help="Only this task's results (all tasks together).")
def compare_command(runs: tuple[Path, ...], out: Path, task: str | None) -> None:
    """Put the epochs of several `train lora` runs side by side, as a table and a plot.

    \b
    onkokode train compare runs/rank8 runs/rank64 runs/full --out runs/compared --task icd10gm
    """
    require("matplotlib", say("plot"))
    from training.adapters.report import compare_runs

    click.echo(compare_runs(runs, out, task))
    click.echo(f"table and plot: {out}")


@click.command("throughput")
@click.option("--model", required=True, help="Model: name, folder, .gguf file or hub name.")
@_pairs
@click.option("--out", type=OutputFolder(), required=True, help="Folder for table and JSON.")
@click.option("--name", default="throughput", show_default=True, help="Name of the files.")
@plan_options(
    LoraPlan,
    "rank",
    "dropout",
    "batch",
    "longest",
    "tasks",
    "style",
    "others",
    "compile",
    "gradient_checkpointing",
)
@click.option("--rows", default=20_000, show_default=True, help="Pairs to draw the batches from.")
@click.option(
    "--steps", default=20, show_default=True, help="Steps of each arm, after three that do not count."
)
def throughput_command(
    model: str, pairs: Path, out: Path, name: str, steps: int, rows: int, **plan: Any
) -> None:
    """Measure training steps: rows of trees against the padded batches of TRL's trainer, in one run.

    \b
    onkokode train throughput --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/throughput
    """
    import os
    import platform

    import torch

    for package in ("trl", "datasets"):
        require(package, say("other-trainer"))
    from training.adapters.throughput import measure_throughput, to_markdown

    measured = measure_throughput(model, pairs, LoraPlan(**plan), steps=steps, rows=rows)
    where = measured.get("gpu") or f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    environment = f"{where}, {platform.machine()}, PyTorch {torch.__version__}."
    page = to_markdown(measured, environment)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"{name}.json", measured | {"environment": environment})
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    click.echo(page)


@click.command("accelerate-config")
@click.argument("name", type=click.Choice(sorted(path.stem for path in _ACCELERATE.glob("*.yaml"))))
def accelerate_config_command(name: str) -> None:
    """Print the path of a configuration for `accelerate launch`: multi_gpu (each card holds the model), fsdp
    (the cards hold it together).

    \b
    accelerate launch --config_file "$(onkokode train accelerate-config fsdp)" --num_processes 4 \\
        -m agent train lora --model meta-llama/Llama-3.3-70B-Instruct --pairs runs/pairs --out runs/70b
    """
    click.echo(_ACCELERATE / f"{name}.yaml")


LORA_COMMANDS = (
    statements_command,
    lora_command,
    measure_command,
    compare_command,
    throughput_command,
    accelerate_config_command,
)
