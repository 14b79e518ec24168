"""Figures that are not answers of a run: speed, FAISS, what texts determine. Each with n, interval, date, hardware.

    section = Section("speed", "Speed", command="onkokode eval speed")
    section.readings.append(Reading("onkokode --help", 0.04, "s", 5, 0.03, 0.05, asked=0.5))
    write(section, Path("runs/measured"), environment())              # speed.md and speed.json

A result file holds counts, codes and row numbers, and never a diagnosis text.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import TypeAdapter

from agent.apps.shares import Interval, wilson
from eval.run.environment import environment
from eval.statistics import cluster_bootstrap
from index.io.markdown import markdown_table

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` among `n` texts with Wilson's 95 % interval; `clustered` is the bootstrap interval where rows are
    near-duplicates of one another. `asked` is the share that was asked for, as a lower limit."""

    name: str
    hits: int
    n: int
    interval: Interval
    clustered: Interval | None = None
    asked: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        hits: Sequence[bool],
        *,
        clusters: Sequence[Hashable] | None = None,
        asked: float | None = None,
    ) -> Share:
        """The share of true values. A cluster interval is made only where some cluster has several rows."""
        several = clusters is not None and len(set(clusters)) < len(clusters)
        return cls(
            name,
            sum(hits),
            len(hits),
            wilson(sum(hits), len(hits)),
            cluster_bootstrap([float(hit) for hit in hits], clusters) if clusters and several else None,
            asked,
        )

    @property
    def value(self) -> float | None:
        """The share, None without rows."""
        return self.hits / self.n if self.n else None

    @property
    def reached(self) -> bool | None:
        """Whether the share asked for is reached; None where none was asked for, or there are no rows."""
        return None if self.asked is None or self.value is None else self.value >= self.asked


@dataclass(frozen=True, slots=True)
class Reading:
    """A measured quantity: the median of `repetitions`, from `lowest` to `highest`. `asked` is a limit, an upper
    one unless `at_least`."""

    name: str
    value: float
    unit: str
    repetitions: int
    lowest: float
    highest: float
    asked: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the limit asked for is kept; None where none was asked for."""
        if self.asked is None:
            return None
        return self.value >= self.asked if self.at_least else self.value <= self.asked


@dataclass
class Section:
    """The figures of one command. `tables` are further tables by their heading, as header and rows of cells;
    `details` is whatever else belongs to the record, in JSON types."""

    name: str
    title: str
    command: str
    shares: list[Share] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def write(section: Section, folder: Path, measured_with: Mapping[str, Any]) -> Path:
    """Write `<name>.json` and, as a page, `<name>.md`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    record = asdict(section) | {
        "shares": [{**asdict(s), "value": s.value, "reached": s.reached} for s in section.shares],
        "readings": [{**asdict(reading), "reached": reading.reached} for reading in section.readings],
        "measured_with": dict(measured_with),
    }
    as_json = json.dumps(record, ensure_ascii=False, indent=1, default=str)
    (folder / f"{section.name}.json").write_text(as_json + "\n", encoding="utf-8")
    path = folder / f"{section.name}.md"
    path.write_text(to_markdown(section, measured_with), encoding="utf-8")
    return path


def read_section(path: Path) -> tuple[Section, dict[str, Any]]:
    """A section that `write` wrote, and what it was measured with."""
    record = json.loads(path.read_text(encoding="utf-8"))
    return TypeAdapter(Section).validate_python(record), record["measured_with"]


def show_and_write(section: Section, folder: Path) -> None:
    """What a command does with its section: print the page, and write it with what it was measured with."""
    measured_with = environment()
    click.echo(to_markdown(section, measured_with))
    click.echo(f"written: {write(section, folder, measured_with)}")


def to_markdown(section: Section, measured_with: Mapping[str, Any]) -> str:
    """The section as a page: tables of shares and readings, notes, and what it was measured with."""
    parts = [f"# {section.title}", f"Command: `{section.command}`", *tables_of(section)]
    if section.details:
        parts.append("## Details\n\n" + markdown_table(("what", "value"), _flattened(section.details)))
    measured = markdown_table(("what", "value"), _flattened(measured_with))
    return "\n\n".join([*parts, "## Measured with\n\n" + measured]) + "\n"


def tables_of(section: Section) -> list[str]:
    """Its shares, readings, further tables and notes as Markdown, without a heading."""
    parts = []
    if section.shares:
        header = ("figure", "share", "right / n", "95 % interval", "clustered", "asked for")
        parts.append(markdown_table(header, map(_share_cells, section.shares)))
    if section.readings:
        measured = ("figure", "median", "from - to", "repetitions", "asked for")
        parts.append(markdown_table(measured, map(_reading_cells, section.readings)))
    parts += [f"## {heading}\n\n" + markdown_table(*table) for heading, table in section.tables.items()]
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return parts


def tracked(items: Sequence[_T], description: str) -> Iterable[_T]:
    """Iterate with a progress bar on standard error; silent without a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, console=console, transient=True, disable=not console.is_terminal)


def _share_cells(share: Share) -> tuple[str, ...]:
    value = "-" if share.value is None else f"{100 * share.value:.1f} %"
    interval = _percent(share.interval) if share.n else "-"
    clustered = _percent(share.clustered) if share.clustered else ""
    asked = asked_for(share.reached, None if share.asked is None else f">= {100 * share.asked:g} %")
    return share.name, value, f"{share.hits} / {share.n}", interval, clustered, asked


def _reading_cells(reading: Reading) -> tuple[str, ...]:
    sign = ">=" if reading.at_least else "<="
    limit = None if reading.asked is None else f"{sign} {reading.asked:g} {reading.unit}"
    spread, runs = f"{reading.lowest:.4g} - {reading.highest:.4g}", str(reading.repetitions)
    return (
        reading.name,
        f"{reading.value:.4g} {reading.unit}",
        spread,
        runs,
        asked_for(reading.reached, limit),
    )


def asked_for(reached: bool | None, limit: str | None) -> str:
    """The limit, and whether it is reached; empty where there is none."""
    if limit is None:
        return ""
    return limit if reached is None else f"{limit}, {'reached' if reached else 'NOT reached'}"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} - {100 * interval.high:.1f}"


def _flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted names; lists of plain values in one cell, tables of files by their length."""
    cells: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            cells += _flattened(value, f"{prefix}{name}.")
            continue
        listed = value if isinstance(value, list | tuple) else [value]
        nested = any(isinstance(item, Mapping | list | tuple) for item in listed)
        shown = f"{len(listed)} entries" if nested else ", ".join(map(str, listed))
        cells.append((f"{prefix}{name}", shown))
    return cells
