"""Documents that authors annotated by hand: `annotated/*.txt`; its README.md says how.

    for document in load_annotated(): document.text, document.mentions
    faults_of(Path("letters.txt"))          # what `onkokode train voices FILE...` prints

They have no codes: what a reader learns from them is which words name what, and of whom a sentence speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agent.reading.labels import ROLES
from index.catalogue.overrides import TableError
from training.documents.skeletons import HERE, load_moves
from training.documents.writer import ComposedDocument, Named, Said
from training.split import hash64

FOLDER = HERE / "annotated"
_PARTED = re.compile(r"^=====[ \t]*\n?", re.MULTILINE)
_MARK = re.compile(r"\[([a-z_]+)(?:#([123]))?\] ?|\{([a-z_]+):([^{}]+)\}")
_SHORTEST = 100  # characters of a document
_EVERY = 10  # one document in so many measures


class AnnotationError(TableError):
    """A document that cannot be used; the message names file, document and remedy."""


def load_annotated(folder: Path = FOLDER) -> tuple[ComposedDocument, ...]:
    """All annotated documents. Raises `AnnotationError` for the first that cannot be used."""
    return tuple(document for path in sorted(folder.glob("*.txt")) for document in _documents(path))


def is_held_out(text: str) -> bool:
    """Whether a document measures and is not learnt. Its text decides, so that none is learnt in a later run."""
    return hash64(text) % _EVERY == 0


def _documents(path: Path) -> Iterator[ComposedDocument]:
    for number, text in enumerate(_texts(path), start=1):
        yield _document(f"{path}, document {number}", path.stem, text)


def _texts(path: Path) -> list[str]:
    return [text for text in _PARTED.split(path.read_text(encoding="utf-8")) if text.strip()]


def _document(where: str, voice: str, marked: str) -> ComposedDocument:
    marked = marked.strip("\n")
    first = _MARK.search(marked)
    if first is None or first.group(1) is None or marked[: first.start()].strip():
        raise AnnotationError(f"{where}: has to begin with a mark such as [none].")
    text = ""
    sentences: list[Said] = []
    mentions: list[Named] = []
    move, tumour, start, last = "", 0, 0, 0

    def close() -> None:
        said = text[start:]
        if move and said.strip():
            a = start + len(said) - len(said.lstrip())
            whose = tumour if load_moves()[move].of == "tumour" else None
            sentences.append(Said(a, start + len(said.rstrip()), move, whose))

    for match in _MARK.finditer(marked):
        between = marked[last : match.start()]
        if "{" in between or "}" in between:
            raise AnnotationError(f"{where}: a brace that belongs to no mark, near {between[-30:]!r}.")
        text += between
        last = match.end()
        name, number, role, words = match.groups()
        if name is not None:
            if name not in load_moves():
                raise AnnotationError(f"{where}: [{name}] is no move of moves.tsv.")
            close()
            move, tumour, start = name, int(number or 1) - 1, len(text)
            continue
        if role not in ROLES:
            raise AnnotationError(f"{where}: {{{role}:…}} is none of {', '.join(ROLES)}.")
        whose = tumour if load_moves()[move].of == "tumour" else None
        # A harmless lesion's name is none of a tumour; not all authors left it unmarked.
        if (move, role) != ("benign", "name"):
            mentions.append(Named(len(text), len(text) + len(words), role, move, whose))
        text += words
    rest = marked[last:]
    if "{" in rest or "}" in rest:
        raise AnnotationError(f"{where}: a brace that belongs to no mark, near {rest[:30]!r}.")
    text += rest
    close()
    if len(text) < _SHORTEST:
        raise AnnotationError(f"{where}: {len(text)} characters; a document has at least {_SHORTEST}.")
    return ComposedDocument("annotated", voice, text, (), tuple(sentences), tuple(mentions))


def faults_of(path: Path) -> tuple[list[str], int]:
    """Every fault of a file, one a document, and how many documents it holds."""
    faults = []
    texts = _texts(path)
    for number, text in enumerate(texts, start=1):
        try:
            _document(f"{path}, document {number}", path.stem, text)
        except AnnotationError as fault:
            faults.append(str(fault))
    return faults, len(texts)
