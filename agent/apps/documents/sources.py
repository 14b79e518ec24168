"""Documents from files: a file of one document, or a table with a document in each row.

for document in documents_of(Path("entlassbrief.docx")): document.place, document.text
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.apps.documents.formats import document_text


@dataclass(frozen=True, slots=True)
class Document:
    """A document and where it stands: `file`, and in a table `row`, as a person counts them in the file."""

    place: dict[str, str | int]
    text: str


def documents_of(path: Path, column: str | None = None, sheet: str | None = None) -> Iterator[Document]:
    """The documents of a file. `column` and `sheet` say where a table holds them; without, they are found.

    Raises:
        SourceError, TableFileError: it cannot be read; the message names the file and the remedy.
    """
    from agent.apps.files.formats import TABLE_ENDINGS, open_table

    if path.suffix.lower() not in TABLE_ENDINGS:
        yield Document({"file": str(path)}, document_text(path))
        return
    from agent.apps.files.columns import find_text_column
    from agent.apps.files.table import TableOptions, text_of

    table = open_table(path, TableOptions(sheet=sheet, column=column))
    place = table.columns.index(find_text_column(table, column))
    for row in table.read_rows():
        yield Document({"file": str(path), "row": row.number}, text_of(row.values[place]))
