"""Finds a code while somebody types: by its number, by words of its title and of its catalogue lines.

    search = CatalogueSearch(agent.context.catalogue, agent.retriever)
    search.find(CodeSystem.ICD10GM, "mamma auß")[0].code        # 'C50.4'

All words must occur, in any order and anywhere in a word. Where no line has them (a typing error, another
word), the codes that the retriever finds near stand in, marked as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from index.catalogue import Catalogue, is_neoplasm
from index.records import AXES, CodeSystem
from index.retriever import Retriever
from index.text import normalise

_CODE = re.compile(r"^(?:[cd]\d[\d.]*|\d{2,4}(?:/\d?)?)$")
_NEAR = 8
_SILENT = ("exclusion", "note")


@dataclass(frozen=True, slots=True)
class Hit:
    """A code that was found. `line` is the catalogue line with the words, where the title has them not; `near`
    tells that no line has them."""

    code: str
    title: str
    line: str = ""
    near: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    code: str
    text: str
    words: str


class CatalogueSearch:
    """Searches the codes that may be given to a case."""

    def __init__(self, catalogue: Catalogue, retriever: Retriever | None = None) -> None:
        self.catalogue = catalogue
        self.retriever = retriever

    @cached_property
    def _lines(self) -> dict[CodeSystem, list[_Line]]:
        """Per axis every title and line; titles come first, and tumours before other diagnoses."""
        made: dict[CodeSystem, list[_Line]] = {}
        for axis in AXES:
            codes = self.catalogue.codable_codes(axis, neoplasms_only=False)
            if axis is CodeSystem.ICD10GM:
                codes = tuple(sorted(codes, key=lambda code: (not is_neoplasm(code), code)))
            titles = [(code, self.catalogue.title(axis, code)) for code in codes]
            others = [
                (code, line.text)
                for code in codes
                for line in self.catalogue.lines_of(axis, code)
                if line.kind not in _SILENT
            ]
            made[axis] = [_Line(code, text, f" {normalise(text)}") for code, text in (*titles, *others)]
        return made

    def find(self, system: CodeSystem, query: str, limit: int = 30) -> list[Hit]:
        """The codes for a query, the best first; none for an empty one."""
        query = query.strip()[:200]
        if _CODE.match(query.casefold()):
            start = query.upper()
            return [
                Hit(code, self.catalogue.title(system, code))
                for code in self.catalogue.codable_codes(system, neoplasms_only=False)
                if code.startswith(start)
            ][:limit]
        words = normalise(query).split()
        if not words:
            return []
        best: dict[str, tuple[tuple[int, int, int, int], str]] = {}
        for place, line in enumerate(self._lines[system]):
            if not all(word in line.words for word in words):
                continue
            # A word that starts with what was typed counts more than one that has it inside; short lines first.
            inside = sum(f" {word}" not in line.words for word in words)
            rank = (inside, len(line.words.split()), len(line.words), place)
            if line.code not in best or rank < best[line.code][0]:
                best[line.code] = rank, line.text
        ranked = sorted(best.items(), key=lambda entry: entry[1][0])[:limit]
        if not ranked and self.retriever is not None:
            near = self.retriever.retrieve([query], system, k=_NEAR)[0]
            return [Hit(one.code, self.catalogue.title(system, one.code), near=True) for one in near]
        return [self._hit(system, code, text) for code, (_, text) in ranked]

    def _hit(self, system: CodeSystem, code: str, text: str) -> Hit:
        title = self.catalogue.title(system, code)
        return Hit(code, title, "" if text == title else text)
