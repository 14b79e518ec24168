"""Measured figures and the files they are written to: each with n, interval, date, hardware and versions.

    section = Section("heldout", "Held-out catalogue lines", command="onkokode eval heldout")
    section.shares.append(Share.of("ICD-10 exact", hits, asked=0.88))
    write(section, Path("docs/results"), environment(agent.info()))    # heldout.md and heldout.json

A result file holds counts, codes and row numbers, and never a diagnosis text.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from eval.statistics import Interval, cluster_bootstrap, wilson

_PACKAGES = (
    "onkokode",
    "torch",
    "transformers",
    "peft",
    "sentence-transformers",
    "faiss-cpu",
    "langgraph",
    "numpy",
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` among `n` texts with Wilson's 95 % interval; `clustered` is the bootstrap interval where rows are
    near-duplicates of one another. `asked` is the share that was asked for, as a lower limit unless `at_most`."""

    name: str
    hits: int
    n: int
    interval: Interval
    clustered: Interval | None = None
    asked: float | None = None
    at_most: bool = False

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
        """Whether the figure asked for is reached; None where none was asked for, or there are no rows."""
        if self.asked is None or self.value is None:
            return None
        return self.value <= self.asked if self.at_most else self.value >= self.asked


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
    `details` is whatever else belongs to the record, in JSON types; `rows` are per-row records (row name,
    codes, confidence) that let a figure be audited."""

    name: str
    title: str
    command: str
    shares: list[Share] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


def environment(info: Mapping[str, Any]) -> dict[str, Any]:
    """When, on what and with what was measured; `info` is `CodingAgent.info()`."""
    return {
        "date": date.today().isoformat(),
        "hardware": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": platform.platform(),
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "agent": dict(info),
    }


def write(section: Section, folder: Path, measured_with: Mapping[str, Any]) -> Path:
    """Write `<name>.md`, `<name>.json` and, where there are rows, `<name>.rows.jsonl`; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": section.name,
        "title": section.title,
        "command": section.command,
        "shares": [
            {**asdict(share), "value": share.value, "reached": share.reached} for share in section.shares
        ],
        "readings": [{**asdict(reading), "reached": reading.reached} for reading in section.readings],
        "notes": section.notes,
        "details": section.details,
        "measured_with": dict(measured_with),
    }
    as_json = json.dumps(record, ensure_ascii=False, indent=1, default=str)
    (folder / f"{section.name}.json").write_text(as_json + "\n", encoding="utf-8")
    if section.rows:
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in section.rows)
        (folder / f"{section.name}.rows.jsonl").write_text(rows, encoding="utf-8")
    path = folder / f"{section.name}.md"
    path.write_text(to_markdown(section, measured_with), encoding="utf-8")
    return path


def to_markdown(section: Section, measured_with: Mapping[str, Any]) -> str:
    """The section as a page: tables of shares and readings, notes, and what it was measured with."""
    parts = [f"# {section.title}", f"Command: `{section.command}`"]
    if section.shares:
        parts.append(
            _table(
                ("figure", "share", "right / n", "95 % interval", "clustered", "asked for"),
                map(_share_cells, section.shares),
            )
        )
    if section.readings:
        parts.append(
            _table(
                ("figure", "median", "from - to", "repetitions", "asked for"),
                map(_reading_cells, section.readings),
            )
        )
    parts += [f"## {heading}\n\n" + _table(*table) for heading, table in section.tables.items()]
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    if section.details:
        parts.append("## Details\n\n" + _flat_table(section.details))
    parts.append("## Measured with\n\n" + _flat_table(measured_with))
    return "\n\n".join(parts) + "\n"


def print_section(section: Section) -> None:
    """The figures as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=140)
    table = Table("figure", "value", "of", "95 % interval / range", "asked for", title=section.title)
    for share in section.shares:
        _, value, counts, interval, clustered, asked = _share_cells(share)
        table.add_row(share.name, value, counts, f"{interval} {clustered and f'({clustered})'}", asked)
    for reading in section.readings:
        _, value, spread, repetitions, asked = _reading_cells(reading)
        table.add_row(reading.name, value, f"{repetitions} x", spread, asked)
    if table.row_count:
        console.print(table)
    for heading, (header, rows) in section.tables.items():
        further = Table(*header, title=heading)
        for row in rows:
            further.add_row(*row)
        console.print(further)
    for note in section.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def tracked(items: Iterable[_T], description: str, total: int | None = None) -> Iterable[_T]:
    """Iterate with a progress bar on standard error; silent without a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        items, description, total=total, console=console, transient=True, disable=not console.is_terminal
    )


def _share_cells(share: Share) -> tuple[str, ...]:
    value = "-" if share.value is None else f"{100 * share.value:.1f} %"
    interval = _percent(share.interval) if share.n else "-"
    clustered = _percent(share.clustered) if share.clustered else ""
    sign = "<=" if share.at_most else ">="
    asked = _asked(share.reached, None if share.asked is None else f"{sign} {100 * share.asked:g} %")
    return share.name, value, f"{share.hits} / {share.n}", interval, clustered, asked


def _reading_cells(reading: Reading) -> tuple[str, ...]:
    sign = ">=" if reading.at_least else "<="
    asked = _asked(
        reading.reached, None if reading.asked is None else f"{sign} {reading.asked:g} {reading.unit}"
    )
    spread = f"{reading.lowest:.4g} - {reading.highest:.4g}"
    return reading.name, f"{reading.value:.4g} {reading.unit}", spread, str(reading.repetitions), asked


def _asked(reached: bool | None, limit: str | None) -> str:
    if limit is None:
        return ""
    return limit if reached is None else f"{limit}, {'reached' if reached else 'NOT reached'}"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} - {100 * interval.high:.1f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _flat_table(values: Mapping[str, Any]) -> str:
    return _table(("what", "value"), _flattened(values))


def _flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted names; lists of plain values in one cell, tables of files by their length."""
    cells: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            cells += _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            plain = all(not isinstance(item, Mapping | list | tuple) for item in value)
            cells.append(
                (f"{prefix}{name}", ", ".join(map(str, value)) if plain else f"{len(value)} entries")
            )
        else:
            cells.append((f"{prefix}{name}", str(value)))
    return cells


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
