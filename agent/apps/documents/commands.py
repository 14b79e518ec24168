"""`onkokode read`: the tumours of whole documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.documents.formats import plain_text
from agent.apps.documents.sources import Document, documents_of
from agent.apps.files.options import table_options
from agent.apps.options import agent_options, load_agent, reader_option
from agent.apps.terminal import counting, is_watched, standard_input
from index.errors import OnkokodeError
from index.io import failures
from index.io.inputs import InputPath
from index.io.language import say

if TYPE_CHECKING:
    from agent.apps.files.table import TableOptions

_STANDARD_INPUT = Path("-")


@click.command("read")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=InputPath(dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per document and line.")
@click.option("--column", metavar="NAME", help="Tables: column with the documents; by default found.")
@click.option(
    "--id-column", metavar="NAME", help="Tables: column with the documents' own names, for the answers."
)
@table_options
@reader_option
@agent_options
def read_command(
    files: tuple[Path, ...],
    as_json: bool,
    column: str | None,
    id_column: str | None,
    table: TableOptions,
    **options: Any,
) -> None:
    """Read whole documents and code each tumour of the patient: .txt, .docx, .rtf and .pdf, or tables (.csv,
    .xlsx, .ods, .parquet, .jsonl) with a document in each row; `-` reads standard input.

    \b
    onkokode read entlassbrief.docx
    onkokode read --json befunde/*.txt > tumoren.jsonl
    onkokode read --json befunde.xlsx --column Befundtext > tumoren.jsonl

    A document may hold several tumours, present, suspected and former ones, with their metastases. What is
    excluded, a relative's, or another disease is left out. A file that cannot be read is named and stops no
    other; the exit code is then 1, or 2 where none can be read.
    """
    agent = load_agent(**options)
    failed: list[str] = []

    def documents() -> Iterator[Document]:
        """A file that cannot be read stops no other."""
        for path in files:
            try:
                yield from _documents(path, column, table, id_column)
            except (OnkokodeError, OSError) as error:
                said = failures.explain(error, reads=[path]) or str(error)
                failed.append(said)
                click.echo(failures.line_of(said, error), err=True)

    sources, texts = tee(documents())
    answers = zip(sources, agent.read_many(one.text for one in texts), strict=True)
    if as_json:
        with counting(say("documents")) as advance:
            for source, answer in answers:
                line = json.dumps({**source.place, **answer.to_dict()}, ensure_ascii=False)
                click.echo(line.encode("utf-8", "backslashreplace"))
                if not is_watched(sys.stdout):
                    advance(1)
        _end(failed, files)
        return
    from agent.apps.documents.show import print_document
    from agent.apps.render import console

    shown = console()
    for source, answer in answers:
        print_document(shown, ", ".join(map(str, source.place.values())), answer)
    _end(failed, files)


def _end(failed: list[str], files: tuple[Path, ...]) -> None:
    if failed:
        sys.exit(2 if len(failed) == len(files) else 1)


def _documents(
    path: Path, column: str | None, table: TableOptions, id_column: str | None
) -> Iterator[Document]:
    if path == _STANDARD_INPUT:
        yield Document({"file": "-"}, plain_text(standard_input().read(), say("standard-input")))
    else:
        yield from documents_of(path, column, table, id_column)
