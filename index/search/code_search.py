"""Finds a code while somebody types: by its number, by words of its title and of its catalogue lines.

    search = CodeSearch(agent.resources.catalogue, agent.retriever)
    search.find(CodeSystem.ICD10GM, "mamma auß")[0].code        # 'C50.4'
    search.find(CodeSystem.ICD10GM, "c341")[0].code             # 'C34.1'

All words must occur, in any order and anywhere in a word. Where no line has them (a typing error, another
word), the codes that the retriever finds near stand in, marked as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.records import CodeSystem
from index.search.retriever import Retriever
from index.text import normalise

_LONGEST = 200
_NEAR = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """A code that was found. `line` is the catalogue line with the words, where the title has them not; `near`
    tells that no line has them."""

    code: str
    title: str
    line: str = ""
    near: bool = False


class CodeSearch:
    """Searches the codes of a catalogue; what a search needs of a system is prepared at its first.

    Args:
        retriever: finds near codes where no line has the words; None finds nothing then.
        codable_only: leave out codes that may not be given to a case, such as `C34`.
    """

    def __init__(
        self, catalogue: Catalogue, retriever: Retriever | None = None, *, codable_only: bool = True
    ) -> None:
        self.catalogue = catalogue
        self.retriever = retriever
        self._codable_only = codable_only
        self._codes = lru_cache(maxsize=None)(self._codes_of)
        self._lines = lru_cache(maxsize=None)(self._lines_of)

    def find(self, system: CodeSystem, query: str, limit: int = 30) -> list[Hit]:
        """The codes for a query, the best first: those that begin with it, then those whose words match; none for
        an empty one."""
        query = query.strip()[:_LONGEST]
        key, words = _key(query), normalise(query).split()
        if not words:
            return []
        numbered = []
        if any(letter.isdigit() for letter in key):
            numbered = [code for known, code in self._codes(system) if known.startswith(key)]
        hits = [Hit(code, self.catalogue.title(system, code)) for code in numbered]
        if not hits:
            hits = [self._hit(system, code, text) for code, text in self._with_words(system, words)]
        if not hits and self.retriever is not None:
            near = self.retriever.retrieve([query], system, k=_NEAR)[0]
            hits = [Hit(one.code, self.catalogue.title(system, one.code), near=True) for one in near]
        return hits[:limit]

    def _with_words(self, system: CodeSystem, words: list[str]) -> Iterable[tuple[str, str]]:
        best: dict[str, tuple[tuple[int, int, int, int], str]] = {}
        for place, (code, text, form) in enumerate(self._lines(system)):
            if not all(word in form for word in words):
                continue
            # A word that starts with what was typed counts more than one that has it inside; short lines first.
            inside = sum(f" {word}" not in form for word in words)
            rank = (inside, len(form.split()), len(form), place)
            if code not in best or rank < best[code][0]:
                best[code] = rank, text
        return ((code, text) for code, (_, text) in sorted(best.items(), key=lambda entry: entry[1][0]))

    def _hit(self, system: CodeSystem, code: str, text: str) -> Hit:
        title = self.catalogue.title(system, code)
        return Hit(code, title, "" if text == title else text)

    def _codes_of(self, system: CodeSystem) -> tuple[tuple[str, str], ...]:
        """Keys and codes, tumours before other diagnoses."""
        names = set(self.catalogue.codable_codes(system, neoplasms_only=False))
        if not self._codable_only:
            names |= {line.code for line in self.catalogue.lines if line.system is system}
        known = [name for name in names if self.catalogue.code(system, name) is not None]
        if system is CodeSystem.ICD10GM:
            return tuple((_key(c), c) for c in sorted(known, key=lambda code: (not is_neoplasm(code), code)))
        return tuple((_key(code), code) for code in sorted(known))

    def _lines_of(self, system: CodeSystem) -> tuple[tuple[str, str, str], ...]:
        """Code, text and its words in comparable form, of every title and line; titles come first."""
        codes = [code for _, code in self._codes(system)]
        titles = [(code, self.catalogue.title(system, code)) for code in codes]
        others = [
            (code, line.text)
            for code in codes
            for line in self.catalogue.lines_of(system, code)
            if line.speaks
        ]
        return tuple((code, text, f" {normalise(text)}") for code, text in (*titles, *others))


def _key(code: str) -> str:
    """A code as it is compared: `C34.1`, `c341` and `C34 1` begin alike."""
    return "".join(letter for letter in code.casefold() if letter.isalnum())
