"""Long lists of alternatives, ordered so that a place in a text is compared with few of them.

    by_first_letter("mamma|brust|mund")      # '(?:(?-i:[Mm])(?:amma|und)|(?-i:[Bb])(?:rust))'

`re` tries the alternatives of a pattern one after the other at every place, and where case does not count it calls
itself for each. A set of characters that an alternative begins with is checked without that.
"""

from __future__ import annotations

import re

# Every character that equals a German letter where case does not count is among these: the last is the Kelvin sign.
_CASED = "".join(chr(code) for code in range(0x212B) if chr(code).isalpha())


def by_first_letter(alternatives: str, *, cased: bool = False) -> str:
    """A pattern that matches what the alternatives match: those that begin with the same letter together, in their
    order, and those that begin with no letter last, so that what such a one matches must be no match of another one
    that ends elsewhere. `cased`: whether case counts."""
    groups: dict[str, list[str]] = {}
    for alternative in _parts(alternatives):
        is_letter = alternative[:1].isalpha() and alternative[1:2] not in ("?", "*", "+", "{")
        groups.setdefault(alternative[0] if is_letter else "", []).append(alternative)
    others = groups.pop("", [])
    return f"(?:{'|'.join([*(_group(letter, found, cased) for letter, found in groups.items()), *others])})"


def _group(letter: str, found: list[str], cased: bool) -> str:
    rests = "|".join(alternative[1:] for alternative in found)
    if cased:
        return f"{letter}(?:{rests})"
    return f"(?-i:[{''.join(re.findall(letter, _CASED, re.IGNORECASE))}])(?:{rests})"


def _parts(alternatives: str) -> list[str]:
    """The alternatives, parted at the bars that stand in no bracket."""
    parts, depth, in_set, last = [], 0, False, 0
    for match in re.finditer(r"\\.|[()\[\]|]", alternatives):
        mark = match.group()
        if mark == "[":
            in_set = True
        elif mark == "]":
            in_set = False
        elif not in_set and mark in "()":
            depth += 1 if mark == "(" else -1
        elif mark == "|" and not in_set and not depth:
            parts.append(alternatives[last : match.start()])
            last = match.end()
    return [*parts, alternatives[last:]]
