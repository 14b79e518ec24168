"""`onkokode train`: from catalogues to weights.

onkokode train all --catalogues ../shared/catalogues --out runs/models
"""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def train() -> None:
    """Train the encoder, the compact model and its adapters from catalogue files."""


@train.command("all")
@click.option(
    "--catalogues",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with the official catalogue files; anything else in it is skipped.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/models"), show_default=True)
@click.option("--publish", is_flag=True, help="Copy the result into the installed package, with model cards.")
def train_all_command(catalogues: Path, out: Path, publish: bool) -> None:
    """Run every step: corpus, encoder, model, adapter, recogniser, fit.

    Steps whose result lies in OUT already are skipped, so a stopped run goes on where it was.
    """
    from training.publish import publish as copy
    from training.recipe import material, train_all

    given = material(catalogues)
    train_all(given, out, say=_say)
    if publish:
        copy(given, out, say=_say)


@train.command("fit")
@click.option("--catalogues", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/models"), show_default=True)
@click.option("--publish", is_flag=True, help="Copy the result into the installed package, with model cards.")
def fit_command(catalogues: Path, out: Path, publish: bool) -> None:
    """Fit fusion, calibration and recognition again, for models that are trained."""
    from training.fit import fit
    from training.publish import publish as copy
    from training.recipe import material

    given = material(catalogues)
    fit(given, out, say=_say)
    if publish:
        copy(given, out, say=_say)


def _say(line: str) -> None:
    click.echo(line)
