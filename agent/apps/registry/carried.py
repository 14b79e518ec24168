"""Texts of one tumour that stand in several Meldungen of its patient: the diagnosis in one, the histology in another.

    for meldung in with_carried_texts(read_meldungen(stream)): meldung.tumours[0].histology_elsewhere

What a Meldung says itself counts; only what it leaves out is taken from the patient's others, by Tumor_ID.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

from agent.apps.registry.records import PRIMARY_SECTIONS, Meldung, Tumour

# A patient with more has what is missing looked for in so many at a time.
_AT_A_TIME = 500


def with_carried_texts(meldungen: Iterable[Meldung]) -> Iterator[Meldung]:
    """The Meldungen in their order, their tumours with the texts that others of the patient give."""
    for _, of_patient in groupby(meldungen, key=lambda meldung: meldung.patient):
        while some := list(islice(of_patient, _AT_A_TIME)):
            tumours = [tumour for meldung in some for tumour in meldung.tumours if tumour.tumour_id]
            for meldung in some:
                yield replace(meldung, tumours=tuple(_completed(one, tumours) for one in meldung.tumours))


def _completed(tumour: Tumour, others: Sequence[Tumour]) -> Tumour:
    same = [one for one in others if one.tumour_id == tumour.tumour_id and one is not tumour]
    if not same:
        return tumour
    # OP and Verlauf may speak of a metastasis, or of what was found later.
    own = any(h.text and h.section in PRIMARY_SECTIONS for h in tumour.histologies)
    texts = (h.text for one in same for h in one.histologies if h.text and h.section in PRIMARY_SECTIONS)
    found = replace(
        tumour,
        diagnosis=tumour.diagnosis or next((one.diagnosis for one in same if one.diagnosis), ""),
        place=tumour.place or next((one.place for one in same if one.place), ""),
        histology_elsewhere="" if own else next(texts, ""),
        year=tumour.year or next((one.year for one in same if one.year), None),
    )
    told = (found.diagnosis, found.place) != (tumour.diagnosis, tumour.place) or found.histology_elsewhere
    return replace(found, carried=bool(told))
