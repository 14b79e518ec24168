"""`docs/figures.md`: every figure that README and docs show, from the folders of runs and from nothing else.

    plan = read_plan()                                    # eval/bench/runs.yaml: what is run, and what is said of it
    write_figures(Path("runs/measured"), plan, ROOT)      # docs/figures.md, and the blocks of README and docs

A page may hold the six figures, the ablation's table, or the study's, between `<!-- figures -->` and
`<!-- /figures -->`, and so on: what stands between is written here. Each page names the fingerprint of the
weights, so that a test can tell figures of other weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from eval.report.blocks import AXIS_NAMES, between, percent
from eval.report.comparison import compare
from eval.report.published import TEXTS, Published
from eval.report.section import Reading, Section, asked_for, read_section, tables_of
from eval.report.side_by_side import in_full, side_by_side, study_of
from eval.run.compare import Runs, cost_table, read_runs
from eval.run.environment import catalogue_fingerprint, shipped_weights
from index.errors import OnkokodeError
from index.io.atomic import write_whole
from index.io.markdown import markdown_table

PLAN = Path(__file__).parent / "runs.yaml"
_AGENT = "agent"
_RISK = 0.02  # wrong ones allowed among the answers that are accepted unread
_KINDS = {
    "accuracy": "tumour or not",
    "sensitivity": "tumours seen as such",
    "specificity": "others seen as such",
}
STUDY = "study"
_BLOCK = re.compile(rf"(<!-- (figures|ablation|{STUDY}) -->\n)(.*?)(<!-- /\2 -->)", re.DOTALL)


class FiguresError(OnkokodeError):
    """Runs that the page cannot be made from; the message says which, and what makes them."""


@dataclass(frozen=True)
class PlannedRun:
    """Variants on a test set; `rows` None is all of them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    testset: str
    variants: tuple[str, ...]
    rows: int | None = None


@dataclass(frozen=True)
class Plan:
    """What is run, and what the page says of it: `titles` by set or section, `asked` in per cent by set and figure,
    `six` as set, name and words."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    runs: tuple[PlannedRun, ...]
    sections: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    six: Sequence[Mapping[str, str]] = ()

    @property
    def ablation(self) -> tuple[str, ...]:
        """The sets that more than one variant answers."""
        return tuple(dict.fromkeys(run.testset for run in self.runs if len(run.variants) > 1))


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the page; values as they are printed, `share` as a number where it is one."""

    name: str
    result: str
    n: str
    interval: str
    clustered: str = ""
    share: float | None = None


def read_plan(path: Path = PLAN) -> Plan:
    """The list of runs. Raises `ValueError` for a file of another form."""
    import yaml

    return TypeAdapter(Plan).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


def write_figures(
    measured: Path, plan: Plan, root: Path, published: Sequence[Published] = (), study: Path | None = None
) -> list[Path]:
    """Write `docs/figures.md` below `root` and the blocks of README.md and docs; returns what was written.

    `study` holds the runs of a pretrained model (`make study`); without it, what the page says of them stays.

    Raises `FiguresError` where a planned run is missing, unfinished, or of other weights than the package's.
    """
    runs = read_runs([measured])
    sections = {path.stem: read_section(path) for path in sorted(measured.glob("*.json"))}
    _check(runs, sections, plan)
    target = root / "docs" / "figures.md"
    said = study_of(read_runs([study])) if study is not None else _kept(target, STUDY)
    page = _Page(runs, {name: section for name, (section, _) in sections.items()}, plan, said)
    write_whole(target, page.whole(published).encode())
    others = (path for path in _pages(root) if path != target)
    return [target, *_with_blocks(others, lambda kind, path: page.block(kind, _link(target, path)))]


def write_study(study: Path, root: Path) -> list[Path]:
    """Write the tables of a pretrained model's runs alone, wherever a page has a block for them; returns what changed."""
    said = study_of(read_runs([study]))
    return _with_blocks(_pages(root), lambda kind, path: said if kind == STUDY else None)


def _pages(root: Path) -> list[Path]:
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.is_file()]


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _with_blocks(pages: Iterable[Path], block: Callable[[str, Path], str | None]) -> list[Path]:
    """Puts new contents between the marks of pages (None: they stay), and returns those that changed."""
    written = []
    for path in pages:
        before = path.read_text(encoding="utf-8")
        marked = _BLOCK.split(before)
        # Text, then for each block its opening mark, kind, contents and closing mark, and the text that follows.
        for place in range(2, len(marked), 5):
            new = block(marked[place], path)
            marked[place : place + 2] = "", marked[place + 1] if new is None else new
        after = "".join(marked)
        if after != before:
            write_whole(path, after.encode())
            written.append(path)
    return written


def _kept(page: Path, kind: str) -> str:
    """What stands in a block of a page; empty where it has none."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return next((found[3] for found in _BLOCK.finditer(text) if found[2] == kind), "")


def _check(runs: Runs, sections: Mapping[str, tuple[Section, Mapping[str, Any]]], plan: Plan) -> None:
    reasons = {(run.testset, run.variant): run.reason for run in runs.left_out}
    found = {(run.testset, run.variant): run.info["weights"] for run in runs.runs}
    found |= {(name, ""): measured_with["weights"] for name, (_, measured_with) in sections.items()}
    wanted = [(run.testset, variant) for run in plan.runs for variant in run.variants]
    for key in (*wanted, *((name, "") for name in plan.sections)):
        shown = ", ".join(filter(None, key))
        if key not in found:
            raise FiguresError(
                f"{shown}: {reasons.get(key, 'is not there')}; `onkokode eval figures` runs it"
            )
    for key, weights in found.items():
        if weights != shipped_weights():
            raise FiguresError(
                f"{', '.join(filter(None, key))}: measured with the weights {weights}, and the package holds "
                f"{shipped_weights()}; run `onkokode eval figures --restart`"
            )


class _Page:
    def __init__(self, runs: Runs, sections: Mapping[str, Section], plan: Plan, study: str) -> None:
        self.runs, self.sections, self.plan, self.study = runs, sections, plan, study
        self.scores, self.costs = compare(runs)["sets"], cost_table(runs.runs)
        self.figures = {name: list(_figures_of(found)) for name, found in self.scores.items()}

    def whole(self, published: Sequence[Published]) -> str:
        """The page."""
        order = list(dict.fromkeys(run.testset for run in self.plan.runs))
        parts = [
            "# Figures",
            "Made by `make bench` (`onkokode eval figures`) and by nobody's hand: every figure that README and these "
            "pages show comes from here. *Exact*: the whole code is equal; rows with the code of a tumour count, those "
            "that are literally catalogue lines, doubtful codes and subsites that the text does not name left out, and "
            "the first choice is scored, also where the agent abstains. *Partial*: the part before the point (for "
            "morphology the histology) is equal. *May pass unread*: the threshold is chosen on one half of the texts "
            "and measured on the other. Intervals: 95 %, Wilson's; clustered: drawn by near-duplicates.",
            self._measured_with(),
            "## Six figures\n\n" + self._six(),
            "## The ablation\n\n" + self._ablation() + "\n\n" + in_full(self._of_ablation()),
            *(
                [f"## {self._title(STUDY)}\n\n<!-- study -->\n{self.study}<!-- /study -->"]
                if self.study
                else []
            ),
            *(self._set(name) for name in order),
            *(f"## {self._title(name)}\n\n" + "\n\n".join(_demoted(s)) for name, s in self.sections.items()),
            *([_published_by_others(published)] if published else []),
        ]
        return "\n\n".join(parts) + "\n"

    def block(self, kind: str, link: str) -> str:
        """What stands between the marks of another page; ends in a line break."""
        if kind == STUDY:
            return self.study
        table = self._six() if kind == "figures" else self._ablation()
        return f"{table}\n\n{self._note()} All figures: [docs/figures.md]({link}).\n"

    def _title(self, name: str) -> str:
        return self.plan.titles.get(name, name)

    def _note(self) -> str:
        with_ = self.runs.runs[0].info["measured_with"]
        dates = sorted({run.info["measured_with"]["date"] for run in self.runs.runs})
        cores = with_["hardware"]["cores"]
        return (
            f"Weights `{shipped_weights()}`, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}, {cores} cores of "
            f"{with_['hardware']['cpu']}, {'no GPU' if with_['device'] == 'cpu' else with_['device']}."
        )

    def _measured_with(self) -> str:
        rows = []
        for name, runs in self.runs.by_set.items():
            info = runs[0].info
            editions = info["catalogue"]["editions"]
            in_force = [name for name, about in editions.items() if about.get("in_force")]
            rows.append(
                [name, f"{len(runs[0].rows):,}", f"`{info['testset']['sha256'][:16]}`",
                 f"{len(editions)} edition{'s' * (len(editions) > 1)}, `{catalogue_fingerprint(editions)}`",
                 ", ".join(in_force or editions)]
            )  # fmt: skip
        first = self.runs.runs[0].info
        versions = ", ".join(f"{name} {number}" for name, number in first["packages"].items() if number)
        header = ("test set", "rows", "SHA-256", "catalogue", "editions in force")
        return f"{self._note()} {versions}.\n\n{markdown_table(header, rows)}"

    def _six(self) -> str:
        figures = [(one["say"], self._figure(one["set"], one["name"])) for one in self.plan.six]
        rows = [(said, figure.result, figure.n, figure.interval) for said, figure in figures]
        return markdown_table(("figure", "result", "n", "95 % interval"), rows)

    def _figure(self, name: str, figure: str) -> Figure:
        of_section = map(_of_reading, self.sections[name].readings) if name in self.sections else ()
        for one in (*self.figures.get(name, ()), *of_section):
            if one.name == figure:
                return one
        raise FiguresError(f"{PLAN.name}: six: no figure {figure} of {name}")

    def _of_ablation(self) -> dict[str, Any]:
        return {name: self.scores[name] for name in self.plan.ablation if name in self.scores}

    def _ablation(self) -> str:
        return side_by_side(self._of_ablation(), self.costs)

    def _set(self, name: str) -> str:
        asked = self.plan.asked.get(name, {})

        def limit(figure: Figure) -> str:
            wanted = asked.get(figure.name)
            if wanted is None or figure.share is None:
                return ""
            return asked_for(100 * figure.share >= wanted, f">= {wanted:g} %")

        rows = [(f.name, f.result, f.n, f.interval, f.clustered, limit(f)) for f in self.figures[name]]
        header = ("figure", "result", "n", "95 % interval", "clustered", "asked for")
        return (
            f"## {self._title(name)}\n\n`onkokode eval run --testset {name} --only agent`\n\n"
            + markdown_table(header, rows)
        )


def _figures_of(found: Mapping[str, Any]) -> Iterator[Figure]:
    """The agent's figures on a set."""
    for shares in found["recall"].values():
        for k, share in shares["icd10gm"].items():
            yield _of_share(f"candidates@{k}", share)
    for kind, share in found["recognition"].get(_AGENT, {}).items():
        yield _of_share(_KINDS.get(kind, f"tumour or not: {kind}"), share)
    for axis, of_axis in found["axes"].items():
        one = of_axis["variants"].get(_AGENT)
        if one is None or not one["partial"]["n"]:
            continue
        name = AXIS_NAMES[axis]
        yield _of_share(f"{name} exact", one["exact"])
        yield _of_share(f"{name} partial", one["partial"])
        yield _of_share(f"{name} exact, an abstention counted as wrong", one["coded_exact"])
        if unseen := one["strata"].get("unseen"):
            yield _of_share(f"{name} partial, texts that no catalogue says", unseen["partial"])
        if one["knowing"]:
            yield from _selective(name, one["knowing"])
    for kind, share in found["traps"].get(_AGENT, {}).items():
        yield _of_share("all kinds" if kind == "all" else kind, share)


def _selective(name: str, knowing: Mapping[str, Any]) -> Iterator[Figure]:
    """Calibration, and coverage at fixed risk: the share that may be accepted unread."""
    calibration, covered = knowing["calibration"], knowing["coverage"][str(_RISK)]
    n, error = f"{calibration['n']:,}", percent(calibration["error"])
    yield Figure(f"{name} calibration error, points", error, n, between(calibration["interval"]))
    if honest := covered.get("honest"):
        share, halves = honest["coverage"], between(honest["between"])
        yield Figure(
            f"{name} coverage at {100 * _RISK:g} % error", f"{percent(share)} %", n, halves, share=share
        )
    bound = f"{percent(covered['same_rows']['accepted'] / covered['same_rows']['n'])} %"
    yield Figure(f"{name} coverage at best, with the threshold chosen on these texts", bound, n, "")


def _of_share(name: str, share: Mapping[str, Any]) -> Figure:
    result, n = f"{percent(share['share'])} %", f"{share['n']:,}"
    clustered = between(share["clustered"]) if share["clustered"] else ""
    return Figure(name, result, n, between(share["interval"]), clustered, share["share"])


def _of_reading(reading: Reading) -> Figure:
    spread = f"{reading.lowest:.4g} to {reading.highest:.4g} (range)"
    runs = f"{reading.repetitions} run{'s' * (reading.repetitions > 1)}"
    return Figure(reading.name, f"{reading.value:.4g} {reading.unit}", runs, spread)


def _demoted(section: Section) -> list[str]:
    """A section's tables below a heading of this page."""
    return [f"`{section.command}`", *(part.replace("## ", "### ", 1) for part in tables_of(section))]


def _published_by_others(published: Sequence[Published]) -> str:
    rows = [
        (row.system, row.method, row.model, f"{row.exact:.1f} %", f"{row.partial:.1f} %") for row in published
    ]
    return (
        "## Figures of others, measured on other texts\n\n"
        f"{TEXTS}; the best embedding of each. The texts differ, so no row says that one of ours is better or "
        "worse.\n\n" + markdown_table(("system", "method", "language model", "exact", "partial"), rows)
    )
