"""The tables and plots of the part "Knowing when": passing without a look, calibration, and what abstaining does.

blocks = knowing_blocks(variants, {"combined": 0}, "devsets-icd10gm")     # tables and plots, in their order
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.report import plots
from eval.report.blocks import NONE, Plots, Table, between, percent
from eval.report.comparison import ERRORS, MARGIN, SURE_SHARES


def knowing_blocks(found: Mapping[str, Any], places: Mapping[str, int], name: str) -> list[Table | Plots]:
    """Of all variants that have a confidence; empty where none has. `places` are the variants' colours."""
    known = {variant: scores["knowing"] for variant, scores in found.items() if scores["knowing"]}
    if not known:
        return []
    without = [variant for variant in found if variant not in known]
    reliability = [
        (variant, plots.reliability_plot(k["calibration"], places[variant], f"{name}-sure{places[variant]}"))
        for variant, k in known.items()
    ]
    curves = {variant: k["curve"] for variant, k in known.items()}
    risk = plots.risk_plot(curves, places, ERRORS, f"{name}-risk")
    return [
        _coverage(known),
        Plots([("Wrong answers by the share accepted, surest first", risk)]),
        Table(
            "Wrong among the surest so many per cent, %",
            ["variant", *(f"surest {100 * share:g}" for share in SURE_SHARES), "area", "area at best"],
            [
                [variant, *(percent(k["risk_at"][str(share)]) for share in SURE_SHARES), percent(k["risk_area"]),
                 percent(k["risk_area_best"])]
                for variant, k in known.items()
            ],
            "Area: mean of the curve over all shares accepted; at best: the same answers, every right one surer than "
            "every wrong one.",
        ),
        Plots(reliability, small=True),
        Table(
            "Is the confidence true?",
            ["variant", "n", "calibration error, points", "95 %", "by chance up to", "Brier score", "95 %"],
            [
                [variant, f"{c['n']:,}", percent(c["error"]), between(c["interval"]), percent(c["by_chance"]),
                 f"{c['brier']:.3f}",
                 f"{c['brier_interval']['low']:.3f} to {c['brier_interval']['high']:.3f}"]
                for variant, k in known.items()
                for c in [k["calibration"]]
            ],
            "Ten bins of about equal numbers of answers; intervals by bootstrap over clusters, that of the "
            "calibration error corrected for its lean upwards. By chance: a confidence that is true shows an error up "
            "to this in 95 of 100 such samples."
            + (f" Without a confidence: {', '.join(without)}." if without else ""),
        ),
    ]  # fmt: skip


def bins_table(found: Mapping[str, Any]) -> Table:
    """The numbers behind the reliability diagrams."""
    return Table(
        "Bins of the reliability diagrams, %",
        ["variant", "n", "mean confidence", "right", "95 %"],
        [
            [variant, f"{b['n']:,}", percent(b["confidence"]), percent(b["right"]), between(b["interval"])]
            for variant, scores in found.items()
            if scores["knowing"]
            for b in scores["knowing"]["calibration"]["bins"]
        ],
    )


def _coverage(known: Mapping[str, Any]) -> Table:
    def measured(found: Mapping[str, Any] | None) -> list[str]:
        if found is None:
            return [NONE] * 4
        if not found["coverage"]:
            return [NONE, "0.0", NONE, NONE]
        threshold = NONE if found["threshold"] is None else f"{found['threshold']:.3f}"
        return [threshold, *(percent(found[name]) for name in ("coverage", "error", "exceeded"))]

    rows = [
        [
            variant,
            f"{100 * error:g}",
            percent(found["same_rows"]["accepted"] / found["same_rows"]["n"]),
            *measured(found.get("honest")),
            *measured(found.get("with_margin")),
        ]
        for variant, knowing in known.items()
        for error in ERRORS
        for found in [knowing["coverage"][str(error)]]
    ]
    one = ("confidence from", "pass", "wrong", "halves over")
    return Table(
        "Texts that may pass without a look, %",
        ["variant", "wrong allowed", "upper bound", *one, *(f"with margin: {name}" for name in one)],
        rows,
        "Upper bound: the threshold is chosen on the rows that it is measured on. The others are chosen on one half "
        "of the texts and measured on the other, 50 times both ways. Wrong: the share among those that pass. Halves "
        "over: how often more are wrong than allowed, which a threshold that just held where it was chosen is about "
        f"half the time. With margin: no more may be wrong than allowed at the upper end of a one-sided {100 * MARGIN:g} % "
        "interval (Clopper and Pearson), the safer choice where the limit must hold.",
    )


def abstaining_tables(found: Mapping[str, Any]) -> list[Table | Plots]:
    """What the variants leave open, why, and what it saves."""
    some = {variant: s["abstaining"] for variant, s in found.items() if s["abstaining"]["abstained"]}
    totals = [
        [
            variant,
            f"{a['abstained']:,} of {a['n']:,}",
            f"{a['wrong_held_back']:,}",
            f"{a['right_held_back']:,}",
            percent((a["wrong_committed"] + a["wrong_held_back"]) / a["n"]),
            percent(a["wrong_committed"] / (a["n"] - a["abstained"])) if a["n"] > a["abstained"] else NONE,
        ]
        for variant, a in some.items()
    ]
    reasons = [
        [variant, reason, f"{times:,}", percent(times / a["n"])]
        for variant, a in some.items()
        for reason, times in a["reasons"].items()
    ]
    return [
        Table(
            "What abstaining saves",
            ["variant", "left open", "wrong held back", "right held back", "wrong if it never abstained, %",
             "wrong among the coded, %"],
            totals,
        ),
        Table("Why an axis was left open", ["variant", "reason", "rows", "% of rows"], reasons, words=(1,)),
    ]  # fmt: skip
