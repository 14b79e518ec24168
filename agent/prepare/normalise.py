"""Unicode clean-up of a text, with the way back to the original offsets.

    clean = normalise("Mamma\\u00adkarzinom\\tlinks")
    clean.text                        # 'Mammakarzinom links'
    clean.original_span(0, 13)        # (0, 14): the soft hyphen counts in the original

NFKC is applied to one base character with its combining marks at a time, so that every character that
comes out knows which ones it came from. Letters, digits and line breaks stay; control characters become
blanks; invisible characters and lone surrogates go; all dashes become the hyphen, all quotes the plain one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# German text in its composed form needs no work; nearly every text takes this way.
_PLAIN = re.compile(r"[\n\x20-\x7eäöüÄÖÜß]*\Z")
_REPLACED = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ac", "-"),
    **dict.fromkeys("„“”»«‟", '"'),
    **dict.fromkeys("‘’‚‛´`", "'"),
    **dict.fromkeys("•·▪●◦‣∙", "*"),
    **dict.fromkeys("\u2028\u2029\u0085\x0b\x0c", "\n"),
    "×": "x",
}
# A run of combining marks is normalised in quadratic time; no word needs more than a few.
_MOST_MARKS = 8
_LONGEST_COMPATIBILITY_FORM = 4


@dataclass(frozen=True, slots=True)
class CleanText:
    """A normalised text; `starts[i]` and `ends[i]` say which original characters made character `i`.
    Both are None where the text is its own normal form."""

    text: str
    starts: list[int] | None
    ends: list[int] | None
    had_controls: bool

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The original offsets of `text[start:end]`; an empty span stays empty."""
        if self.starts is None or self.ends is None:
            return start, end
        if start >= end:
            place = self.starts[start] if start < len(self.starts) else (self.ends[-1] if self.ends else 0)
            return place, place
        return self.starts[start], self.ends[end - 1]


def normalise(text: str) -> CleanText:
    """The normal form of `text`, in time linear in its length."""
    if _PLAIN.match(text):
        return CleanText(text, None, None, False)
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    had_controls = False
    position, length = 0, len(text)
    while position < length:
        begin = position
        position += 1
        while position < length and text[position] > "\u02ff" and unicodedata.combining(text[position]):
            position += 1
        first = text[begin]
        if first == "\r":
            if begin + 1 < length and text[begin + 1] == "\n":
                continue
            form = "\n"
        elif first in _REPLACED:
            form = _REPLACED[first]
        elif first == "\n" or (" " <= first <= "~" and position == begin + 1):
            form = first
        else:
            category = unicodedata.category(first)
            if category in ("Cs", "Cf", "Cn", "Co"):
                continue
            if category == "Cc":
                had_controls = had_controls or first != "\t"
                form = " "
            else:
                form = unicodedata.normalize("NFKC", text[begin : min(position, begin + 1 + _MOST_MARKS)])
                form = "".join(_REPLACED.get(c, c) for c in form)
                if len(form) > _LONGEST_COMPATIBILITY_FORM + _MOST_MARKS:
                    form = " "
        for character in form:
            characters.append(character)
            starts.append(begin)
            ends.append(position)
    return CleanText("".join(characters), starts, ends, had_controls)
