"""The command `onkokode code-file`: arguments in, progress while it runs, a summary at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.files.options import table_options
from agent.apps.options import OutputFile, agent_options, load_agent
from index.io.failures import require
from index.io.language import say

if TYPE_CHECKING:
    from agent.apps.files.run import Engine
    from agent.apps.files.table import TableOptions


@click.command("code-file")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=OutputFile())
@click.option(
    "--column",
    metavar="NAME",
    help="Column with the diagnosis texts, by name or number; found by itself where it is clear.",
)
@click.option("--site", metavar="NAME", help="Column with the site of the same tumour.")
@click.option("--histology", metavar="NAME", help="Column with its histology.")
@click.option("--side", metavar="NAME", help="Column with its side: links, rechts, beidseits, L, R, B.")
@click.option("--behaviour", metavar="NAME", help="Column with its behaviour, a digit of ICD-O-3.")
@click.option("--date-column", metavar="NAME", help="Column with the date of diagnosis, instead of --date.")
@click.option(
    "--tumour", is_flag=True, help="Every row is a tumour's, as in a registry: a site alone is one too."
)
@table_options
@click.option("--restart", is_flag=True, help="Code again from the start and overwrite OUT.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where to code: on this machine, or by Ray on several.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that load the model; by default one per core for the built-in model and a long table.",
)
@click.option("--ray-address", metavar="ADDRESS", help="Ray: the cluster, e.g. auto or ray://head:10001.")
@agent_options
def code_file_command(
    source: Path,
    target: Path,
    column: str | None,
    site: str | None,
    histology: str | None,
    side: str | None,
    behaviour: str | None,
    date_column: str | None,
    tumour: bool,
    table: TableOptions,
    restart: bool,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    **agent_options: Any,
) -> None:
    """Code the diagnosis texts of a table; the table comes back with further columns.

    \b
    onkokode code-file diagnosen.csv kodiert.csv
    onkokode code-file export.xlsx kodiert.xlsx --column Diagnosetext --sheet Tumoren
    onkokode code-file register.csv kodiert.csv --column Diagnose --site Lokalisation --histology Histologie --tumour
    onkokode code-file --engine ray --workers 8 alle.parquet kodiert.parquet

    Formats: CSV, TSV, XLSX, Parquet, JSONL, recognised by content; ODS, XLS and XLSB are read, not written. OUT has the
    format that its ending names.
    All other columns are kept, and the order of the rows. A row that cannot be coded says why in
    `onkokode_hinweis`. Killed, the same command goes on where it stopped (it keeps its place in the folder
    OUT.onkokode, codes only, and removes it at the end).
    """
    from agent.apps.files.run import code_file

    if engine == "ray":
        require("ray", "--engine ray")
    agent = load_agent(**agent_options)
    chosen: Engine
    if engine == "ray":
        from agent.apps.files.ray_engine import RayEngine

        chosen = RayEngine(agent_options, workers=workers, address=ray_address)
    else:
        from agent.apps.files.process_engine import ProcessEngine

        chosen = ProcessEngine(agent, agent_options, workers=workers)
    with _progress() as progress:
        run = code_file(
            agent,
            source,
            target,
            column=column,
            fields={"site": site, "histology": histology, "side": side, "behaviour": behaviour},
            date_column=date_column,
            tumour=tumour,
            options=table,
            engine=chosen,
            restart=restart,
            progress=progress,
        )
    click.echo(f"{source}: {run.read}", err=True)
    for note in run.notes:
        click.echo(say("note", note=note), err=True)
    coded = run.rows - run.done_before
    said = say(
        "coded",
        target=target,
        rows=run.rows,
        counts=", ".join(say(name, rows=count) for name, count in run.counts.items()),
        before=say("coded-before", rows=run.done_before) if run.done_before else "",
        seconds=round(run.seconds),
        speed=round(coded / max(run.seconds, 0.001)),
    )
    click.echo(said, err=True)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar with the time left where somebody watches, and else a line now and then."""
    if not sys.stderr.isatty():
        from index.io.progress import Pace

        paces: list[Pace] = []
        echo = partial(click.echo, err=True)

        def form(done: int, total: int, left: str) -> str:
            return say("pace", done=done, total=total, left=left)

        def step(done: int, rows: int) -> None:
            if not paces:
                paces.append(Pace(rows, "rows", echo, done=done, form=form))
            paces[0].step(done - paces[0].done)

        yield step
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(say("rows"), total=None)
        yield lambda done, rows: bar.update(task, completed=done, total=rows)
