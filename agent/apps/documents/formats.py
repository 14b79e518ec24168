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
from index.io.language import say
from index.xml import XmlError, safe_parse

if TYPE_CHECKING:
    from lxml import etree

# A longer one is no patient's document.
MAX_BYTES = 50 * 1024 * 1024
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH = f"{_WORD}p"
_WORDS = f"{_WORD}t"
_BREAKS = {f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}tab": "\t", f"{_WORD}noBreakHyphen": "-"}
# What was deleted or moved elsewhere, and the copy of a text box for programs that know no text boxes.
_GONE = {
    f"{_WORD}moveFrom", f"{_WORD}del", f"{_WORD}pPr", f"{_WORD}rPr",
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}  # fmt: skip
# The beginnings of formats that are often named otherwise: keys of messages that say what helps.
_FOREIGN = {
    b"{\\rtf": "document-rtf",
    b"%PDF-": "document-pdf",
    b"PK\x03\x04": "document-packed",
    b"\xd0\xcf\x11\xe0": "document-old-word",
    b"<!DOCTYPE html": "document-web",
    b"<html": "document-web",
}


class SourceError(OnkokodeError):
    """A file whose text cannot be read; the message names the file and the remedy."""

    translated = True


def document_text(path: Path) -> str:
    """The text of a file, by its ending. Raises `SourceError`, and `OSError` where it cannot be opened."""
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(say("document-large", path=path, limit=MAX_BYTES >> 20))
    reader = _READERS.get(path.suffix.lower())
    text = plain_text(path.read_bytes(), str(path)) if reader is None else reader(path)
    if not text.strip():
        raise SourceError(say("document-empty", path=path))
    return text


def plain_text(data: bytes, name: str) -> str:
    """Bytes as text: UTF-8, UTF-16 with its mark, or what German Windows programs write. `name` stands in the error."""
    start = data[:64].lstrip()
    for beginning, key in _FOREIGN.items():
        if start[: len(beginning)].lower() == beginning.lower():
            raise SourceError(say(key, path=name))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise SourceError(say("document-binary", path=name))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _docx(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo("word/document.xml")
            if part.file_size > MAX_BYTES:
                raise SourceError(say("document-unpacks", path=path, limit=MAX_BYTES >> 20))
            root = safe_parse(archive.read(part), max_bytes=MAX_BYTES)
    except (zipfile.BadZipFile, KeyError, XmlError, RuntimeError, NotImplementedError) as error:
        what = str(error) if isinstance(error, XmlError) else type(error).__name__
        raise SourceError(say("document-not-word", path=path, what=what)) from None
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
    require("striprtf", say("reading-file", name=path.name))
    from striprtf.striprtf import rtf_to_text

    data = path.read_bytes()
    if not data.lstrip().startswith(b"{\\rtf"):
        raise SourceError(say("document-not-rtf", path=path))
    if b"\\shptxt" in data:
        raise SourceError(say("document-text-boxes", path=path))
    try:
        # Rich text is ASCII; what is not, its own code page says.
        return str(rtf_to_text(data.decode("latin-1"), errors="replace"))
    except (ValueError, LookupError, OverflowError) as error:
        raise SourceError(say("document-rtf-damaged", path=path, kind=type(error).__name__)) from None


def _pdf(path: Path) -> str:
    require("pypdf", say("reading-file", name=path.name))
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    # Its warnings quote the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return "\n".join(page.extract_text() for page in PdfReader(path).pages)
    except (FileNotDecryptedError, DependencyError):
        # Some ciphers need a package of their own even to try the empty password.
        raise SourceError(say("document-pdf-locked", path=path)) from None
    except (PyPdfError, ValueError, KeyError, RecursionError) as error:
        raise SourceError(say("document-pdf-damaged", path=path, kind=type(error).__name__)) from None


_READERS: dict[str, Callable[[Path], str]] = {".docx": _docx, ".rtf": _rtf, ".pdf": _pdf}
ENDINGS = (".txt", *_READERS)
