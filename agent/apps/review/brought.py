"""A table that a person brought to the page: how it is read, what its first rows hold, and what is to be chosen first.

    form = TableForm.of({"token": token, "sheet": "Tumoren", "header": "3"})     # as the page sends it
    table = look(path, form)
    table.taken["header_row"], table.columns, table.question                     # a question waits for a choice

The one reader of tables decides (`agent.apps.files`); here stands what of it a person sees and may choose otherwise. All
of it is German, as the page is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from agent.apps.files.columns import find_text_column
from agent.apps.files.formats import open_table
from agent.apps.files.table import Table, TableFileError, TableOptions, TableQuestion, separator, text_of
from agent.apps.review.tables import Reading
from agent.apps.wording import printable

NO_HEADER = "keine"
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Windows (cp1252)",
    "utf-16": "UTF-16",
    "cp850": "DOS (cp850)",
    "mac_roman": "Mac (mac_roman)",
}
DELIMITERS = {";": "Semikolon ;", ",": "Komma ,", "tab": "Tabulator", "|": "Strich |"}
_FIRST, _CELLS, _LETTERS = 8, 8, 40  # rows, cells and letters that are shown of a table
_REMEDIES = {
    "header": "Bitte wählen Sie, in welcher Zeile die Spaltennamen stehen.",
    "sheet": "Bitte wählen Sie ein anderes Blatt.",
}


@dataclass(frozen=True, slots=True)
class TableForm:
    """What a person chose for a table; empty is what the reader finds. `header` is a row's number, or NO_HEADER."""

    token: str
    text: str = ""
    reference: str = ""
    document: bool = False
    sheet: str = ""
    header: str = ""
    encoding: str = ""
    delimiter: str = ""

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> TableForm:
        """What a browser sends, which is not trusted: what the page does not offer is left to the reader."""
        given = {name: str(sent.get(name) or "")[:500] for name in cls.__slots__ if name != "document"}
        header = given["header"]
        told = header == NO_HEADER or (header.isascii() and header.isdecimal() and int(header[:9]) > 0)
        return cls(
            **{
                **given,
                "header": header[:9] if told else "",
                "encoding": given["encoding"] if given["encoding"] in ENCODINGS else "",
                "delimiter": given["delimiter"] if given["delimiter"] in DELIMITERS else "",
            },
            document=bool(sent.get("document")),
        )

    @property
    def options(self) -> TableOptions:
        return TableOptions(
            encoding=self.encoding or None,
            delimiter=separator(self.delimiter),
            sheet=self.sheet or None,
            header=False if self.header == NO_HEADER else None,
            header_row=int(self.header) if self.header.isdecimal() else None,
        )

    @property
    def reading(self) -> Reading:
        """How the table is to be read."""
        options = replace(self.options, column=self.text)
        return Reading(self.text, self.reference or None, options, self.document)


@dataclass(frozen=True, slots=True)
class Brought:
    """A table that was looked at. `taken` is what it was taken for (`Table.facts`), `first` its first rows by number as
    the file has them, `text_column` the one that holds the texts where that can be told. A `question` is what keeps it
    from being read, `guesses` what is worth a look."""

    form: TableForm
    name: str
    taken: Mapping[str, Any]
    sheets: tuple[str, ...] = ()
    first: tuple[tuple[int, tuple[str, ...]], ...] = ()
    columns: tuple[str, ...] = ()
    text_column: str | None = None
    rows: int = 0
    question: str = ""
    guesses: tuple[str, ...] = ()

    @property
    def delimiter(self) -> str:
        """The separator that was taken, as people call it."""
        taken = self.taken.get("delimiter")
        return DELIMITERS.get("tab" if taken == "\t" else taken or "", taken or "keines")

    @property
    def shown(self) -> list[tuple[int, tuple[str, ...]]]:
        """The first rows, as many of their cells as a person sees at once."""
        return [(number, cells[:_CELLS]) for number, cells in self.first]


def look(path: Path, form: TableForm) -> Brought:
    """What a table holds, read as the form says. Speaks the language that is spoken.

    Raises:
        TableFileError: it cannot be read, whatever is chosen; the message begins with its path.
        OSError: it is not there.
    """
    plain = form.options == TableOptions()
    seen = Brought(form, path.name, {})
    try:
        # Where nobody says what is a header, it may be asked about; so its rows are shown without one.
        raw = open_table(path, replace(form.options, header=False, header_row=None))
        first = tuple(
            (row.number, tuple(_cell(value) for value in (*row.values, *row.surplus)))
            for row in islice(raw.read_rows(), _FIRST)
        )
        seen = replace(seen, sheets=raw.sheets, first=first, taken=_without_header(raw.facts()))
        table = open_table(path, form.options)
    except TableQuestion as question:
        sheets = seen.sheets or _sheets(path)
        if not seen.first and len(sheets) < 2:
            raise TableFileError(f"{path}: {_sentence(question.what)}") from None
        return replace(
            seen, sheets=sheets, question=f"{_sentence(question.what)} {_REMEDIES[question.choice]}"
        )
    except TableFileError as error:
        if plain:
            raise
        return replace(seen, sheets=seen.sheets or _sheets(path), question=_said(error, path))
    seen = replace(seen, taken=table.facts(), columns=table.columns, guesses=_guesses(table, first))
    try:
        rows = sum(1 for _ in table.sound_rows())
    except TableFileError as error:
        return replace(seen, question=_said(error, path))
    return replace(seen, rows=rows, text_column=_text_column(table, form))


def _text_column(table: Table, form: TableForm) -> str | None:
    if form.text in table.columns:
        return form.text
    try:
        return find_text_column(table)
    except TableFileError:
        return None


def _guesses(table: Table, first: tuple[tuple[int, tuple[str, ...]], ...]) -> tuple[str, ...]:
    """What the reader found by itself and may have got wrong."""
    said, wanted = [], table.options
    facts = table.facts()
    if table.other_sheets:
        others = ", ".join(f"„{name}“" for name in table.other_sheets[:5])
        said.append(f"Gelesen wird nur das Blatt „{facts['sheet']}“; auch {others} enthält etwas.")
    if wanted.header is None and wanted.header_row is None and "header" in facts:
        if not table.header:
            said.append("Die erste Zeile gilt als Fall, nicht als Kopfzeile.")
        elif first and table.header_row is not None and table.header_row > first[0][0]:
            said.append(f"Was über Zeile {table.header_row} steht, wird nicht übernommen.")
    encoding = facts.get("encoding", "utf-8")
    if wanted.encoding is None and not encoding.startswith("utf"):
        named = ENCODINGS.get(encoding, encoding)
        said.append(f"Der Zeichensatz {named} ist erschlossen: Stimmen Umlaute und ß?")
    return tuple(said)


def _without_header(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "header": None, "header_row": None} if "header" in facts else facts


def _sheets(path: Path) -> tuple[str, ...]:
    """The sheets of a workbook of which the chosen one cannot be read."""
    try:
        return open_table(path, TableOptions(header=False)).sheets
    except TableFileError:
        return ()


def _cell(value: Any) -> str:
    text = printable(text_of(value))
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _said(error: TableFileError, path: Path) -> str:
    return _sentence(str(error).removeprefix(f"{path}: "))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?")) else ".")
