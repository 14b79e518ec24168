"""The plots of the report, as SVG that stands inside a page: text in the page's font and colour, the same bytes
for the same numbers.

    svg = interval_plot({"combined": [(0.88, 0.86, 0.90)]}, {"combined": 0}, ["exact"], "heldout-exact")

Every function takes a `name`, unique in the page, that its ids begin with. Needs matplotlib.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from index.io.failures import require
from index.io.language import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers, and of a lightness that stands out on white and on black.
COLOURS = ("#c8501e", "#2f7fc1", "#2f9e6b", "#a65bb0", "#b08a00", "#d64f7f", "#5f7d95", "#8a6d4b")
_DASHES = ("-", "--", "-.", ":")
# Stands for the page's own text colour until the SVG is written.
_INK = "#010203"
_FAINT = "#0102034d"


def style_of(place: int) -> tuple[str, str]:
    """Colour and dashes of the variant at that place, the same in every plot."""
    return COLOURS[place % len(COLOURS)], _DASHES[place // len(COLOURS) % len(_DASHES)]


def interval_plot(
    shares: Mapping[str, Sequence[tuple[float, float, float]]],
    places: Mapping[str, int],
    labels: Sequence[str],
    name: str,
) -> str:
    """Shares of several measures with their intervals (share, low, high), a row per variant; `places` are the
    variants' colours."""
    figure, axes = _figure(5.0, 0.8 + 0.46 * len(shares), name)
    for row, (variant, measures) in enumerate(shares.items()):
        y = len(shares) - 1 - row
        for i, (share, low, high) in enumerate(measures):
            colour, offset = style_of(places[variant])[0], -0.08 - 0.26 * i
            axes.hlines(y + offset, 100 * low, 100 * high, color=colour, linewidth=1.6)
            axes.plot(100 * share, y + offset, "os^"[i], color=colour, markersize=5,
                      markerfacecolor=colour if i == 0 else "none")  # fmt: skip
        # Above the row and not beside it, so that the picture stays legible on a narrow screen.
        axes.text(0.5, y + 0.12, variant, va="bottom")
    for i, label in enumerate(labels):
        axes.plot([], [], "os^"[i], color=_INK, markersize=5, label=label,
                  markerfacecolor=_INK if i == 0 else "none")  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(-0.6, len(shares) - 0.4), xlabel="right, % with 95 % interval")
    axes.set_yticks([])
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(labels), frameon=False, borderpad=0)
    return _svg(figure, name)


def reliability_plot(calibration: Mapping[str, Any], place: int, name: str) -> str:
    """The share right by mean confidence, bin by bin, with Wilson's interval; the diagonal is a true confidence."""
    figure, axes = _figure(2.05, 2.0, name)
    axes.plot([0, 100], [0, 100], color=_FAINT, linewidth=1)
    bins = calibration["bins"]
    x, y = [100 * b["confidence"] for b in bins], [100 * b["right"] for b in bins]
    colour = style_of(place)[0]
    low, high = ([100 * b["interval"][end] for b in bins] for end in ("low", "high"))
    axes.vlines(x, low, high, color=colour)
    axes.plot(x, y, "o-", color=colour, markersize=3.5, linewidth=1)
    axes.set(xlim=(0, 101), ylim=(0, 101), xlabel="confidence, %", ylabel="right, %", aspect="equal")
    axes.set_xticks([0, 50, 100])
    axes.set_yticks([0, 50, 100])
    return _svg(figure, name)


def risk_plot(
    curves: Mapping[str, Sequence[Sequence[float]]],
    places: Mapping[str, int],
    asked: Sequence[float],
    name: str,
) -> str:
    """The share of wrong answers by the share accepted, a line per variant; dotted lines at the errors asked for."""
    figure, axes = _figure(5.0, 2.9, name)
    for error in asked:
        axes.axhline(100 * error, color=_FAINT, linewidth=0.8, linestyle=":")
    for variant, points in curves.items():
        colour, dashes = style_of(places[variant])
        axes.plot([100 * x for x, _ in points], [100 * y for _, y in points], dashes, color=colour, label=variant,
                  linewidth=1.5, drawstyle="steps-pre")  # fmt: skip
    axes.set(xlim=(0, 100), xlabel="accepted without a look, %", ylabel="wrong among these, %")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", frameon=False)
    return _svg(figure, name)


def _figure(width: float, height: float, name: str) -> tuple[Figure, Axes]:
    require("matplotlib", say("report"))
    import matplotlib
    from matplotlib.figure import Figure

    # Set for the process, since nothing else in it draws SVG: text stays text, ids depend on the name alone.
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "text.color": _INK,
         "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}
    )  # fmt: skip
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    data = io.StringIO()
    figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = data.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = svg.replace(_INK, "currentColor")
    # The style sheet would hold for the whole page, the fonts and names of groups are of no use in it.
    svg = re.sub(r"<style.*?</style>|font-family: [^;]*; ?", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    # The page sets the size; the drawing keeps its proportions.
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1
    )
