"""Writes codes into empty elements of a message, adds those that are absent, and leaves every other byte as it was.

    with filled_copy(source, target) as filler:
        filler.fill(slot.code, "C34.1")        # in any order within one Meldung
        filler.add(gap, "C34.1", "33")         # gaps of one place in the order of the schema
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

from agent.apps.registry.absent import written
from agent.apps.registry.errors import RefusedDocument, system_words
from agent.apps.registry.records import Gap, Leaf
from index.io.atomic import new_file

_BLOCK = 1 << 20
_TAG = 512  # bytes that hold a tag's name, or the blanks before one
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
            f"die Kopie ist nicht geschrieben ({system_words(error)})",
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

    def add(self, gap: Gap, code: str, version: str) -> None:
        """Note that an element which is not there is added at its place, on a line of its own where its parent's
        children have lines of their own."""
        self.reader.seek(gap.parent)
        tag = self.reader.read(_TAG).decode(self.codec, "replace")
        prefix, colon, _ = re.split(f"[{_SPACE}/>]", tag[1:], maxsplit=1)[0].partition(":")
        first = max(0, gap.byte - _TAG)
        self.reader.seek(first)
        before = self.reader.read(gap.byte - first).decode(self.codec, "replace")
        indent = before[len(before.rstrip(_SPACE)) :]
        element = written(gap, prefix + colon if colon else "", code, version)
        self.edits.append((gap.byte, gap.byte, (element + indent).encode(self.codec)))

    def flush(self) -> None:
        """Copy up to the last change noted."""
        # What is added at one place stays in the order of the schema.
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2]):
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
