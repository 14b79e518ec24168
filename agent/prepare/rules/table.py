"""The rows of the tables by label, and one pattern for each label.

    rules()["former"][0].pattern                 # 'Z.~n(.|)'
    pattern("tumour").search("Lungentumor")      # <re.Match ... 'tumor'>

A label with a point (`organ.breast`) belongs to the labels under `organ`; what gets several labels has them in one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from agent.prepare.alternatives import by_first_letter
from agent.prepare.rules.notation import Compiled, NotationError, compiled
from index.catalogue.overrides import TableError, table_rows

FOLDER = Path(__file__).parent
COLUMNS = ("label", "pattern", "case", "unless", "example", "expected", "why")
_CASED = "cased"
_REST_OF_WORD = r"\w{0,30}"  # of a word; bounded, so that it is known how far a pattern reaches


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: `where` is its file and row; `example` holds words of the label, which `expected` repeats, parted by
    ` + `."""

    labels: tuple[str, ...]
    pattern: str
    cased: bool
    unless: str
    example: str
    expected: str
    why: str
    where: str


class Firing(NamedTuple):
    """A row that speaks in a text, the label that was asked for, and its stretch of the text."""

    rule: Rule
    label: str
    start: int
    end: int


@cache
def rules(folder: Path = FOLDER) -> dict[str, tuple[Rule, ...]]:
    """The rows of all tables of a folder by label. Raises `TableError` for a row that cannot be used."""
    found: dict[str, list[Rule]] = {}
    for path in sorted(folder.glob("*.tsv")):
        for where, row in table_rows(path, COLUMNS):
            if row["case"] not in ("", _CASED) or not (row["label"] and row["pattern"] and row["example"]):
                raise TableError(
                    f"{where}: a row needs label, pattern and example; case is `cased` or empty."
                )
            rule = Rule(
                tuple(row["label"].split()), row["pattern"], row["case"] == _CASED, row["unless"],
                row["example"], row["expected"], row["why"], where,
            )  # fmt: skip
            for label in rule.labels:
                found.setdefault(label, []).append(rule)
    return {label: tuple(rows) for label, rows in found.items()}


def labels_under(name: str) -> tuple[str, ...]:
    """The labels that begin with `name` and a point, without it, in the order of their tables."""
    return tuple(label.removeprefix(f"{name}.") for label in rules() if label.startswith(f"{name}."))


@cache
def source(label: str) -> str:
    """The expression for all rows of a label. A word that goes on behind a row's letters is matched to its end."""
    if label not in rules():
        raise NotationError(f"no rows have the label {label}")
    groups: dict[tuple[bool, bool, bool], list[str]] = {}
    for rule in rules()[label]:
        body, open_start, open_end = compiled_rule(rule)
        groups.setdefault((rule.cased, open_start, open_end), []).append(body)
    parts = []
    for (cased, open_start, open_end), bodies in sorted(groups.items()):
        any_of = by_first_letter("|".join(bodies), cased=cased)
        parts.append(_with_ends(f"(?-i:{any_of})" if cased else any_of, open_start, open_end))
    return f"(?i:{'|'.join(parts)})"


def _with_ends(expression: str, open_start: bool, open_end: bool) -> str:
    return ("" if open_start else r"(?<!\w)") + expression + (_REST_OF_WORD if open_end else r"(?!\w)")


def compiled_rule(rule: Rule) -> Compiled:
    """The expression of a row. Raises `TableError` that names it."""
    try:
        return compiled(rule.pattern, rule.unless, cased=rule.cased, source=source)
    except NotationError as error:
        raise TableError(f"{rule.where}: {error}.") from None


@cache
def pattern(label: str) -> re.Pattern[str]:
    """What finds the words of a label in a text."""
    return re.compile(source(label))


@cache
def _alone(rule: Rule) -> re.Pattern[str]:
    """What finds the words of one row."""
    body, open_start, open_end = compiled_rule(rule)
    return re.compile(_with_ends(f"(?:{body})", open_start, open_end), 0 if rule.cased else re.IGNORECASE)


def fired(text: str, labels: Iterable[str] | None = None) -> list[Firing]:
    """The rows that speak in a text, by place; of all labels if none are given."""
    found = []
    for label in rules() if labels is None else labels:
        for match in pattern(label).finditer(text):
            for rule in rules()[label]:
                own = _alone(rule).match(text, match.start())
                if own is not None and own.end() == match.end():
                    found.append(Firing(rule, label, *match.span()))
    return sorted(found, key=lambda one: (one.start, one.end, one.label))
