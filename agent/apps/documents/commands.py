"""`onkokode read`: the tumours of whole documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from agent.apps.documents.sources import document_text
from agent.apps.options import agent_options, load_agent
from agent.apps.terminal import counting, is_watched

_STANDARD_INPUT = Path("-")


@click.command("read")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per document and line.")
@agent_options
def read_command(files: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Read whole documents (.txt, .docx, .pdf) and code each tumour of the patient; `-` reads standard input.

    \b
    onkokode read entlassbrief.docx
    onkokode read --json befunde/*.txt > tumoren.jsonl

    A document may hold several tumours, present, suspected and former ones, with their metastases. What is
    excluded, a relative's, or another disease is left out.
    """
    agent = load_agent(**options)

    def texts() -> Iterator[str]:
        for path in files:
            yield sys.stdin.read() if path == _STANDARD_INPUT else document_text(path)

    answers = zip(files, agent.read_many(texts()), strict=True)
    if as_json:
        with counting("Dokumente") as advance:
            for path, answer in answers:
                line = json.dumps({"file": str(path), **answer.to_dict()}, ensure_ascii=False)
                click.echo(line.encode("utf-8", "backslashreplace"))
                if not is_watched(sys.stdout):
                    advance(1)
        return
    from agent.apps.documents.show import print_document
    from agent.apps.render import console

    shown = console()
    for path, answer in answers:
        print_document(shown, str(path), answer)
