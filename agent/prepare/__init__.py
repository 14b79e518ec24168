"""Turns one German diagnosis text into what the models read; needs no catalogue and no model.

prepare("Z.n. Prostata-Ca, Gleason 3+4=7").diagnoses[0].core        # 'Prostatakarzinom'

pipeline.py       the steps in their order; worker.py: in a process with a limit of time
case.py           a tumour that is told in fields
records.py        what comes out; drafts.py: a diagnosis in the making; leading.py: the one that leads
normalise.py      letters and blanks, offsets kept; casing.py: a text in capitals or small letters throughout
rules/            the vocabulary: tables of words by label, each row with its example; alternatives.py: made fast
known_words.py    the words that the built-in lexicon knows
split.py          several diagnoses; lead_in.py: what stands before one and says nothing of it; mentions.py
focus.py          the clauses of one that speak of the tumour; component.py: what of it is still in situ
operations.py     the organ that an operation tells; measured.py: the place that a measure tells
patterns.py       TNM, grade, dates and codes set aside
context.py        what a statement says about the tumour: certainty, side, whose it is
words.py          words expanded; tidy.py: made a line; abbreviations.py, truncated.py: what short forms mean
"""

from agent.prepare.case import Case, CaseError, prepared_case
from agent.prepare.leading import core_and_wording, core_of, leading
from agent.prepare.records import MAX_CHARACTERS, Prepared, Segment

__all__ = [
    "MAX_CHARACTERS", "Case", "CaseError", "Prepared", "Segment", "core_and_wording", "core_of", "leading", "prepare",
    "prepared_case",
]  # fmt: skip


def prepare(text: str) -> Prepared:
    """`pipeline.prepare`, whose patterns take a third of a second to make: texts are read in a process of their own
    (`worker`), and few others need them."""
    from agent.prepare.pipeline import prepare as run

    return run(text)
