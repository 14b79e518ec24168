"""Figures that others published on their own texts, for a table that says so.

rows = read_published(Path("../shared/evalsets/published-mainz-results.csv"))
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from index.errors import OnkokodeError

# In the shared folder.
PUBLISHED = "evalsets/published-mainz-results.csv"
TEXTS = (
    "2,024 diagnosis texts of a tumour documentation system, which are not public (medRxiv "
    "10.64898/2026.05.27.26353695)"
)
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
    """The run with the best exact accuracy per code system, method and language model, in the file's order; none
    where there is no file. Raises `OnkokodeError` naming the file and row that cannot be read.
    """
    if not path.is_file():
        return ()
    runs: dict[tuple[str, ...], list[Published]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, delimiter=";"), start=2):
                try:
                    system, method, embedding, model = (row[name] for name in _COLUMNS[:4])
                    figures = [float(row[name]) for name in _COLUMNS[4:]]
                except (KeyError, TypeError, ValueError):
                    raise OnkokodeError(
                        f"{path.name}, row {number}: lacks a figure under {', '.join(_COLUMNS)}"
                    ) from None
                run = Published(system, method, model, embedding, 1, *figures)
                runs.setdefault((system, method, model), []).append(run)
    except (OSError, UnicodeDecodeError) as error:
        raise OnkokodeError(f"{path}: cannot be read ({error}); give a published table as UTF-8") from None
    best = (max(alike, key=lambda run: run.exact) for alike in runs.values())
    return tuple(replace(run, embeddings=len(runs[run.system, run.method, run.model])) for run in best)
