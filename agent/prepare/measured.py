"""The place that a measure tells, where words tell none as fine: "30 cm ab ZR", "8 cm ab ano", "Segment 10" of a lung.

with_place(words, "Ösophagus-Ca 30-35 cm ab ZR", 0, side=None)      # ... Ösophaguskarzinom, Ösophagus unteres Drittel

`measured.tsv` says which numbers of a unit are which place; of a range the middle counts. Source of the thirds of the
oesophagus and the height of the rectum: TNM classification of the UICC. Each row's example is its test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.prepare import context
from agent.prepare.records import Side
from agent.prepare.rules import pattern
from agent.prepare.tidy import Word, render
from index.catalogue.overrides import table_rows

TABLE = Path(__file__).parent / "measured.tsv"
COLUMNS = ("unit", "organ", "side", "from", "to", "place", "example", "expected")
_DIGIT = re.compile(r"\d")  # most texts have none
_LENGTH = r"(?<![\d.,])(?:(?:bei|ca\.|von|ab|in|auf|zwischen) ){0,2}(?P<a>\d{1,2})(?:,\d)?(?: ?cm)?(?: ?(?:-|–|bis|und) ?(?P<b>\d{1,2})(?:,\d)?)? ?cm (?:ab|von|oberhalb|hinter)(?: der)? "
_UNITS = {
    "anus": re.compile(rf"{_LENGTH}(?:ano|anal|ACL|AKL|Anokutanlinie|Anus|LD|Linea dentata)(?!\w)"),
    "teeth": re.compile(rf"{_LENGTH}(?:ZR|Zahnreihen?|Schneidezähnen?)(?!\w)"),
    "segment": re.compile(r"(?<!\w)(?:Segment(?:e|es|s)? |Segm\. ?|S ?)(?P<a>\d{1,2})(?: ?[/+-] ?S?(?P<b>\d{1,2}))?(?![\w,.]\d|\w)"),
}  # fmt: skip
# Units of which the name alone says whose they are; a segment may be one of the liver.
_OF_ONE_ORGAN = ("anus", "teeth")


@dataclass(frozen=True, slots=True)
class Measured:
    """A row: from `least` to `most` of `unit` lies `place`; `side` is the side that it holds for, if for one alone."""

    unit: str
    organ: str
    side: str
    least: int
    most: int
    place: str


@cache
def _rows() -> tuple[Measured, ...]:
    return tuple(
        Measured(row["unit"], row["organ"], row["side"], int(row["from"]), int(row["to"]), row["place"])
        for _, row in table_rows(TABLE, COLUMNS)
    )


def with_place(words: list[Word], text: str, offset: int, side: Side | None) -> list[Word]:
    """The words of a statement with the place that a measure in `text` (the whole statement, which starts at `offset`)
    tells, instead of the words of the measure. A place of another organ, or a finer one of the same, goes before it."""
    if _DIGIT.search(text) is None:
        return words
    found = next(((unit, m) for unit, form in _UNITS.items() if (m := form.search(text))), None)
    if found is None:
        return words
    unit, match = found
    start, end = offset + match.start(), offset + match.end()
    rest = [word for word in words if word.end <= start or word.start >= end]
    core = render(rest)
    number = (int(match["a"]) + int(match["b"] or match["a"])) // 2
    for row in _rows():
        if row.unit == unit and row.least <= number <= row.most and row.side in ("", side):
            if not context.names_tumour(core) or not _is_open(core, row):
                return words
            return [*rest, Word(",", start, start, False, True), Word(row.place, start, end, True)]
    return words


def _is_open(core: str, row: Measured) -> bool:
    """Whether a statement leaves open what a row says: it names the row's organ and no part of it, or no place at all."""
    if pattern(f"part.{row.organ}").search(core) is not None:
        return False
    organs = context.organs_of(core)
    if row.unit in _OF_ONE_ORGAN and not organs:
        return context.TOPOGRAPHY.search(core) is None
    return organs == {row.organ}
