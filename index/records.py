"""The records that every other module speaks in: code systems, codes, catalogue lines, candidates.

line = CatalogueLine("alphabet-2023:17", "C50.9", "Mammakarzinom", "synonym",
                     CodeSystem.ICD10GM, "alphabet-2023", "icd10gm2023.txt")
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class CodeSystem(StrEnum):
    """The classifications that Onkokode knows; the first three are the axes that a text is coded on."""

    ICD10GM = "icd10gm"
    TOPOGRAPHY = "icdo_topography"
    MORPHOLOGY = "icdo_morphology"
    OPS = "ops"


# How a code is written, without marks.
CODE_FORMS = {
    CodeSystem.ICD10GM: re.compile(r"[A-Z]\d\d(?:\.\d{1,2})?"),
    CodeSystem.TOPOGRAPHY: re.compile(r"C\d\d(?:\.\d)?"),
    CodeSystem.MORPHOLOGY: re.compile(r"\d{4}/\d"),
    CodeSystem.OPS: re.compile(r"\d-\d[0-9a-z]{1,2}(?:\.[0-9a-z]{1,3})?"),
}
AXES: tuple[CodeSystem, ...] = (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY)


@dataclass(frozen=True, slots=True)
class CatalogueLine:
    """One line of a catalogue: a German text and the code that the catalogue gives it.

    `line_id` is unique over all editions (`<edition>:<number or Alpha-ID>`). `kind` is one of `title`,
    `synonym`, `abbreviation`, `inclusion`, `exclusion`. `code` is written as the catalogue prints it
    without marks (`C34.1`, `8140/3`, `5-870.a0`); dagger, star and exclamation marks are dropped.
    """

    line_id: str
    code: str
    text: str
    kind: str
    system: CodeSystem
    edition: str
    source: str

    @property
    def speaks(self) -> bool:
        """Whether the text names the code; exclusions and notes say what it is not, or how to code."""
        return self.kind not in ("exclusion", "note")


@dataclass(frozen=True, slots=True)
class Code:
    """One code of one system in one edition.

    `terminal` is true where the code may be given to a case (no finer code exists). `sex` is `M`, `W`
    or None, `age` a (low, high) pair in years with None for an open end; `valid` is false for codes
    that the edition lists but does not allow as a primary code (star and exclamation-mark codes).
    """

    code: str
    title: str
    system: CodeSystem
    edition: str
    parent: str | None = None
    terminal: bool = True
    valid: bool = True
    sex: str | None = None
    age: tuple[float | None, float | None] | None = None


def code_above(code: str) -> str | None:
    """`C90.00` -> `C90.0` -> `C90` -> None."""
    return code[:-1].rstrip(".") if len(code) > 3 else None


@dataclass(frozen=True, slots=True)
class CrosswalkRule:
    """One rule of the registry's ICD-O-3 to ICD-10 crosswalk.

    `topography` is a regular expression over topography codes, `morphologies` inclusive ranges of
    four-digit histologies, `behaviour` the digit after the slash, `icd10` the code (or a pattern such
    as `C*`), `default` whether it is the usual choice.
    """

    topography: str
    morphologies: tuple[tuple[int, int], ...]
    behaviour: str
    icd10: str
    default: bool

    def covers(self, histology: int, behaviour: str) -> bool:
        """Whether the rule is about a morphology, whatever its topography."""
        return self.behaviour.lstrip("/") == behaviour and any(
            low <= histology <= high for low, high in self.morphologies
        )


@dataclass(frozen=True, slots=True)
class Match:
    """A catalogue line that speaks for a code, with its similarity to the query (cosine, -1 to 1)."""

    line: CatalogueLine
    similarity: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A code that a text may have, with its retrieval score and its best catalogue lines.

    `score` is the log of the share that the code holds of the retrieval distribution over all codes of
    its axis (0 = certain). `exact` is true where a catalogue line equals the text after normalisation.
    `matches` is ranked, best first; it may be empty on a machine whose catalogue lacks lines for a code.
    """

    code: str
    system: CodeSystem
    score: float
    exact: bool = False
    matches: tuple[Match, ...] = ()
