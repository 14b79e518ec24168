"""`onkokode fhir`: a file of diagnosis texts into a FHIR R4 bundle.

onkokode fhir diagnosen.txt --out bundle.json
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from agent.apps.options import OutputFile, agent_options, load_agent
from agent.apps.terminal import counting, standard_input, text_lines, warn_of


@click.command("fhir")
@click.argument("source", metavar="TEXTFILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--out",
    required=True,
    type=OutputFile(),
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
    from agent.apps.fhir.bundle import write_bundle, years_in_force

    loaded = load_agent(**agent)
    damaged: list[int] = []
    with ExitStack() as stack:
        lines = standard_input() if source == "-" else stack.enter_context(Path(source).open("rb"))
        advance = stack.enter_context(counting("Texte"))

        def counted() -> Iterator[Any]:
            for coded in loaded.code_many(text_lines(lines, damaged)):
                advance(1)
                yield coded

        number = write_bundle(out, counted(), subject, with_text=with_text, years=years_in_force(loaded))
    click.echo(f"{number} Conditions geschrieben nach {out}", err=True)
    warn_of(damaged, "iconv -f cp1252 -t utf-8 FILE")
