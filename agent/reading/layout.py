"""What lines and sides say of which mentions are of one tumour, beside what the reader says of their words.

odds_of_lines(text, mentions)      # (n, n) log-odds to be added for names and places
named_on_line(text, mentions)      # (n,): whose name or place stands last before each on its line

The weights were fitted on annotated documents that the reader had not learnt (dev/LOG.md, 1 December 2026).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.prepare.context import find_side
from agent.reading.mentions import Mention

ANCHORS = ("name", "place")  # mentions that make a tumour; others belong to one
# Log-odds. What stands on one line is rather of one tumour, what is on the left and on the right is not.
_ON_ONE_LINE, _OTHER_SIDE = 4.0, -8.0


def odds_of_lines(text: str, mentions: Sequence[Mention]) -> np.ndarray:
    """What the lines and sides of names and places add to the log-odds (n, n) that two of them speak of one tumour."""
    line = np.array([text.count("\n", 0, one.start) for one in mentions])
    sides = [find_side(words_of(text, one))[0] for one in mentions]
    side = np.array([("links", "rechts").index(one) if one in ("links", "rechts") else -1 for one in sides])
    other = (side[:, None] >= 0) & (side[None] >= 0) & (side[:, None] != side[None])
    return _ON_ONE_LINE * (line[:, None] == line[None]) + _OTHER_SIDE * other


def named_on_line(text: str, mentions: Sequence[Mention]) -> np.ndarray:
    """For each mention the number of the name or place that last stands before it on its line; -1: none does."""
    found = np.full(len(mentions), -1)
    last = None
    for n in sorted(range(len(mentions)), key=lambda n: mentions[n].start):
        if last is not None and "\n" not in text[mentions[last].end : mentions[n].start]:
            found[n] = last
        last = n if mentions[n].role in ANCHORS else last
    return found


def words_of(text: str, mention: Mention) -> str:
    """The words of a mention on one line."""
    return " ".join(text[mention.start : mention.end].split())
