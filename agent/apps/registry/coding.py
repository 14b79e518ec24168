"""Which texts of a tumour the agent is asked, and whose answer counts on which axis.

    for coded in code_tumours(agent, tumours): coded.icd10gm.code, coded.icd10gm.confidence

The fields are asked as one `Case`, so that a semicolon in one of them parts no diagnosis from another. Measured on
thirty messages of our own (tests/registry/own_messages.tsv), right on ICD-10, topography, morphology: 30, 30, 29; with
the place in two parts behind a semicolon 30, 30, 28, where joined texts gave 27, 27, 24. The diagnosis alone gives 7,
11, 2, the histology alone 5, 3, 27.

The histology alone loses what only the organ tells (a papillary carcinoma of the thyroid is 8260/3). So the fields
together count first on every axis; where they leave one open, the diagnosis and then the histology alone do, on
morphology the histology. A place alone is asked only where nothing else is written.

A histology from OP or Verlauf must give a morphology of its own before the joined text counts: behind "kein
Tumornachweis" the diagnosis would otherwise speak again, and code what was not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.apps.registry.records import PRIMARY_SECTIONS, Histology, Tumour
from agent.prepare import Case
from index.records import CodeSystem

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from agent.results import CodedText, Coding

Question = str | Case
# By the year of diagnosis, since an ICD-10-GM code is of a year.
_Answers = dict[int | None, dict[Question, "CodedText"]]
NO_TEXT = "kein Text zum Kodieren"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The agent's answer for one code element. `code` is None where it gave none; `reason` says why, or what
    to know about it; both are German and hold no text of the message."""

    code: str | None
    title: str = ""
    confidence: float = 0.0
    reason: str = ""
    text: str = ""
    edition: str | None = None


@dataclass(frozen=True, slots=True)
class CodedTumour:
    """The proposals of one tumour; `histologies` are in the order of those of the tumour."""

    tumour: Tumour
    icd10gm: Proposal
    topography: Proposal
    morphology: Proposal
    histologies: tuple[Proposal, ...]


def code_tumours(agent: CodingAgent, tumours: Sequence[Tumour]) -> Iterator[CodedTumour]:
    """Codes a batch of tumours; texts that occur twice are coded once."""
    plans = [_Plan(tumour) for tumour in tumours]
    answers: _Answers = defaultdict(dict)
    _ask(agent, ((plan.tumour.year, text) for plan in plans for text in plan.first_texts()), answers)
    # The second choices, only where the first left the axis open.
    open_questions = (
        (plan.tumour.year, text)
        for plan in plans
        for system, question in plan.by_axis()
        if question and answers[plan.tumour.year][question[0]].coding(system).code is None
        for text in question[1:]
    )
    _ask(agent, open_questions, answers)
    for plan in plans:
        yield plan.coded(answers[plan.tumour.year])


class _Plan:
    """The texts to ask for one tumour, per axis and in the order in which they count."""

    def __init__(self, tumour: Tumour) -> None:
        self.tumour = tumour
        main = primary_histology(tumour)
        histology = main.text if main else ""
        if tumour.carried and (main is None or main.section not in PRIMARY_SECTIONS):
            # What another Meldung says of the primary goes before what this one says of an operation or a relapse.
            histology = tumour.histology_elsewhere
        whole = joined(tumour.diagnosis, tumour.place, histology)
        self.place = self.icd = _distinct(whole, tumour.diagnosis, histology)
        self.histologies = [self._for(histology, alone=main is None) for histology in tumour.histologies]
        self.morphology = _distinct(whole, histology)

    def _for(self, histology: Histology, *, alone: bool) -> tuple[Question, ...]:
        if histology.text:
            with_it = joined(self.tumour.diagnosis, self.tumour.place, histology.text)
            return _distinct(with_it, histology.text)
        # Where no histology has a text, that of the diagnosis says what the tumour is.
        if alone and histology.section in PRIMARY_SECTIONS:
            elsewhere = self.tumour.histology_elsewhere
            return _distinct(joined(self.tumour.diagnosis, self.tumour.place, elsewhere), elsewhere)
        return ()

    def by_axis(self) -> Iterator[tuple[CodeSystem, tuple[Question, ...]]]:
        yield CodeSystem.ICD10GM, self.icd
        yield CodeSystem.TOPOGRAPHY, self.place
        yield CodeSystem.MORPHOLOGY, self.morphology
        for question in self.histologies:
            yield CodeSystem.MORPHOLOGY, question

    def first_texts(self) -> Iterator[Question]:
        """What is asked in any case."""
        yield from (question[0] for _, question in self.by_axis() if question)
        yield from (h.text for h in self.tumour.histologies if h.text and h.section not in PRIMARY_SECTIONS)

    def coded(self, answers: dict[Question, CodedText]) -> CodedTumour:
        icd, place, morphology, *histologies = (
            _answer(system, question, answers) for system, question in self.by_axis()
        )
        for number, histology in enumerate(self.tumour.histologies):
            if histology.text and histology.section not in PRIMARY_SECTIONS:
                alone = answers[histology.text].icdo_morphology
                if alone.code is None:
                    histologies[number] = Proposal(None, reason=_why_open(alone), text=histology.text)
        if self.tumour.carried:
            icd, place, morphology, *histologies = map(_carried, (icd, place, morphology, *histologies))
        return CodedTumour(self.tumour, icd, place, morphology, tuple(histologies))


def _carried(proposal: Proposal) -> Proposal:
    if proposal.code is None:
        return proposal
    return replace(
        proposal, reason=f"Mit Text einer anderen Meldung desselben Tumors. {proposal.reason}".strip()
    )


def primary_histology(tumour: Tumour) -> Histology | None:
    """The histology with a text that speaks of the primary tumour, else the first with a text."""
    written = [histology for histology in tumour.histologies if histology.text]
    first = [histology for histology in written if histology.section in PRIMARY_SECTIONS]
    return next(iter(first or written), None)


def joined(diagnosis: str, place: str, histology: str) -> Question:
    """The fields of one tumour, each said once; a text where there is but one. A record that holds a site alone is of a
    tumour all the same."""
    if place and place.casefold() in diagnosis.casefold():
        place = ""
    if histology and histology.casefold() in diagnosis.casefold():
        histology = ""
    case = Case(diagnosis, place, histology)
    if place and case.texts == (place,):
        return Case(site=place, tumour=True)
    return case if len(case.texts) > 1 else case.text


def _distinct(*questions: Question) -> tuple[Question, ...]:
    return tuple(dict.fromkeys(one for one in questions if one))


def _said(question: Question) -> str:
    return ", ".join(question.texts) if isinstance(question, Case) else question


def _ask(agent: CodingAgent, wanted: Iterable[tuple[int | None, Question]], answers: _Answers) -> None:
    new = [(year, text) for year, text in dict.fromkeys(wanted) if text not in answers[year]]
    found = agent.code_many([text for _, text in new], [year for year, _ in new])
    for (year, text), coded in zip(new, found, strict=True):
        answers[year][text] = coded


def _answer(system: CodeSystem, question: Sequence[Question], answers: dict[Question, CodedText]) -> Proposal:
    if not question:
        return Proposal(None, reason=NO_TEXT)
    first = answers[question[0]]
    chosen = next(
        (text for text in question if text in answers and answers[text].coding(system).code is not None), None
    )
    if chosen is None:
        return Proposal(None, reason=_why_open(first.coding(system)), text=_said(question[0]))
    answer = answers[chosen]
    coding = answer.coding(system)
    return Proposal(
        coding.code,
        coding.title or "",
        coding.confidence,
        _hints(answer, coding),
        _said(chosen),
        answer.edition,
    )


def _why_open(coding: Coding) -> str:
    missing = f" Es fehlt: {', '.join(coding.missing)}." if coding.missing else ""
    return f"{coding.reason or 'Der Text bestimmt keinen Kode.'}{missing}"


def _hints(answer: CodedText, coding: Coding) -> str:
    """What a documentation officer should know before taking the code over."""
    hints = [check.message for check in coding.checks if not check.passed]
    if answer.certainty != "gesichert":
        hints.insert(0, f"Sicherheit im Text: {answer.certainty}.")
    if answer.further:
        hints.append("Der Text nennt weitere Diagnosen.")
    return " ".join(hints)
