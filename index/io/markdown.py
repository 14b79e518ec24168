"""A table in Markdown, as cards, reports and docs/figures.md hold them.

markdown_table(("axis", "n"), [("icd10gm", "86")])          # '| axis | n | …'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A line per row, without a line break at the end."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
