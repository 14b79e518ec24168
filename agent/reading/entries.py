"""A document of one statement is an entry: its tumours are the diagnoses that the agent codes in it.

    if is_entry(text): entry_tumours(agent.code(text), read)

The reader learns from documents; what a single phrase means without one, the agent knows better.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.reading.results import CodedMetastasis, CodedTumour, Fact
from agent.reading.united import joined_metastases
from agent.results import CodedText
from index.icd import is_haematological_code, is_secondary

_LONGEST = 160  # characters of an entry
_SENTENCE_END = re.compile(r"(?<=[a-zäöüß0-9)]{4})[.!?]\s+[A-ZÄÖÜ]|\n")


def is_entry(text: str) -> bool:
    """Whether a document is one short statement."""
    text = text.strip()
    return 0 < len(text) <= _LONGEST and _SENTENCE_END.search(text) is None


def entry_tumours(answer: CodedText, read: Sequence[CodedTumour]) -> tuple[CodedTumour, ...]:
    """The tumours of an entry; what the reader `read` in it, where no primary has a code. Metastases are of the first,
    those too that the reader found, in a formula or in words."""
    every = [
        one for one in (answer, *answer.further)
        if one.tumour and one.icd10gm.code is not None and one.certainty != "ausgeschlossen"
    ]  # fmt: skip
    primaries = [one for one in every if not is_secondary(one.icd10gm.code or "")]
    if not primaries:
        return tuple(read)
    spread = (
        CodedMetastasis(one.icd10gm, (Fact("metastasis", *one.span),))
        for one in every
        if one not in primaries
    )
    metastases = joined_metastases((*spread, *(one for tumour in read for one in tumour.metastases)))
    if is_haematological_code(primaries[0].icd10gm.code or ""):
        metastases = ()
    return tuple(
        CodedTumour(
            one.icd10gm, one.icdo_topography, one.icdo_morphology, one.tumour_probability, one.certainty,
            one.side, () if number else metastases, (Fact("name", *one.span),),
        )
        for number, one in enumerate(primaries)
    )  # fmt: skip
