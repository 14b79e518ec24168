"""The label of a ClaML rubric as text: which of it is clinical wording, which is a hint about coding.

    label_terms(label, "inclusion")    # [('Papillom o.n.A.', 'inclusion'), ('Papillom der Blase (8120/0)', 'exclusion')]

A label mixes text with `Reference` (a code in brackets), `Term` (italics) and `Fragment` (parts of a list). A
reference in brackets is left out of a term, and so is an italic bracket such as "(Exkl.: …)"; the latter
becomes a line of its own kind, so that no wording is lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

# Private-use characters around a bracketed reference, while a label is a plain string.
_OPEN, _CLOSE = "\ue000", "\ue001"
_BRACKETED = re.compile(f"{_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE}")
_HINT = re.compile(r"\((?=Exkl\.|Hinw\.|[Ss]iehe )")
_HINT_HEAD = re.compile(r"^(?:Exkl|Hinw)\.\s?:?\s*")
_OBSOLETE = re.compile(r"\s*\[obs\.\]")
_SPACES = re.compile(r"\s+")


def label_terms(label: _Element, kind: str) -> list[tuple[str, str]]:
    """The (text, kind) pairs of a label: its wording in `kind`, its hints as `exclusion` or `note`.

    A list of synonyms (`class="synlist"`) gives a text for each fragment; any other list is one sentence
    ("Haut von" + "Kinn"). In exclusions and notes the references stay, since they say where to look.
    """
    fragments = label.findall("Fragment")
    if any(fragment.get("class") == "synlist" for fragment in fragments):
        parts = [_flat(fragment) for fragment in fragments]
    else:
        parts = [_flat(label)]
    found: list[tuple[str, str]] = []
    for part in parts:
        if kind in ("exclusion", "note"):
            found.append((_readable(part), kind))
            continue
        term, hints = _split_hints(part)
        found.append((_term(term), kind))
        for hint in hints:
            what = "exclusion" if hint.startswith("Exkl") else "note"
            found.append((_readable(_HINT_HEAD.sub("", hint)), what))
    return [(text, what) for text, what in found if text]


def _flat(element: _Element) -> str:
    """The text of an element and all below it, with bracketed references marked."""
    pieces = [element.text or ""]
    for child in element:
        inner = _flat(child)
        if child.tag == "Reference" and child.get("class") == "in brackets":
            inner = f"{_OPEN}{inner.strip()}{_CLOSE}"
        elif child.tag in ("Fragment", "Para"):
            inner = f" {inner} "
        pieces += [inner, child.tail or ""]
    return "".join(pieces)


def _split_hints(text: str) -> tuple[str, list[str]]:
    """The text without its hints, and the hints without their brackets; nested brackets are counted."""
    kept: list[str] = []
    hints: list[str] = []
    position = 0
    while match := _HINT.search(text, position):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        kept.append(text[position : match.start()])
        hints.append(text[match.end() : end - 1 if depth == 0 else end].strip())
        position = end
    kept.append(text[position:])
    return " ".join(kept), hints


def _term(text: str) -> str:
    return _SPACES.sub(" ", _OBSOLETE.sub("", _BRACKETED.sub(" ", text))).strip()


def _readable(text: str) -> str:
    """References written out in round brackets."""
    return _SPACES.sub(" ", text.replace(_OPEN, " (").replace(_CLOSE, ")")).replace(" )", ")").strip()
