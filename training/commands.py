"""`onkokode train`: from catalogues to weights.

onkokode train all --catalogues ../shared/catalogues --out runs/models
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_catalogues = click.option(
    "--catalogues",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with the official catalogue files, in any mix; anything else in it is skipped.",
)


@click.group()
def train() -> None:
    """Train the encoder, the compact model and its adapters from catalogue files."""


@train.command("all")
@_catalogues
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
@_catalogues
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
@_catalogues
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
            progress=bar.update,
        )
    _say(f"{made['pairs']:,} pairs in {made['seconds']:.0f} s, without reading the catalogues")
    for part, counts in made["rows"].items():
        _say(f"  {part}: " + ", ".join(f"{task} {n:,}" for task, n in counts.items()))
    _say(f"data card: {out / 'README.md'}")


@train.command("compose")
@_catalogues
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
@click.option("--count", default=2_000_000, show_default=True, help="Distinct texts.")
@click.option("--seed", default=13, show_default=True)
def compose_command(catalogues: Path, out: Path, count: int, seed: int) -> None:
    """Write distinct composed clinical texts with the labels of all three axes.

    \b
    onkokode train compose --catalogues ../shared/catalogues --out runs/composed.parquet
    """
    from index.catalogue import Catalogue
    from training.compose import distinct_texts, write_texts
    from training.leak import TRAIN, LeakGuard
    from training.recipe import parse_folder
    from training.split import Split

    parsed = parse_folder(catalogues)
    guard = LeakGuard.of(Split.of(parsed))
    rules = Catalogue.from_files(parsed).rules
    texts = distinct_texts(rules, seed, allowed=lambda text: guard.part(text) == TRAIN)
    with click.progressbar(length=count, label="texts", show_eta=True) as bar:
        drawn = write_texts(texts, count, out, progress=bar.update)
    _say(f"{count:,} distinct texts: {out} [SHA-256 of the rows {drawn[:16]}]")


@train.command("audit")
@_catalogues
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/audit"), show_default=True)
def audit_command(catalogues: Path, out: Path) -> None:
    """Report what is wrong or undecidable in the catalogues: an HTML page, and a list for `train pairs --exclude`.

    \b
    onkokode train audit --catalogues ../shared/catalogues --out runs/audit
    onkokode train pairs --catalogues ../shared/catalogues --exclude runs/audit/exclude.txt
    """
    from training.audit import audit, write_report
    from training.recipe import parse_folder

    found = audit(parse_folder(catalogues))
    write_report(found, out)
    for kind, findings in found.findings.items():
        _say(f"{kind}: {len(findings):,}")
    for group, (n, decidable) in found.ceiling.items():
        _say(f"  {group}: {decidable / n:.1%} of {n:,} lines can be told apart")
    _say(f"report: {out / 'audit.html'}")


@train.command("lora")
@click.option("--model", required=True, help="Model folder or hub name, such as Qwen/Qwen3-8B.")
@click.option(
    "--pairs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that `onkokode train pairs` wrote.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the adapter.")
@click.option("--rank", default=8, show_default=True)
@click.option("--alpha", default=16, show_default=True)
@click.option("--epochs", default=5, show_default=True)
@click.option("--learning-rate", default=2e-4, show_default=True)
@click.option("--batch", default=16, show_default=True, help="Pairs on a device at a time.")
@click.option("--accumulate", default=1, show_default=True, help="Batches per step.")
@click.option("--rows", type=int, help="Train on this many pairs, drawn by the seed (all).")
@click.option("--development-rows", default=500, show_default=True, help="Pairs answered after each epoch.")
@click.option("--task", "tasks", multiple=True, help="Only this task; may be given several times (all four).")
@click.option("--packing", is_flag=True, help="Fill each row with several pairs.")
@click.option("--four-bit", is_flag=True, help="Load the base model in 4 bits (GPU, bitsandbytes).")
@click.option("--gradient-checkpointing", is_flag=True, help="Less memory for a third more time.")
@click.option("--save-steps", default=500, show_default=True, help="Steps between two checkpoints.")
@click.option("--seed", default=13, show_default=True)
def lora_command(model: str, pairs: Path, out: Path, **plan: Any) -> None:
    """Train a LoRA adapter on instruction pairs; the same command goes on with a killed run.

    \b
    onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/8b --batch 32
    """
    from index.errors import ModelError
    from training.lora import LoraPlan, train_lora

    try:
        train_lora(model, pairs, out, LoraPlan(**plan), say=_say)
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    _say(f"adapter, card and curve: {out}")


def _say(line: str) -> None:
    click.echo(line)
