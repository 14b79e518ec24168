"""`onkokode eval report`: the tables, plots and single rows of an ablation, from its folders alone.

onkokode eval report runs/ablation --out runs/report
onkokode eval report runs/ablation --out runs/report --texts ../shared/evalsets/grascco_coded.tsv
"""

from __future__ import annotations

from pathlib import Path

import click

from agent.apps.options import INPUT_FILE, INPUT_FOLDER, OutputFolder
from eval.report.published import PUBLISHED, read_published
from eval.run.testsets import row_name, shared_folder
from eval.testset import read_testset
from index.catalogue.catalogue import Catalogue
from index.io.failures import require
from index.io.language import say


@click.command("report")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=INPUT_FOLDER)
@click.option(
    "--out",
    required=True,
    type=OutputFolder(),
    help="Where report.html, report.md, scores.json and costs.json go.",
)
@click.option("--testset", "testsets", multiple=True, help="Only this set's runs; may be repeated.")
@click.option(
    "--texts",
    multiple=True,
    type=INPUT_FILE,
    help="A test set whose texts the page shows, with the codes' titles; may be repeated. "
    "Without it the page holds no text.",
)
@click.option(
    "--published",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lambda: shared_folder() / PUBLISHED,
    help="Published figures to set apart. Default: those of the shared folder, where there is one.",
)
def report_command(
    folders: tuple[Path, ...], out: Path, testsets: tuple[str, ...], texts: tuple[Path, ...], published: Path
) -> None:
    """Score the runs below DIR again, without models, and write the report."""
    require("matplotlib", say("report"))
    from eval.report.ablation import write_report
    from eval.run.compare import read_runs

    runs = read_runs(folders, testsets)
    shown = {row_name(row): row.text for path in texts for row in read_testset(path)}
    for run in runs.left_out:
        click.echo(f"left out: {run.testset}, {run.variant}: {run.reason}", err=True)
    title_of = Catalogue.load().title if shown else None
    page = write_report(runs, out, texts=shown, title_of=title_of, published=read_published(published))
    click.echo(f"written: {page}")
