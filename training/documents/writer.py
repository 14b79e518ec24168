"""Sentences are written into a document, and it is noted what they say of whom.

writer = Writer(rng, composer, record)
writer.write(skeleton, 0)          # about the first tumour; False where it has nothing for a slot
writer.document("letter", "letter-urology").tumours
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from training.documents.demands import demand_of, sex_of, sex_of_kin
from training.documents.records import Record, Tumour
from training.documents.skeletons import Skeleton, load_moves
from training.documents.wording import Filled, Filler, Mention, Unfillable
from training.texts.compose import Composer
from training.texts.wrappers import one

CERTAINTY = {"now": "gesichert", "suspected": "Verdacht", "past": "Zustand nach"}
# What may be said of a tumour, by its status; `recurrence` where it has come back.
_OF_STATUS = {
    "now": "complaint lesion suspicion histology microscopy diagnosis subsite infiltration tnm nodes no_nodes metastasis "
    "no_metastasis therapy course plan",
    "suspected": "complaint lesion suspicion subsite infiltration no_metastasis course plan",
    # Its treatment is over, and sentences about one that runs would make it a present one.
    "past": "past no_recurrence tnm no_nodes no_metastasis",
}

SIDES = ("beidseits", "links", "rechts")
# A primary that is said to be unknown, and not only left unsaid.
_UNKNOWN = re.compile(r"unbekannt|unklar|CUP|unknown|nicht gefunden|okkult|nicht nachweisbar", re.IGNORECASE)
# What no carcinoma in situ is or does.
_MASS = re.compile(
    r"Raumforderung|exophyt|infiltr|breitbasig|stenosier|einengend|\{size\}|Metasta", re.IGNORECASE
)
# What is found elsewhere in a patient with a tumour: its side and organ are those of the tumour.
_OF_HIS_ORGANS = ("finding", "benign", "no_tumour")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of a document: its place, its move, and the number of the tumour that it speaks of (None: none of
    the patient's)."""

    start: int
    end: int
    move: str
    tumour: int | None


@dataclass(frozen=True, slots=True)
class Named:
    """A mention in a document, with the number of its tumour (None: nobody's here)."""

    start: int
    end: int
    role: str
    move: str
    tumour: int | None


@dataclass(frozen=True, slots=True)
class GoldTumour:
    """What a document says of one tumour, in the form of `evalsets/documents`."""

    icd10gm: str | None
    icdo_topography: str | None
    icdo_morphology: str
    certainty: str
    side: str | None
    metastases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComposedDocument:
    """A document with its gold. `voice` names the author of its frame."""

    kind: str
    voice: str
    text: str
    tumours: tuple[GoldTumour, ...]
    sentences: tuple[Said, ...]
    mentions: tuple[Named, ...]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def may_say(move: str, tumour: Tumour) -> bool:
    """Whether a move can be said in a document about a tumour."""
    if load_moves()[move].of != "tumour":
        return True
    if move == "recurrence":
        return tumour.relapsed
    if move == "metastasis":
        return tumour.status == "now" and bool(tumour.spread)
    if move in ("no_metastasis", "possible_spread"):
        return not tumour.spread
    if move == "nodes":
        return bool(tumour.nodes)
    if move == "no_nodes":
        return tumour.nodes is False
    return move in _OF_STATUS[tumour.status].split()


@dataclass(slots=True)
class _Told:
    """What a document has said of a tumour so far."""

    facts: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    moves: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)


class Writer:
    """A document in the making, about one record."""

    def __init__(self, rng: random.Random, composer: Composer, record: Record) -> None:
        self.rng, self.composer, self.record = rng, composer, record
        self.filler = Filler(rng, record)
        self.told = [_Told() for _ in record.tumours]
        self.text = ""
        self.sentences: list[Said] = []
        self.mentions: list[Named] = []

    def allowed(self, move: str, number: int | None) -> bool:
        """Whether a move can be said of the tumour with this number (None: of nobody's)."""
        if number is None:
            # Somebody may be ill without a tumour.
            return load_moves()[move].of != "tumour" or move == "complaint"
        tumour = self.record.tumours[number]
        told = move == "metastasis" and all(site in self.filler.told for site in tumour.spread)
        return may_say(move, tumour) and not told

    def fitting(self, row: Skeleton, tumours: Sequence[Tumour], sex: str | None = None) -> Tumour | None:
        """One of the tumours of which the row can be said, at random; of those that this sex can have."""
        fitting = [
            one
            for one in tumours
            if row.fits(one.topography, one.morphology)
            and not (one.morphology.endswith("/2") and _MASS.search(row.text))
            and sex_of(one.topography) in (None, sex or sex_of(one.topography))
        ]
        return fitting[int(self.rng.random() * len(fitting))] if fitting else None

    def said_of_patient(self, row: Skeleton) -> bool:
        """Whether the fixed words of a row can be said of this patient."""
        demand = demand_of(row.text)
        if row.speaks_of_patient:
            # "Kein Tumor mehr nachweisbar" is said of one that was there.
            demand = replace(demand, no_tumour=False)
        return demand.fits(self.record.sex, tuple(tumour.topography for tumour in self.record.tumours))

    def write(self, row: Skeleton, number: int | None, *, whole: bool = False) -> bool:
        """Writes a row about a tumour, nothing where it does not fit. A `whole` document brings its own blanks, and its
        sentences say which tumour they are about."""
        filled: list[tuple[str, int | None, Filled]] = []
        told = set(self.filler.told)
        ruled_out = self._absent(row, self.record.sex)
        try:
            for sentence in row.sentences:
                own = (sentence.number - 1 if self.record.tumours else None) if whole else number
                about = self.record.tumours[own] if own is not None else None
                if load_moves()[sentence.move].of != "tumour":
                    own = None
                    if sentence.move not in _OF_HIS_ORGANS:
                        about = None
                # A relative's tumour is another than the one that was thought of, and one that he or she can have.
                other = whole and sentence.move == "family"
                absent = ruled_out
                if sentence.move == "family":
                    kin = sex_of_kin(sentence.text)
                    absent = self._absent(None if other else row, kin)
                filled.append((sentence.move, own, self.filler.filled(sentence, about, absent)))
        except Unfillable:
            self.filler.told = told
            return False
        for move, own, found in filled:
            if not whole:
                self._end_sentence(found.text)
            lead = len(found.text) - len(found.text.lstrip())
            start = len(self.text) + (lead if whole else 0)
            said = found.text.strip()
            shift = start - lead
            self.text += found.text if whole else said
            if said:
                self.sentences.append(Said(start, start + len(said), move, own))
            for mention in found.mentions:
                self._note(mention.moved(shift), move, own)
            if own is not None:
                self.told[own].moves.add(move)
        return True

    def _end_sentence(self, following: str) -> None:
        """A blank behind what was said on this line, and a full stop where a fragment of a list runs on in a
        paragraph."""
        said = self.text.rstrip(" ")
        if not said or said.endswith("\n"):
            return
        fragment = bool(self.sentences) and self.sentences[-1].end == len(said) and said[-1] not in ".!?:;,"
        if fragment and not following.lstrip()[:1].islower():
            self.text = said + ". "
        elif not self.text[-1].isspace():
            self.text += " "

    def _absent(self, row: Skeleton | None, sex: str | None) -> Tumour:
        """A tumour that the patient has not, of those that fit the row and this sex, as far as there are some."""
        absent = self.record.absent
        free = [one for one in absent if sex is None or sex_of(one.topography) in (None, sex)]
        found = self.fitting(row, absent, sex) or self.fitting(row, absent) if row is not None else None
        return found or one(self.rng, tuple(free) or absent)

    def _note(self, mention: Mention, move: str, number: int | None) -> None:
        self.mentions.append(Named(mention.start, mention.end, mention.role, move, number))
        if number is None or mention.role == "other":
            return
        told = self.told[number]
        for fact in mention.says:
            (told.codes if fact[:1] == "C" and fact[1:2].isdigit() else told.facts).add(fact)
        if mention.role in ("name", "place"):
            words = told.names if mention.role == "name" else told.places
            words.append(self.text[mention.start : mention.end])

    def document(self, kind: str, voice: str) -> ComposedDocument | None:
        """The document; None where it leaves open what some tumour is."""
        gold = tuple(self._gold(number) for number in range(len(self.record.tumours)))
        for tumour, told, found in zip(self.record.tumours, self.told, gold, strict=True):
            if not told.names or (found.icdo_topography is None and tumour.site is not None):
                return None
        return ComposedDocument(
            kind, voice, self.text.rstrip(), gold, tuple(self.sentences), tuple(self.mentions)
        )

    def _gold(self, number: int) -> GoldTumour:
        tumour, told = self.record.tumours[number], self.told[number]
        certainty = CERTAINTY[tumour.status]
        if tumour.nodes and "nodes" in told.moves:
            told.codes.add(tumour.nodes.icd10)
        codes = tuple(sorted(told.codes))
        if tumour.site is None:
            named = tumour.named
            assert named is not None
            return GoldTumour(named.icd10, named.topography, tumour.morphology, certainty, None, codes)
        place = tumour.site if "site" in told.facts else tumour.organ
        topography = place.topography if place is not None else None
        icd10 = topography and self.composer.icd10(topography, tumour.morphology, " ".join(told.names))
        if icd10 == "C80.9" and _UNKNOWN.search(" ".join((*told.names, *told.places))):
            icd10 = "C80.0"
        side = next((side for side in SIDES if f"side:{side}" in told.facts), None)
        return GoldTumour(icd10, topography, tumour.morphology, certainty, side, codes)
