"""A tumour that a document tells twice, once with less, is one tumour.

    united([pancreas, head_of_pancreas])        # one, C25.0, with the places and metastases of both

The reader joins what speaks of one tumour by its words; where it did not, the codes decide: the same organ, one of
both unspecified, and nothing that contradicts - not the side, not the histology, not the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.reading.results import CodedMetastasis, CodedTumour
from agent.reading.spread import placed_only
from index.icd import leaves_open, same_code


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
    histologies = one.icdo_morphology.code, other.icdo_morphology.code
    return (
        (one.certainty == "Zustand nach") == (other.certainty == "Zustand nach")
        and (one.side is None or other.side is None or one.side == other.side)
        and one.icd10gm.code is not None
        and other.icd10gm.code is not None
        and same_code(one.icd10gm.code, other.icd10gm.code)
        and (leaves_open(*histologies) or leaves_open(*reversed(histologies)))
    )


def _joined(one: CodedTumour, other: CodedTumour) -> CodedTumour:
    placed, told_less = one, other
    if (one.icd10gm.code or "").endswith(".9") and not (other.icd10gm.code or "").endswith(".9"):
        placed, told_less = other, one
    named = (
        told_less
        if leaves_open(placed.icdo_morphology.code, told_less.icdo_morphology.code)
        and told_less.icdo_morphology.code is not None
        else placed
    )
    return replace(
        placed,
        icdo_morphology=named.icdo_morphology,
        probability=max(one.probability, other.probability),
        certainty="gesichert" if "gesichert" in (one.certainty, other.certainty) else one.certainty,
        side=one.side or other.side,
        metastases=joined_metastases((*one.metastases, *other.metastases)),
        facts=tuple(sorted((*one.facts, *other.facts), key=lambda fact: fact.start)),
    )


def joined_metastases(told: Iterable[CodedMetastasis]) -> tuple[CodedMetastasis, ...]:
    """Metastases by their codes, each once with all of its places."""
    found: dict[str, CodedMetastasis] = {}
    for one in told:
        code = one.icd10gm.code or ""
        before = found.get(code, replace(one, facts=()))
        facts = sorted((*before.facts, *one.facts), key=lambda fact: fact.start)
        found[code] = replace(before, facts=tuple(facts))
    return tuple(found[code] for code in placed_only(found))
