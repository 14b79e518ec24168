"""What the report is put together from, and how its numbers are written.

Table("Cost", ["variant", "ms per text"], [["combined", "3.6"]])
percent(0.883), between({"low": 0.86, "high": 0.90})          # '88.3', '86.0 to 90.0'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NONE = "–"
AXIS_NAMES = {
    "icd10gm": "ICD-10-GM",
    "icdo_topography": "ICD-O-3 topography",
    "icdo_morphology": "ICD-O-3 morphology",
}


@dataclass(frozen=True)
class Table:
    """`rows` of cells below a `header`; `note` says how to read it. `words` are the columns that hold words."""

    heading: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: Sequence[int] = ()


@dataclass(frozen=True)
class Plots:
    """Drawings with their captions; the numbers stand in a table beside them. `small` ones stand side by side."""

    drawings: Sequence[tuple[str, str]]
    small: bool = False


@dataclass(frozen=True)
class Part:
    """A titled part of an axis; `folded` where the page shows it on demand."""

    heading: str
    blocks: Sequence[Table | Plots]
    folded: bool = True


def percent(value: float | None) -> str:
    """A share in per cent with one decimal."""
    return NONE if value is None else f"{100 * value:.1f}"


def between(interval: Mapping[str, float] | None) -> str:
    """An interval in per cent."""
    return NONE if interval is None else f"{100 * interval['low']:.1f} to {100 * interval['high']:.1f}"


def cells_of(share: Mapping[str, Any]) -> list[str]:
    """A share's n, its per cent, and its interval."""
    return [f"{share['n']:,}", percent(share["share"]), between(share["interval"])]


def points(value: float | None) -> str:
    """A difference in percentage points, with its sign."""
    return NONE if value is None else f"{100 * value:+.1f}"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
