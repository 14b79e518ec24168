"""A tumour that a document tells twice, once with less, is one tumour.

    united([pancreas, head_of_pancreas])        # one, C25.0, with the places and metastases of both

The reader joins what speaks of one tumour by its words; where it did not, the codes decide: the same organ, one of
both unspecified, and nothing that contradicts - not the side, not the histology, not the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.reading.results import CodedMetastasis, CodedTumour
from index.icd import same_code

# What histology leaves open: neoplasm, carcinoma, adenocarcinoma, lymphoma not otherwise specified.
_OPEN = ("8000", "8010", "8140", "9590")


def united(tumours: Iterable[CodedTumour]) -> tuple[CodedTumour, ...]:
    """The tumours in their order, each once."""
    found: list[CodedTumour] = []
    for tumour in tumours:
        place = next((n for n, one in enumerate(found) if _same(one, tumour)), None)
        if place is None:
            found.append(tumour)
        else:
            found[place] = _joined(found[place], tumour)
    return tuple(found)


def _same(one: CodedTumour, other: CodedTumour) -> bool:
    return (
        (one.certainty == "Zustand nach") == (other.certainty == "Zustand nach")
        and (one.side is None or other.side is None or one.side == other.side)
        and one.icd10gm.code is not None
        and other.icd10gm.code is not None
        and same_code(one.icd10gm.code, other.icd10gm.code)
        and _agree(one.icdo_morphology.code, other.icdo_morphology.code)
    )


def _agree(one: str | None, other: str | None) -> bool:
    """Whether two morphologies are equal, or one of them leaves the histology open."""
    return one == other or _is_open(one) or _is_open(other)


def _is_open(morphology: str | None) -> bool:
    return morphology is None or morphology.startswith(_OPEN)


def _joined(one: CodedTumour, other: CodedTumour) -> CodedTumour:
    fuller, lesser = (one, other) if not (one.icd10gm.code or "").endswith(".9") else (other, one)
    metastases: dict[str | None, CodedMetastasis] = {}
    for told in (*fuller.metastases, *lesser.metastases):
        before = metastases.get(told.icd10gm.code)
        facts = (*before.facts, *told.facts) if before else told.facts
        metastases[told.icd10gm.code] = CodedMetastasis((before or told).icd10gm, facts)
    return replace(
        fuller,
        icdo_morphology=(lesser if _is_open(fuller.icdo_morphology.code) else fuller).icdo_morphology,
        certainty="gesichert" if "gesichert" in (one.certainty, other.certainty) else fuller.certainty,
        side=fuller.side or lesser.side,
        metastases=tuple(metastases[code] for code in sorted(metastases, key=str)),
        facts=tuple(sorted((*one.facts, *other.facts), key=lambda fact: fact.start)),
    )
