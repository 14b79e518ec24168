"""`onkokode fhir`: a file of diagnosis texts into a FHIR R4 bundle.

onkokode fhir diagnosen.txt --out bundle.json
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.files.options import table_options
from agent.apps.options import OutputFile, agent_options, load_agent
from agent.apps.terminal import counting, standard_input, text_lines, warn_of
from index.io.inputs import InputPath
from index.io.language import say

if TYPE_CHECKING:
    from agent.apps.files.table import TableOptions


@click.command("fhir")
@click.argument("source", metavar="FILE|-", type=InputPath(dir_okay=False, allow_dash=True))
@click.option(
    "--out",
    required=True,
    type=OutputFile(),
    metavar="FILE",
    help="The bundle to write, such as bundle.json.",
)
@click.option("--subject", metavar="REFERENCE", help="Whose diagnoses these are, such as Patient/17.")
@click.option("--column", metavar="NAME", help="Tables: column with the diagnosis texts; by default found.")
@click.option(
    "--subject-column",
    metavar="NAME",
    help="Tables: column with the patient, an id or a reference (Patient/17).",
)
@click.option("--date-column", metavar="NAME", help="Tables: column with the date of diagnosis.")
@table_options
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out codes less sure than this; the note of the Condition says so.",
)
@click.option("--with-text", is_flag=True, help="Put the diagnosis texts into the bundle, as code.text.")
@agent_options
def fhir_command(
    source: str,
    out: Path,
    subject: str | None,
    column: str | None,
    subject_column: str | None,
    date_column: str | None,
    table: TableOptions,
    min_confidence: float,
    with_text: bool,
    **agent: Any,
) -> None:
    """Code a file into a bundle of FHIR R4 Conditions: a text file with one diagnosis text per line in UTF-8, or a
    table (.csv, .tsv, .xlsx, .ods, .parquet, .jsonl) with one in each row.

    \b
    onkokode fhir diagnosen.txt --out bundle.json
    onkokode fhir - --out bundle.json < diagnosen.txt
    onkokode fhir akte.txt --out bundle.json --subject Patient/17 --with-text
    onkokode fhir faelle.xlsx --out bundle.json --subject-column Patient --date-column Datum --min-confidence 0.9

    Each text gives at least one Condition, in their order; one with several diagnoses gives several. ICD-10-GM
    stands in code, of the edition of the year of diagnosis, ICD-O-3 topography and the side in bodySite, the
    morphology in the extension of the MII oncology module. An axis left open has a data-absent-reason instead of a
    code. Without --with-text the bundle holds no diagnosis text.
    """
    from agent.apps.fhir.bundle import Diagnosis, write_bundle, years_in_force
    from agent.apps.fhir.sources import is_table, table_texts
    from agent.apps.files.table import TableOptions

    in_table = source != "-" and is_table(Path(source))
    if not in_table and (column or subject_column or date_column or table != TableOptions()):
        raise click.UsageError("--column, --subject-column, --date-column, --sheet … are for tables")
    loaded = load_agent(**agent)
    damaged: list[int] = []
    with ExitStack() as stack:
        advance = stack.enter_context(counting(say("texts")))

        def counted() -> Iterator[Diagnosis]:
            if in_table:
                told = table_texts(
                    Path(source),
                    column,
                    subject_column,
                    date_column,
                    table,
                    tell=lambda line: click.echo(line, err=True),
                )
                rows, dates, kept = tee(told, 3)
                coded = loaded.code_many((row.text for row in rows), (row.date for row in dates))
                for one, row in zip(coded, kept, strict=True):
                    advance(1)
                    yield Diagnosis(one, row.subject, row.date)
            else:
                lines = standard_input() if source == "-" else stack.enter_context(Path(source).open("rb"))
                for one in loaded.code_many(text_lines(lines, damaged)):
                    advance(1)
                    yield Diagnosis(one)

        number = write_bundle(
            out, counted(), subject, with_text=with_text, years=years_in_force(loaded), floor=min_confidence
        )
    click.echo(say("fhir-written", count=number, path=out), err=True)
    warn_of(damaged, "iconv -f cp1252 -t utf-8 FILE")
