"""Tumour term lists published as data sets: terms with Alpha-ID, and terms joined with a topography.

Alpha-ID;Label;ICD-10-Code;Tumordiagnose
ID;ICD-10-Code;ICD-O-Code;ICD-10 Text;Label;Topography Text;Extended Label;Prompt Text
"""

from __future__ import annotations

from index.catalogue.layouts.alphabets import clean_term, plain_code
from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.source import CatalogueFile, Source
from index.io.language import say
from index.records import CatalogueLine, CodeSystem


def read_tumour_terms(source: Source) -> CatalogueFile:
    """Alpha-ID terms of tumours with their ICD-10-GM code."""
    found: list[tuple[str, str, str]] = []
    for number, (alpha_id, label, marked, tumour) in source.records(";", (4,), skip=1):
        code = plain_code(marked)
        if code is None or tumour not in ("0", "1") or not label.strip():
            raise source.altered(
                say("catalogue-layout", layout="Alpha-ID;Label;ICD-10-Code;Tumordiagnose"), number
            )
        found.append((alpha_id, code, clean_term(label)))
    numbers = [int(digits) for alpha_id, _, _ in found if (digits := alpha_id.removeprefix("I")).isdecimal()]
    codes, last = {code for _, code, _ in found}, max(numbers, default=None)
    edition = edition_id(source, "alpha-id-tumour", codes=codes, last_alpha_id=last)
    lines = [source.line(edition, *row) for row in found]
    return source.finish(
        "Alpha-ID, tumour terms (CSV)", CodeSystem.ICD10GM, edition, {"rows": len(found)}, lines=lines
    )


def read_topography_terms(source: Source) -> CatalogueFile:
    """Each row gives a line with the ICD-10-GM code, and one with the ICD-O-3 topography where it is certain.

    Where an ICD-10 code spans several topographies, the data set was filled by pairing each of them with some
    label of that code (a lipoma of the eyelid with the lip, say). Such a pair says nothing about the label, so
    topography lines are made only for ICD-10 codes that lead to a single topography in the whole file.
    """
    found: list[tuple[str, str, str, str]] = []
    for number, fields in source.records(";", (8,), skip=1):
        icd10, topography, label = plain_code(fields[1]), plain_code(fields[2]), clean_term(fields[4])
        if icd10 is None or topography is None or not label:
            raise source.altered(say("catalogue-terms"), number)
        found.append((fields[0], icd10, topography, label))
    edition = edition_id(source, "alpha-id-topography", codes={icd10 for _, icd10, _, _ in found})
    topographies: dict[str, set[str]] = {}
    for _, icd10, topography, _ in found:
        topographies.setdefault(icd10, set()).add(topography)
    lines: list[CatalogueLine] = []
    uncertain = 0
    for line_id, icd10, topography, label in found:
        lines.append(source.line(edition, line_id, icd10, label))
        if len(topographies[icd10]) > 1:
            uncertain += 1
            continue
        system = CodeSystem.TOPOGRAPHY
        lines.append(source.line(edition, f"{line_id}/topography", topography, label, system=system))
    counts = {"rows": len(found), "uncertain_topography": uncertain}
    return source.finish(
        "Alpha-ID terms with ICD-O-3 topography (CSV)", CodeSystem.TOPOGRAPHY, edition, counts, lines=lines
    )
