"""`onkokode eval figures`, `speed` and `faiss`: the list of runs behind docs/figures.md, and what no run gives.

onkokode eval figures                         what is not there yet, then docs/figures.md; the list is runs.yaml
onkokode eval figures --testset heldout       these runs of the list alone
onkokode eval speed --out runs/measured
onkokode eval bench --before ../before        beside another checkout and simpler programs
onkokode eval model-speed --model FOLDER      candidates scored per second by any language model
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from agent.apps.options import INPUT_FOLDER, OutputFolder
from eval.report.section import Section, read_section, show_and_write
from eval.run.environment import ROOT, shipped_weights
from eval.run.testsets import load_testset, places_options, shared_option

_out = click.option(
    "--out", type=OutputFolder(), default=Path("runs/measured"), show_default=True, help="Where the runs lie."
)


@click.command("figures")
@click.option("--testset", "testsets", multiple=True, help="Only the list's runs on this set, and no page.")
@click.option("--rows", type=click.IntRange(min=1), help="The first rows only, to try it.")
@click.option("--restart", is_flag=True, help="Throw away what was measured before.")
@click.option(
    "--study",
    type=INPUT_FOLDER,
    help="Runs of a pretrained model (`make study`). Default: what the page says of them stays.",
)
@click.option("--only-study", is_flag=True, help="Run nothing: write the tables of --study alone.")
@click.option(
    "--root",
    type=OutputFolder(),
    default=ROOT,
    help="Checkout whose README.md and docs are written. Default: that of the program.",
)
@_out
@places_options
def figures_command(
    testsets: tuple[str, ...],
    rows: int | None,
    restart: bool,
    study: Path | None,
    only_study: bool,
    root: Path,
    out: Path,
    shared: Path,
    corpus: Path,
) -> None:
    """Run the list of eval/bench/runs.yaml with the embedded models, and write docs/figures.md from the folders.

    What is there already is not run again, so a command that was stopped goes on.
    """
    from eval.bench.figures import read_plan, write_figures, write_study
    from eval.report.published import PUBLISHED, read_published
    from eval.run.models import Models
    from eval.run.run import run_ablation
    from eval.run.variants import VARIANTS, read_variants

    if only_study:
        if study is None:
            raise click.UsageError("--only-study writes the tables of --study; name its runs")
        for path in write_study(study, root):
            click.echo(f"written: {path}")
        return
    plan = read_plan()
    variants = {variant.name: variant for variant in read_variants([VARIANTS])}
    for run in plan.runs:
        if testsets and run.testset not in testsets:
            continue
        testset = load_testset(run.testset, shared=shared, corpus=corpus, rows=rows or run.rows)
        chosen = [variants[name] for name in run.variants]
        run_ablation(chosen, testset, Models(), out, restart=restart, say=click.echo)
    if testsets:
        return
    for name in plan.sections:
        if restart or not _measured(out, name):
            show_and_write(_SECTIONS[name](shared), out)
    for path in write_figures(out, plan, root, read_published(shared / PUBLISHED), study):
        click.echo(f"written: {path}")


@click.command("speed")
@_out
@shared_option
def speed_command(out: Path, shared: Path) -> None:
    """Start, first answer, single text, batch, and the index build."""
    show_and_write(_speed(shared), out)


@click.command("bench")
@click.option(
    "--before",
    type=INPUT_FOLDER,
    help="Another checkout to compare with, made by `git worktree add FOLDER COMMIT`.",
)
@click.option("--texts", type=click.IntRange(min=200), default=10_000, show_default=True)
@click.option("--repetitions", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--workers", type=click.IntRange(min=2), default=2, show_default=True)
@_out
@places_options
def bench_command(
    before: Path | None, texts: int, repetitions: int, workers: int, out: Path, shared: Path, corpus: Path
) -> None:
    """Speed and answers beside another checkout, simple classifiers, and other ways with the same weights."""
    from eval.bench.peers import measure_peers

    section = measure_peers(
        before=None if before is None else before.resolve(),
        shared=shared,
        corpus=corpus,
        texts=texts,
        repetitions=repetitions,
        workers=workers,
    )
    show_and_write(section, out)


@click.command("model-speed")
@click.option("--model", required=True, help="A model folder, or a name of the hub.")
@click.option("--adapter", type=INPUT_FOLDER, help="An adapter's folder.")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32 or bfloat16.")
@click.option("--texts", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--slow-texts",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Texts for the two slow ways, scoring each answer alone and writing codes.",
)
@_out
def model_speed_command(
    model: str, adapter: Path | None, dtype: str, texts: int, slow_texts: int, out: Path
) -> None:
    """Candidates scored per second by a language model, beside writing codes with the same weights."""
    from eval.bench.model_speed import measure_model_speed

    section = measure_model_speed(model, adapter, texts=texts, slow_texts=min(slow_texts, texts), dtype=dtype)
    show_and_write(section, out)


@click.command("faiss")
@_out
@shared_option
def faiss_command(out: Path, shared: Path) -> None:
    """FAISS against NumPy on 10,000 queries, over the lines of all catalogue files."""
    show_and_write(_faiss(shared), out)


def _measured(out: Path, name: str) -> bool:
    """Whether the section is there, of these weights."""
    path = out / f"{name}.json"
    return path.is_file() and read_section(path)[1]["weights"] == shipped_weights()


def _speed(shared: Path) -> Section:
    from agent import CodingAgent
    from eval.bench.speed import measure_speed

    return measure_speed(CodingAgent.load(), shared if (shared / "catalogues").is_dir() else None)


def _faiss(shared: Path) -> Section:
    from agent import CodingAgent
    from eval.bench.speed import measure_faiss
    from index.records import CodeSystem

    heldout = load_testset("heldout", shared=shared)
    retriever = CodingAgent.load(catalogue=heldout.catalogue).retriever
    return measure_faiss(retriever.index.spaces[CodeSystem.ICD10GM.value], retriever.encoder)


def _ceiling(shared: Path) -> Section:
    from eval.ceiling import JUDGED, ceiling_section, read_judgements

    section = ceiling_section(read_judgements([JUDGED]), load_testset("devsets", shared=shared))
    section.name = "ceiling"
    return section


_SECTIONS: dict[str, Callable[[Path], Section]] = {"speed": _speed, "faiss": _faiss, "ceiling": _ceiling}
