"""Which side of the split a text is on, decided by its words alone, so that no spelling of it can cross over.

    guard = LeakGuard.of(split, held_out_code_lines, kept_out=["Text eines Testsatzes"])
    guard.part("Karzinom des Pankreaskopfes")          # 'train', 'development', 'test_term', 'test_code' or None

Two texts count as the same where they differ only in order, case, hyphens, blanks, inflection, articles and
the Latin or German spelling of a word. `Split.bans` is the narrower rule by which the published held-out
figures are made; this one is for training data that others will measure with test sets of their own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.records import CatalogueLine
from index.text import normalise
from training.split import SPAN, Split, hash64

TRAIN, DEVELOPMENT, TEST_TERM, TEST_CODE = PARTS = ("train", "development", "test_term", "test_code")
_SMALL_WORDS = frozenset(
    {"der", "die", "das", "des", "dem", "den", "ein", "eine", "einer", "eines", "einem", "und", "mit", "bei"}
    | {"am", "im", "in", "an", "von", "vom", "zur", "zum", "ank", "ona", "nnb"}
)
_ENDING = re.compile(r"(?:en|er|es|em|e|n|s)$")
# On top of `normalise`, which writes umlauts out.
_SPELLING = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("ph", "f"), ("th", "t"), ("y", "i"), ("ce", "ze"), ("ci", "zi"),
             ("c", "k"))  # fmt: skip
# Of the terms that the study's split does not claim, this share goes to development and as much to test.
_SHARE = 0.02


def near_keys(text: str) -> tuple[str, str]:
    """What near-duplicates have in common: the bag of stems, and the stems in order without blanks."""
    stems = [_stem(word) for word in normalise(text).split() if word not in _SMALL_WORDS]
    return " ".join(sorted(stems)), "".join(stems)


def near_groups(texts: Sequence[str]) -> np.ndarray:
    """The number of each text's group of near-duplicates: texts are in one that share a near key, also by way
    of a third text."""
    parent = list(range(len(texts)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[tuple[int, str], int] = {}
    for n, text in enumerate(texts):
        for key in enumerate(near_keys(text)):
            parent[root(n)] = root(first.setdefault(key, n))
    return np.unique([root(n) for n in range(len(texts))], return_inverse=True)[1]


def _stem(word: str) -> str:
    for old, new in _SPELLING:
        word = word.replace(old, new)
    return _ENDING.sub("", word) if len(word) > 4 else word


@dataclass(frozen=True)
class LeakGuard:
    """Near keys of each part, and of what may stand in none (`kept_out`)."""

    parts: dict[str, str]
    kept_out: frozenset[str]
    share: float = _SHARE

    @classmethod
    def of(
        cls,
        split: Split,
        held_out_code_lines: Iterable[CatalogueLine] = (),
        kept_out: Iterable[str] = (),
        share: float = _SHARE,
    ) -> LeakGuard:
        """Later claims are stronger: the study's held-out terms over its development terms over held-out codes.
        Of the terms that none of them claims, `share` goes to development and as much to test."""
        parts: dict[str, str] = {}
        for part, lines in (
            (TEST_CODE, held_out_code_lines),
            (DEVELOPMENT, split.development),
            (TEST_TERM, split.held_out),
        ):
            parts |= {key: part for line in lines for key in near_keys(line.text)}
        return cls(parts, frozenset(key for text in kept_out for key in near_keys(text)) - {""}, share)

    def part(self, text: str) -> str | None:
        """The part that a text belongs to; None where a test set of the user's says the same."""
        bag, joined = near_keys(text)
        if bag in self.kept_out or joined in self.kept_out:
            return None
        found = {self.parts[key] for key in (bag, joined) if key in self.parts}
        for part in (TEST_TERM, DEVELOPMENT, TEST_CODE):
            if part in found:
                return part
        # The joined key, so that a compound and its parts fall on the same side.
        place = hash64(joined) / SPAN
        return TEST_TERM if place < self.share else DEVELOPMENT if place < 2 * self.share else TRAIN


def texts_of(path: Path) -> list[str]:
    """The texts of a test set: the column `text` of a table (TSV, or CSV by `;` or `,`), else every line."""
    content = path.read_text(encoding="utf-8-sig", errors="replace")
    header = content.partition("\n")[0].strip()
    separator = next((mark for mark in "\t;," if mark in header), "\t")
    file = io.StringIO(content, newline="")
    # Tab-separated files are written without quoting.
    unquoted = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = list(unquoted if separator == "\t" else csv.reader(file, delimiter=separator))
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "text" not in names:
        return content.splitlines()
    place = names.index("text")
    return [row[place] for row in rows[1:] if len(row) > place]
