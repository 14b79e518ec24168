"""The answer to a document: the patient's tumours, each with its codings, metastases, and where it stands.

document = agent.read(open("brief.txt").read())
document.tumours[0].icd10gm.code, document.tumours[0].certainty        # ('C34.1', 'gesichert')
document.to_dict()                                                      # the JSON object of `onkokode read --json`
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agent.prepare.records import Certainty, Side
from agent.results import Coding, coding_to_dict
from index.records import AXES, CodeSystem


@dataclass(frozen=True, slots=True)
class Fact:
    """What was read where: `kind` is one of `agent.reading.labels.ROLES`, the place counts characters of the document."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CodedMetastasis:
    """A metastasis of a tumour. `facts` are the places that tell it."""

    icd10gm: Coding
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class CodedTumour:
    """One tumour of the patient. `probability` is that of its being one; `certainty` is `gesichert`, `Verdacht` or
    `Zustand nach`."""

    icd10gm: Coding
    icdo_topography: Coding
    icdo_morphology: Coding
    probability: float
    certainty: Certainty
    side: Side | None
    metastases: tuple[CodedMetastasis, ...]
    facts: tuple[Fact, ...]

    def coding(self, system: CodeSystem) -> Coding:
        """The answer on one axis."""
        return getattr(self, system.value)

    def placed(self, moved: Callable[[int, int], tuple[int, int]]) -> CodedTumour:
        """The same with each place moved to where it stands in another form of the text."""

        def facts(of: tuple[Fact, ...]) -> tuple[Fact, ...]:
            return tuple(Fact(one.kind, *moved(one.start, one.end)) for one in of)

        def coding(of: Coding) -> Coding:
            lines = (replace(e, matched=tuple(moved(*span) for span in e.matched)) for e in of.evidence)
            return replace(of, evidence=tuple(lines))

        codings: dict[str, Any] = {axis.value: coding(self.coding(axis)) for axis in AXES}
        return replace(
            self,
            **codings,
            metastases=tuple(CodedMetastasis(one.icd10gm, facts(one.facts)) for one in self.metastases),
            facts=facts(self.facts),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON types; holds catalogue text and no text of the document."""
        return {
            **{axis.value: coding_to_dict(self.coding(axis)) for axis in AXES},
            "probability": round(self.probability, 4),
            "certainty": self.certainty,
            "side": self.side,
            "metastases": [
                {
                    "icd10gm": one.icd10gm.code,
                    "coding": coding_to_dict(one.icd10gm),
                    "facts": _facts(one.facts),
                }
                for one in self.metastases
            ],
            "facts": _facts(self.facts),
        }


@dataclass(frozen=True, slots=True)
class CodedDocument:
    """A document with the tumours that it tells of its patient, in the order in which it names them. `problem` says why
    it could not be read to its end, where it could not; `edition` is as in `CodedText`."""

    text: str
    tumours: tuple[CodedTumour, ...]
    problem: str | None = None
    edition: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `onkokode read --json`."""
        return {
            "tumours": [tumour.to_dict() for tumour in self.tumours],
            "problem": self.problem,
            "edition": self.edition,
        }

    def to_audit(self) -> dict[str, Any]:
        """A record for logs: hash, length and codes, and nothing of the text."""
        return {
            "sha256": hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest(),
            "length": len(self.text),
            "tumours": [
                {
                    **{axis.value: tumour.coding(axis).code for axis in AXES},
                    "metastases": [one.icd10gm.code for one in tumour.metastases],
                }
                for tumour in self.tumours
            ],
        }


def _facts(facts: tuple[Fact, ...]) -> list[dict[str, Any]]:
    return [{"kind": fact.kind, "span": [fact.start, fact.end]} for fact in facts]
