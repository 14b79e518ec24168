"""`onkokode train`: from catalogues to weights.

onkokode train all --catalogues ../shared/catalogues --out runs/models
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from agent.apps.options import INPUT_FILE, INPUT_FOLDER, OutputFile, OutputFolder
from index.io.failures import require
from index.io.language import say
from training.adapters.commands import LORA_COMMANDS
from training.documents.commands import DOCUMENT_COMMANDS
from training.plan import PARTS, PairsPlan, TuningPlan, plan_options
from training.runs import log

_catalogues = click.option(
    "--catalogues",
    type=INPUT_FOLDER,
    required=True,
    help="Folder with the official catalogue files, in any mix; anything else in it is skipped.",
)
_publish = click.option(
    "--publish", is_flag=True, help="Copy the result into the installed package, with model cards."
)


def _out(default: str) -> Any:
    return click.option("--out", type=OutputFolder(), default=Path(default), show_default=True)


class _LinesOnTerminal(logging.Handler):
    """Prints what a training logs as it stands."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(record.getMessage())


_lines = _LinesOnTerminal()


@click.group()
def train() -> None:
    """Train the encoder, the compact model and its adapters from catalogue files."""
    if os.environ.get("RANK", "0") == "0":  # under `accelerate launch` the first process speaks for all
        log.setLevel(logging.INFO)
        log.addHandler(_lines)


@train.command("all")
@_catalogues
@_out("runs/models")
@_publish
def train_all_command(catalogues: Path, out: Path, publish: bool) -> None:
    """Run every step: corpus, encoder, model, both adapters, recogniser, fit.

    Steps whose result lies in OUT already are skipped, so a stopped run goes on where it was.
    """
    from training.publish import publish as copy
    from training.recipe import material, train_all

    given = material(catalogues)
    train_all(given, out)
    if publish:
        copy(given, out)


@train.command("corpus")
@_catalogues
@_out("runs/models")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(PARTS),
    help="This part; may be repeated. `onkokode eval` measures on composed_heldout, `train fit` reads that, other and "
    "around.",
)
def corpus_command(catalogues: Path, out: Path, only: tuple[str, ...]) -> None:
    """Write the training texts to OUT/corpus, the first step of `train all`; what is there already is kept."""
    from training.recipe import material, write_parts

    for part, rows in write_parts(material(catalogues), out, only=only).items():
        click.echo(f"{part}: {rows:,} texts")


@train.command("fit")
@_catalogues
@_out("runs/models")
@click.option(
    "--model", help="Fit this model instead of those under OUT: a name, folder, hub name or .gguf file."
)
@click.option(
    "--adapter", help="With this adapter; the numbers are kept in its folder, or else in the model's."
)
@click.option("--keep", type=OutputFolder(), help="With --model: keep the numbers in this folder instead.")
@click.option("--texts", default=3000, show_default=True, help="Texts of each kind that are read.")
@_publish
def fit_command(
    catalogues: Path,
    out: Path,
    model: str | None,
    adapter: str | None,
    keep: Path | None,
    texts: int,
    publish: bool,
) -> None:
    """Fit fusion, calibration, thresholds and recognition again: for the models that `train all` has trained, or for
    any language model, so that its confidence is a probability. Fitted on texts of OUT/corpus that measure nothing.

    \b
    onkokode train fit --catalogues ../shared/catalogues
    onkokode train fit --catalogues ../shared/catalogues --model gemma-3-270m --adapter runs/gemma --texts 1000
    """
    from training.fit import fit, fit_model, trained_context
    from training.publish import publish as copy
    from training.recipe import material

    if model is None and (adapter or keep):
        raise click.UsageError("--adapter and --keep go with --model")
    given = material(catalogues)
    if model is not None:
        click.echo(f"fitted: {fit_model(given, model, adapter, out / 'corpus', texts=texts, out=keep)}")
        return
    fit(given, trained_context(given, out), out / "corpus", texts=texts).save(out / "decision.json")
    if publish:
        copy(given, out)


@train.command("pairs")
@_catalogues
@_out("runs/pairs")
@plan_options(PairsPlan)
@click.option(
    "--keep-out",
    type=INPUT_FILE,
    multiple=True,
    help="A test set (TSV or CSV with a column `text`, or one text a line): nothing that says the same gets in.",
)
@click.option(
    "--exclude",
    type=INPUT_FILE,
    help="A file with one line id per line, such as the audit writes: these lines are left out.",
)
def pairs_command(
    catalogues: Path, out: Path, keep_out: tuple[Path, ...], exclude: Path | None, **sizes: Any
) -> None:
    """Write instruction pairs for open-weight models as Parquet, with a data card.

    \b
    onkokode train pairs --catalogues ../shared/catalogues --out runs/pairs --keep-out our-testset.tsv
    onkokode train pairs --catalogues ../shared/catalogues --out runs/pairs-k10 --candidates 10
    """
    from index.catalogue.catalogue import Catalogue
    from index.catalogue.store import files_below
    from training.adapters.candidates import cross_fitted
    from training.adapters.pairs import CandidateSource, Partition, held_out_codes, write_pairs
    from training.leak import TRAIN, LeakGuard, texts_of
    from training.split import Split

    plan, parsed = PairsPlan(**sizes), list(files_below([catalogues]))
    catalogue = Catalogue.from_files(parsed)
    codes = held_out_codes(catalogue, plan.hold_out_codes, plan.seed)
    guard = LeakGuard.of(
        Split.of(parsed),
        (line for line in catalogue.searchable_lines if (line.system, line.code) in codes),
        (text for path in keep_out for text in texts_of(path)),
        plan.hold_out_terms,
    )
    places = Partition(
        guard, codes, frozenset(exclude.read_text(encoding="utf-8").split() if exclude else ())
    )
    source = None
    if plan.candidates:
        found = cross_fitted(
            catalogue, places.part_of, out, k=plan.candidates, seed=plan.seed, folds=plan.folds,
            steps=plan.encoder_steps,
        )  # fmt: skip
        train_lines = (line for line in catalogue.searchable_lines if places.part_of(line) == TRAIN)
        source = CandidateSource.of(
            plan.candidates, found, ((line.line_id, line.code) for line in train_lines)
        )
    with click.progressbar(length=len(catalogue.searchable_lines), label="pairs", show_eta=True) as bar:
        made = write_pairs(
            catalogue,
            places,
            out,
            seed=plan.seed,
            files={file.path.name: file.sha256 for file in parsed},
            source=source,
            progress=bar.update,
        )
    click.echo(f"{made['pairs']:,} pairs in {made['seconds']:.0f} s, without reading the catalogues")
    for part, counts in made["rows"].items():
        click.echo(f"  {part}: " + ", ".join(f"{task} {n:,}" for task, n in counts.items()))
    click.echo(f"data card: {out / 'README.md'}")


@train.command("compose")
@_catalogues
@click.option("--out", type=OutputFile(new_folders=True), required=True, help="Parquet file to write.")
@click.option("--count", default=2_000_000, show_default=True, help="Distinct texts.")
@click.option("--seed", default=13, show_default=True)
def compose_command(catalogues: Path, out: Path, count: int, seed: int) -> None:
    """Write distinct composed clinical texts with the labels of all three axes.

    \b
    onkokode train compose --catalogues ../shared/catalogues --out runs/composed.parquet
    """
    from index.catalogue.catalogue import Catalogue
    from index.catalogue.store import files_below
    from training.leak import TRAIN, LeakGuard
    from training.split import Split
    from training.texts.streams import distinct_texts, write_texts

    parsed = list(files_below([catalogues]))
    guard = LeakGuard.of(Split.of(parsed))
    rules = Catalogue.from_files(parsed).rules
    texts = distinct_texts(rules, seed, allowed=lambda text: guard.part(text) == TRAIN)
    with click.progressbar(length=count, label="texts", show_eta=True) as bar:
        drawn = write_texts(texts, count, out, progress=bar.update)
    click.echo(f"{count:,} distinct texts: {out} [SHA-256 of the rows {drawn[:16]}]")


@train.command("study")
@_catalogues
@click.option(
    "--corpus",
    type=INPUT_FOLDER,
    default=Path("runs/models/corpus"),
    show_default=True,
    help="Corpus that `onkokode train all` wrote.",
)
@_out("runs/study")
@click.option(
    "--study",
    "studies",
    type=click.Choice(["texts", "topography"]),
    multiple=True,
    default=("texts", "topography"),
    show_default=True,
    help="May be given several times.",
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(13, 14, 15), show_default=True)
def study_command(
    catalogues: Path, corpus: Path, out: Path, studies: tuple[str, ...], seeds: tuple[int, ...]
) -> None:
    """Train the arms of the studies on the same budget, to be measured by `onkokode eval run`.

    \b
    onkokode train study --catalogues ../shared/catalogues --out runs/study
    onkokode eval run --model runs/study/both-13/model --encoder runs/study/both-13/encoder --testset heldout --out runs/both
    """
    from training.recipe import material
    from training.studies.arms import train_arms

    train_arms(material(catalogues), corpus, out, studies=studies, seeds=seeds)


@train.command("audit")
@_catalogues
@_out("runs/audit")
def audit_command(catalogues: Path, out: Path) -> None:
    """Report what is wrong or undecidable in the catalogues: an HTML page, and a list for `train pairs --exclude`.

    \b
    onkokode train audit --catalogues ../shared/catalogues --out runs/audit
    onkokode train pairs --catalogues ../shared/catalogues --exclude runs/audit/exclude.txt
    """
    require("matplotlib", say("audit-page"))
    from index.catalogue.store import files_below
    from training.studies.audit import audit, write_report

    files = list(files_below([catalogues]))
    with click.progressbar(length=1000, label="reading lines unseen", show_eta=True) as bar:
        done = 0.0

        def advance(share: float) -> None:
            nonlocal done
            done += 1000 * share
            bar.update(int(done) - bar.pos)

        found = audit(files, advance)
    write_report(found, out)
    for kind, findings in found.findings.items():
        click.echo(f"{kind}: {len(findings):,}")
    for group, ceiling in found.ceiling.items():
        click.echo(
            f"  {group}: {ceiling.lines:,} lines, read unseen {ceiling.unseen:.1%} (three characters "
            f"{ceiling.unseen_partial:.1%}), estimate {ceiling.estimate:.1%}, at most {ceiling.upper:.1%}"
        )
    click.echo(f"report: {out / 'audit.html'}")


@train.command("encoder")
@_catalogues
@click.option("--out", type=OutputFolder(), required=True, help="Folder of the encoder.")
@click.option(
    "--model", help="Model folder or hub name to start from, such as intfloat/multilingual-e5-base."
)
@click.option(
    "--composed",
    type=INPUT_FILE,
    help="Parquet file that `onkokode train compose` wrote: its texts are queries beside the catalogue lines.",
)
@plan_options(TuningPlan)
def encoder_command(
    catalogues: Path, out: Path, model: str | None, composed: Path | None, **plan: Any
) -> None:
    """Train an encoder on catalogue lines with in-batch and hard negatives, from scratch or from any model.

    \b
    onkokode train encoder --catalogues ../shared/catalogues --out runs/static
    onkokode train encoder --catalogues ../shared/catalogues --out runs/e5 --model intfloat/multilingual-e5-base
    onkokode code --encoder runs/e5 "Mamma-Ca links"
    """
    from training.recipe import material
    from training.tuning.encoder import tune_encoder

    tune_encoder(material(catalogues), out, TuningPlan(**plan), model=model, composed=composed)
    click.echo(f"encoder and card: {out}")


for _command in (*LORA_COMMANDS, *DOCUMENT_COMMANDS):
    train.add_command(_command)
