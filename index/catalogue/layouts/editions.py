"""Which edition a catalogue file is: the user's word, else the content, else hints and the codes used.

    edition_id(source, "alphabet", codes={"A00.9", "C44.50"})     # 'alphabet-2023'

Only few layouts state their year. For the others the year in the file's name, or in its folder's, is taken
where the content does not contradict it; without such a hint the codes and the Alpha-IDs date the file.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from index.catalogue.layouts.source import Source
from index.io.language import say

# An edition with this code cannot be older than the first year. The second year is the oldest edition at
# hand that has it, and so the best guess for a file without any other hint.
_CODES_SINCE: tuple[tuple[str, int, int], ...] = (
    ("C43.50", 2026, 2026),
    ("6-00k", 2022, 2024),
    ("B18.80", 2024, 2024),
    ("D59.10", 2024, 2024),
    ("I21.40", 2024, 2024),
    ("C44.50", 2021, 2023),
    ("A92.5", 2018, 2020),
    ("B48.5", 2018, 2020),
    ("C81.4", 2011, 2017),
    ("C86.0", 2011, 2017),
)
# Alpha-IDs are numbered as they are given: 116,030 was the last of edition 2010, 135,550 of 2024.
_ALPHA_ID_2010, _ALPHA_IDS_A_YEAR, _ALPHA_ID_TOLERANCE = 116_030, 1_394, 2
_YEAR = re.compile(r"(?<!\d)(19[89]\d|20[0-4]\d)(?!\d)")
_EDITION = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


def check_edition(edition: str) -> str:
    """The user's own edition id, if it is one that can be used; else `ValueError` saying how it looks."""
    if not _EDITION.fullmatch(edition):
        raise ValueError(say("catalogue-edition-id", edition=edition))
    return edition


def edition_id(
    source: Source,
    family: str,
    *,
    stated: int | None = None,
    codes: AbstractSet[str] = frozenset(),
    last_alpha_id: int | None = None,
) -> str:
    """The edition id of a file of this `family`.

    `stated` is the year that the content names, `codes` the codes that it uses, `last_alpha_id` its
    highest Alpha-ID number.
    """
    if source.edition:
        if re.fullmatch(r"\d{4}", source.edition):
            return f"{family}-{source.edition}"
        return check_edition(source.edition)
    year = stated or _dated(source, codes, last_alpha_id)
    return f"{family}-{year}" if year else family


def _dated(source: Source, codes: AbstractSet[str], last_alpha_id: int | None) -> int | None:
    marks = [mark for mark in _CODES_SINCE if mark[0] in codes]
    earliest = max((since for _, since, _ in marks), default=0)
    by_number = None
    if last_alpha_id and last_alpha_id > _ALPHA_ID_2010 - 5 * _ALPHA_IDS_A_YEAR:
        by_number = 2010 + round((last_alpha_id - _ALPHA_ID_2010) / _ALPHA_IDS_A_YEAR)
    for name in (source.member or "", source.path.name, source.path.parent.name):
        for hint in (int(found) for found in _YEAR.findall(name)):
            if hint >= earliest and (by_number is None or abs(hint - by_number) <= _ALPHA_ID_TOLERANCE):
                return hint
    return by_number or max((guess for _, _, guess in marks), default=None)
