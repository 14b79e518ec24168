"""`onkokode eval run`, `ls` and `validate`: the ablation's variants, looked at, checked and run.

onkokode eval ls
onkokode eval validate my-variants/*.yaml
onkokode eval run --testset heldout --out runs/ablation
onkokode eval run --model Qwen/Qwen3-8B --adapter runs/8b --testset our-testset.tsv --out runs/ablation-8b
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from agent.apps.options import OutputFolder
from eval.run.testsets import load_testset, names, places_options
from eval.run.variants import VARIANTS, WITHOUT_MODEL, Variant, read_variants
from index.errors import OnkokodeError

_FILES = click.Path(exists=True, path_type=Path)
_variants = click.option(
    "--variants",
    type=_FILES,
    multiple=True,
    default=(VARIANTS,),
    help="YAML file, or folder of them; may be repeated. Default: those of the package.",
)


@click.command("ls")
@_variants
def ls_command(variants: tuple[Path, ...]) -> None:
    """The variants and the test sets, and what each is."""
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "answer", "adapter", "candidates", "about")
    for one in read_variants(variants):
        shown = "as the adapter asks" if one.candidates is None else str(one.candidates)
        table.add_row(
            one.name, one.answer, one.adapter, "-" if one.answer in WITHOUT_MODEL else shown, one.about
        )
    console = Console(width=None if os.isatty(1) else 140)
    console.print(table)
    console.print("test sets:", ", ".join(names()))


@click.command("validate")
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=_FILES)
def validate_command(files: tuple[Path, ...]) -> None:
    """Check YAML files, and folders of them, without loading a model."""
    click.echo(f"{len(read_variants(files))} variants can be run")


@click.command("run")
@_variants
@click.option(
    "--testset",
    "testsets",
    multiple=True,
    required=True,
    help="A test set's name (see `onkokode eval ls`), or a TSV file; may be repeated.",
)
@click.option("--out", required=True, type=OutputFolder(), help="Each run goes to OUT/<test set>/<variant>.")
@click.option(
    "--model", help="Language model: name, folder, .gguf file or hub name. Default: the embedded one."
)
@click.option("--adapter", help="Adapter trained without candidates. Default: the embedded one.")
@click.option(
    "--adapter-with-candidates", "with_candidates", help="Adapter trained with candidates in its prompts."
)
@click.option("--encoder", help="Encoder: folder or hub name. Default: the embedded one.")
@click.option(
    "--candidates",
    type=click.IntRange(min=1),
    help="How many candidates a prompt shows, in variants that show any.",
)
@click.option("--quantise", type=click.Choice(["4bit", "8bit"]), help="Hold the model in 4 or 8 bits.")
@click.option("--only", help="Names of variants, by commas.")
@click.option("--rows", type=click.IntRange(min=1), help="The first rows only.")
@places_options
@click.option("--restart", is_flag=True, help="Throw away what is in OUT for these variants.")
def run_command(
    variants: tuple[Path, ...],
    testsets: tuple[str, ...],
    out: Path,
    candidates: int | None,
    only: str | None,
    rows: int | None,
    restart: bool,
    shared: Path,
    corpus: Path,
    **models: Any,
) -> None:
    """Run variants on test sets. A run that was stopped goes on where it was."""
    chosen = _chosen(read_variants(variants), only)
    if candidates is not None:
        chosen = [replace(v, candidates=candidates) if v.candidates else v for v in chosen]

    from eval.run.models import Models
    from eval.run.run import run_ablation

    for name in testsets:
        testset = load_testset(name, shared=shared, corpus=corpus, rows=rows)
        run_ablation(chosen, testset, Models(**models), out, restart=restart, say=click.echo)
    click.echo(f"written: {out}; for tables and plots: onkokode eval report {out} --out DIR")


def _chosen(variants: Sequence[Variant], only: str | None) -> list[Variant]:
    if only is None:
        return list(variants)
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    known = {variant.name: variant for variant in variants}
    if unknown := [name for name in wanted if name not in known]:
        raise OnkokodeError(f"--only: no variant {', '.join(unknown)}; known are {', '.join(known)}")
    return [known[name] for name in wanted]
