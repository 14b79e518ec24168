"""`onkokode registry`: arguments, the table on the terminal, the exit code.

onkokode registry meldungen/ --report bericht.csv --write gefuellt/
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.options import Output, OutputFile, agent_options, load_agent
from agent.apps.registry.records import MIN_CONFIDENCE
from agent.apps.terminal import counting
from index.io.inputs import InputPath
from index.io.language import say

if TYPE_CHECKING:
    from rich.console import Console

    from agent.apps.registry.report import Counts, FirstRows, ReportRow

# What a person looks through on a screen; the report file has no limit.
_SHOWN = 300
_COLUMNS = ("Zeile", "Meldung", "Tumor", "Achse", "Meldung sagt", "Vorschlag", "Konf.", "Urteil")


@click.command("registry")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...", type=InputPath(path_type=Path))
@click.option(
    "--report",
    type=OutputFile(".csv", ".json"),
    metavar="FILE",
    help="All rows and the counts: .csv (semicolon, for a spreadsheet) or .json.",
)
@click.option(
    "--write",
    "out",
    type=Output(),
    metavar="OUT",
    help="Copies with the empty code elements filled: a folder, or a file for one message.",
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=MIN_CONFIDENCE,
    show_default=True,
    help="Fill only with proposals at least this sure; the others stand in the report.",
)
@click.option(
    "--add-missing",
    is_flag=True,
    help="With --write: also add code elements that a message leaves out, where its schema has them.",
)
@click.option("--overwrite", is_flag=True, help="Replace copies that are there already.")
@click.option("--with-text", is_flag=True, help="Put the diagnosis texts into the report and the table.")
@click.option("--quiet", is_flag=True, help="Print the counts and what was refused, and no other rows.")
@agent_options
@click.pass_context
def registry(
    ctx: click.Context,
    paths: tuple[Path, ...],
    report: Path | None,
    out: Path | None,
    min_confidence: float,
    add_missing: bool,
    overwrite: bool,
    with_text: bool,
    quiet: bool,
    **agent: Any,
) -> None:
    """Code oBDS 3 and ADT/GEKID 2 messages, compare with the codes they hold, fill the empty ones.

    PATHS are XML files, or folders of them.

    \b
    onkokode registry meldung.xml                               # a table: message against proposal
    onkokode registry meldungen/ --report bericht.csv           # all rows for a spreadsheet
    onkokode registry meldung.xml --write gefuellt.xml          # empty codes filled, all else as it was
    onkokode registry meldungen/ --write gefuellt/ --min-confidence 0.95
    onkokode registry meldungen/ --write gefuellt/ --add-missing

    Diagnosis, place and histology text of each tumour are coded together. Elements that are there and
    empty are filled, such as <Code/>, with the version beside them if that is empty, too: that of the edition which
    the message names beside a code, else of the year of its Diagnosedatum. A file that cannot
    be used is refused with its reason and never stops the others: the exit code is then 1. Reports hold no
    names and, without --with-text, no texts.
    """
    from rich.console import Console

    from agent.apps.registry.report import FirstRows, open_report
    from agent.apps.registry.run import Run, plan_files

    if add_missing and out is None:
        raise click.UsageError("--add-missing adds to the copies; say with --write where they go")
    files = plan_files(list(paths), out, overwrite=overwrite)
    loaded = load_agent(**agent)
    console = Console(width=None if Console().is_terminal else 160)
    shown = FirstRows(_SHOWN, only_refused=quiet)
    with ExitStack() as stack:
        kept = stack.enter_context(open_report(report, with_text=with_text)) if report else None
        run = Run(
            loaded,
            [shown, kept] if kept else [shown],
            write=out is not None,
            min_confidence=min_confidence,
            add_missing=add_missing,
            advance=stack.enter_context(counting("Meldungen")),
        )
        for source, target in files:
            run.file(source, target)
        if kept:
            kept.finish(run.counts)
    _print_rows(console, shown, with_text=with_text, kept=report)
    _print_counts(console, run.counts, out)
    if run.counts.refused:
        ctx.exit(1)


def _print_rows(console: Console, shown: FirstRows, *, with_text: bool, kept: Path | None) -> None:
    from rich.table import Table
    from rich.text import Text

    by_file: dict[str, list[ReportRow]] = {}
    for row in shown.rows:
        by_file.setdefault(row.file, []).append(row)
    for file, rows in by_file.items():
        table = Table(title=Text(file), title_justify="left", title_style="bold", pad_edge=False)
        for column in _COLUMNS:
            table.add_column(column, justify="right" if column in ("Zeile", "Konf.") else "left")
        table.add_column("Grund", ratio=1)
        if with_text:
            table.add_column("Text", ratio=1)
        for row in rows:
            confidence = "" if row.confidence is None else f"{row.confidence:.2f}"
            cells = [
                "" if row.line is None else str(row.line), row.meldung_id, row.tumour_id,
                row.axis or row.element, row.written, row.proposed, confidence,
                f"{row.verdict}{', gefüllt' if row.filled else ''}", row.reason,
            ]  # fmt: skip
            table.add_row(*map(Text, cells + [row.text] * with_text), style=_STYLES.get(str(row.verdict)))
        console.print(table)
    if shown.more:
        key = "registry-more" if kept else "registry-more-unwritten"
        click.echo(say(key, count=shown.more, path=kept), err=True)


_STYLES = {
    "widerspricht": "red",
    "abgelehnt": "bold red",
    "kein Kode": "red",
    "Vorschlag genauer": "yellow",
    "stimmt überein": "green",
    "Hinweis": "dim",
    "weder noch": "dim",
}


def _print_counts(console: Console, counts: Counts, out: Path | None) -> None:
    from rich.table import Table

    table = Table(title="Summen", title_justify="left", title_style="bold", pad_edge=False)
    for column in ("Achse", "Urteil", "Anzahl"):
        table.add_column(column, justify="right" if column == "Anzahl" else "left")
    for axis, verdict, number in counts.lines():
        table.add_row(axis or "Datei", verdict, str(number))
    console.print(table)
    copies = ""
    if out is not None and counts.copies:
        copies = say("registry-copies", filled=counts.filled, copies=counts.copies, path=out)
    elif out is not None:
        copies = say("registry-no-copy", filled=counts.filled)
    line = say(
        "registry-counts",
        files=counts.files,
        refused=counts.refused,
        meldungen=counts.meldungen,
        tumours=counts.tumours,
        copies=copies,
    )
    click.echo(line, err=True)
