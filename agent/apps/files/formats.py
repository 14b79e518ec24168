"""The formats of tables: which one a file has, and which one an output is written in.

table = open_table(Path("diagnosen.csv"))
with open_writer(".xlsx", table.columns, COLUMNS, Path("kodiert.xlsx")) as writer: writer.write(chunk, answers)

A format's module, and the library that it needs, is imported when a file has that format.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agent.apps.files.table import Table, TableFileError, TableOptions, TableWriter, must_be_a_file
from index.io.failures import reason
from index.io.language import say

JSON_LINES = (".jsonl", ".ndjson")
# A text file may be a table or hold a text per line; these are tables by their ending.
ENDINGS = {".csv", ".tsv", *JSON_LINES, ".xlsx", ".parquet", ".txt"}
READ_ONLY = {".ods", ".xls", ".xlsb", ".xlsm"}
TABLE_ENDINGS = {*ENDINGS, *READ_ONLY} - {".txt"}
_OLE = b"\xd0\xcf\x11\xe0"  # what files of Office before 2007 begin with


def format_of(path: Path) -> Literal["parquet", "xlsx", "other book", "jsonl", "delimited"]:
    """The format of a file by its content, and by its ending where that leaves a choice.

    Raises:
        TableFileError: the file is missing, empty or no table; the message says what would help.
    """
    head = _head(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "xlsx" if "xl/workbook.xml" in _parts_of(path) else "other book"
    if head.startswith(_OLE):
        return "other book"
    if path.suffix.lower() in JSON_LINES or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"'):
        return "jsonl"
    return "delimited"


def open_table(path: Path, options: TableOptions | None = None, column: str | None = None) -> Table:
    """The table that a file holds; `column` is what a person calls that of the texts. Raises `TableFileError` as
    `format_of`, and where its content is damaged."""
    options = options or TableOptions()
    if column is not None:
        options = replace(options, column=column)
    kind = format_of(path)
    if kind == "parquet":
        from agent.apps.files.parquet import ParquetTable

        return ParquetTable(path, options)
    if kind == "xlsx":
        from agent.apps.files.workbook import WorkbookTable

        return WorkbookTable(path, options)
    if kind == "other book":
        from agent.apps.files.other_books import OtherBookTable

        return OtherBookTable(path, options)
    if kind == "jsonl":
        from agent.apps.files.json_lines import JsonLinesTable

        return JsonLinesTable(path, options)
    from agent.apps.files.delimited import DelimitedTable

    return DelimitedTable(path, options)


def open_writer(
    ending: str, columns: Sequence[str], added: Sequence[str], path: Path
) -> AbstractContextManager[TableWriter]:
    """A writer of the format of an ending, for a table of another format."""
    if ending in JSON_LINES:
        from agent.apps.files.json_lines import write_json_lines

        return write_json_lines(path, columns, added)
    if ending == ".xlsx":
        from agent.apps.files.workbook_writer import write_workbook

        return write_workbook(path, columns, added)
    if ending == ".parquet":
        from agent.apps.files.parquet import write_parquet

        return write_parquet(path, columns, added)
    from agent.apps.files.delimited import write_delimited

    # What German Excel opens without being asked.
    delimiter = "\t" if ending == ".tsv" else ";"
    return write_delimited(path, columns, added, delimiter, "utf-8-sig", "\r\n")


def _head(path: Path) -> bytes:
    must_be_a_file(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise TableFileError(f"{path}: {reason(error)}") from None
    if not head.strip():
        raise TableFileError(say("empty-file", path=path))
    return head


def _parts_of(path: Path) -> set[str]:
    """The names of the parts of a workbook. Raises `TableFileError` where a packed file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        raise TableFileError(say("excel-half", path=path)) from None
    if not names & {"xl/workbook.xml", "xl/workbook.bin"} and not names >= {"content.xml", "mimetype"}:
        raise TableFileError(say("excel-not", path=path))
    return names
