"""The options that say how a table is to be read, the same for every command that reads one.

@click.command()
@table_options
def command(table: TableOptions): open_table(path, table)
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--header/--no-header",
        default=None,
        help="Tables: whether the first row names the columns; by default found.",
    ),
    click.option(
        "--header-row",
        type=click.IntRange(min=1),
        metavar="N",
        help="Line of a text file, or row of a sheet, that names the columns; titles above it are found.",
    ),
    click.option(
        "--sheet", metavar="NAME", help="Sheet of an Excel file; by default the first that is not empty."
    ),
    click.option(
        "--delimiter",
        metavar="CHAR",
        help="Field separator of a text file with a table, e.g. ';'; by default found.",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        help="Encoding of a text file with a table, e.g. cp1252; by default found.",
    ),
)


def table_options(command: Any) -> Any:
    """Adds the options; the command gets them as `table`, a `TableOptions`."""

    @wraps(command)
    def collected(
        *arguments: Any,
        header: bool | None,
        header_row: int | None,
        sheet: str | None,
        delimiter: str | None,
        encoding: str | None,
        **others: Any,
    ) -> Any:
        from agent.apps.files.table import TableOptions, separator

        try:
            character = separator(delimiter)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--delimiter") from None
        table = TableOptions(encoding, character, sheet, header, header_row)
        if table.contradictory:
            raise click.UsageError("--header-row and --no-header contradict each other")
        return command(*arguments, table=table, **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
