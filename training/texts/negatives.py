"""What is no diagnosis of a tumour although it speaks of one: hard negatives for tumour recognition.

    non_tumour_contexts(random.Random(2), "V.a. NSCLC")         # 'kein Anhalt für NSCLC'

A tumour that is denied, feared, screened for or somebody else's, and what is done and found on the same wards.
Nothing here says that the patient has or had the tumour.
"""

from __future__ import annotations

import random

from training.texts import wrappers
from training.texts.tables import PHRASES
from training.texts.wrappers import one


def non_tumour_contexts(rng: random.Random, tumour_text: str) -> str:
    """A hard negative for tumour recognition: the text's tumour negated, feared, screened for or somebody
    else's (two in three), or a procedure or finding of the same wards (one in three). `tumour_text` should
    be a plain term without TNM or therapy (`NSCLC`, `Mammakarzinom links`); a leading `V.a.` is cut."""
    if rng.random() < 0.34:
        text = one(rng, PHRASES["procedures"])
        draw = rng.random()
        if draw < 0.3:
            return f"{text} {1 + int(rng.random() * 12):02d}/{2008 + int(rng.random() * 17)}"
        return f"{one(rng, ('Z.n. ', 'geplant: ', 'Therapie: ', 'Aktuell: '))}{text}" if draw < 0.4 else text
    start = next((len(prefix) for prefix in wrappers.ALL_PREFIXES if tumour_text.startswith(prefix)), 0)
    return one(rng, PHRASES["no tumour"]).format(t=tumour_text[start:] or tumour_text)


def ailment(rng: random.Random, text: str) -> str:
    """A diagnosis that is no tumour as practice and ward write it: with a date, a side, a certainty, in a list.
    One in ten gives way to a finding or a value that is written the same way."""
    if rng.random() < 0.1:
        text = one(rng, PHRASES["ailments"])
    frame = one(rng, PHRASES["other diagnosis"])
    year = 1963 + int(rng.random() * 62)
    return frame.format(
        t=text,
        s=one(rng, PHRASES["secondary diagnoses"]),
        o=one(rng, PHRASES["secondary diagnoses"]),
        m=1 + int(rng.random() * 12),
        y=year if rng.random() < 0.6 else f"{year % 100:02d}",
    )


def still_a_tumour(rng: random.Random, tumour_text: str) -> str:
    """A tumour of the patient with a procedure, a history or an exclusion beside it."""
    return one(rng, PHRASES["still a tumour"]).format(
        t=tumour_text,
        p=one(rng, PHRASES["procedures"]),
        m=1 + int(rng.random() * 12),
        y=1990 + int(rng.random() * 35),
    )


def among_ailments(rng: random.Random, tumour_text: str, others: tuple[str, str]) -> str:
    """A tumour diagnosis in a list of one to two other ailments, at any place: still a tumour."""
    listed = [tumour_text, *others[: 1 + int(rng.random() * 2)]]
    rng.shuffle(listed)
    if rng.random() < 0.2:
        return " ".join(f"{number}. {text}" for number, text in enumerate(listed, start=1))
    return one(rng, (", ", ", ", "; ", "\n", " / ")).join(listed)
