"""Codes looked up in the catalogue, by the beginning of a code or by words.

lookup = CodeLookup(agent.context.catalogue)
lookup.find(CodeSystem.MORPHOLOGY, "kleinzellig karzinom", limit=20)[0][0]["code"]     # '8041/3'
lookup.explain(CodeSystem.ICD10GM, "c341")["title"]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from index.catalogue import Catalogue

# The catalogue command's own description of a code: the API says the same as `onkokode catalogue show`.
from index.commands import describe_code, written_code
from index.records import Code, CodeSystem
from index.text import normalise

_SILENT = ("exclusion", "note")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A code with its words, each behind a space, so that a word's beginning is found with one search."""

    code: Code
    key: str
    title: str
    lines: str


class CodeLookup:
    """Searches the codes of a catalogue; the words of a system are prepared at its first search."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._entries = lru_cache(maxsize=None)(self._prepare)

    def find(self, system: CodeSystem, query: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Codes that begin with the query, or have a word that begins with each of its words; and whether the
        limit left some out. First those found by code, then by title, then by another line."""
        key, words = _key(query), [f" {word}" for word in normalise(query).split()]
        if not key:
            return [], False
        ranked: tuple[list[Code], list[Code], list[Code]] = ([], [], [])
        for entry in self._entries(system):
            if entry.key.startswith(key):
                ranked[0].append(entry.code)
            elif all(word in entry.title for word in words):
                ranked[1].append(entry.code)
            elif all(word in entry.title or word in entry.lines for word in words):
                ranked[2].append(entry.code)
        found = [code for rank in ranked for code in rank]
        shown = [
            {
                "code": code.code,
                "title": code.title,
                "edition": code.edition,
                "codable": self._catalogue.is_codable(system, code.code),
            }
            for code in found[:limit]
        ]
        return shown, len(found) > limit

    def explain(self, system: CodeSystem, code: str) -> dict[str, Any] | None:
        """All that is known of a code, which may be written as `c341`; None where it is unknown."""
        written = written_code(code)
        if self._catalogue.code(system, written) is None and not self._catalogue.lines_of(system, written):
            return None
        return describe_code(self._catalogue, system, written)

    def _prepare(self, system: CodeSystem) -> tuple[_Entry, ...]:
        words: dict[str, list[str]] = {}
        for line in self._catalogue.lines:
            if line.system is system and line.kind not in _SILENT:
                words.setdefault(line.code, []).append(normalise(line.text))
        codes = [
            code
            for name in {*words, *self._catalogue.codable_codes(system, neoplasms_only=False)}
            if (code := self._catalogue.code(system, name)) is not None
        ]
        return tuple(
            _Entry(
                code, _key(code.code), f" {normalise(code.title)}", f" {' '.join(words.get(code.code, ()))}"
            )
            for code in sorted(codes, key=lambda code: code.code)
        )


def _key(code: str) -> str:
    """A code as it is compared: `C34.1`, `c341` and `C34 1` begin alike."""
    return "".join(letter for letter in code.casefold() if letter.isalnum())
