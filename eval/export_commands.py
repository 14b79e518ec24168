"""`onkokode eval export`: the test sets as tasks of lm-evaluation-harness, and as retrieval sets in BEIR's form.

onkokode eval export lm-eval --testset devsets --out runs/lm-eval
onkokode eval export beir --testset heldout --axis icd10gm --out runs/beir
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.apps.options import OutputFolder
from eval.run.commands import corpus_option, shared_option
from index.records import AXES, CodeSystem

if TYPE_CHECKING:
    from eval.run.testsets import TestSet

_testset = click.option("--testset", "name", required=True, help="heldout, composed, devsets, or a TSV file.")
_out = click.option("--out", required=True, type=OutputFolder())


@click.group("export")
def export_command() -> None:
    """Write a test set in the form of other tools.

    The files hold the texts, and for BEIR the catalogue's lines: data protection and the publishers' terms say who
    may have them. Keep them on your own disk.
    """


@export_command.command("lm-eval")
@_testset
@_out
@shared_option
@corpus_option
def lm_eval_command(name: str, out: Path, shared: Path, corpus: Path) -> None:
    """Tasks for lm-evaluation-harness: lm_eval --include_path OUT --tasks onkokode_<set>."""
    from eval.export import export_lm_eval

    files = export_lm_eval(_load(name, shared, corpus), out)
    for file in files:
        click.echo(str(file))


@export_command.command("beir")
@_testset
@_out
@click.option(
    "--axis",
    type=click.Choice([axis.value for axis in AXES]),
    default=CodeSystem.ICD10GM.value,
    show_default=True,
)
@shared_option
@corpus_option
def beir_command(name: str, out: Path, axis: str, shared: Path, corpus: Path) -> None:
    """Corpus, queries and qrels. Lines of the test set's catalogue; held-out lines are not among them."""
    from eval.export import export_beir
    from index.catalogue.catalogue import Catalogue

    testset = _load(name, shared, corpus)
    counts = export_beir(testset, testset.catalogue or Catalogue.load(), CodeSystem(axis), out)
    click.echo(", ".join(f"{part}: {count:,}" for part, count in counts.items()))


def _load(name: str, shared: Path, corpus: Path) -> TestSet:
    from eval.run.testsets import load_testset

    return load_testset(name, shared=shared.resolve(), corpus=corpus)
