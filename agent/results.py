"""The answer to a text: its three codings, and how sure each is.

coded = agent.code("Invasiv-duktales Mammakarzinom links oben außen, G2")
coded.icd10gm.code, coded.icd10gm.confidence        # ('C50.4', 0.97)
coded.to_dict()                                     # the JSON object of `onkokode code --json`
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

from index.records import CodeSystem


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
    could not be read, where it could not: `tumour` then says nothing, and its probability is 0.5.
    """

    text: str
    tumour: bool
    tumour_probability: float
    certainty: str
    side: str | None
    icd10gm: Coding
    icdo_topography: Coding
    icdo_morphology: Coding
    span: tuple[int, int]
    further: tuple[CodedText, ...] = field(default=())
    problem: str | None = None

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
            **{
                axis: _coding_to_dict(getattr(self, axis))
                for axis in ("icd10gm", "icdo_topography", "icdo_morphology")
            },
            "further": [other.to_dict() for other in self.further],
            "problem": self.problem,
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
                axis: {
                    "code": coding.code,
                    "confidence": round(coding.confidence, 4),
                    "abstained": coding.abstained,
                }
                for axis in ("icd10gm", "icdo_topography", "icdo_morphology")
                for coding in [getattr(self, axis)]
            },
            "further": [other.to_audit() for other in self.further],
        }


def _coding_to_dict(coding: Coding) -> dict[str, Any]:
    return {
        "code": coding.code,
        "title": coding.title,
        "confidence": round(coding.confidence, 4),
        "abstained": coding.abstained,
        "reason": coding.reason,
        "missing": list(coding.missing),
        "alternatives": [
            {"code": a.code, "title": a.title, "confidence": round(a.confidence, 4)}
            for a in coding.alternatives
        ],
        "evidence": [
            {
                "line_id": e.line_id,
                "text": e.text,
                "code": e.code,
                "system": e.system.value,
                "edition": e.edition,
                "source": e.source,
                "matched": [list(span) for span in e.matched],
            }
            for e in coding.evidence
        ],
        "checks": [
            {**asdict(check), "axis": check.axis.value if check.axis else None} for check in coding.checks
        ],
    }
