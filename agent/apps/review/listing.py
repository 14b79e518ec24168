"""What one person's list shows, and in which order one goes through it.

listing = Listing(store, "M. Ernst")
listing.show("later"); listing.narrow_by({"source": "faelle.csv", "least": "0.9"})
listing.first(), listing.beside(item)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.apps.review.items import Item, Status
from agent.apps.review.selection import FILTERS, Filter, Narrow, share
from agent.apps.review.store import Store

PAGE = 100


@dataclass
class Listing:
    """A person's list: its filter, the words searched for, what narrows it further, and how many rows are shown."""

    store: Store
    by: str
    shown: Filter = "open"
    words: str = ""
    limit: int = PAGE
    narrow: Narrow = field(init=False)

    def __post_init__(self) -> None:
        self.narrow = Narrow(reader=self.by)

    def show(self, shown: str) -> None:
        """Shows items of another state; an unknown one changes nothing."""
        self.shown = next((name for name in FILTERS if name == shown), self.shown)
        self.limit = PAGE

    def offered(self, status: Status) -> dict[Filter, int]:
        """The filters that show something, with how many items; the three main ones always."""
        counts: dict[Filter, int] = {
            "open": status.open,
            "later": status.later,
            "decided": status.decided,
            "all": status.total,
            "second": status.to_read,
            "disputed": status.disputed,
            "removed": status.removed,
        }
        main = ("open", "decided", "all", self.shown)
        return {name: count for name, count in counts.items() if count or name in main}

    def following(self, status: Status) -> Filter:
        """The filter after this one."""
        offered = list(self.offered(status))
        return offered[(offered.index(self.shown) + 1) % len(offered)]

    def look_for(self, words: str) -> None:
        self.words, self.limit = words[:200], PAGE

    def narrow_by(self, given: dict[str, str]) -> None:
        """Takes what a form gives; a confidence is a share, and empty fields narrow nothing."""
        least, below = (share(given[name]) if given.get(name) else None for name in ("least", "below"))
        source, code, by = (str(given.get(name) or "")[:200].strip() for name in ("source", "code", "by"))
        self.narrow, self.limit = Narrow(source, code, by, least, below, self.by), PAGE

    def items(self) -> list[Item]:
        return self.store.page(self.shown, self.words, self.limit, self.narrow)

    def count(self) -> int:
        return self.store.count(self.shown, self.words, self.narrow)

    def first(self) -> Item | None:
        found = self.store.page(self.shown, self.words, 1, self.narrow)
        return found[0] if found else None

    def beside(self, item: Item, *, forward: bool = True) -> Item | None:
        return self.store.beside(item, self.shown, self.words, forward=forward, narrow=self.narrow)

    @property
    def empties(self) -> bool:
        """Whether deciding takes an item off this list."""
        return self.shown in ("open", "later", "second", "disputed")

    def first_left(self) -> Item | None:
        """From the end of a list that empties, back to its first item."""
        return self.first() if self.empties else None
