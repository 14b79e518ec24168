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


@train.command("pairs")
@click.option(
    "--catalogues",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with the official catalogue files, in any mix; anything else in it is skipped.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/pairs"), show_default=True)
@click.option("--seed", default=13, show_default=True)
@click.option(
    "--hold-out-codes", default=0.02, show_default=True, help="Share of codes that no training pair may show."
)
@click.option(
    "--keep-out",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A test set (TSV or CSV with a column `text`, or one text a line): nothing that says the same gets in.",
)
@click.option(
    "--exclude",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one line id per line, such as the audit writes: these lines are left out.",
)
def pairs_command(
    catalogues: Path,
    out: Path,
    seed: int,
    hold_out_codes: float,
    keep_out: tuple[Path, ...],
    exclude: Path | None,
) -> None:
    """Write instruction pairs for open-weight models as Parquet, with a data card.

    \b
    onkokode train pairs --catalogues ../shared/catalogues --out runs/pairs --keep-out our-testset.tsv
    """
    from index.catalogue import Catalogue
    from training.leak import LeakGuard, texts_of
    from training.pairs import held_out_codes, write_pairs
    from training.recipe import parse_folder
    from training.split import Split

    parsed = parse_folder(catalogues)
    catalogue = Catalogue.from_files(parsed)
    codes = held_out_codes(catalogue, hold_out_codes, seed)
    guard = LeakGuard.of(
        Split.of(parsed),
        (line for line in catalogue.searchable_lines if (line.system, line.code) in codes),
        (text for path in keep_out for text in texts_of(path)),
    )
    with click.progressbar(length=len(catalogue.searchable_lines), label="pairs", show_eta=True) as bar:
        made = write_pairs(
            catalogue,
            guard,
            codes,
            out,
            seed=seed,
            files={file.path.name: file.sha256 for file in parsed},
            excluded=frozenset(exclude.read_text(encoding="utf-8").split()) if exclude else frozenset(),
            progress=lambda done, of: bar.update(done - bar.pos),
        )
    _say(f"{made['pairs']:,} pairs in {made['seconds']:.0f} s, without reading the catalogues")
    for part, counts in made["rows"].items():
        _say(f"  {part}: " + ", ".join(f"{task} {n:,}" for task, n in counts.items()))
    _say(f"data card: {out / 'README.md'}")


def _say(line: str) -> None:
    click.echo(line)
