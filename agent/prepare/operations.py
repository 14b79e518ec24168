"""The organ that an operation tells, where the tumour's name tells none: "Z.n. Mastektomie bei Ca", "Rezidiv n. RPE".

with_organ(words, "Z.n. Ablatio mammae li. bei Ca", offset=0)       # ... Karzinom, Mamma
"""

from __future__ import annotations

import re

from agent.prepare import context
from agent.prepare.rules import labels_under, pattern
from agent.prepare.tidy import Word, render

_OPERATIONS = tuple((pattern(f"operated.{organ}"), organ) for organ in labels_under("operated"))
_WORD = re.compile(r"[A-ZÄÖÜ][\w-]{3,30}")


def with_organ(words: list[Word], text: str, offset: int, led: int = 0) -> list[Word]:
    """The words of a statement, with the organ of the operation that `text` (the whole statement, which starts at
    `offset`) names, where the words name a tumour of any organ and no place. The first `led` characters lead to the
    tumour; a place among them ("TUR-B Blasenhals: Papillom") comes before the operation's organ."""
    core = render(words)
    if (
        pattern("tissue_of_any_organ").search(core) is None
        or context.TOPOGRAPHY.search(core)
        or context.METASTASIS.search(core)
    ):
        return words
    for place in _WORD.finditer(text, 0, led):
        name = place.group()
        if context.TOPOGRAPHY.search(name) and not pattern("examination_word").search(name):
            start, end = offset + place.start(), offset + place.end()
            words = [*words, Word(",", start, end, False, True), Word(name, start, end, True)]
            if context.organs_of(name):
                return words
            break
    for operation, organ in _OPERATIONS:
        match = operation.search(text)
        if match is not None:
            if context.organs_of(core) and not context.organs_of(core) <= context.organs_of(organ):
                return words
            start, end = offset + match.start(), offset + match.end()
            return [*words, Word(",", start, end, False, True), Word(organ, start, end, True)]
    return words
