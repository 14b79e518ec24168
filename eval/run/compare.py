"""The runs of an ablation, read from their folders, and what they cost.

    runs = read_runs([Path("runs/ablation")])
    runs.by_set["devsets"][0].variant            # the reference, that all others are tested against
    cost_table(runs.runs)["devsets"]["combined"]["ms_per_text"]

Only finished runs on the same rows are compared; all others are named with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.run.folder import AnsweredRow, Cost, RunError, RunFolder

REFERENCES = ("combined", "agent")


@dataclass(frozen=True)
class Run:
    """A finished run; `info` is its `run.json`."""

    testset: str
    variant: str
    info: Mapping[str, Any]
    rows: tuple[AnsweredRow, ...]
    costs: tuple[Cost, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is not scored, and why."""

    testset: str
    variant: str
    reason: str


@dataclass(frozen=True)
class Runs:
    """What was found: `runs` by set, the reference first and then by name."""

    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def by_set(self) -> dict[str, list[Run]]:
        """The runs of each set."""
        return {name: [r for r in self.runs if r.testset == name] for name in _in_order(self.runs)}


def read_runs(folders: Iterable[Path], testsets: Collection[str] = ()) -> Runs:
    """The runs below the folders, `<folder>/<set>/<variant>`, of all sets or of `testsets`. Unfinished, skipped and broken ones, and those that
    answer other rows than the reference, are left out with the reason.

    Raises `RunError` where a folder holds no run at all, or two hold the same variant of the same set.
    """
    found: dict[tuple[str, str], Path] = {}
    for folder in folders:
        paths = [path for path in sorted(folder.glob("*/*")) if path.is_dir()]
        paths = [path for path in paths if not testsets or path.parent.name in testsets]
        if not paths:
            raise RunError(f"{folder}: holds no <set>/<variant>; make runs with `onkokode eval run`")
        for path in paths:
            key = (path.parent.name, path.name)
            if key in found:
                raise RunError(f"{path}: the same variant and set as {found[key]}; report them apart")
            found[key] = path
    read = [_read(*key, RunFolder(path)) for key, path in sorted(found.items())]
    finished = [run for run in read if isinstance(run, Run)]
    left_out = [run for run in read if isinstance(run, LeftOut)]
    kept: list[Run] = []
    for name in _in_order(finished):
        same, others = _same_rows([run for run in finished if run.testset == name])
        kept, left_out = kept + same, left_out + others
    return Runs(tuple(kept), tuple(left_out))


def _read(testset: str, variant: str, folder: RunFolder) -> Run | LeftOut:
    try:
        info = folder.run()
        if info.get("skipped"):
            return LeftOut(testset, variant, f"skipped: {info['skipped']}")
        rows, n = folder.rows(), info["testset"]["n"]
        if not info.get("finished"):
            return LeftOut(testset, variant, f"unfinished: {len(rows)} of {n} rows; run it again to go on")
        if len(rows) != n or len({row.row for row in rows}) != n:
            return LeftOut(testset, variant, f"broken: {len(rows)} rows for a set of {n}; run it again")
        return Run(testset, variant, info, rows, folder.costs())
    except RunError as error:
        return LeftOut(testset, variant, f"broken: {error}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        return LeftOut(testset, variant, f"broken: {type(error).__name__} in {folder.path}; run it again")


def _same_rows(runs: Sequence[Run]) -> tuple[list[Run], list[LeftOut]]:
    """The runs on the very rows and codes that the reference was asked, reference first."""
    first = reference_of([run.variant for run in runs])
    ordered = sorted(runs, key=lambda run: (run.variant != first, run.variant))
    asked = [(row.row, row.gold) for row in ordered[0].rows]
    same = [run for run in ordered if [(row.row, row.gold) for row in run.rows] == asked]
    reason = f"broken: its rows are not those of {first}; run it again on the same set"
    return same, [LeftOut(run.testset, run.variant, reason) for run in ordered if run not in same]


def reference_of(variants: Sequence[str]) -> str:
    """The variant that all others are tested against."""
    return next((name for name in REFERENCES if name in variants), sorted(variants)[0])


def _in_order(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.testset for run in runs))


def cost_table(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """What each run cost, by set and variant."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        rows, seconds = sum(cost.rows for cost in run.costs), sum(cost.seconds for cost in run.costs)
        found.setdefault(run.testset, {})[run.variant] = {
            "rows": rows,
            "questions": sum(cost.questions for cost in run.costs),
            "seconds": seconds,
            "texts_per_second": rows / seconds if seconds else None,
            "ms_per_text": 1000 * seconds / rows if rows else None,
            "tokens": sum(cost.tokens for cost in run.costs),
            "peak_mb": max((cost.peak_mb for cost in run.costs), default=None),
        }
    return found
