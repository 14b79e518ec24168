"""A code of the message against the proposal.

    verdict(CodeSystem.ICD10GM, "C34.9", "C34.1")         # Verdict.PROPOSAL_FINER

ICD-10 and topography: with the same first three characters, the finer is the one that goes on where the other
ends, or that names a place where the other says ".9", not specified. Morphology: with the same four digits, the
one that has a behaviour where the other has none. All else that differs contradicts.
"""

from __future__ import annotations

import re
from enum import StrEnum

from index.records import CODE_FORMS, CodeSystem


class Verdict(StrEnum):
    """How message and proposal stand to each other, in the words of the report."""

    AGREE = "stimmt überein"
    PROPOSAL_FINER = "Vorschlag genauer"
    MESSAGE_FINER = "Meldung genauer"
    CONTRADICT = "widerspricht"
    ONLY_MESSAGE = "nur in Meldung"
    ONLY_PROPOSED = "nur vorgeschlagen"
    NEITHER = "weder noch"
    NO_CODE = "kein Kode"
    NOT_COMPARED = "nicht verglichen"


class Edition(StrEnum):
    """Whose ICD-10 a code of a message is of."""

    GM = "GM"
    WHO = "WHO"
    OTHER = "Sonstige"


def edition_of(version: str) -> Edition:
    """What the version text beside an ICD code says: `10 2026 GM`, `10 2019 WHO`, `Sonstige`; GM where it says nothing."""
    return Edition.OTHER if version == "Sonstige" else Edition.WHO if version.endswith(" WHO") else Edition.GM


_WHO_DIGITS = len("C34.1")
# A message may leave the behaviour out.
_FORMS = {**CODE_FORMS, CodeSystem.MORPHOLOGY: re.compile(r"\d{4}(?:/\d)?")}
# Marks that ICD-10-GM prints at a code, and the open end of a category (`C34.-`).
_MARKS = re.compile(r"[-+*!#]+$")


def as_code(system: CodeSystem, written: str) -> str | None:
    """What an element says, as a code; None where it says something else, which may then be anybody's name."""
    code = _MARKS.sub("", written.strip().upper()).rstrip(".")
    if system is CodeSystem.MORPHOLOGY:
        code = code.removeprefix("M").replace("-", "").strip()
    return code if _FORMS[system].fullmatch(code) else None


def verdict(system: CodeSystem, written: str, proposed: str | None, edition: Edition = Edition.GM) -> Verdict:
    """`written` is the content of the element, "" where it is empty or missing; `edition` is what the version beside it
    says that it is of."""
    if not written:
        return Verdict.ONLY_PROPOSED if proposed else Verdict.NEITHER
    code = as_code(system, written)
    if code is None:
        return Verdict.NO_CODE
    if proposed is None:
        return Verdict.ONLY_MESSAGE
    if system is CodeSystem.ICD10GM and edition is not Edition.GM:
        if edition is Edition.OTHER:
            return Verdict.NOT_COMPARED
        # Of the WHO's codes the German ones are subdivisions.
        proposed = proposed[:_WHO_DIGITS]
    if code == proposed:
        return Verdict.AGREE
    if finer(system, proposed, code):
        return Verdict.PROPOSAL_FINER
    if finer(system, code, proposed):
        return Verdict.MESSAGE_FINER
    return Verdict.CONTRADICT


def finer(system: CodeSystem, one: str, other: str) -> bool:
    """Whether `one` says the same as `other` and more."""
    if system is CodeSystem.MORPHOLOGY:
        return one[:4] == other[:4] and len(one) > len(other)
    if one[:3] != other[:3]:
        return False
    if one.startswith(other) and len(one) > len(other):
        return True
    return other[3:] == ".9" and one[3:] not in ("", ".9")
