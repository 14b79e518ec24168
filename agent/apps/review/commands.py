"""`onkokode review`: fill the work list, see how far it is, get the decisions out.

onkokode review add diagnosen.txt
onkokode review status
onkokode review export --csv entscheidungen.csv --pairs runs/reviewed
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from agent.apps.documents.formats import SourceError
from agent.apps.files.options import table_options
from agent.apps.files.table import TableFileError, TableOptions
from agent.apps.options import (
    INPUT_FILE,
    OutputFile,
    OutputFolder,
    agent_options,
    load_agent,
    reader_option,
)
from agent.apps.review.decision import proposal
from agent.apps.review.export import write_csv, write_pairs
from agent.apps.review.filling import document_codings, entry_codings, fill
from agent.apps.review.sources import (
    UnreadableTexts,
    read,
    read_documents,
    with_codings,
)
from agent.apps.review.store import Store
from agent.apps.review.tables import Reading, Tables
from agent.apps.terminal import counting
from agent.apps.wording import printable

_work_list = partial(
    click.option,
    "--db",
    "database",
    default=Path("review.sqlite"),
    show_default=True,
    help="The work list: texts, codings and decisions in one file that only you can read.",
)
_existing_list = _work_list(type=click.Path(dir_okay=False, path_type=Path))


@click.group("review")
def review() -> None:
    """Review codings: put texts on a work list, decide on the page, get the decisions out.

    \b
    onkokode review add diagnosen.txt                  # codes the texts, the least certain come first
    onkokode serve --review review.sqlite              # the page, at http://127.0.0.1:8000/review
    onkokode review status
    onkokode review export --csv entscheidungen.csv    # for a spreadsheet
    onkokode review export --pairs runs/reviewed       # for `onkokode train lora --pairs runs/reviewed`

    Every decision is kept, with name and time; a later one supersedes it and does not erase it.
    """


@review.command("add")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT_FILE)
@click.option(
    "--document", is_flag=True, help="Each FILE is a whole document, or a table with one in each row."
)
@_work_list(type=OutputFile())
@click.option("--text-column", help="Tables, JSONL: where the text stands; by default `text`, or found.")
@click.option("--id-column", help="Tables, JSONL: your own reference; without it, the row number.")
@table_options
@click.option("--source", help="Name of the file in the list; by default its file name.")
@click.option(
    "--coded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Codings of these texts, from `onkokode code --json`; nothing is coded again.",
)
@reader_option
@agent_options
def add_command(
    files: tuple[Path, ...],
    document: bool,
    database: Path,
    text_column: str | None,
    id_column: str | None,
    source: str | None,
    coded: Path | None,
    table: TableOptions,
    **options: Any,
) -> None:
    """Code the texts of each FILE and put them on the work list.

    \b
    onkokode review add diagnosen.txt                                   # one text per line, UTF-8
    onkokode review add faelle.xlsx --text-column Diagnose --id-column Fall
    onkokode review add texte.jsonl --db tumorboard.sqlite
    onkokode review add --document briefe/*.docx                        # an entry for each tumour that they tell
    onkokode code --json - < diagnosen.txt > codes.jsonl && onkokode review add diagnosen.txt --coded codes.jsonl

    A text with several diagnoses gives one entry for each. Blank texts are passed over. Interrupted, the same
    command goes on: what is on the list already is not coded again, and no decision is touched. Files of one name are
    told apart by their path; one that cannot be read is named and stops no other, and the exit code is then 1.
    """
    if options["reader"] and not document:
        raise click.UsageError("--reader is for documents: give --document too")
    if document and coded:
        raise click.UsageError("--coded is for entries, not for documents")
    if len(files) > 1 and (coded or source):
        raise click.UsageError("--coded and --source are for one FILE")
    agent = cache(partial(load_agent, **options))
    counts: Counter[str] = Counter()
    failed = False
    with Store.open(database) as store:
        tables = Tables(store)
        for file in files:
            try:
                rows = (
                    read_documents(file, text_column, table, id_column)
                    if document
                    else read(file, text_column=text_column, id_column=id_column, options=table)
                )
                if coded is not None:
                    rows = with_codings(rows, coded)
                first = next(rows, None)
                name = source or tables.name_of(file, (first.reference, first.text) if first else None)
                tables.remember(name, Reading(text_column, id_column, table, document))
                with counting("Texte") as advance:
                    every = chain([first] if first else [], rows)
                    coded_by = partial(document_codings, agent) if document else partial(entry_codings, agent)
                    fill(store, every, name, coded_by, counts, advance)
            except (SourceError, TableFileError, UnreadableTexts, OSError) as error:
                if len(files) == 1:
                    raise
                failed = True
                click.echo(f"Error: {error}", err=True)
    click.echo(f"{database}: {counts['texts']} texts added, {counts['entries']} entries")
    if counts["known"]:
        click.echo(f"{counts['known']} were on the list already")
    if counts["blank"]:
        click.echo(f"{counts['blank']} blank ones passed over")
    if counts["other"]:
        click.echo(
            f"Error: {counts['other']} have the same source and reference as an entry with another text and "
            "were left out; name another --source for another file of this name, or for a new version of it",
            err=True,
        )
    if failed or counts["other"]:
        raise SystemExit(1)


@review.command("status")
@_existing_list
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status_command(database: Path, as_json: bool) -> None:
    """How many entries are open and decided, and by whom."""
    with Store.open(database, create=False) as store:
        status = store.status()
    if as_json:
        click.echo(json.dumps({**asdict(status), "total": status.total}, ensure_ascii=False))
        return
    click.echo(f"{database}: {status.decided} of {status.total} decided, {status.open} open")
    click.echo(f"accepted {status.accepted}, changed {status.changed}, rejected {status.rejected}")
    click.echo(f"put aside {status.later}, removed {status.removed}, readers disagree on {status.disputed}")
    for name, count in status.by.items():
        click.echo(f"  {_visible(name)}: {count}")


@review.command("list")
@_existing_list
@click.option(
    "--show",
    type=click.Choice(["open", "decided", "all"]),
    default="open",
    show_default=True,
    help="Which entries.",
)
@click.option("--search", default="", help="Only entries with these words in text, reference or codes.")
@click.option("-n", "limit", type=click.IntRange(1), default=20, show_default=True, help="At most this many.")
@click.option("--texts", is_flag=True, help="Print the texts too; they are patients' data.")
def list_command(database: Path, show: Any, search: str, limit: int, texts: bool) -> None:
    """Print entries, the least certain first, one per line: number, uncertainty, state, reference, codes."""
    with Store.open(database, create=False) as store:
        for item in store.page(show, search, limit):
            decided = store.history(item.id)[-1].codes if item.state in ("accept", "change") else None
            codes = " ".join(code or "-" for code in (decided or proposal(item.coding)).values())
            line = f"{item.id}\t{item.uncertainty:.2f}\t{item.state}\t{item.source}:{item.reference}\t{codes}"
            click.echo(_visible(f"{line}\t{item.text}" if texts else line))


@review.command("export")
@_existing_list
@click.option("--csv", "csv_file", type=OutputFile(), help="CSV file for a spreadsheet.")
@click.option("--pairs", type=OutputFolder(), help="Folder of training pairs.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="TABLE",
    help="The table that was added: its rows with the decisions as further columns, into --out.",
)
@click.option("--out", type=OutputFile(), metavar="FILE", help="With --into: the table to write.")
@click.option("--id-column", help="With --into: the column that `review add` was given.")
@table_options
@click.option("--source", help="With --into: the name in the list; by default the table's file name.")
def export_command(
    database: Path,
    csv_file: Path | None,
    pairs: Path | None,
    into: Path | None,
    out: Path | None,
    id_column: str | None,
    source: str | None,
    table: TableOptions,
) -> None:
    """Write the decisions that stand.

    \b
    onkokode review export --csv entscheidungen.csv
    onkokode review export --into faelle.xlsx --out faelle-kodiert.xlsx --id-column Fall
    onkokode review export --pairs runs/reviewed
    onkokode train lora --model MODEL --pairs runs/reviewed --out runs/adapter

    The CSV file has semicolons and opens in a German spreadsheet; read the code columns as text there, or 8041/3
    may be taken for a date. Pairs come from accepted and changed entries. Both files hold patients' texts.
    """
    if csv_file is None and pairs is None and into is None:
        raise click.UsageError("Say what to write: --csv FILE, --pairs FOLDER, or --into TABLE --out FILE.")
    if (into is None) != (out is None):
        raise click.UsageError("--into TABLE and --out FILE go together")
    with Store.open(database, create=False) as store:
        if csv_file is not None:
            click.echo(f"{csv_file}: {write_csv(store, csv_file)} decisions")
        if into is not None and out is not None:
            from agent.apps.review.own_table import write_own_table

            counts = write_own_table(
                store,
                into,
                out,
                source=source or Tables(store).named(into),
                id_column=id_column,
                options=table,
            )
            click.echo(f"{out}: " + ", ".join(f"{count} rows {what}" for what, count in counts.items()))
        if pairs is not None:
            rows = write_pairs(store, pairs)
            click.echo(f"{pairs}: " + ", ".join(f"{count} pairs in {part}" for part, count in rows.items()))


def _visible(text: str) -> str:
    """What goes to a terminal must not steer it."""
    return "\t".join(printable(part) for part in text.split("\t"))
