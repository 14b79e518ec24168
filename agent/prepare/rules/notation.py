r"""How a row's pattern is written, and the regular expression that it stands for.

    compiled("Z.~n(.|ach)", "", cased=False).body            # 'Z\\. ?n(?:\\.|ach)'

| written | stands for |
|---|---|
| letters, marks | themselves; upper and lower case are the same unless the row is `cased` |
| `*` at an end | the word may go on there: `*karzinom*`, `Anhalt*` |
| `*` between | any rest of a word, 30 letters and hyphens at most: `hoch*maligne` |
| `????*om` | at least four letters before |
| `(e|en|)` | one of these; an empty one: or nothing |
| `~` | a blank or none |
| `#` | one to four digits |
| `...` | up to three words, each with its blank: `Rezidiv ...Tumor` |
| `{label}` | what the rows of that label match |

Without `*` a pattern begins and ends with a whole word. What a row must not stand beside is said in `unless`, parted by
semicolons, with `_` for the row's own words: `_(-|)board*; mit _`. What precedes is plain letters and alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

_LETTER = "[A-Za-zÄÖÜäöüß]"
_WORDS = r"(?:[\w.-]{1,30} ){0,3}"
_REST_WITH_HYPHENS = r"[\w-]{0,30}"
_PARTS = re.compile(r"\{[\w.]+\}|\.\.\.|[()|*~#]|[^()|*~#{.]+|\.|\{")
_LEAST = re.compile(r"(\?+)\*")
_PLAIN = re.compile(r"(?:(?!\.\.\.)[^()|*~#{])*")


class NotationError(ValueError):
    """A pattern that is not written as `notation` says."""


class Compiled(NamedTuple):
    """The expression of a row, without what is asked of its ends: whether the word may have begun before, and may go
    on behind."""

    body: str
    open_start: bool
    open_end: bool


def compiled(
    written: str, unless: str, *, cased: bool, source: Callable[[str], str] | None = None
) -> Compiled:
    """The expression for a pattern and what it must not stand beside; `source` gives that of a label in braces.

    Raises `NotationError` with what is wrong.
    """
    least = _LEAST.match(written)
    open_start = least is not None or written.startswith("*")
    open_end = written.endswith("*")
    core = (written[least.end() :] if least else written.removeprefix("*")).removesuffix("*")
    if not core.strip():
        raise NotationError("a pattern needs letters")
    # What must stand before is asked behind the first letters, so that a pattern begins with them and is found by them.
    plain = _PLAIN.match(core)
    first = plain.group() if plain else ""
    before, after = _guards(unless, source)
    body = re.escape(first)
    if least:
        body += f"(?<={_LETTER}{{{len(least[1])}}}{re.escape(first)})"
    body += "".join(f"(?<!{one}{re.escape(first)})" for one in before)
    body += _expression(core[len(first) :], source) + "".join(f"(?!{one})" for one in after)
    try:
        re.compile(body, 0 if cased else re.IGNORECASE)
    except re.error as error:
        raise NotationError(str(error)) from None
    return Compiled(body, open_start, open_end)


def _expression(core: str, source: Callable[[str], str] | None) -> str:
    parts: list[str] = []
    for part in _PARTS.findall(core):
        if part == "(":
            parts.append("(?:")
        elif part in ("|", ")"):
            parts.append(part)
        elif part == "*":
            parts.append(_REST_WITH_HYPHENS)
        elif part == "~":
            parts.append(" ?")
        elif part == "#":
            parts.append(r"\d{1,4}")
        elif part == "...":
            parts.append(_WORDS)
        elif part[0] == "{" and part[-1] == "}" and source is not None:
            parts.append(source(part[1:-1]))
        elif part[0] in "{}":
            raise NotationError("{label} names a label")
        else:
            parts.append(re.escape(part))
    return "".join(parts)


def _guards(unless: str, source: Callable[[str], str] | None) -> tuple[list[str], list[str]]:
    """What must not stand before, as plain expressions of one length each, and behind."""
    before: list[str] = []
    after: list[str] = []
    for guard in filter(str.strip, unless.split(";")):
        first, mark, last = guard.strip().partition("_")
        if not mark or bool(first) == bool(last):
            raise NotationError(
                f"{guard!r}: `_` stands for the row's words, with what must not stand before or behind"
            )
        if first:
            before += [re.escape(one) for one in _alternatives(first)]
        else:
            closed = r"(?!\w)" if last.rstrip(")")[-1:].isalnum() else ""
            after.append(_expression(last.removesuffix("*"), source) + closed)
    return before, after


def _alternatives(written: str) -> list[str]:
    """All texts that plain letters with alternatives stand for."""
    pieces = re.split(r"\(([^()]*)\)", written)
    return [
        "".join(chosen)
        for chosen in product(*(piece.split("|") if n % 2 else [piece] for n, piece in enumerate(pieces)))
    ]
