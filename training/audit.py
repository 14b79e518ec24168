"""What is wrong or undecidable in catalogues, before a model learns from them.

    found = audit(parse_folder(Path("../shared/catalogues")))
    write_report(found, Path("runs/audit"))       # audit.html, audit.json, exclude.txt

The ceiling is what no reader of the text alone can exceed: where the same words stand under several codes of
one system, only the most frequent of them can be answered. It is an upper bound, since texts that differ in a
letter count as told apart.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.catalogue import Catalogue
from index.layouts import CatalogueFile
from index.records import AXES, CatalogueLine, CodeSystem, CrosswalkRule
from training.corpus import is_tumour_diagnosis, speaks_for_axis
from training.leak import near_keys

_GROUPS = (
    ("C00-C14 lip, oral cavity, pharynx", "C00", "C14"), ("C15-C26 digestive organs", "C15", "C26"),
    ("C30-C39 thorax", "C30", "C39"), ("C40-C49 bone, skin, soft tissue", "C40", "C49"), ("C50 breast", "C50", "C50"),
    ("C51-C58 female genital organs", "C51", "C58"), ("C60-C63 male genital organs", "C60", "C63"),
    ("C64-C68 urinary tract", "C64", "C68"), ("C69-C75 eye, brain, endocrine glands", "C69", "C75"),
    ("C76-C80 secondary, unspecified", "C76", "C80"), ("C81-C96 lymphoid, blood-forming", "C81", "C97"),
    ("D00-D09 in situ", "D00", "D09"), ("D10-D36 benign", "D10", "D36"), ("D37-D48 uncertain behaviour", "D37", "D48"),
)  # fmt: skip
_FEW = 2
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A text or code with what is to be said of it; `lines` are the line ids concerned."""

    text: str
    codes: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """`findings` by kind; `ceiling` per group: lines, and how many of them a text can decide at best."""

    findings: Mapping[str, Sequence[Finding]]
    ceiling: Mapping[str, tuple[int, int]]
    exclude: tuple[str, ...]
    editions: tuple[str, ...]


def audit(files: Sequence[CatalogueFile]) -> Audit:
    """Look through all files. The lexicon, which is ours, is left out."""
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
    return Audit(findings, _ceiling(lines), tuple(sorted(doubtful)), tuple(sorted(catalogue.editions)))


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
        return "6" if icd10[:3] in ("C77", "C78", "C79") else "39"
    return "2" if icd10 < "D10" else "0" if icd10 < "D37" else "013"


def _ceiling(lines: Sequence[CatalogueLine]) -> dict[str, tuple[int, int]]:
    codes_of: dict[tuple[CodeSystem, str], Counter[str]] = defaultdict(Counter)
    for line in lines:
        codes_of[line.system, _exact_key(line.text)][line.code] += 1
    total: Counter[str] = Counter()
    decidable: Counter[str] = Counter()
    for (system, _), codes in codes_of.items():
        best = codes.most_common(1)[0][0]
        for code, count in codes.items():
            group = _group(system, code)
            total[group] += count
            decidable[group] += count if code == best else 0
    order = [name for name, _, _ in _GROUPS] + [axis.value for axis in AXES[1:]]
    return {group: (total[group], decidable[group]) for group in order if total[group]}


def _group(system: CodeSystem, code: str) -> str:
    if system is not CodeSystem.ICD10GM:
        return system.value
    return next(name for name, low, high in _GROUPS if low <= code[:3] <= high)


def write_report(found: Audit, out: Path) -> None:
    """Write the page, the same as JSON, and the line ids that training may leave out."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "exclude.txt").write_text("".join(f"{line}\n" for line in found.exclude), encoding="utf-8")
    content = {
        "editions": found.editions,
        "ceiling": {group: {"lines": n, "decidable": d} for group, (n, d) in found.ceiling.items()},
        "findings": {
            kind: [{"text": f.text, "codes": f.codes, "lines": f.lines} for f in findings]
            for kind, findings in found.findings.items()
        },
    }
    (out / "audit.json").write_text(
        json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    (out / "audit.html").write_text(_page(found), encoding="utf-8")


def _page(found: Audit) -> str:
    sections = []
    for kind, findings in found.findings.items():
        rows = "".join(
            f"<tr><td>{html.escape(f.text)}<td>{', '.join(f.codes)}<td>{html.escape(', '.join(f.lines[:6]))}"
            for f in findings[:_SHOWN]
        )
        more = f"<p>The first {_SHOWN}; all stand in audit.json." if len(findings) > _SHOWN else ""
        sections.append(
            f"<details><summary>{html.escape(kind)}: {len(findings):,}</summary>{more}"
            f"<table><tr><th>text<th>codes<th>lines{rows}</table></details>"
        )
    ceiling = "".join(
        f"<tr><td>{html.escape(group)}<td>{n:,}<td>{d / n:.1%}" for group, (n, d) in found.ceiling.items()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Onkokode: catalogue audit</title>
<style>body{{font:15px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}img{{max-width:100%}}
table{{border-collapse:collapse}}td,th{{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;
border-bottom:1px solid #ddd;overflow-wrap:anywhere}}summary{{cursor:pointer;font-weight:600;margin-top:1rem}}</style>
<h1>Catalogue audit</h1><p>{html.escape(", ".join(found.editions))}
<h2>How many lines can be told apart by their text</h2>
<p>An upper bound: the same words under several codes allow one of them only.
<p><img alt="bar chart of the table below" src="data:image/png;base64,{_plot(found.ceiling)}">
<table><tr><th>group<th>lines<th>decidable{ceiling}</table><h2>Findings</h2>{"".join(sections)}</html>
"""


def _plot(ceiling: Mapping[str, tuple[int, int]]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    names = list(ceiling)[::-1]
    axes.barh(names, [100 * ceiling[name][1] / ceiling[name][0] for name in names])
    axes.set(xlabel="lines whose text decides the code, %", xlim=(90, 100))
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return base64.b64encode(data.getvalue()).decode()
