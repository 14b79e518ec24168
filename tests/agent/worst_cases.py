"""Worst cases for the preparation of a text, drawn from the patterns themselves and from the tables.

    rng = random.Random(1)
    pattern_attack(PATTERNS["agent.prepare.patterns.TNM"], rng, 2_000)      # 'pT1M0aM0aM0aM0a...M0a_'
    table_attack(rng, 2_000)                                                # 'ossär, ossär, ...'

A pattern is parsed; for each of its loops, alternatives and pairs of neighbours there is a text that leads to it and
texts that it matches. A worst case leads to such a place, repeats what matches there (one text, or several chained
across the alternatives, with and without something between them), and ends with what makes the match fail.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import agent.prepare
from agent.prepare import abbreviations, rules

# Modules beside the preparation whose patterns read the text of a diagnosis.
READERS = (
    "agent.models.generate", "agent.decide.explain", "agent.apps.files.columns", "agent.decide.facts", "agent.models.tokens",
    "agent.models.served", "agent.decide.checks", "index.text",
)  # fmt: skip
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_CATEGORIES = {
    sre.CATEGORY_DIGIT: "0127", sre.CATEGORY_NOT_DIGIT: "aT ", sre.CATEGORY_SPACE: " \n\t", sre.CATEGORY_NOT_SPACE: "aT1",
    sre.CATEGORY_WORD: "aTe1_", sre.CATEGORY_NOT_WORD: " ,-(",
}  # fmt: skip
_ANY = "aTe1 ,-."
_LEADS = ("", "", "Mammakarzinom ", "Mammakarzinom pT1", "Z.n. ", "Tumor (", ", ", "Diagnose: ")
_BETWEEN = ("", "", "", " ", ", ", "-", "\n", ". ", "(")
_SPOILS = ("_", "_", "", "x", "ß", "-", ")", "\n", " Mammakarzinom", ", Lebermetastasen")
# What the attack of issue 17 repeated, and what else the preparation asks of a whole statement.
UNITS = (
    "DD ", "Z.n. ", "kein Anhalt ", "A.v. x ", "ausgeschlossen ", "V.a. xy ", "FA: ", "Mutter ", "ossär, ", "nicht nachweisbar ", "in der Familie ",
    "Verdacht auf ", "M0a", "N0c", "T1a", "N1a", "T2c", "M1c", "gesichert ", "nicht gesichert ", "Mammakarzinom ", "Mammakarzinom, ", "Karzinom (Karzinom) ",
    "a.-", "-", "(", ")", "()", "[", "(a", "x", "x ", "1", "1 ", "1. ", ", ", "; ", "\n", ": ", ". ", " ", "\u0301", "a\u0301", "C re. 50.1 ", "ED ", "li. ",
    "re. ", "und ", "bei ", "mit ", "eines ", " und Mammakarzinom", " bei Sigmakarzinom", "Lebermetastasen, ", "(A) ", "Histologie: ", "Seite: li. ", " / ", " | ",
)  # fmt: skip


class Place(NamedTuple):
    """A part of a pattern: `path` is what has to be matched before it, `body` the part itself, `weight` how often it
    is drawn: a loop whose turns may be chained more than one that repeats a character."""

    path: tuple[Any, ...]
    body: Any
    weight: int = 1


def patterns_of(module: Any) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The compiled patterns that a module holds, by name, also those in its tuples and tables."""

    def walk(name: str, value: Any) -> Iterator[tuple[str, re.Pattern[str]]]:
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            yield name, value
        elif isinstance(value, tuple | list):
            for number, item in enumerate(value):
                yield from walk(f"{name}[{number}]", item)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from walk(f"{name}[{key}]", item)

    for name, value in vars(module).items():
        yield from walk(f"{module.__name__}.{name}", value)


def all_patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern that reads a diagnosis text, once, by the first name under which it is found."""
    names = [f"agent.prepare.{m.name}" for m in pkgutil.iter_modules(agent.prepare.__path__)]
    found: dict[str, re.Pattern[str]] = {}
    seen: set[tuple[str, int]] = set()
    of_modules = (
        item for module in (*names, *READERS) for item in patterns_of(importlib.import_module(module))
    )
    of_labels = ((f"rules.{label}", rules.pattern(label)) for label in rules.rules())
    for name, pattern in (*of_modules, *of_labels):
        if (pattern.pattern, pattern.flags) not in seen:
            seen.add((pattern.pattern, pattern.flags))
            found[name] = pattern
    return found


def tree_of(pattern: re.Pattern[str]) -> Any:
    """The pattern as Python parses it."""
    return parser.parse(pattern.pattern, pattern.flags)


def places_of(tree: Any) -> list[Place]:
    """Loops, alternatives, pairs of neighbours, and the whole, each with the way to it."""
    found = [Place((), tree)]

    def walk(path: tuple[Any, ...], items: Any, weight: int) -> None:
        done: list[Any] = []
        for number, item in enumerate(items):
            op, value = item
            here = (*path, *done)
            turns = value[1] if op in _REPEATS else 1
            within = 8 if turns > 3 and _is_group(value[2]) else weight
            for body in _inner(op, value):
                if turns > 1:
                    found.append(Place(here, [*body], 5 * within))
                elif op is sre.BRANCH:
                    found.append(Place(here, [*body], weight))
                walk(here, body, within)
            if number + 1 < len(items):
                found.append(Place(here, [item, items[number + 1]], weight))
            done.append(item)

    walk((), [*tree], 1)
    return found


def _is_group(body: Any) -> bool:
    return len(body) > 1 or body[0][0] in (sre.SUBPATTERN, sre.ATOMIC_GROUP, sre.BRANCH)


def _inner(op: Any, value: Any) -> list[Any]:
    """The sequences inside one item of a parsed pattern."""
    if op in _REPEATS:
        return [value[2]]
    if op is sre.BRANCH:
        return list(value[1])
    if op is sre.SUBPATTERN:
        return [value[3]]
    if op is sre.ATOMIC_GROUP:
        return [value]
    if op is sre.ASSERT:
        return [value[1]]
    return []


def loops_of(items: Any) -> Iterator[tuple[int, Any]]:
    """The loops of a parsed pattern that may give turns back: how many turns each has at most, and what one reads."""
    for op, value in items:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            yield int(value[1]), value[2]
        for body in _inner(op, value):
            yield from loops_of(body)


def is_one_way(body: Any) -> bool:
    """Whether a turn reads one character, or is read once and for all."""
    reads = [item for item in body if item[0] not in (sre.ASSERT, sre.ASSERT_NOT)]
    return not _is_group(reads) or reads[0][0] is sre.ATOMIC_GROUP


def longest_assertion(items: Any) -> int:
    """The characters that the longest assertion of a parsed pattern looks at."""
    widths = [value[1].getwidth()[1] for op, value in items if op in (sre.ASSERT, sre.ASSERT_NOT)]
    return max(
        [*widths, *(longest_assertion(body) for op, value in items for body in _inner(op, value))], default=0
    )


def matched_by(items: Any, rng: random.Random, short: bool = False) -> str:
    """A text that a sequence of items may match, `short`: mostly without what may be left out. Assertions are not
    heeded; what they look for stands there."""
    return "".join(_one(op, value, rng, short) for op, value in items)


def _one(op: Any, value: Any, rng: random.Random, short: bool) -> str:
    if op is sre.LITERAL:
        return chr(value)
    if op is sre.NOT_LITERAL:
        return "x" if value != ord("x") else "y"
    if op is sre.ANY:
        return rng.choice(_ANY)
    if op is sre.IN:
        return _of_class(value, rng)
    if op in _REPEATS:
        low, high, body = value
        is_letter = high == 1 and body[0][0] is sre.IN
        count = rng.choice((low, low if short and not is_letter else low + 1, low if short else low + 3))
        return "".join(matched_by(body, rng, short) for _ in range(min(count, high)))
    inner = _inner(op, value)
    return matched_by(rng.choice(inner), rng, short) if inner else ""


def _of_class(members: Any, rng: random.Random) -> str:
    if members[0][0] is sre.NEGATE:
        return next((c for c in rng.sample(_ANY, len(_ANY)) if not _holds(members[1:], c)), "ß")
    op, value = rng.choice(members)
    if op is sre.LITERAL:
        return chr(value)
    if op is sre.RANGE:
        return chr(rng.randint(*value))
    return rng.choice(_CATEGORIES[value])


def _holds(members: Any, character: str) -> bool:
    return any(
        (op is sre.LITERAL and value == ord(character))
        or (op is sre.RANGE and value[0] <= ord(character) <= value[1])
        or (op is sre.CATEGORY and character in _CATEGORIES[value])
        for op, value in members
    )


def pattern_attack(places: list[Place], rng: random.Random, length: int) -> str:
    """A worst case for one pattern, `length` characters."""
    path, body, _ = rng.choices(places, [place.weight for place in places])[0]
    short = rng.random() < 0.7
    way = matched_by(path, rng, short)
    once = matched_by(body, rng, short)
    kind = rng.randrange(5)
    if kind == 0:  # one turn of the loop
        unit = once
    elif kind == 1:  # several, chained across the alternatives
        unit = once + "".join(matched_by(body, rng, short) for _ in range(rng.randint(1, 3)))
    elif kind == 2:  # parted
        unit = once + rng.choice(_BETWEEN)
    elif kind == 3:  # with the way to it: a search that starts everywhere
        unit = way + once + rng.choice(_BETWEEN)
    else:  # two places of the same pattern
        unit = once + rng.choice(_BETWEEN) + matched_by(rng.choice(places).body, rng, short)
    return repeated(rng.choice(_LEADS) + way, unit or "a", rng.choice(_SPOILS), length)


def table_units() -> list[str]:
    """Whatever the tables hold: abbreviations, what they stand for and need, compounds, spellings, adjectives."""
    rows = (
        (Path(agent.prepare.__file__).parent / "abbreviations.tsv").read_text(encoding="utf-8").splitlines()
    )
    cells = {cell for row in rows[1:] for cell in row.replace("|", "\t").split("\t")}
    adjectives = (Path(agent.prepare.__file__).parent / "adjectives.txt").read_text(encoding="utf-8").split()
    cells.update(abbreviations.COMPOUND_STEMS, abbreviations.COMPOUND_HEADS)
    cells.update(word[:5] + "." for word in adjectives)
    return sorted(cells - {""})


def table_attack(units: list[str], rng: random.Random, length: int) -> str:
    """Entries of the tables and the issue's units, repeated and alternated."""
    chosen = [rng.choice(UNITS if rng.random() < 0.5 else units) for _ in range(rng.choice((1, 1, 2, 3, 8)))]
    unit = "".join(part + rng.choice(_BETWEEN) for part in chosen)
    return repeated(rng.choice(_LEADS), unit or "a", rng.choice(_SPOILS), length)


def repeated(lead: str, unit: str, spoil: str, length: int) -> str:
    """A lead, as many units as there is room for, and an end."""
    room = max(0, length - len(lead) - len(spoil))
    return lead + (unit * (room // len(unit) + 1))[:room] + spoil
