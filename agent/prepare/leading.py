"""Which diagnosis a text is coded by: the one rule of the agent's answer, of the ablation and of the training data.

diagnoses = prepare(text).diagnoses
diagnoses[leading(text, diagnoses)].core
core_of("Z.n. Mamma-Ca 2011, jetzt Rektum-Ca")         # 'Rektumkarzinom'
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.prepare.context import names_definite_tumour, names_tumour
from agent.prepare.records import Segment
from agent.prepare.rules import pattern


def leading(text: str, diagnoses: Sequence[Segment], tumours: Sequence[bool] | None = None) -> int:
    """The number of the leading one of a text's diagnoses, of which there is at least one: the first tumour that a
    word names; one of today before one of the past, where the text says so; the first diagnosis where none is a tumour.

    `tumours` says which diagnoses are tumours; without it, their words do.
    """
    if tumours is None:
        tumours = [
            not one.denied and (names_definite_tumour(one.core) or names_tumour(one.core))
            for one in diagnoses
        ]
    among = [number for number, tumour in enumerate(tumours) if tumour]
    named = [number for number in among if names_definite_tumour(diagnoses[number].core)] or among or [0]
    if diagnoses[named[0]].certainty == "Zustand nach":
        for number in named[1:]:
            if diagnoses[number].metastasis_context != "metastasis" and _is_of_today(text, diagnoses[number]):
                return number
    return named[0]


def core_of(text: str) -> str:
    """The core of a text's leading diagnosis, or the text itself where there is none."""
    return core_and_wording(text)[0]


def core_and_wording(text: str) -> tuple[str, str]:
    """The core of a text's leading diagnosis and the stretch that it was made from; without one both are the text."""
    from agent.prepare.pipeline import prepare

    diagnoses = prepare(text).diagnoses
    if not diagnoses:
        return text, text
    found = diagnoses[leading(text, diagnoses)]
    return found.core or text, text[slice(*found.span)]


def _is_of_today(text: str, diagnosis: Segment) -> bool:
    first = diagnosis.span[0]
    word = diagnosis.words[0][1] if diagnosis.words else first
    return pattern("today").search(text[max(0, first - 8) : word + 8]) is not None
