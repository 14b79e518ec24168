"""Where a text mentions something, found in one pass and asked as often as needed.

    tumours = Mentions(re.finditer("karzinom|tumor", "sarkom, karzinom, tumor"))
    tumours.between(0, 8), tumours.first(0, 23), tumours.last(0, 23)       # (False, 8, 18)

A search from every statement of a text to its end takes quadratic time; this takes linear time for all of them. A
mention counts with what stands around it, so `start` and `end` are to be borders of words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property


class Mentions:
    """The matches that `found` yields, in their order; nothing is searched before the first question. All places
    count from `offset` characters before the text that was searched."""

    def __init__(self, found: Iterable[re.Match[str]], offset: int = 0) -> None:
        self._found = found
        self._offset = offset

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        return [(match.start() + self._offset, match.end() + self._offset) for match in self._found]

    def between(self, start: int, end: int) -> bool:
        """Whether a mention lies within `start` to `end`."""
        return self.first(start, end) is not None

    def first(self, start: int, end: int) -> int | None:
        """Where the first mention within `start` to `end` begins."""
        place = bisect_left(self._spans, (start, 0))
        if place == len(self._spans) or self._spans[place][1] > end:
            return None
        return self._spans[place][0]

    def last(self, start: int, end: int) -> int | None:
        """Where the last mention within `start` to `end` begins."""
        place = bisect_left(self._spans, (end, 0)) - 1
        if place >= 0 and self._spans[place][1] > end:
            place -= 1
        if place < 0 or self._spans[place][0] < start:
            return None
        return self._spans[place][0]
