"""Figures that others published on their own texts, for a table that says so.

rows = read_published(Path("../shared/evalsets/published-mainz-results.csv"))
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from index.errors import OnkokodeError

_COLUMNS = ("Code system", "Method", "Embedding model", "LLM", "Accuracy", "Partial Accuracy", "Malformed")


@dataclass(frozen=True, slots=True)
class Published:
    """A published run; `embedding` is the best of `embeddings` that the same method and model were run with.
    Figures are in per cent."""

    system: str
    method: str
    model: str
    embedding: str
    embeddings: int
    exact: float
    partial: float
    malformed: float


def read_published(path: Path) -> tuple[Published, ...]:
    """The run with the best exact accuracy per code system, method and language model, in the file's order.

    Raises `OnkokodeError` naming the file and row that cannot be read.
    """
    best: dict[tuple[str, str, str], Published] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, delimiter=";"), start=2):
                try:
                    system, method, embedding, model = (row[name] for name in _COLUMNS[:4])
                    exact, partial, malformed = (float(row[name]) for name in _COLUMNS[4:])
                except (KeyError, TypeError, ValueError):
                    raise OnkokodeError(
                        f"{path.name}, row {number}: lacks a figure under {', '.join(_COLUMNS)}"
                    ) from None
                key = (system, method, model)
                known = best.get(key)
                tried = known.embeddings + 1 if known else 1
                if known and known.exact >= exact:
                    exact, partial, malformed, embedding = (
                        known.exact,
                        known.partial,
                        known.malformed,
                        known.embedding,
                    )
                best[key] = Published(system, method, model, embedding, tried, exact, partial, malformed)
    except (OSError, UnicodeDecodeError) as error:
        raise OnkokodeError(f"{path}: cannot be read ({error}); give a published table as UTF-8") from None
    return tuple(best.values())
