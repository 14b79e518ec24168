"""The scores as tables and plots, put together once for the HTML page and the Markdown.

parts = axis_parts(scores["sets"]["devsets"]["axes"]["icd10gm"], ["combined", "retrieval"], "devsets-icd10gm")
parts[0].blocks[0].header, parts[0].blocks[0].rows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.report import plots
from eval.report.blocks import NONE, Part, Plots, Table, between, cells_of, percent, points, probability
from eval.report.comparison import TOP_K
from eval.report.knowing_tables import abstaining_tables, bins_table, knowing_blocks

_APART_NAMES = {
    "seen": "seen terms",
    "unseen": "unseen terms",
    "in_alpha_id": "apart: catalogue lines",
    "doubtful": "apart: code in doubt",
    "subsite_not_derivable": "apart: subsite not in the text",
}


_FEWEST_PLOTTED = 10  # rows; a plot of fewer shows nothing but its intervals


def axis_parts(axis: Mapping[str, Any], variants: Sequence[str], name: str) -> list[Part]:
    """Everything of one axis of one set; `variants` are all of the set, `name` is unique in the page. The first
    part, what the set can show, comes before any result."""
    found: dict[str, dict[str, Any]] = axis["variants"]
    places = {variant: place for place, variant in enumerate(variants)}
    reference = axis["reference"]
    parts = [
        Part("What this set can show", [_smallest(axis)]),
        Part("Results", [_accuracy_plot(found, places, name), _accuracy(found, reference), _against(found, reference)],
             folded=False),
        Part("Knowing when", knowing_blocks(found, places, name)),
        Part("Reliability, bin by bin", [bins_table(found)]),
        Part("Abstaining", abstaining_tables(found)),
        Part("Top k", [_top_k(found)]),
        Part("Seen and unseen terms, rows that stand apart", [_strata(found)]),
        Part("Chapter groups", [_groups(found)]),
        Part("Confusions", [_confused(found)]),
    ]  # fmt: skip
    plotted = axis["n"] >= _FEWEST_PLOTTED
    shown = [
        Part(part.heading, [b for b in part.blocks if _filled(b) and (plotted or isinstance(b, Table))], part.folded)
        for part in parts
    ]  # fmt: skip
    return [part for part in shown if part.blocks]


def _filled(block: Table | Plots) -> bool:
    return bool(block.rows if isinstance(block, Table) else block.drawings)


def _smallest(axis: Mapping[str, Any]) -> Table:
    by_share: dict[float, list[Mapping[str, Any]]] = {}
    for entry in axis["smallest"]:
        by_share.setdefault(entry["discordant"], []).append(entry)
    alphas = [entry["alpha"] for entry in next(iter(by_share.values()))]
    holm = f"; the smaller p is what Holm's first step asks of {axis['tests']} tests" * (axis["tests"] > 1)
    return Table(
        "Smallest difference shown with a power of 80 %, in points",
        ["variants disagree on", *(f"at p <= {alpha:.2g}" for alpha in alphas)],
        [
            [f"{100 * share:g} % of the rows", *(_points_or_none(entry["difference"]) for entry in entries)]
            for share, entries in by_share.items()
        ],
        f"For the exact McNemar test on the {axis['n_exact']:,} rows that count for exact{holm}. A smaller difference "
        "than this may well go unseen: that it is not significant does not make two variants equal.",
    )


def _points_or_none(value: float | None) -> str:
    return "none, too few rows" if value is None else f"{100 * value:.1f}"


def _accuracy_plot(found: Mapping[str, Any], places: Mapping[str, int], name: str) -> Plots:
    shares = {
        variant: [
            (s["share"], s["interval"]["low"], s["interval"]["high"])
            for s in (scores["exact"], scores["partial"])
            if s["n"]
        ]
        for variant, scores in found.items()
    }
    drawing = plots.interval_plot(shares, places, ["exact", "partial"], f"{name}-shares")
    return Plots([("Exact and partial, first choice", drawing)])


def _accuracy(found: Mapping[str, Any], reference: str) -> Table:
    clustered = any(scores["exact"]["clustered"] for scores in found.values())
    rows = []
    for variant, scores in found.items():
        exact, partial = scores["exact"], scores["partial"]
        test = scores.get("against", {}).get("exact")
        rows.append(
            [
                variant,
                *cells_of(exact),
                *([between(exact["clustered"])] if clustered else []),
                "reference" if test is None else probability(test["p_holm"]),
                *cells_of(partial),
                percent(scores["malformed"]["share"]),
                percent(scores["coded_exact"]["share"]),
                percent(scores["macro_exact"]),
                NONE if scores["distance"] is None else f"{scores['distance']:.2f}",
            ]
        )
    return Table(
        "Accuracy, %",
        ["variant", "n exact", "exact", "95 %", *(["95 % clustered"] if clustered else []),
         f"p against {reference}", "n partial", "partial", "95 %", "malformed", "exact, abstained = wrong",
         "exact, macro", "distance"],
        rows,
        "p: exact McNemar test of exact answers on the same rows, corrected by Holm over this table. Macro: mean "
        "over codes. Distance: mean steps up the tree, from 0 (same code) to 3 (another chapter group or malformed)."
        + (" Clustered: near-duplicates drawn together; McNemar's test takes rows as independent." if clustered else ""),
    )  # fmt: skip


def _against(found: Mapping[str, Any], reference: str) -> Table:
    rows = [
        [
            variant,
            measure,
            points(test["difference"]),
            between(test["interval"]),
            f"{test['only_this']:,}",
            f"{test['only_reference']:,}",
            probability(test["p"]),
            probability(test["p_holm"]),
            NONE if test["smallest"] is None else f"{100 * test['smallest']:.1f}",
        ]
        for variant, scores in found.items()
        for measure, test in scores.get("against", {}).items()
    ]
    return Table(
        f"Against {reference}, on the same rows",
        ["variant", "measure", "difference, points", "95 %", "only it right", f"only {reference} right", "p",
         "p (Holm)", "smallest shown"],
        rows,
        f"A positive difference says that the variant is better than {reference}; its interval is drawn by clusters. "
        "Smallest shown: the difference that this test finds with a power of 80 % where so many rows disagree.",
    )  # fmt: skip


def _top_k(found: Mapping[str, Any]) -> Table:
    rows = [
        [variant, *(percent(s["top_k"][str(k)]["share"]) if s["top_k"][str(k)] else NONE for k in TOP_K)]
        for variant, s in found.items()
    ]
    return Table("The right code among the first k, %", ["variant", *(f"k = {k}" for k in TOP_K)], rows,
                 "Only variants that rank codes have more than a first choice.")  # fmt: skip


def _strata(found: Mapping[str, Any]) -> Table:
    return Table(
        "Exact and partial by kind of row, %",
        ["variant", "kind", "n", "exact", "95 %", "partial", "95 %"],
        [
            [variant, _APART_NAMES[kind], *cells_of(s["exact"]), *cells_of(s["partial"])[1:]]
            for variant, scores in found.items()
            for kind, s in scores["strata"].items()
        ],
        "Seen: the text is a catalogue term that training may have read. Rows that stand apart are in no other "
        "figure of exact answers.",
        words=(1,),
    )  # fmt: skip


def _groups(found: Mapping[str, Any]) -> Table:
    groups = sorted({name for scores in found.values() for name in scores["groups"]})

    def cell(scores: Mapping[str, Any], group: str) -> str:
        own = scores["groups"].get(group)
        return f"{percent(own['exact']['share'])} / {percent(own['partial']['share'])}" if own else NONE

    first = next(iter(found.values()))
    return Table(
        "Exact / partial by chapter group of the given code, %",
        ["group", "n", *found],
        [
            [group, f"{first['groups'][group]['partial']['n']:,}", *(cell(s, group) for s in found.values())]
            for group in groups
        ],
    )


def _confused(found: Mapping[str, Any]) -> Table:
    def named(pairs: Iterable[Sequence[Any]]) -> str:
        return ", ".join(f"{right} as {said} ({times})" for right, said, times in pairs)

    return Table(
        "Codes taken for one another",
        ["variant", "wrong within the same three characters", "most frequent", "wrong beyond them", "most frequent"],
        [
            [variant, f"{near['n']:,}", named(near["pairs"]), f"{far['n']:,}", named(far["pairs"])]
            for variant, scores in found.items()
            for near, far in [(scores["confused"]["neighbours"], scores["confused"]["others"])]
        ],
        "Given code as the code answered, with the number of rows; for morphology the four digits of the histology.",
        words=(2, 4),
    )  # fmt: skip


def shares_table(heading: str, of_rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per kind of share, a column per variant or axis, as `of_rows` names them."""

    def cell(share: Mapping[str, Any] | None) -> str:
        if share is None:
            return NONE
        return f"{percent(share['share'])} ({between(share['interval'])}; n {share['n']:,})"

    kinds = list(dict.fromkeys(kind for shares in of_rows.values() for kind in shares))
    rows = [[kind, *(cell(shares.get(kind)) for shares in of_rows.values())] for kind in kinds]
    return Table(heading, ["of", *of_rows], rows)


def cost_of(costs: Mapping[str, Any]) -> Table:
    """What the runs of a set cost, per variant."""

    def number(value: float | None, digits: int = 1) -> str:
        return NONE if value is None else f"{value:,.{digits}f}"

    return Table(
        "Cost",
        ["variant", "texts", "seconds", "texts per second", "ms per text", "tokens", "tokens per question", "peak MB"],
        [
            [variant, f"{c['rows']:,}", number(c["seconds"]), number(c["texts_per_second"]), number(c["ms_per_text"]),
             f"{c['tokens']:,}", number(c["tokens"] / c["questions"] if c["questions"] else None),
             number(c["peak_mb"], 0)]
            for variant, c in costs.items()
        ],
        "Wall-clock time of the same run, on the hardware named below. Tokens: read and written by the language "
        "model. Peak: highest memory of the process until then.",
    )  # fmt: skip
