"""Documents from files: plain text, Word (.docx), the text layer of a PDF, or a table with a document in each row.

    for document in documents_of(Path("entlassbrief.docx")): document.place, document.text

A Word file is read with the project's safe XML parser: paragraphs, table cells and line breaks in their order, headers
and footers left out. A PDF that holds only pictures of its pages has no text to read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from index.errors import OnkokodeError
from index.io.failures import require
from index.xml import XmlError, safe_parse

# A longer one is no patient's document.
MAX_BYTES = 50 * 1024 * 1024
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}tab": "\t", f"{_WORD}noBreakHyphen": "-"}


@dataclass(frozen=True, slots=True)
class Document:
    """A document and where it stands: `file`, and in a table `row`, as a person counts them in the file."""

    place: dict[str, str | int]
    text: str


class SourceError(OnkokodeError):
    """A file whose text cannot be read; the message names the file and the remedy."""


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


def document_text(path: Path) -> str:
    """The text of a file, by its ending. Raises `SourceError`, and `OSError` where it cannot be opened."""
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"{path}: is larger than {MAX_BYTES >> 20} MB; give the document's text alone")
    return _READERS.get(path.suffix.lower(), _plain)(path)


def _plain(path: Path) -> str:
    """UTF-8, or what German Windows programs write."""
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        raise SourceError(f"{path}: is no text; .txt, .docx and .pdf are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _docx(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo("word/document.xml")
            if part.file_size > MAX_BYTES:
                raise SourceError(f"{path}: unpacks to more than {MAX_BYTES >> 20} MB; save it anew as text")
            root = safe_parse(archive.read(part), max_bytes=MAX_BYTES)
    except (zipfile.BadZipFile, KeyError, XmlError, RuntimeError, NotImplementedError) as error:
        raise SourceError(
            f"{path}: is no Word document ({error}); save it anew as .docx or as text"
        ) from None
    lines = []
    for paragraph in root.iter(f"{_WORD}p"):
        words = [
            node.text or "" if node.tag == f"{_WORD}t" else _BREAKS.get(str(node.tag), "")
            for node in paragraph.iter()
        ]
        lines.append("".join(words))
    return "\n".join(lines)


def _pdf(path: Path) -> str:
    require("pypdf", f"reading {path.name}")
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        text = "\n".join(page.extract_text() for page in PdfReader(path).pages)
    except (PyPdfError, ValueError, KeyError, RecursionError) as error:
        raise SourceError(
            f"{path}: cannot be read as a PDF ({type(error).__name__}); print it anew or give its text"
        ) from None
    if not text.strip():
        raise SourceError(
            f"{path}: holds no text, only pictures of its pages; run a text recognition (OCR) on it first"
        )
    return text


_READERS: dict[str, Callable[[Path], str]] = {".docx": _docx, ".pdf": _pdf}
