"""What is wrong or undecidable in catalogues, before a model learns from them.

    found = audit(parse_folder(Path("../shared/catalogues")))
    write_report(found, Path("runs/audit"))       # audit.html, audit.json, exclude.txt

How much of a catalogue its texts decide lies between two figures. Above is what no reader of the text alone can
exceed: where the same words stand under several codes of one system, only the most frequent can be answered;
texts that differ in a letter count as told apart. Below is what a plain reader gets right that has never seen the
line or a near-duplicate (`training.studies.unseen`). The estimate between them follows from the one below by the bound of
Cover and Hart; it assumes that more lines would bring no nearer neighbours, so it is no bound itself.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile
from index.icd import CHAPTER_GROUPS, is_secondary
from index.records import AXES, CatalogueLine, CodeSystem, CrosswalkRule
from training.corpus import is_tumour_diagnosis, speaks_for_axis
from training.leak import near_keys
from training.runs import write_json
from training.studies.unseen import UnseenReading, read_unseen

_TEMPLATES = Path(__file__).parent / "templates"
_FEW = 2
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A text or code with what is to be said of it; `lines` are the line ids concerned."""

    text: str
    codes: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How many lines of a group there are, and which share of them the text decides: `unseen` and
    `unseen_partial` for the reader that has never seen them (exact; three characters or four digits),
    `estimate` between, `upper` at the very best."""

    lines: int
    unseen: float
    unseen_partial: float
    estimate: float
    upper: float


@dataclass(frozen=True)
class Audit:
    """`findings` by kind, `ceiling` by group."""

    findings: Mapping[str, Sequence[Finding]]
    ceiling: Mapping[str, Ceiling]
    exclude: tuple[str, ...]
    editions: tuple[str, ...]


def audit(files: Sequence[CatalogueFile], report: Callable[[float], None] = lambda share: None) -> Audit:
    """Look through all files. The lexicon, which is ours, is left out.

    Reading the lines unseen is what takes time, about a minute on two cores; `report` gets shares of that.
    """
    catalogue = Catalogue.from_files(files, lexicon=False)
    lines = [line for line in catalogue.searchable_lines if speaks_for_axis(line)]
    same = _ambiguous(lines, exactly=True)
    near = _ambiguous(lines, exactly=False)
    known = {finding.lines for finding in same}
    kept = {line.line_id for line in catalogue.lines}
    outdated = [
        Finding(line.text, (line.code,), (line.line_id,))
        for file in files
        for line in file.lines
        if is_tumour_diagnosis(line)
        and line.kind in ("synonym", "inclusion")
        and line.line_id not in kept
        and not catalogue.is_codable(line.system, line.code)
    ]
    contradictions = _contradictions(lines, catalogue.rules)
    counts = Counter((line.system, line.code) for line in lines)
    poor = [
        Finding(catalogue.title(axis, code), (code,), ())
        for axis in AXES
        for code in catalogue.codable_codes(axis)
        if counts[axis, code] <= _FEW
    ]
    findings = {
        "same text, different codes": same,
        "nearly the same text, different codes": [f for f in near if f.lines not in known],
        "code not terminal, or gone in the edition in force": outdated,
        "codes that contradict the crosswalk": contradictions,
        f"codes with at most {_FEW} lines": poor,
    }
    doubtful = {line for finding in (*same, *contradictions) for line in finding.lines}
    return Audit(
        findings, _ceilings(lines, report), tuple(sorted(doubtful)), tuple(sorted(catalogue.editions))
    )


def _ambiguous(lines: Iterable[CatalogueLine], *, exactly: bool) -> list[Finding]:
    groups: dict[tuple[CodeSystem, str], list[CatalogueLine]] = defaultdict(list)
    for line in lines:
        groups[line.system, _exact_key(line.text) if exactly else near_keys(line.text)[0]].append(line)
    return [
        Finding(
            group[0].text, tuple(sorted({line.code for line in group})), tuple(line.line_id for line in group)
        )
        for group in groups.values()
        if len({line.code for line in group}) > 1
    ]


def _exact_key(text: str) -> str:
    return " ".join(text.lower().split())


def _contradictions(lines: Sequence[CatalogueLine], rules: Sequence[CrosswalkRule]) -> list[Finding]:
    """Texts that one system calls benign and another malignant, or whose organ the crosswalk sends elsewhere."""
    by_text: dict[str, dict[CodeSystem, list[CatalogueLine]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        by_text[_exact_key(line.text)][line.system].append(line)
    targets: dict[str, set[str]] = {}
    found = []
    for systems in by_text.values():
        for diagnosis in systems.get(CodeSystem.ICD10GM, ()):
            for morphology in systems.get(CodeSystem.MORPHOLOGY, ()):
                if morphology.code[-1] not in _behaviours(diagnosis.code):
                    found.append(_clash(diagnosis, morphology))
            for site in systems.get(CodeSystem.TOPOGRAPHY, ()):
                if site.code not in targets:
                    targets[site.code] = {
                        rule.icd10.rstrip("*")[:3]
                        for rule in rules
                        if re.fullmatch(rule.topography, site.code)
                    }
                reached = targets[site.code]
                # The crosswalk covers solid primary tumours: no word on metastases and blood.
                covered = not "C77" <= diagnosis.code[:3] <= "C97" and diagnosis.code[0] == "C"
                if covered and reached and not any(diagnosis.code.startswith(target) for target in reached):
                    found.append(_clash(diagnosis, site))
    return found


def _clash(one: CatalogueLine, other: CatalogueLine) -> Finding:
    return Finding(one.text, (one.code, other.code), (one.line_id, other.line_id))


def _behaviours(icd10: str) -> str:
    """The behaviour digits that an ICD-10 code allows."""
    if icd10[0] == "C":
        return "6" if is_secondary(icd10) else "39"
    return "2" if icd10 < "D10" else "0" if icd10 < "D37" else "013"


def _ceilings(lines: Sequence[CatalogueLine], report: Callable[[float], None]) -> dict[str, Ceiling]:
    found: dict[str, Ceiling] = {}
    for axis in AXES:
        own = [line for line in lines if line.system is axis]
        if own:
            share = len(own) / len(lines)
            read = read_unseen(own, report=lambda done, share=share: report(done * share))  # type: ignore[misc]
            found |= _by_group(own, _decided(own), read)
    order = [name for name, _, _ in CHAPTER_GROUPS] + [axis.value for axis in AXES[1:]]
    return {group: found[group] for group in order if group in found}


def _decided(lines: Sequence[CatalogueLine]) -> np.ndarray:
    """Whether a line's code is the most frequent of its text."""
    codes_of: dict[tuple[CodeSystem, str], Counter[str]] = defaultdict(Counter)
    for line in lines:
        codes_of[line.system, _exact_key(line.text)][line.code] += 1
    best = {key: codes.most_common(1)[0][0] for key, codes in codes_of.items()}
    return np.array([best[line.system, _exact_key(line.text)] == line.code for line in lines])


def _by_group(lines: Sequence[CatalogueLine], decided: np.ndarray, read: UnseenReading) -> dict[str, Ceiling]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        rows_of[_group(line.system, line.code)].append(row)
    found = {}
    for group, numbers in rows_of.items():
        rows = np.array(numbers)
        upper = float(decided[rows].mean())
        found[group] = Ceiling(
            len(rows),
            float(read.exact[rows].mean()),
            float(read.partial[rows].mean()),
            min(read.best_reader(rows), upper),
            upper,
        )
    return found


def _group(system: CodeSystem, code: str) -> str:
    if system is not CodeSystem.ICD10GM:
        return system.value
    return next(name for name, low, high in CHAPTER_GROUPS if low <= code[:3] <= high)


def write_report(found: Audit, out: Path) -> None:
    """Write the page, the same as JSON, and the line ids that training may leave out."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "exclude.txt").write_text("".join(f"{line}\n" for line in found.exclude), encoding="utf-8")
    content = {
        "editions": found.editions,
        "ceiling": {group: asdict(ceiling) for group, ceiling in found.ceiling.items()},
        "findings": {kind: list(map(asdict, findings)) for kind, findings in found.findings.items()},
    }
    write_json(out / "audit.json", content)
    (out / "audit.html").write_text(_page(found), encoding="utf-8")


def _page(found: Audit) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    return templates.get_template("audit.html").render(vars(found), plot=_plot(found.ceiling), shown=_SHOWN)


def _plot(ceiling: Mapping[str, Ceiling]) -> str:
    from matplotlib.figure import Figure

    # Labels stand above their lines, so that the picture stays legible on a narrow screen.
    figure = Figure(figsize=(5.2, 1.0 + 0.42 * max(len(ceiling), 4)), layout="constrained")
    axes = figure.subplots()
    names = list(ceiling)[::-1]
    places = range(len(names))
    axes.hlines(places, [100 * ceiling[name].unseen for name in names],
                [100 * ceiling[name].upper for name in names], color="0.8", linewidth=5, zorder=1)  # fmt: skip
    for label, marker, colour in (("unseen", "o", "C0"), ("estimate", "D", "C1"), ("upper", "|", "black")):
        axes.scatter([100 * getattr(ceiling[name], label) for name in names], places, marker=marker, color=colour,
                     label="upper bound" if label == "upper" else label, s=90 if marker == "|" else 32, zorder=2)  # fmt: skip
    for place, name in zip(places, names, strict=True):
        axes.text(1, place + 0.22, name, va="bottom", fontsize=9)
    axes.set_yticks([])
    axes.set(xlabel="lines whose text decides the code, %", xlim=(0, 102), ylim=(-0.6, len(names) - 0.1))
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return base64.b64encode(data.getvalue()).decode()
