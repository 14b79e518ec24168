"""Writes codes into empty elements of a message and leaves every other byte as it was.

    with filled_copy(source, target) as filler:
        filler.fill(slot.code, "C34.1")        # in any order within one Meldung
        filler.flush()                         # Meldungen in the order of the document
                                               # the rest is copied, and only now `target` appears

The document is copied, not parsed and printed again: namespaces, prefixes, comments, line ends, byte order mark
and encoding stay. An element that closes itself (`<Code/>`) is opened; white space in an element is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.apps.registry.errors import RefusedDocument
from agent.apps.registry.records import Leaf
from index.io.atomic import new_file

_BLOCK = 1 << 20
_SPACE = " \t\r\n"  # of XML; str.split would also cut at bytes of a longer character


@contextmanager
def filled_copy(source: Path, target: Path) -> Iterator[Filler]:
    """A copy that appears at the end of the block; with an error in the block nothing is left of it.

    Raises `RefusedDocument` where the copy cannot be written, and `OSError` where `source` cannot be read.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reader, new_file(target) as half, half.open("wb") as writer:
            filler = Filler(reader, writer)
            yield filler
            filler.finish()
    except OSError as error:
        if error.filename in (None, str(source)):
            raise
        raise RefusedDocument(
            None,
            "",
            f"die Kopie ist nicht geschrieben ({error.strerror})",
            "Platz und Rechte im Zielordner prüfen und für diese Datei noch einmal ausführen",
        ) from None


class Filler:
    """A copy in the making, from one stream to another."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self.reader, self.writer = reader, writer
        self.codec = codec_of(reader.read(4))
        self.edits: list[tuple[int, int, bytes]] = []
        self.copied = 0

    def fill(self, leaf: Leaf, code: str) -> None:
        """Note that `code` goes into `leaf`, an empty element."""
        place = leaf.place
        if place.content is not None:
            self.edits.append((place.content, place.end, code.encode(self.codec)))
            return
        self.reader.seek(place.start)
        tag = self.reader.read(place.end - place.start).decode(self.codec, "replace")
        if not tag.endswith("/>"):
            self.edits.append((place.end, place.end, code.encode(self.codec)))
            return
        # `<Code/>` becomes `<Code>…</Code>`; only the slash and the space before it go.
        opened = tag[:-2].rstrip(_SPACE)
        closing = len(tag[len(opened) :].encode(self.codec))
        name = re.split(f"[{_SPACE}]", opened[1:], maxsplit=1)[0]
        new = f">{code}</{name}>".encode(self.codec)
        self.edits.append((place.end - closing, place.end, new))

    def flush(self) -> None:
        """Copy up to the last change noted."""
        for start, end, new in sorted(self.edits):
            self._copy(start)
            self.writer.write(new)
            self.copied = end
        self.edits.clear()

    def finish(self) -> None:
        """Copy the rest."""
        self.flush()
        self._copy(None)

    def _copy(self, up_to: int | None) -> None:
        self.reader.seek(self.copied)
        while up_to is None or self.copied < up_to:
            block = self.reader.read(_BLOCK if up_to is None else min(_BLOCK, up_to - self.copied))
            if not block:
                break
            self.writer.write(block)
            self.copied += len(block)


def codec_of(first: bytes) -> str:
    """How ASCII is written in a document that begins with these four bytes. All encodings that expat reads but
    UTF-16 write it as ASCII; tags hold other characters too, of which each byte stands for one here."""
    if first[:2] in (b"\xfe\xff", b"\x00<"):
        return "utf-16-be"
    if first[:2] in (b"\xff\xfe", b"<\x00"):
        return "utf-16-le"
    return "latin-1"
