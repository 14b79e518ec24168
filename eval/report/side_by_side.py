"""Variants beside each other as tables of a page, from scored runs.

scores, costs = compare(runs)["sets"], cost_table(runs.runs)
side_by_side(scores, costs)           # ICD-10-GM, a row per variant and a column per set
summary(scores)                       # the same for each axis, as tables of the report's first screen
in_full(scores)                       # every axis, with intervals and significance
study_of(runs)                        # both, and with what they were measured
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.report.blocks import AXIS_NAMES, NONE, Table, between, percent, probability
from eval.report.comparison import compare
from eval.run.compare import Runs, cost_table
from index.io.markdown import markdown_table

_ICD = "icd10gm"


def side_by_side(scores: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """ICD-10-GM, exact and partial, a column per set; the best of a column in bold. The time is the last set's."""
    header, rows = _beside(scores, _ICD, bold=True)
    last = [name for name, of_set in scores.items() if _ICD in of_set["axes"]][-1]
    timed = [(*row, _ms(costs[last], row[0])) for row in rows]
    return markdown_table(("ICD-10-GM exact / partial, %", *header, f"ms per text, {last}"), timed)


def summary(scores: Mapping[str, Any]) -> list[Table]:
    """A table per axis: exact and partial of each variant, a column per set."""
    found = []
    for axis, name in AXIS_NAMES.items():
        header, rows = _beside(scores, axis, bold=False)
        if rows:
            found.append(Table(f"{name}: exact / partial, %", ["variant", *header], rows))
    return found


def _beside(scores: Mapping[str, Any], axis: str, *, bold: bool) -> tuple[list[str], list[list[str]]]:
    """The sets with their counts (exact / partial), and a row for each variant."""
    axes = {name: of_set["axes"][axis] for name, of_set in scores.items() if axis in of_set["axes"]}
    shares = {name: found["variants"] for name, found in axes.items()}
    best = {
        (name, measure): max(s[measure]["share"] or 0 for s in of_set.values())
        for name, of_set in shares.items() for measure in ("exact", "partial")
    }  # fmt: skip

    def cell(name: str, variant: str) -> str:
        if variant not in shares[name]:
            return NONE
        parts = []
        for measure in ("exact", "partial"):
            share = shares[name][variant][measure]["share"]
            best_one = bold and share is not None and share == best[name, measure]
            parts.append(f"**{percent(share)}**" if best_one else percent(share))
        return " / ".join(parts)

    rows = [
        [variant, *(cell(name, variant) for name in shares)]
        for variant in dict.fromkeys(variant for of_set in shares.values() for variant in of_set)
    ]
    return [f"{name} ({found['n_exact']:,} / {found['n']:,})" for name, found in axes.items()], rows


def in_full(scores: Mapping[str, Any]) -> str:
    """Every set, axis and variant. Significance is of the exact codes, against the set's reference."""
    rows = [
        (name, AXIS_NAMES[axis], variant, f"{one['exact']['n']:,}", f"{percent(one['exact']['share'])} %",
         between(one["exact"]["interval"]), f"{percent(one['partial']['share'])} %",
         between(one["partial"]["interval"]), f"{percent(one['malformed']['share'])} %",
         probability(one["against"]["exact"]["p_holm"]) if "against" in one else "reference")
        for name, of_set in scores.items()
        for axis, found in of_set["axes"].items()
        for variant, one in found["variants"].items()
    ]  # fmt: skip
    measured = ("n exact", "exact", "95 %", "partial", "95 %", "malformed", "p of exact (Holm)")
    return markdown_table(("set", "axis", "variant", *measured), rows)


def study_of(runs: Runs) -> str:
    """The runs of one model as a block of a page; ends in a line break."""
    scores, costs = compare(runs)["sets"], cost_table(runs.runs)
    info = [run.info for run in runs.runs]
    with_ = info[0]["measured_with"]
    days = sorted({one["measured_with"]["date"] for one in info})
    hardware = with_["hardware"]
    device = "no GPU" if with_["device"] == "cpu" else with_["device"]
    note = (
        f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} on {hardware['cores']} cores of "
        f"{hardware['cpu']}, {device}."
    )
    return f"{side_by_side(scores, costs)}\n\n{note}\n\n{in_full(scores)}\n"


def _ms(costs: Mapping[str, Any], variant: str) -> str:
    return f"{costs[variant]['ms_per_text']:.1f}" if variant in costs else NONE
