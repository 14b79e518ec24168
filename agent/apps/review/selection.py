"""Which items of a work list are meant: by state, words, and what narrows them further.

    where, values = Narrow(source="faelle.csv", code="C50", least=0.9).where("open", "mamma")

The confidence of an item is what its uncertainty leaves: that of its least sure axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agent.apps.review.decision import DECIDING
from index.records import AXES
from index.text import writable

Filter = Literal["open", "later", "decided", "all", "second", "disputed", "removed"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
_DECIDING = "IN (" + ", ".join(f"'{action.value}'" for action in DECIDING) + ")"
DECIDED = f"state {_DECIDING}"
# Whoever has decided on a text is no second reader of it, nor is its decision seen before the second one.
_TO_READ = (
    f"{DECIDED} AND second = '' AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.item = items.id "
    f"AND d.action {_DECIDING} AND fold(d.decided_by) = ?)"
)
_STATES = {
    "open": "state = 'open'",
    "later": "state = 'later'",
    "decided": DECIDED,
    "all": "state <> 'remove'",
    "second": _TO_READ,
    "disputed": "second = 'disputed'",
    "removed": "state = 'remove'",
}
_BY = (
    f"{DECIDED} AND EXISTS (SELECT 1 FROM decisions d WHERE d.item = items.id AND d.revision = items.revision "
    "AND d.decided_by = ?)"
)
_PROPOSED = " || ' ' || ".join(f"coalesce(json_extract(coding, '$.{axis}.code'), '')" for axis in AXES)


@dataclass(frozen=True, slots=True)
class Narrow:
    """What narrows a list further. `code` is how a code begins, `by` whose decision stands, `least` and `below` bound the
    confidence; `reader` is who asks, for what waits for a second reader."""

    source: str = ""
    code: str = ""
    by: str = ""
    least: float | None = None
    below: float | None = None
    reader: str = ""

    @property
    def narrows(self) -> bool:
        return bool(self.source or self.code or self.by) or (self.least, self.below) != (None, None)

    def where(self, shown: Filter, search: str) -> tuple[str, tuple[object, ...]]:
        """The condition in SQL, and its values."""
        found: list[tuple[str, tuple[object, ...]]] = [(_STATES[shown], ())]
        blind = shown == "second"
        if blind:
            found = [(_TO_READ, (folded(self.reader),))]
        found += [("instr(folded, ?) > 0", (word,)) for word in writable(search).casefold().split()]
        if self.source:
            found.append(("source = ?", (writable(self.source),)))
        if self.code:
            # What somebody else chose is hidden from a second reader, and so is that a text is found by it.
            codes = f"' ' || {_PROPOSED}" if blind else "codes"
            found.append((f"instr({codes}, ?) > 0", (" " + writable(self.code).strip().upper(),)))
        if self.by and not blind:
            found.append((_BY, (writable(self.by),)))
        # Rounded as the uncertainty is, so that 90 % is not lost to the last digit of 1 - 0.1.
        if self.least is not None:
            found.append(("uncertainty <= ?", (round(1 - self.least, 4),)))
        if self.below is not None:
            found.append(("uncertainty > ?", (round(1 - self.below, 4),)))
        return " AND ".join(condition for condition, _ in found), tuple(
            value for _, values in found for value in values
        )


def folded(name: str) -> str:
    """A person's name as two are compared: nobody becomes a second reader by writing it another way."""
    return " ".join(writable(name).casefold().split())


def share(given: object) -> float:
    """A confidence that a browser sends. Raises `ValueError` where it is none, such as `nan`."""
    found = float(str(given))
    if not 0 <= found <= 1:
        raise ValueError("a confidence is between 0 and 1")
    return found
