"""Whole documents written from records, with what is true of each by construction.

    for document in islice(compose_documents(shipped_rules(), seed=1), 1000):
        document.text, document.tumours[0].icd10gm, document.mentions, document.sentences

Two thirds are put together: a frame gives the order of a document, voices give its sentences. A third is written as a
whole by one author. What a document does not say is not in its gold: the codes follow from what was written, by the
crosswalk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from index.records import CrosswalkRule
from training.documents.demands import demand_of
from training.documents.library import Library
from training.documents.records import Record, Status, Wish, draw_record
from training.documents.skeletons import PLACE, Skeleton, Voice, load_moves, load_voices
from training.documents.writer import ComposedDocument, Writer
from training.texts.compose import Composer, Holdout
from training.texts.wrappers import one

_WHOLE = 0.35  # of the documents
# What must be said, the first that can be.
_STATED: dict[Status, tuple[str, ...]] = {
    "past": ("past",),
    "now": ("diagnosis", "histology"),
    "suspected": ("suspicion",),
}
# What a whole document says of a tumour and a record may lack.
_WISHED = frozenset(("nodes", "no_nodes", "metastasis", "no_metastasis", "tnm", "recurrence"))
_BESIDE = ("excluded", "excluded", "family", "differential", "mention", "benign", "screening", "finding")
_BULLETS = ("{n}. ", "{n}) ", "- ", "• ", "", "– ", "* ", "{n}.\t", "#{n} ")
_INDENTS = ("   ", "  - ", "    ", "   • ", " ", "\t")
_UNDER = (
    "tnm",
    "therapy",
    "metastasis",
    "nodes",
    "histology",
    "microscopy",
    "no_metastasis",
    "course",
    "infiltration",
)
_TRIES = 8
_LINE_ENTRY = 110  # characters, as long as an entry of a list is
_MOST_OF_A_MOVE = 3
# Places of a frame behind which no tumour is told any more.
_CLOSING = {"closing", "plan", "medication"}


def compose_documents(
    rules: Sequence[CrosswalkRule],
    *,
    seed: int,
    holdout: Holdout | None = None,
    voices: Sequence[Voice] | None = None,
) -> Iterator[ComposedDocument]:
    """An endless stream of documents, the same for the same seed, tables and voices."""
    composer = Composer(rules, holdout)
    library = Library(voices if voices is not None else load_voices())
    rng = random.Random(f"documents:{seed}")
    while True:
        document = None
        if library.documents and rng.random() < _WHOLE:
            document = _whole(rng, composer, library)
        elif (record := draw_record(rng, composer)) is not None:
            document = _FrameWriter(rng, composer, record, library).written()
        if document is not None:
            yield document


def _whole(rng: random.Random, composer: Composer, library: Library) -> ComposedDocument | None:
    """A document of one author about a patient whom it fits; None where none was found."""
    voice, row = one(rng, library.documents)
    of_tumours = [s for s in row.skeleton.sentences if load_moves()[s.move].of == "tumour"]
    wishes = []
    for number in range(0 if row.status == "none" else max(sentence.number for sentence in of_tumours)):
        told = frozenset(sentence.move for sentence in of_tumours if sentence.number == number + 1)
        stated: Iterator[Status] = (status for status, moves in _STATED.items() if told & set(moves))
        status = next(stated, None) if number else next(s for s in _STATED if s == row.status)
        needs = told & _WISHED - ({"no_metastasis"} if "metastasis" in told else set())
        wishes.append(Wish(status, row.skeleton.fits, needs) if number == 0 else Wish(status, needs=needs))
    for _ in range(_TRIES):
        absent = Wish(fits=row.skeleton.fits) if not wishes and row.skeleton.organs else None
        record = draw_record(rng, composer, wishes, absent)
        if record is None:
            return None
        if demand_of(row.skeleton.text).sex not in (None, record.sex):
            continue
        writer = Writer(rng, composer, record)
        if writer.write(row.skeleton, 0, whole=True):
            return writer.document(voice.kind, voice.name)
    return None


def _places(line: str) -> list[str]:
    return [place.rstrip("?*") for place in PLACE.findall(line)]


class _FrameWriter(Writer):
    """Writes a document in the order of a frame, from the sentences of voices."""

    def __init__(self, rng: random.Random, composer: Composer, record: Record, library: Library) -> None:
        super().__init__(rng, composer, record)
        self.library = library
        self.used: set[int] = set()

    def written(self) -> ComposedDocument | None:
        """The document; None where the record could not be told with these voices."""
        main = self.record.tumours[0] if self.record.tumours else None
        status = main.status if main is not None else "none"
        frames = self.library.frames[status]
        fitting = [
            pair
            for pair in frames
            if (not pair[1].organs or (main and main.topography.startswith(pair[1].organs)))
            and demand_of(pair[1].text).sex in (None, self.record.sex)
        ]
        if not fitting:
            return None
        self.voice, frame = one(self.rng, tuple(fitting))
        lines = frame.text.split("\n")
        # What was not stated by then is stated before the document closes.
        tells = [number for number, line in enumerate(lines) if set(_places(line)) - _CLOSING]
        for number, line in enumerate(lines):
            self._line(line, last=number == len(lines) - 1)
            if number == max(tells, default=len(lines) - 1) and not self._all_stated():
                return None
        return self.document(self.voice.kind, self.voice.name)

    def _all_stated(self) -> bool:
        blank = self.text.endswith("\n")
        said = all(self._state(number) for number in range(len(self.record.tumours)))
        if blank and not self.text.endswith("\n"):
            self.text += "\n"
        return said

    def _line(self, line: str, *, last: bool) -> None:
        """A line of the frame, left out where it has places and none can be filled."""
        before = self.text, len(self.sentences), len(self.mentions)
        filled = False
        pieces = PLACE.split(line)
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                self.text += piece.lstrip(" ") if self.text[-1:] in ("", " ", "\n") and number else piece
            elif self._place(piece):
                filled = True
        if len(pieces) > 1 and not filled:
            self.text = before[0]
            return
        if len(pieces) == 1 and not line.strip() and self.text.endswith("\n\n"):
            return
        if not last:
            self.text += "\n"

    def _place(self, place: str) -> bool:
        """Fills a `<place>`; whether anything was said."""
        rng = self.rng
        name = place.rstrip("?*")
        if place.endswith("?") and rng.random() < 0.5:
            return False
        if name == "list":
            return self._list()
        if name == "further":
            return self._further()
        main = 0 if self.record.tumours else None
        most = _MOST_OF_A_MOVE if place.endswith("*") else 1
        if most > 1 and name != "metastasis":
            most = 1 + int(rng.random() * _MOST_OF_A_MOVE)
        said = 0
        while said < most and self._say(name, main):
            said += 1
        return said > 0

    def _say(
        self, move: str, number: int | None, *, running: bool = True, longest: int | None = None
    ) -> bool:
        """Writes one sentence (or paragraph) of a move about a tumour; False where none fits."""
        rng = self.rng
        tumour = self.record.tumours[number] if number is not None else None
        for _ in range(_TRIES):
            rows = self.library.candidates(rng, self.voice, move, running)
            if not rows:
                return False
            row = one(rng, tuple(rows)) if len(rows) < 40 else rows[int(rng.random() * len(rows))]
            if id(row) in self.used or (longest and len(row.sentences[0].text) > longest):
                continue
            if not all(self.allowed(m, number) for m in row.moves):
                continue
            if self.record.tumours and self._denies(row):
                continue
            if not self.said_of_patient(row):
                continue
            of = (tumour,) if row.speaks_of_patient and tumour is not None else self.record.absent
            # Without a slot, an organ's finding may stand in any document.
            fits = not row.speaks_of_patient and not row.slots & {"X", "S", "O", "side"}
            if (fits or self.fitting(row, of) is not None) and self.write(row, number):
                self.used.add(id(row))
                return True
        return False

    def _denies(self, row: Skeleton) -> bool:
        """Whether a row speaks of a patient who has no tumour at all: "Ein Malignom wurde ausgeschlossen", and what
        tells of a whole specimen that it is harmless."""
        told = set(row.moves)
        if "X" not in row.slots and told & {"excluded", "no_tumour"}:
            return True
        return "benign" in told and len(row.text) > _LINE_ENTRY

    def _list(self) -> bool:
        """The list of diagnoses: tumours with lines under them, other diseases, what is no tumour."""
        rng = self.rng
        bullet, indent = one(rng, _BULLETS), one(rng, _INDENTS)
        entries: list[int | str] = list(range(len(self.record.tumours)))
        others = ["ailment"] * int(rng.triangular(0, 9, 3))
        others += [move for move in ("benign", "family", "excluded", "mention") if rng.random() < 0.14]
        rng.shuffle(others)
        if entries and rng.random() < 0.7:
            entries = [entries[0], *self._mixed([*entries[1:], *others])]
        else:
            entries = self._mixed([*entries, *others])
        written = 0
        for entry in entries:
            before = self.text
            self.text += ("\n" if written else "") + bullet.format(n=written + 1)
            mark = len(self.text)
            if isinstance(entry, str):
                self._say(entry, None, running=False, longest=_LINE_ENTRY)
            else:
                self._state(entry, running=False)
            if len(self.text) == mark:
                self.text = before
                continue
            written += 1
            if isinstance(entry, int):
                for move in rng.sample(_UNDER, k=int(rng.triangular(0, 5, 1.5))):
                    before = self.text
                    self.text += "\n" + indent
                    if not (self.allowed(move, entry) and self._say(move, entry, running=False, longest=160)):
                        self.text = before
        return written > 0

    def _mixed(self, entries: list[int | str]) -> list[int | str]:
        self.rng.shuffle(entries)
        return entries

    def _further(self) -> bool:
        """Other tumours that were not told yet, and what is none of the patient's."""
        said = [self._state(number) for number in range(1, len(self.record.tumours))]
        for move in self.rng.sample(_BESIDE, k=int(self.rng.triangular(0, 4, 1))):
            said.append(self._say(move, None))
        return any(said)

    def _state(self, number: int, *, running: bool = True) -> bool:
        """Says of a tumour what must be said, unless it was: its name, its place, that it is sure, suspected or past."""
        tumour, told = self.record.tumours[number], self.told[number]
        needed = {"name"} | ({"site"} if tumour.site is not None else set())
        for _ in range(4):
            done = told.moves & set(_STATED[tumour.status]) and needed <= told.facts | (
                {"site"} if "organ" in told.facts else set()
            )
            if done:
                return True
            move = (
                _STATED[tumour.status][0]
                if "name" not in told.facts or tumour.status != "now"
                else one(self.rng, _STATED["now"])
            )
            if not self._say(move, number, running=running, longest=None if running else _LINE_ENTRY):
                self._say(move, number)
        return False
