"""The histology of a metastasis is that of its primary: "Lebermetastasen bei Urothelkarzinom" is 8120/6, not 8000/6.

Where a text names a metastasis without its histology and one primary beside it, the metastasis takes the primary's
histology with the behaviour /6, and with it what speaks for that choice. A histology that ICD-O-3 lists without /6
(8046/3) gives way to its family's (8010/6); rule F of ICD-O-3 would allow 8046/6, but no catalogue holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.decide.records import Agreement, Decision
from agent.prepare import Segment
from index.catalogue.catalogue import Catalogue
from index.icd import UNSPECIFIC_METASTASES, metastases_of
from index.records import CodeSystem

_MORPHOLOGY = CodeSystem.MORPHOLOGY


def with_histology_of_primary(
    tumours: Mapping[int, tuple[Segment, Mapping[CodeSystem, Decision], Agreement]],
    is_sure: Callable[[int], bool],
    catalogue: Catalogue,
) -> dict[int, Agreement]:
    """What the unspecific metastases among the tumours of one text, by their number, agree on instead, where the text
    names one histology of primaries; `is_sure` says whether the agent would give the morphology of a tumour."""

    def numbers(role: str) -> list[int]:
        return [number for number, (segment, *_) in tumours.items() if segment.metastasis_context == role]

    def morphology(number: int) -> str | None:
        return tumours[number][2].codes.get(_MORPHOLOGY)

    metastases = [n for n in numbers("metastasis") if morphology(n) in UNSPECIFIC_METASTASES]
    primaries = [n for n in numbers("primary") if is_sure(n)] if metastases else []
    histologies = {morphology(n) for n in primaries}
    primary = histologies.pop() if len(histologies) == 1 else None
    ways = metastases_of(primary) if primary is not None else ()
    code = next((way for way in ways if catalogue.is_codable(_MORPHOLOGY, way)), None)
    return {
        n: replace(
            agreement,
            codes={**agreement.codes, _MORPHOLOGY: code},
            primary=primaries[0],
            replaced=agreement.codes[_MORPHOLOGY],
        )
        for n in metastases
        for _, decisions, agreement in [tumours[n]]
        if code in decisions[_MORPHOLOGY].codes
    }
