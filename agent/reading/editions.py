"""A document's answer in the edition of its year, as `agent.decide.editions` carries that of a text."""

from __future__ import annotations

from dataclasses import replace

from agent.decide.editions import coding_in_edition, edition_id
from agent.reading.results import CodedDocument, CodedTumour
from index.catalogue.catalogue import Catalogue


def document_in_edition(document: CodedDocument, year: int, catalogue: Catalogue) -> CodedDocument:
    """A document's answer with the ICD-10-GM codes of that year."""

    def tumour(one: CodedTumour) -> CodedTumour:
        said = " ".join(document.text[fact.start : fact.end] for fact in one.facts)
        return replace(one, icd10gm=coding_in_edition(one.icd10gm, year, said, catalogue, document.edition))

    return replace(document, tumours=tuple(map(tumour, document.tumours)), edition=edition_id(year))
