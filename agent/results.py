"""The answer to a text: its three codings, and how sure each is.

coded = agent.code("Invasiv-duktales Mammakarzinom links oben außen, G2")
coded.icd10gm.code, coded.icd10gm.confidence        # ('C50.4', 0.97)
coded.to_dict()                                     # the JSON object of `onkokode code --json`
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from index.records import AXES, CodeSystem

if TYPE_CHECKING:
    from agent.prepare.records import Certainty, Side

AXIS_NAMES = {
    CodeSystem.ICD10GM: "ICD-10-GM",
    CodeSystem.TOPOGRAPHY: "Topographie",
    CodeSystem.MORPHOLOGY: "Morphologie",
}  # for people
_AUDITED = ("code", "confidence", "abstained")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A catalogue line that speaks for a code. `matched` holds the words of the diagnosis text that it
    shares, as (start, end) offsets into the original text."""

    line_id: str
    text: str
    code: str
    system: CodeSystem
    edition: str
    source: str
    matched: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check of a coding. `number` is stable (`K03`), `message` is German and written for a
    documentation officer; `passed` is false where the coding deserves a look. `axis` is that whose code is checked,
    None where it is checked against another axis, or the text as a whole."""

    number: str
    passed: bool
    message: str
    axis: CodeSystem | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A ranked code beside the chosen one; `confidence` is the calibrated probability that it is right."""

    code: str
    title: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Coding:
    """The answer on one axis. Where `abstained`, `code` and `title` are None, `reason` says why in German
    and `missing` what the text would have to name; `alternatives` is ranked and filled all the same."""

    system: CodeSystem
    code: str | None
    title: str | None
    confidence: float
    abstained: bool = False
    reason: str | None = None
    missing: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class CodedText:
    """A diagnosis text with its codings.

    `certainty` is `gesichert`, `Verdacht`, `Zustand nach` or `ausgeschlossen`; `side` is `links`,
    `rechts`, `beidseits` or None. `span` is the part of the text that these codings speak of, as offsets
    into `text`. `further` holds other diagnoses of the same text, in the same form. `problem` says why the text
    could not be read, where it could not: `tumour` then says nothing, and its probability is 0.5. `edition` is that of
    the ICD-10-GM codes (`icd10gm-2026`), None for those of the catalogue as the graph gives them.
    """

    text: str
    tumour: bool
    tumour_probability: float
    certainty: Certainty
    side: Side | None
    icd10gm: Coding
    icdo_topography: Coding
    icdo_morphology: Coding
    span: tuple[int, int]
    further: tuple[CodedText, ...] = field(default=())
    problem: str | None = None
    edition: str | None = None

    def coding(self, system: CodeSystem) -> Coding:
        """The answer on one axis."""
        return getattr(self, system.value)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `onkokode code --json`. It holds catalogue text, not the diagnosis text."""
        return {
            "tumour": self.tumour,
            "tumour_probability": round(self.tumour_probability, 4),
            "certainty": self.certainty,
            "side": self.side,
            "span": list(self.span),
            **{axis.value: coding_to_dict(self.coding(axis)) for axis in AXES},
            "further": [other.to_dict() for other in self.further],
            "problem": self.problem,
            "edition": self.edition,
        }

    def to_fhir(self, subject: str | None = None, **options: Any) -> dict[str, Any]:
        """A FHIR R4 Condition for this diagnosis; options and `further` as in `agent.apps.fhir.bundle`."""
        from agent.apps.fhir.bundle import condition

        return condition(self, subject, **options)

    def to_audit(self) -> dict[str, Any]:
        """A record for logs: hash, length and codes, and nothing of the text."""
        return {
            "sha256": hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest(),
            "length": len(self.text),
            "tumour": self.tumour,
            **{
                axis.value: {name: _plain(getattr(self.coding(axis), name)) for name in _AUDITED}
                for axis in AXES
            },
            "further": [other.to_audit() for other in self.further],
        }


def coding_to_dict(coding: Coding) -> dict[str, Any]:
    """A coding in JSON types; its system is the key that it stands under."""
    return {name: value for name, value in _plain(coding).items() if name != "system"}


def _plain(value: Any) -> Any:
    """A record of this module in JSON types, its numbers with four decimals."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return list(map(_plain, value))
    if isinstance(value, CodeSystem):
        return value.value
    return round(value, 4) if isinstance(value, float) else value
