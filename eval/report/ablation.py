"""The report of an ablation: one HTML page that needs nothing from outside, the same as Markdown, and the scores.

    write_report(read_runs([Path("runs/ablation")]), Path("runs/report"))

writes `report.html`, `report.md`, `scores.json` and `costs.json`. No model is loaded. Two calls on the same runs
give the same bytes; costs stand apart from the scores, since no two runs cost the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.report.blocks import AXIS_NAMES, Part, Plots, Table, percent
from eval.report.comparison import compare
from eval.report.published import TEXTS, Published
from eval.report.row_browser import TitleOf, pack, payload
from eval.report.side_by_side import summary
from eval.report.tables import axis_parts, cost_of, shares_table
from eval.run.compare import Run, Runs, cost_table

_TEMPLATES = Path(__file__).parent / "templates"
_PUBLISHED_AXES = {"ICD-10": "icd10gm", "ICD-O-3": "icdo_topography"}


def write_report(
    runs: Runs,
    out: Path,
    *,
    texts: Mapping[str, str] | None = None,
    title_of: TitleOf | None = None,
    published: Sequence[Published] = (),
) -> Path:
    """Score the runs and write all files; returns the page. `texts` by row id, and `title_of`, go into the page's
    browser alone, never into Markdown or JSON."""
    scores, costs = compare(runs), cost_table(runs.runs)
    page = _content(runs, scores, costs, published)
    browsers = [
        {"name": name, "data": pack(payload(of_set, texts, title_of))} for name, of_set in runs.by_set.items()
    ]
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / "scores.json", scores)
    _write_json(out / "costs.json", costs)
    (out / "report.md").write_text(_rendered("ablation.md", **page), encoding="utf-8")
    path = out / "report.html"
    path.write_text(
        _rendered("ablation.html", **page, browsers=browsers, with_texts=bool(texts)), encoding="utf-8"
    )
    return path


def _content(
    runs: Runs, scores: Mapping[str, Any], costs: Mapping[str, Any], published: Sequence[Published]
) -> dict[str, Any]:
    return {
        "summary": summary(scores["sets"]),
        "sets": [
            {
                **{key: of_set[key] for key in ("n", "sha256", "reference")},
                "id": f"set{place}",
                "name": name,
                "axes": [
                    {
                        "id": (id_ := f"set{place}-{axis}"),
                        "name": AXIS_NAMES[axis],
                        "n": found["n"],
                        "parts": axis_parts(found, of_set["variants"], id_),
                    }
                    for axis, found in of_set["axes"].items()
                ],
                "further": _further(of_set, costs[name]),
            }
            for place, (name, of_set) in enumerate(scores["sets"].items())
        ],
        "weights": sorted({run.info.get("weights", "") for run in runs.runs}),
        "variants": _variants(runs.runs),
        "left_out": _left_out(scores["left_out"]),
        "published": _published(scores, published),
        "records": [
            (f"{run.testset}, {run.variant}", json.dumps(run.info, ensure_ascii=False, indent=1))
            for run in runs.runs
        ],
    }


def _further(of_set: Mapping[str, Any], costs: Mapping[str, Any]) -> Part:
    by_axis = {AXIS_NAMES[axis]: shares for of in of_set["recall"].values() for axis, shares in of.items()}
    shares = {
        "recognition": ("Tumour recognition, %", of_set["recognition"]),
        "traps": ("Traps passed, %", of_set["traps"]),
        "recall": ("The right code among the k candidates of retrieval, %", by_axis),
    }
    tables = {name: shares_table(heading, found) for name, (heading, found) in shares.items() if found}
    return Part(" and ".join(["Cost", *tables]), [cost_of(costs), *tables.values()], folded=False)


def _variants(runs: Sequence[Run]) -> Table:
    about = {run.variant: run.info.get("variant", {}).get("about", "") for run in runs}
    sets = {variant: [run.testset for run in runs if run.variant == variant] for variant in about}
    rows = [[variant, said, ", ".join(sets[variant])] for variant, said in about.items()]
    return Table("Variants", ["variant", "what it is", "answered"], rows, words=(1, 2))


def _left_out(left_out: Sequence[Mapping[str, str]]) -> Table | None:
    if not left_out:
        return None
    rows = [[run["testset"], run["variant"], run["reason"]] for run in left_out]
    return Table("Runs that are not in the tables", ["set", "variant", "why"], rows, words=(1, 2))


def _published(scores: Mapping[str, Any], published: Sequence[Published]) -> Table | None:
    """Our figures stand there too, each row with its texts, so that nobody has to set two tables side by side."""
    if not published:
        return None
    ours = [
        [f"{name}, n {found['n']:,}", system, variant, "", "", percent(s["exact"]["share"]),
         percent(s["partial"]["share"]), percent(s["malformed"]["share"])]
        for name, of_set in scores["sets"].items()
        for system, axis in _PUBLISHED_AXES.items()
        if (found := of_set["axes"].get(axis))
        for variant, s in found["variants"].items()
    ]  # fmt: skip
    theirs = [
        ["theirs, n 2,024", row.system, row.method, row.model,
         row.embedding + (f" (best of {row.embeddings})" if row.embeddings > 1 else ""),
         f"{row.exact:.1f}", f"{row.partial:.1f}", f"{row.malformed:.1f}"]
        for row in published
    ]  # fmt: skip
    return Table(
        "Published figures, measured on OTHER texts",
        [
            "texts",
            "system",
            "method or variant",
            "language model",
            "embedding",
            "exact",
            "partial",
            "malformed",
        ],
        theirs + ours,
        f"Theirs: {TEXTS}; ICD-O-3 is its topography. Ours: the sets of this report. The texts differ, so no row of "
        "theirs says that a row of ours is better or worse.",
        words=(1, 2, 3, 4),
    )


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=template.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["plots"] = lambda block: isinstance(block, Plots)
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment.get_template(template).render(**values)


def _write_json(path: Path, values: Any) -> None:
    path.write_text(
        json.dumps(_rounded(values), ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )


def _rounded(values: Any) -> Any:
    """Eight digits: the last ones of a sum depend on the order in which a processor adds."""
    if isinstance(values, float):
        return float(f"{values:.8g}") if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return values
