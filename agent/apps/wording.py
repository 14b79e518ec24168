"""German wording that all applications share, and strings made safe to show.

AXIS_NAMES[CodeSystem.TOPOGRAPHY]       # 'Topographie'
thousands(12345), percent(0.974)        # '12.345', '97 %'
printable("\x1b[31m")                   # '␛[31m'
"""

from __future__ import annotations

import unicodedata

from agent.results import AXIS_NAMES as AXIS_NAMES


def thousands(number: int) -> str:
    """`12345` -> `12.345`."""
    return f"{number:,}".replace(",", ".")


def printable(text: str) -> str:
    """`text` with each character that steers a terminal replaced by one that can be seen, one for one, so
    that offsets stay right: ESC becomes ␛, a line feed ↵, a bidirectional override or lone surrogate �."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\t":
        return " "
    if character in "\n\u2028\u2029":
        return "↵"
    if character == "\u00ad":
        return "-"
    if character < " ":
        return chr(0x2400 + ord(character))
    return "�" if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} else character


def percent(share: float) -> str:
    """`0.974` -> `97 %`. Rounding never claims certainty: `>99 %`, `<1 %`."""
    if 0.995 <= share < 1:
        return ">99 %"
    if 0 < share < 0.005:
        return "<1 %"
    return f"{round(100 * share)} %"


FACT_NAMES = {
    "name": "Diagnose", "place": "Sitz", "side": "Seite", "metastasis": "Metastase", "metastasis_place": "Metastase",
    "nodes": "Lymphknoten", "formula": "TNM",
}  # fmt: skip
