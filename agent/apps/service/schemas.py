"""The requests and answers of the API, for validation and for the description at /docs.

CodeRequest(text="Mamma-Ca li. oben außen")

Requests are validated with these models. Answers are `CodedText.to_dict()` as it is: the models describe them,
and the tests hold the one against the other. Where an answer repeats a record of the
library, that is its model.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from agent import prepare
from agent.prepare import MAX_CHARACTERS
from agent.reading.graph import MAX_CHARACTERS as MAX_DOCUMENT
from agent.reading.labels import ROLES
from agent.results import Check, Evidence
from index.dates import DateError, year_of
from index.records import CodeSystem, CrosswalkRule

_TEXT = "Kleinzelliges Bronchial-Ca li. Oberlappen, extensive disease"
_CASE: dict[str, JsonValue] = {"diagnosis": "Mamma-Ca", "site": "oben außen", "histology": "NST", "side": "L"}
_DOCUMENT = (
    "Sehr geehrte Kollegin,\nbei der Patientin besteht ein Mammakarzinom links im oberen äußeren Quadranten. "
    "Die Stanzbiopsie zeigte ein invasives lobuläres Karzinom. Im CT Metastasen der Leber."
)

Text = Annotated[
    str,
    Field(
        max_length=MAX_CHARACTERS,
        description="A German diagnosis text, as it stands in the record. It is not stored and not logged.",
    ),
]


def _readable(date: str | None) -> str | None:
    try:
        year_of(date)
    except DateError:
        raise PydanticCustomError("date", "is no date") from None
    return date


WrittenDate = Annotated[
    str | None,
    Field(
        max_length=30,
        description="When it was diagnosed, a date or a year: ICD-10-GM codes are those of that year, without one of "
        "the current year.",
        examples=["2026-03-01"],
    ),
    AfterValidator(_readable),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Offsets = Annotated[
    list[int], Field(min_length=2, max_length=2, description="Start and end, as offsets into the text.")
]


class Case(BaseModel):
    """One tumour in fields, as a registry or a tumour documentation has it; each may be empty."""

    # A field that is misspelt would be lost.
    model_config = ConfigDict(extra="forbid")

    diagnosis: Text = ""
    site: Text = ""
    histology: Text = ""
    side: Literal["", "links", "rechts", "beidseits", "L", "R", "B", "M", "U", "T"] = Field(
        "", description="A word, or the letter of oBDS."
    )
    behaviour: Literal["", "0", "1", "2", "3", "6", "9"] = Field("", description="A digit of ICD-O-3.")
    tumour: bool | None = Field(None, description="Whether it is a tumour, where that is known.")
    date: WrittenDate = None

    def as_asked(self) -> prepare.Case:
        """What the agent takes."""
        return prepare.Case(**self.model_dump(exclude={"date"}))


class ExplainRequest(BaseModel):
    """One text."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": _TEXT}]})

    text: Text


class CodeRequest(BaseModel):
    """One text, or one tumour in fields."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": _TEXT}, {"case": _CASE}]})

    text: Text | None = None
    case: Case | None = None
    date: WrittenDate = None

    @model_validator(mode="after")
    def _one(self) -> CodeRequest:
        _exactly_one(self.text, self.case)
        return self

    def asked(self) -> str | prepare.Case:
        """What the agent takes."""
        return self.case.as_asked() if self.case is not None else self.text or ""

    def dated(self) -> str | None:
        """When it was diagnosed."""
        return (self.case.date if self.case is not None else None) or self.date


class CodeManyRequest(BaseModel):
    """Several texts, or several tumours in fields; the answers come in the same order."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"texts": [_TEXT, "Z.n. Prostata-Ca"]}, {"cases": [_CASE]}]}
    )

    texts: Annotated[list[Text], Field(description="Their number is limited, see /info.")] | None = None
    cases: Annotated[list[Case], Field(description="Limited as texts are.")] | None = None
    date: WrittenDate = None

    @model_validator(mode="after")
    def _one(self) -> CodeManyRequest:
        _exactly_one(self.texts, self.cases)
        return self

    def asked(self) -> list[str | prepare.Case]:
        """What the agent takes."""
        return [case.as_asked() for case in self.cases or ()] or list(self.texts or ())

    def dated(self) -> list[str | None]:
        """When each was diagnosed."""
        own = [case.date for case in self.cases or ()] or [None] * len(self.texts or ())
        return [date or self.date for date in own]


class ReadRequest(BaseModel):
    """A whole document."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"document": _DOCUMENT}]})

    document: Annotated[
        str,
        Field(max_length=MAX_DOCUMENT, description="A patient's document. It is not stored and not logged."),
    ]
    date: WrittenDate = None


def _exactly_one(*given: object) -> None:
    if sum(one is not None for one in given) != 1:
        raise PydanticCustomError("exactly_one", "takes a text or a case")


class Alternative(BaseModel):
    """A ranked code beside the chosen one."""

    code: str
    title: str
    confidence: Probability


class Coding(BaseModel):
    """The answer on one axis."""

    code: str | None = Field(description="Null where the axis abstained.", examples=["C34.1"])
    title: str | None
    confidence: Probability
    abstained: bool
    reason: str | None = Field(description="Why the axis abstained, in German.")
    missing: list[str] = Field(description="What the text would have to name.")
    alternatives: list[Alternative]
    evidence: list[Evidence]
    checks: list[Check]


class Coded(BaseModel):
    """A diagnosis text with its codings: a proposal for a person who codes."""

    tumour: bool
    tumour_probability: Probability
    certainty: Literal["gesichert", "Verdacht", "Zustand nach", "ausgeschlossen"]
    side: Literal["links", "rechts", "beidseits"] | None
    span: Offsets
    icd10gm: Coding
    icdo_topography: Coding
    icdo_morphology: Coding
    further: list[Coded] = Field(description="More tumour diagnoses of the same text.")
    problem: str | None = Field(description="Why the text could not be read, in German; else null.")
    edition: str | None = Field(description="Of the ICD-10-GM codes.", examples=["icd10gm-2026"])


class CodedMany(BaseModel):
    """One answer per text, in the order of the texts."""

    results: list[Coded]


class Fact(BaseModel):
    """What was read where."""

    kind: Literal[*ROLES]  # type: ignore[valid-type]
    span: Offsets


class Metastasis(BaseModel):
    """A metastasis of a tumour."""

    icd10gm: str | None
    coding: Coding
    facts: list[Fact]


class Tumour(BaseModel):
    """A tumour of the patient: a proposal for a person who codes."""

    icd10gm: Coding
    icdo_topography: Coding
    icdo_morphology: Coding
    probability: Probability
    certainty: Literal["gesichert", "Verdacht", "Zustand nach", "ausgeschlossen"]
    side: Literal["links", "rechts", "beidseits"] | None
    metastases: list[Metastasis]
    facts: list[Fact]


class ReadDocument(BaseModel):
    """The tumours that a document tells of its patient, in the order in which it names them."""

    tumours: list[Tumour]
    problem: str | None = Field(description="Why it could not be read to its end, in German; else null.")
    edition: str | None = Field(description="Of the ICD-10-GM codes.", examples=["icd10gm-2026"])


class Step(BaseModel):
    """A step of the agent and what it found."""

    step: Literal["prepare", "recognise", "retrieve", "choose", "reconcile", "check"]
    found: dict[str, Any] = Field(description="Codes and numbers; no text.")


class Explained(BaseModel):
    """A coding, and the steps that led to it."""

    result: Coded
    steps: list[Step]


class FoundCode(BaseModel):
    """A code that fits a search."""

    code: str
    title: str
    edition: str
    codable: bool = Field(description="Terminal, and allowed as a primary code.")


class FoundCodes(BaseModel):
    """Codes that fit a search, those whose code or title fits first."""

    system: CodeSystem
    codes: list[FoundCode]
    more: bool = Field(description="Whether the limit left out further codes.")


class Line(BaseModel):
    """A catalogue line."""

    line_id: str
    text: str
    kind: str


class ExplainedCode(BaseModel):
    """All that the catalogues here say about a code."""

    code: str
    system: CodeSystem
    title: str
    edition: str | None
    parent: str | None
    terminal: bool | None = Field(description="Null where the edition in force does not have the code.")
    codable: bool
    sex: str | None
    age: list[float | None] | None
    lines: dict[str, list[Line]] = Field(description="Lines that speak for the code, by edition.")
    exclusions: list[Line]
    notes: list[Line]
    crosswalk: list[CrosswalkRule]


class Health(BaseModel):
    """Whether the service works, or takes requests."""

    status: Literal["alive", "ready", "starting", "stopping"]


class Limits(BaseModel):
    """What the service takes."""

    text_characters: int
    document_characters: int
    texts_per_request: int
    body_bytes: int
    queued_texts: int
    queued_characters: int
    jobs: int = Field(description="Tables that are held at a time; 0 where none are taken.")
    job_bytes: int = Field(description="Of a table.")
    job_hours: float = Field(description="How long the result of a job is kept.")


class Info(BaseModel):
    """Versions, models, catalogue editions with their files' hashes, and limits."""

    model_config = ConfigDict(extra="allow")

    onkokode: str = Field(description="Onkokode's version.")
    model: str
    adapter: str
    encoder: str
    encoder_fingerprint: str
    editions: dict[str, dict[str, Any]]
    codes: dict[str, int] = Field(description="Codes that an answer may have, per axis.")
    lines: int = Field(description="Catalogue lines that are searched.")
    limits: Limits


class Problem(BaseModel):
    """What is wrong, and where; never what was sent."""

    where: str = Field(examples=["body.texts.3"])
    problem: str


class Error(BaseModel):
    """Why a request was not answered."""

    code: str = Field(examples=["queue_full"])
    message: str
    details: list[Problem]


class ErrorAnswer(BaseModel):
    """The form of all error answers."""

    error: Error
