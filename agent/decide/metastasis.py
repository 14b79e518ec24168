"""The histology of a metastasis is that of its primary: "Lebermetastasen bei Urothelkarzinom" is 8120/6, not 8000/6.

Where a text names a metastasis without its histology and one primary beside it, the metastasis takes the primary's
histology with the behaviour /6, and with it what speaks for that choice. A histology that ICD-O-3 lists without /6
(8046/3) gives way to its family's (8010/6); rule F of ICD-O-3 would allow 8046/6, but no catalogue holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.decide.confidence import confidence_of
from agent.decide.fuse import AxisWeights
from agent.state import Unit
from index.catalogue.catalogue import Catalogue
from index.records import CodeSystem

_MORPHOLOGY = CodeSystem.MORPHOLOGY
# Metastasis and carcinoma metastasis, not otherwise specified.
_UNSPECIFIC = ("8000/6", "8010/6")
# The general histology of a family: first and last of its numbers.
_FAMILIES = (
    (8050, 8084, "8070/6"), (8140, 8389, "8140/6"), (8440, 8576, "8140/6"), (8010, 8589, "8010/6"),
    (8720, 8790, "8720/6"), (8800, 9136, "8800/6"),
)  # fmt: skip


def take_histology_of_primary(
    units: Sequence[Unit], catalogue: Catalogue, weights: AxisWeights
) -> list[Unit]:
    """Set the morphology of unspecific metastases among the units of one text, where they name one primary of a
    histology that is sure enough; the units that were changed."""
    tumours = [unit for unit in units if unit.tumour]
    sure = [
        unit
        for unit in tumours
        if unit.segment.metastasis_context == "primary"
        and confidence_of(unit.signals[_MORPHOLOGY], weights.confidence) >= weights.abstain_below
    ]
    histologies = {unit.agreement.codes.get(_MORPHOLOGY) for unit in sure}
    code = _of_metastasis(histologies.pop(), catalogue) if len(histologies) == 1 else None
    changed = [
        unit
        for unit in tumours
        if unit.segment.metastasis_context == "metastasis"
        and unit.agreement.codes.get(_MORPHOLOGY) in _UNSPECIFIC
        and code in unit.decisions[_MORPHOLOGY].codes
    ]
    for unit in changed:
        unit.agreement = replace(unit.agreement, codes={**unit.agreement.codes, _MORPHOLOGY: code})
        unit.signals[_MORPHOLOGY] = sure[0].signals[_MORPHOLOGY]
    return changed


def _of_metastasis(primary: str | None, catalogue: Catalogue) -> str | None:
    """The code of a metastasis of a malignant primary; None where neither its own nor its family's is listed."""
    if primary is None or not primary.endswith("/3"):
        return None
    number = int(primary[:4])
    family = (code for first, last, code in _FAMILIES if first <= number <= last)
    listed = (code for code in (f"{number}/6", *family) if catalogue.is_codable(_MORPHOLOGY, code))
    return next(listed, None)
