"""Codings as FHIR R4 Conditions, for systems that speak FHIR.

    condition = conditions(agent.code("Mamma-Ca links"), subject="Patient/17")[0]
    write_bundle(Path("bundle.json"), agent.code_many(texts))      # in constant memory

The form follows the oncology module of the Medical Informatics Initiative (MII, "Diagnose Primärtumor"), which is
what German tumour documentation exchanges:

* ICD-10-GM in `code`, with the year of the edition as `version`; ICD-O-3 topography in `bodySite`, and beside it
  the side in MII's code system, whose codes are those of oBDS (L, R, B).
* ICD-O-3 morphology in MII's extension. It was `Condition.code` before and left it because a morphology is not
  the concept that an ICD-10 code is; mCODE has the same extension under another address, with a SNOMED CT binding.
* `verificationStatus`: gesichert is `confirmed`; Verdacht is `provisional`, a working diagnosis that still is to be
  settled (`differential` would need a list of rivals, `unconfirmed` says that nobody assessed it); ausgeschlossen is
  `refuted`. Zustand nach is `confirmed` and `clinicalStatus` `inactive`: the tumour was there, and the text says
  neither that it came back nor that it is gone, which `recurrence`, `remission` and `resolved` would claim.
  `active` is set for gesichert and Verdacht. What is refuted, or no tumour at all, has no clinical status. So
  con-3 to con-5 of R4 hold: there is no category problem-list-item, no abatement, and no entered-in-error.
* An axis that abstained has no coding: `data-absent-reason` `unknown` takes its place in `code` and `bodySite`. A text
  that is no tumour diagnosis gives a Condition whose `code` is absent likewise, so that rows do not get lost. Where a
  value set is required (the status, the morphology), a concept without a coding is an error to validators whatever its
  extension says, so the whole element is left out.
* A Condition must have a subject. Without one its reference says `unknown` by extension.

It says of itself that software proposed it: `meta.tag` for systems, `note` for people, the confidence as an
extension. The diagnosis text is in it only on request, `with_text=True`, as `code.text`: a bundle travels, and
free text may name a person. Ids are the hash of codes, span and text under the caller's `key`: the same input
gives the same ids, and without the text nobody can tell the text from the id as long as `key` is kept secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.catalogue.layouts.source import year_of
from index.catalogue.lexicon import YEAR
from index.errors import OnkokodeError
from index.io.atomic import new_file
from index.io.failures import reason
from index.records import AXES, CodeSystem

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from agent.results import CodedText, Coding

ICD10GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
ICDO3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
_MII = "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko"
MORPHOLOGY = f"{_MII}/StructureDefinition/mii-ex-onko-histology-morphology-behavior-icdo3"
SIDE = f"{_MII}/CodeSystem/mii-cs-onko-seitenlokalisation"
# When it was held for sure, which the MII calls Feststellungsdatum.
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
# No registered address: a URN, as FHIR asks for where nobody owns a web address.
CONFIDENCE = "urn:onkokode:fhir:confidence"
TAG = "urn:onkokode:fhir:tag"
_SIDES = {"links": ("L", "links"), "rechts": ("R", "rechts"), "beidseits": ("B", "beidseitig")}
_STATUS = {
    "gesichert": ("confirmed", "active"),
    "Verdacht": ("provisional", "active"),
    "Zustand nach": ("confirmed", "inactive"),
    "ausgeschlossen": ("refuted", None),
}
# Where a Condition has the code of an axis.
_ELEMENTS = {
    CodeSystem.ICD10GM: "code", CodeSystem.TOPOGRAPHY: "bodySite", CodeSystem.MORPHOLOGY: "Morphologie",
}  # fmt: skip
_NOTE = "Kodiervorschlag einer Software (Onkokode), nicht von einer Person geprüft."

Years = Mapping[CodeSystem, int]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A coded text with whose it is (`Patient/17`) and when it was diagnosed (ISO 8601, as far as it is known)."""

    coded: CodedText
    subject: str | None = None
    date: str | None = None


class FhirError(OnkokodeError):
    """A bundle cannot be written; the message names the file."""

    translated = True


def years_in_force(agent: CodingAgent) -> dict[CodeSystem, int]:
    """The year of the edition that the agent's codes are from, per axis; the lexicon's where nothing else is
    there."""
    from index.catalogue.lexicon import EDITION

    catalogue = agent.resources.catalogue
    years = dict(YEAR)
    for system in years:
        codes = catalogue.codable_codes(system)
        editions = {found.edition for code in codes if (found := catalogue.code(system, code))}
        if EDITION not in editions:
            years[system] = max((year_of(edition) or 0 for edition in editions), default=0) or years[system]
    return years


def conditions(coded: CodedText, subject: str | None = None, **options: Any) -> list[dict[str, Any]]:
    """One Condition for the text and one for each further diagnosis in it; options as for `condition`."""
    further = (one for other in coded.further for one in conditions(other, subject, **options))
    return [condition(coded, subject, **options), *further]


def condition(
    coded: CodedText,
    subject: str | None = None,
    *,
    with_text: bool = False,
    years: Years = YEAR,
    key: str = "",
    date: str | None = None,
    floor: float = 0.0,
) -> dict[str, Any]:
    """One diagnosis as a Condition, without those in `further`. The version of its ICD-10-GM code is the year of its
    `edition`.

    Args:
        subject: a reference such as `Patient/17`.
        with_text: put the diagnosis text in, as `code.text`.
        years: of the editions, where a diagnosis says none, that the codes are from (`years_in_force`).
        key: the secret under which ids are made.
        date: when it was diagnosed, ISO 8601 as far as it is known.
        floor: codes less sure than this are left out, and the note says so.
    """
    coded, left_out = _above(coded, floor)
    if coded.edition is not None:
        years = {**years, CodeSystem.ICD10GM: year_of(coded.edition) or years[CodeSystem.ICD10GM]}
    resource: dict[str, Any] = {
        "resourceType": "Condition",
        "id": _identifier(coded, subject, key),
        "meta": {
            "tag": [{"system": TAG, "code": "software-proposal", "display": "Vorschlag einer Software"}]
        },
    }
    extensions: list[dict[str, Any]] = []
    if coded.icdo_morphology.code is not None:
        morphology = _concept(ICDO3, coded.icdo_morphology, years)
        extensions.append({"url": MORPHOLOGY, "valueCodeableConcept": morphology})
    if date:
        extensions.append({"url": ASSERTED, "valueDateTime": date})
    if extensions:  # FHIR has no empty lists
        resource["extension"] = extensions
    # What is ruled out is no tumour diagnosis, but it was asserted: that it is not there.
    if coded.tumour or coded.certainty == "ausgeschlossen":
        verification, clinical = _STATUS.get(coded.certainty, ("provisional", "active"))
        if clinical:
            resource["clinicalStatus"] = {"coding": [{"system": _CLINICAL, "code": clinical}]}
        resource["verificationStatus"] = {"coding": [{"system": _VERIFICATION, "code": verification}]}
    resource["code"] = _code(coded, with_text, years)
    if coded.tumour:
        resource["bodySite"] = [_site(coded, years)]
    resource["subject"] = {"reference": subject} if subject else {"extension": [_absent("unknown")]}
    reasons = [_NOTE, *left_out]
    if coded.icd10gm.code is None and coded.icd10gm.reason:
        reasons.append(coded.icd10gm.reason)
    resource["note"] = [{"text": " ".join(reasons)}]
    return resource


def _above(coded: CodedText, floor: float) -> tuple[CodedText, list[str]]:
    """The answer without codes below a confidence, and what is to be said of those."""
    low = [
        axis for axis in AXES if coded.coding(axis).code is not None and coded.coding(axis).confidence < floor
    ]
    if not low:
        return coded, []
    names = ", ".join(_ELEMENTS[axis] for axis in low)
    without: dict[str, Any] = {
        axis.value: replace(coded.coding(axis), code=None, title=None, reason=None) for axis in low
    }
    return replace(coded, **without), [f"Zu unsicher für einen Kode: {names}."]


def bundle(
    coded_texts: Iterable[CodedText | Diagnosis], subject: str | None = None, **options: Any
) -> dict[str, Any]:
    """All Conditions as one Bundle in memory, with the options of `condition`; for a file `write_bundle`."""
    entries = list(_entries(coded_texts, subject, **options))
    return {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}


def write_bundle(
    path: Path, coded_texts: Iterable[CodedText | Diagnosis], subject: str | None = None, **options: Any
) -> int:
    """Writes a Bundle as the answers come, with the options of `condition`, and says how many Conditions it holds. A
    `Diagnosis` has a subject and a date of its own.
    The file appears under its name once it is complete."""
    number = 0
    try:
        with new_file(path) as half, half.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write('{"resourceType": "Bundle", "type": "collection"')
            between = ', "entry": [\n'
            for entry in _entries(coded_texts, subject, **options):
                stream.write(between + json.dumps(entry, ensure_ascii=False))
                between = ",\n"
                number += 1
            stream.write("\n]}\n" if number else "}\n")
    except OSError as error:
        if error.filename != str(path):  # the texts come from a file, too
            raise
        raise FhirError(f"{path}: {reason(error)}") from None
    return number


def _entries(
    coded_texts: Iterable[CodedText | Diagnosis], subject: str | None, **options: Any
) -> Iterator[dict[str, Any]]:
    """Entries with a fullUrl each. FHIR wants that to be unique (bdl-7), so a text that stands in the file
    twice is told apart by its row."""
    for row, given in enumerate(coded_texts):
        one = given if isinstance(given, Diagnosis) else Diagnosis(given)
        own = options | ({"date": one.date} if one.date else {})
        for place, resource in enumerate(conditions(one.coded, one.subject or subject, **own)):
            seed = f"{row}\0{place}\0{resource['id']}".encode()
            resource["id"] = _uuid(hashlib.sha256(seed).hexdigest())
            yield {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


def _uuid(digits: str) -> str:
    """The first hexadecimal digits of a hash in the form of a UUID of version 8, which is free for such use."""
    d = digits[:12] + "8" + digits[13:16] + "8" + digits[17:32]
    return f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"


def _identifier(coded: CodedText, subject: str | None, key: str) -> str:
    content = json.dumps([coded.text, coded.span, subject, *(coded.coding(axis).code for axis in AXES)])
    return _uuid(hmac.new(key.encode(), content.encode("utf-8", "surrogatepass"), "sha256").hexdigest())


def _code(coded: CodedText, with_text: bool, years: Years) -> dict[str, Any]:
    concept = _concept(ICD10GM, coded.icd10gm, years, "unknown" if coded.tumour else "not-applicable")
    start, end = coded.span
    # A lone surrogate, from a byte that was no UTF-8, cannot be written in JSON that others read.
    text = coded.text[start:end].encode("utf-8", "replace").decode("utf-8").strip()
    return concept | ({"text": text} if with_text and text else {})


def _site(coded: CodedText, years: Years) -> dict[str, Any]:
    concept = _concept(ICDO3, coded.icdo_topography, years)
    if coded.side in _SIDES:
        code, display = _SIDES[coded.side]
        concept.setdefault("coding", []).append({"system": SIDE, "code": code, "display": display})
    return concept


def _concept(system: str, coding: Coding, years: Years, absent: str = "unknown") -> dict[str, Any]:
    """A CodeableConcept; of an axis without a code, why it has none."""
    if coding.code is None:
        return {"extension": [_absent(absent)]}
    found: dict[str, Any] = {
        "extension": [{"url": CONFIDENCE, "valueDecimal": round(coding.confidence, 4)}],
        "system": system,
        "version": str(years[coding.system]),
        "code": coding.code,
    }
    return {"coding": [found | ({"display": coding.title} if coding.title else {})]}


def _absent(why: str) -> dict[str, Any]:
    return {"url": ABSENT, "valueCode": why}
