"""`onkokode fhir`: a file of diagnosis texts into a FHIR R4 bundle.

onkokode fhir diagnosen.txt --out bundle.json
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from agent.options import agent_options, load_agent


@click.command("fhir")
@click.argument("source", metavar="TEXTFILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The bundle to write, such as bundle.json.",
)
@click.option("--subject", metavar="REFERENCE", help="Whose diagnoses these are, such as Patient/17.")
@click.option("--with-text", is_flag=True, help="Put the diagnosis texts into the bundle, as code.text.")
@agent_options
def fhir_command(source: str, out: Path, subject: str | None, with_text: bool, **agent: Any) -> None:
    """Code TEXTFILE, one diagnosis text per line in UTF-8, into a bundle of FHIR R4 Conditions.

    \b
    onkokode fhir diagnosen.txt --out bundle.json
    onkokode fhir - --out bundle.json < diagnosen.txt
    onkokode fhir akte.txt --out bundle.json --subject Patient/17 --with-text

    Each line gives at least one Condition, in the order of the lines; a line with several diagnoses gives
    several. ICD-10-GM stands in code, ICD-O-3 topography and the side in bodySite, the morphology in the
    extension of the MII oncology module. An axis left open has a data-absent-reason instead of a code.
    Without --with-text the bundle holds no diagnosis text.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from agent.fhir import write_bundle, years_in_force

    loaded = load_agent(**agent)
    damaged: list[int] = []
    with ExitStack() as stack:
        lines = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
        progress = stack.enter_context(
            Progress(
                SpinnerColumn(),
                TextColumn("{task.completed} Texte"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
        )
        task = progress.add_task("", total=None)

        def counted() -> Iterator[Any]:
            for coded in loaded.code_many(_texts(lines, damaged)):
                progress.advance(task)
                yield coded

        number = write_bundle(out, counted(), subject, with_text=with_text, years=years_in_force(loaded))
    click.echo(f"{number} Conditions geschrieben nach {out}", err=True)
    if damaged:
        click.echo(
            f"Warning: {len(damaged)} line(s) are not UTF-8 (first: line {damaged[0]}); undecodable bytes were "
            "passed over. For a file from Windows: iconv -f cp1252 -t utf-8 FILE",
            err=True,
        )


def _texts(stream: Iterable[bytes], damaged: list[int]) -> Iterator[str]:
    """One text per line, as `onkokode code -` reads them: only a line feed ends a row."""
    for number, line in enumerate(stream, start=1):
        row = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            row = row.removeprefix(b"\xef\xbb\xbf")
        try:
            yield row.decode("utf-8")
        except UnicodeDecodeError:
            damaged.append(number)
            yield row.decode("utf-8", "surrogateescape")
