"""Notes of a clinic around one diagnosis: who sent the patient and why, what was done, what else ails, what is planned.

    note = noted(random.Random(3), "Urothelkarzinom der Harnblase, pT1", "C67.9")
    note.text                              # 'TU-Konf: Urothelkarzinom der Harnblase, pT1, BCG-Ind. 4/6, Pat. informiert'
    note.text[note.start:note.end]         # 'Urothelkarzinom der Harnblase, pT1'

`tables/notes.tsv` holds the phrases with the place where they stand and the sites that they fit. None of them names
a tumour, a metastasis or a subsite, so the diagnosis keeps its codes.

Recognition learns from the negatives here, `no_tumour` and `ailment`: a tumour that is denied, feared, screened for or
somebody else's, and what else is done and found on the same wards.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.catalogue.overrides import TableError, table_rows
from training.texts.tables import PHRASES, TABLES
from training.texts.wrappers import ALL_PREFIXES, one

PLACES = ("before", "before_dative", "before_genitive", "after", "other_diagnosis", "sentence")
_COLUMNS = ("place", "organ", "text")
_AFTER_JOINTS = (", ", ", ", ", ", ". ", "; ", " / ", "\n", " - ")
_BEFORE_JOINTS = (". ", ", ", "; ", ": ", " - ", "\n", " / ")
_LIST_JOINTS = ("; ", "\n", " / ", ", ", "\n- ")


@dataclass(frozen=True, slots=True)
class Note:
    """A note's text and the place of the diagnosis in it."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=1)
def _phrases(path: Path = TABLES / "notes.tsv") -> dict[str, dict[str, tuple[str, ...]]]:
    """Phrases by place and three-character site (`*`: any). Raises `TableError` naming file and row."""
    found: dict[str, dict[str, list[str]]] = {place: defaultdict(list) for place in PLACES}
    for where, row in table_rows(path, _COLUMNS):
        if row["place"] not in found:
            raise TableError(f"{where}: the place is {row['place']}, which is none of {', '.join(PLACES)}.")
        for organ in row["organ"].split("|"):
            first, _, last = organ.partition("-")
            sites = [organ] if not last else [f"C{n:02d}" for n in range(int(first[1:]), int(last[1:]) + 1)]
            for site in sites:
                found[row["place"]][site].append(row["text"])
    return {
        place: {site: tuple(texts) for site, texts in by_site.items()} for place, by_site in found.items()
    }


def noted(rng: random.Random, diagnosis: str, topography: str | None) -> Note:
    """The diagnosis as a note holds it: with words before, behind, or as one of a list."""
    before, after = "", ""
    draw = rng.random()
    if draw < 0.22:
        before = f"{_said(rng, 'sentence', topography)} " if rng.random() < 0.4 else ""
        before += f"{_said(rng, 'before', topography)} "
    elif draw < 0.36:
        before = f"{_said(rng, 'before_dative', topography)} "
    elif draw < 0.38 and diagnosis.endswith("om"):
        before, after = f"{_said(rng, 'before_genitive', topography)} ", "s"
    elif draw < 0.5:
        before = f"{_said(rng, 'sentence', topography)} "
    elif draw < 0.66:
        return _listed(rng, diagnosis, topography)
    joint = one(rng, _AFTER_JOINTS)
    for _ in range(one(rng, (1, 1, 2, 2, 3, 4)) if not before or rng.random() < 0.6 else 0):
        after += f"{joint}{_said(rng, 'after', topography)}"
        if rng.random() < 0.3:
            joint = one(rng, _AFTER_JOINTS)
    if rng.random() < 0.2:
        after += f"{'' if after.endswith('.') else '.'} {_said(rng, 'sentence', topography)}"
    return Note(before + diagnosis + after, len(before), len(before) + len(diagnosis))


def bystander(rng: random.Random) -> str:
    """What stands in such notes without a diagnosis of a tumour: one to three phrases of any organ."""
    kinds = one(rng, (("after",), ("sentence",), ("other_diagnosis",), ("after", "after"), ("other_diagnosis", "after"),
                      ("sentence", "sentence"), ("other_diagnosis",) * 3))  # fmt: skip
    texts = [one(rng, one(rng, tuple(_phrases()[kind].values()))) for kind in kinds]
    return one(rng, (", ", ", ", "; ", " ")).join(texts)


def beside(rng: random.Random, diagnosis: str, clause: str) -> str:
    """The diagnosis with a clause that says nothing of it, before or behind."""
    if rng.random() < 0.5:
        return f"{clause}{one(rng, _BEFORE_JOINTS)}{diagnosis}"
    return f"{diagnosis}{one(rng, _AFTER_JOINTS)}{clause}"


def _listed(rng: random.Random, diagnosis: str, topography: str | None) -> Note:
    others = [_said(rng, "other_diagnosis", topography) for _ in range(one(rng, (1, 2, 2, 3, 4)))]
    place = int(rng.random() * (len(others) + 1)) if rng.random() < 0.6 else 0
    items = [*others[:place], diagnosis, *others[place:]]
    joint = one(rng, _LIST_JOINTS)
    numbered = joint != ", " and rng.random() < 0.4
    head = one(
        rng, ("", "", "Diagnosen: ", "Diagnosenliste: ", "Dg.: ", "Dauerdiagnosen: ", "Entlassdiagnosen: ")
    )
    text, start = head, 0
    for number, item in enumerate(items):
        text += (joint if number else "") + (f"{number + 1}. " if numbered else "")
        start = len(text) if number == place else start
        text += item
    return Note(text, start, start + len(diagnosis))


def _said(rng: random.Random, place: str, topography: str | None) -> str:
    """A phrase that fits the site; two of five are the organ's own where it has some."""
    by_site = _phrases()[place]
    own = by_site.get((topography or "")[:3])
    return one(rng, own if own and rng.random() < 0.4 else by_site["*"])


def no_tumour(rng: random.Random, tumour_text: str) -> str:
    """A hard negative for tumour recognition: the text's tumour negated, feared, screened for or somebody
    else's (two in three), or a procedure or finding of the same wards (one in three). `tumour_text` should
    be a plain term without TNM or therapy (`NSCLC`, `Mammakarzinom links`); a leading `V.a.` is cut."""
    if rng.random() < 0.34:
        text = one(rng, PHRASES["procedures"])
        draw = rng.random()
        if draw < 0.3:
            return f"{text} {1 + int(rng.random() * 12):02d}/{2008 + int(rng.random() * 17)}"
        return f"{one(rng, ('Z.n. ', 'geplant: ', 'Therapie: ', 'Aktuell: '))}{text}" if draw < 0.4 else text
    start = next((len(prefix) for prefix in ALL_PREFIXES if tumour_text.startswith(prefix)), 0)
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
