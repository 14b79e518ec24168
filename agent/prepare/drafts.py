"""A statement that may still be joined with its neighbours.

    draft.join(more_words, comma=True)
    draft.core, draft.names(context.TUMOUR)

Up to two hundred statements are joined to one, so what is known of a draft is kept when words are added to it: only
the new ones are tidied, written and searched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agent.prepare import patterns, split, words
from agent.prepare.records import Certainty, Side
from agent.prepare.tidy import Word

# Longer than what any pattern that `names` is asked for matches and looks at behind it.
REACH = 96


@dataclass(slots=True)
class Draft:
    """The words of a statement with what it says of them; `end` is where its text ends."""

    fragment: split.Fragment
    words: list[Word]
    certainty: Certainty
    side: Side | None
    family: bool
    set_aside: list[patterns.AsideSpan]
    starts_small: bool
    fields: set[str] = field(default_factory=set)
    end: int = 0
    _joined: bool = field(default=False, init=False)
    _core: str | None = field(default=None, init=False)
    _found: dict[re.Pattern[str], tuple[bool, int]] = field(default_factory=dict, init=False)

    @property
    def core(self) -> str:
        """The words as one line."""
        if self._core is None:
            self._core = words.render(self.words)
        return self._core

    def join(self, more: list[Word], *, comma: bool) -> None:
        """Adds words, with a comma between where there are some already."""
        between = [Word(",", more[0].start, more[0].start, False, True)] if self.words and comma else []
        # Words that come from a join are tidy.
        done = len(self.words) if self._joined else 0
        core, last = self.core, self.words[-1:]
        self.words = words.tidy([*self.words, *between, *more], done)
        if done and self.words[done - 1 : done] == last:
            self._core = core + words.render(self.words[done - 1 :])[len(last[0].text) :]
        else:
            self._core = None
            self._found.clear()
        self._joined = True

    def names(self, pattern: re.Pattern[str]) -> bool:
        """Whether the pattern is found in `core`."""
        for_good, begin = self._found.get(pattern, (False, 0))
        if for_good:
            return True
        match = pattern.search(self.core, begin)
        if match is None:
            self._found[pattern] = False, max(0, len(self.core) - REACH)
            return False
        self._found[pattern] = match.end() + REACH <= len(self.core), match.start()
        return True
