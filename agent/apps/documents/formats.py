"""The text of a document's file, by its ending: plain text, Word (.docx), rich text (.rtf), the text layer of a PDF.

    document_text(Path("entlassbrief.docx"))

A file of which nothing can be read is refused, so that none passes for a document without a tumour.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import OnkokodeError
from index.io.failures import require
from index.xml import XmlError, safe_parse

if TYPE_CHECKING:
    from lxml import etree

# A longer one is no patient's document.
MAX_BYTES = 50 * 1024 * 1024
_KINDS = ".txt, .docx, .rtf and .pdf"
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH = f"{_WORD}p"
_WORDS = f"{_WORD}t"
_BREAKS = {f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}tab": "\t", f"{_WORD}noBreakHyphen": "-"}
# What was deleted or moved elsewhere, and the copy of a text box for programs that know no text boxes.
_GONE = {
    f"{_WORD}moveFrom", f"{_WORD}del", f"{_WORD}pPr", f"{_WORD}rPr",
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}  # fmt: skip
# The beginnings of formats that are often named otherwise, and what helps.
_FOREIGN = {
    b"{\\rtf": "is rich text; name it .rtf",
    b"%PDF-": "is a PDF; name it .pdf",
    b"PK\x03\x04": "is packed; name it .docx if it comes from Word, else unpack it",
    b"\xd0\xcf\x11\xe0": "is an old Word document; save it as .docx",
    b"<!DOCTYPE html": "is a web page; save its text",
    b"<html": "is a web page; save its text",
}


class SourceError(OnkokodeError):
    """A file whose text cannot be read; the message names the file and the remedy."""


def document_text(path: Path) -> str:
    """The text of a file, by its ending. Raises `SourceError`, and `OSError` where it cannot be opened."""
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"{path}: is larger than {MAX_BYTES >> 20} MB; give the document's text alone")
    reader = _READERS.get(path.suffix.lower())
    text = plain_text(path.read_bytes(), str(path)) if reader is None else reader(path)
    if not text.strip():
        raise SourceError(
            f"{path}: holds no text, at most pictures of its pages; run a text recognition (OCR) on it first"
        )
    return text


def plain_text(data: bytes, name: str) -> str:
    """Bytes as text: UTF-8, UTF-16 with its mark, or what German Windows programs write. `name` stands in the error."""
    start = data[:64].lstrip()
    for beginning, remedy in _FOREIGN.items():
        if start[: len(beginning)].lower() == beginning.lower():
            raise SourceError(f"{name}: {remedy}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise SourceError(f"{name}: is no text; {_KINDS} are read, text files as UTF-8, UTF-16 or cp1252")
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
    return "".join(_spoken(root)).strip("\n")


def _spoken(node: etree._Element, *, inside: bool = False) -> Iterator[str]:
    """The words below a node in their order. A paragraph is a line of its own, that of a text box too, which stands
    `inside` another."""
    for child in node:
        if child.tag in _GONE:
            continue
        if child.tag == _WORDS:
            yield child.text or ""
        elif child.tag == _PARAGRAPH:
            yield "\n"
            yield from _spoken(child, inside=True)
            yield "\n" if inside else ""
        else:
            yield _BREAKS.get(str(child.tag), "")
            yield from _spoken(child, inside=inside)


def _rtf(path: Path) -> str:
    require("striprtf", f"reading {path.name}")
    from striprtf.striprtf import rtf_to_text

    data = path.read_bytes()
    if not data.lstrip().startswith(b"{\\rtf"):
        raise SourceError(f"{path}: is no rich text; save it anew as .rtf or as text")
    if b"\\shptxt" in data:
        raise SourceError(f"{path}: holds text boxes, which would be lost; save it as .docx")
    try:
        # Rich text is ASCII; what is not, its own code page says.
        return str(rtf_to_text(data.decode("latin-1"), errors="replace"))
    except (ValueError, LookupError, OverflowError) as error:
        raise SourceError(
            f"{path}: cannot be read as rich text ({type(error).__name__}); save it as .docx or as text"
        ) from None


def _pdf(path: Path) -> str:
    require("pypdf", f"reading {path.name}")
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    # Its warnings quote the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return "\n".join(page.extract_text() for page in PdfReader(path).pages)
    except (PyPdfError, ValueError, KeyError, RecursionError) as error:
        raise SourceError(
            f"{path}: cannot be read as a PDF ({type(error).__name__}); print it anew or give its text"
        ) from None


_READERS: dict[str, Callable[[Path], str]] = {".docx": _docx, ".rtf": _rtf, ".pdf": _pdf}
