"""Codes looked up in the catalogue: found by the beginning of a code or by words, and explained.

lookup = CodeLookup(agent.resources.catalogue)
lookup.find(CodeSystem.MORPHOLOGY, "kleinzellig karzinom", limit=20)[0][0]["code"]     # '8041/3'
lookup.explain(CodeSystem.ICD10GM, "c341")["title"]
"""

from __future__ import annotations

from typing import Any

from index.catalogue.catalogue import Catalogue

# The catalogue command's own description of a code: the API says the same as `onkokode catalogue show`.
from index.catalogue.commands import describe_code, written_code
from index.records import CodeSystem
from index.search.code_search import CodeSearch


class CodeLookup:
    """What the API says of codes, in JSON types."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._search = CodeSearch(catalogue, codable_only=False)

    def find(self, system: CodeSystem, query: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """The codes for a query, the best first; and whether the limit left some out."""
        found = self._search.find(system, query, limit + 1)
        return [self._shown(system, hit.code) for hit in found[:limit]], len(found) > limit

    def explain(self, system: CodeSystem, code: str) -> dict[str, Any] | None:
        """All that is known of a code, which may be written as `c341`; None where it is unknown."""
        written = written_code(code)
        if self._catalogue.code(system, written) is None and not self._catalogue.lines_of(system, written):
            return None
        return describe_code(self._catalogue, system, written)

    def _shown(self, system: CodeSystem, name: str) -> dict[str, Any]:
        code = self._catalogue.code(system, name)
        return {
            "code": name,
            "title": code.title if code else "",
            "edition": code.edition if code else "",
            "codable": self._catalogue.is_codable(system, name),
        }
