"""Documents from files: a file of one document, or a table with a document in each row.

for document in documents_of(Path("entlassbrief.docx")): document.place, document.text
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.apps.documents.formats import document_text

if TYPE_CHECKING:
    from agent.apps.files.table import TableOptions


@dataclass(frozen=True, slots=True)
class Document:
    """A document and where it stands: `file`, and in a table `row`, as a person counts them in the file, and `id`, where
    a column has its own name."""

    place: dict[str, str | int]
    text: str


def documents_of(
    path: Path,
    column: str | None = None,
    options: TableOptions | None = None,
    id_column: str | None = None,
) -> Iterator[Document]:
    """The documents of a file. `column` and `options` say how a table holds them; without, it is found. `id_column`
    holds their own names there.

    Raises:
        SourceError, TableFileError: it cannot be read; the message names the file and the remedy.
    """
    from agent.apps.files.formats import TABLE_ENDINGS, open_table

    if path.suffix.lower() not in TABLE_ENDINGS:
        yield Document({"file": str(path)}, document_text(path))
        return
    from agent.apps.files.columns import find_place
    from agent.apps.files.table import text_of

    table = open_table(path, options, column)
    place = find_place(table, column)
    id_at = None if id_column is None else find_place(table, id_column)
    for row in table.sound_rows():
        own = "" if id_at is None else text_of(row.values[id_at])
        named: dict[str, str | int] = {"id": own} if own else {}
        yield Document({"file": str(path), "row": row.number, **named}, text_of(row.values[place]))
