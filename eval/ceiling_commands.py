"""`onkokode eval annotate` and `ceiling`: how much of a test set its texts can decide at all.

onkokode eval annotate --testset devsets --annotator "A. Reader" --out runs/judged.tsv
onkokode eval ceiling runs/judged.tsv
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.apps.options import OutputFile, OutputFolder
from eval.run.commands import corpus_option, shared_option

if TYPE_CHECKING:
    from eval.testset import Row

_KEYS = {"e": "exact", "t": "three", "n": "not", "q": ""}
_testset = click.option(
    "--testset",
    "name",
    default="devsets",
    show_default=True,
    help="heldout, composed, devsets, or a TSV file.",
)


@click.command("annotate")
@_testset
@click.option(
    "--n", "number", type=click.IntRange(min=1), default=60, show_default=True, help="Texts to judge."
)
@click.option("--seed", default=13, show_default=True)
@click.option("--annotator", required=True, help="Who judges; stands in the file.")
@click.option(
    "--out",
    "file",
    required=True,
    type=OutputFile(new_folders=True),
    help="TSV file, without texts.",
)
@shared_option
@corpus_option
def annotate_command(
    name: str, number: int, seed: int, annotator: str, file: Path, shared: Path, corpus: Path
) -> None:
    """Judge how far texts determine their code. The same command goes on where it stopped.

    \b
    e  the terminal code       n  neither
    t  three characters only   q  stop for now
    """
    from eval.ceiling import Judgement, append_judgement, read_judgements, sample
    from eval.run.testsets import load_testset, row_name

    rows = sample(load_testset(name, shared=shared.resolve(), corpus=corpus), number, seed)
    before = read_judgements([file]) if file.exists() else []
    done = {one.row for one in before if one.annotator == annotator}
    file.parent.mkdir(parents=True, exist_ok=True)
    for place, row in enumerate(rows, start=1):
        if row_name(row) in done:
            continue
        click.echo(f"\n{place} of {len(rows)}\n{row.text}\n{_codes(row)}")
        key = click.prompt(
            "determines (e, t, n; q stops)", type=click.Choice(list(_KEYS)), show_choices=False
        )
        if key == "q":
            return
        reason = click.prompt("why").strip()
        append_judgement(file, Judgement(row_name(row), _KEYS[key], reason, annotator))
    click.echo(f"all judged; for the shares: onkokode eval ceiling {file} --testset {name}")


@click.command("ceiling")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path)
)
@_testset
@click.option(
    "--out", type=OutputFolder(), default=Path("docs/results"), show_default=True,
    help="Where Markdown and JSON go.",
)  # fmt: skip
@shared_option
@corpus_option
def ceiling_command(files: tuple[Path, ...], name: str, out: Path, shared: Path, corpus: Path) -> None:
    """The shares of texts that determine their code, with intervals, and the agreement of two annotators."""
    from eval.ceiling import ceiling_section, read_judgements
    from eval.report.report import environment, print_section, write
    from eval.run.testsets import load_testset

    section = ceiling_section(
        read_judgements(files), load_testset(name, shared=shared.resolve(), corpus=corpus)
    )
    print_section(section)
    click.echo(f"written: {os.fspath(write(section, out, environment({})))}")


def _codes(row: Row) -> str:
    """The row's codes, in one line."""
    return "  ".join(code for code in (row.icd10, row.icdo_topography, row.icdo_morphology) if code)
