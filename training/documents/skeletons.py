"""The sentences, lines and frames that composed documents are made of; the newcomer's entry to `training/documents/`.

    voices = load_voices()
    voices[0].skeletons[0].text            # 'Die CT zeigt eine {size} messende Raumforderung {S:im}.'
    faults_of(Path("letter-x.tsv"))          # what `onkokode train voices FILE...` prints

A *skeleton* says one thing, its *move* (`moves.tsv`), about one tumour or none; slots hold the words that change. A
*paragraph* is several sentences in a row, each marked with its move: `[lesion] Die CT … [histology] Die PE …`. A
*frame* is the order of a whole document: `<move>` places, headings, line breaks (`\\n`). AUTHORS.md explains how to
write them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.catalogue.overrides import TableError, table_rows

HERE = Path(__file__).parent
VOICES = HERE / "voices"
COLUMNS = ("move", "organs", "histologies", "text")
KINDS = ("letter", "list", "pathology", "board", "imaging", "endoscopy", "operation", "aftercare", "practice")
# What a frame is for: the main tumour is there, only suspected, a former one; or the document has none.
STATUSES = ("now", "suspected", "past", "none")
FRAMES = {f"frame:{status}": status for status in STATUSES}
# A whole document by one author, with everything that its tumours need.
WHOLE = {f"document:{status}": status for status in STATUSES}
PARAGRAPH = "paragraph"
_ARTICLES = ("", "ein", "einen", "einem", "eines", "das", "den", "dem", "des", "dat", "acc")
# The slots, each with its forms; the first is what a bare `{T}` gives.
SLOTS: dict[str, tuple[str, ...]] = {
    "T": _ARTICLES, "H": _ARTICLES, "X": _ARTICLES,
    "S": ("", "im", "des"), "O": ("", "im", "des"), "MS": ("", "im", "des", "adj"), "M": ("", "dat", "acc"), "N": ("", "im"),
    "side": ("", "adj", "seitig", "other"),
    **dict.fromkeys(("size", "mm", "grade", "markers", "tnm", "stage", "date", "month", "year", "past", "age", "count",
                     "weeks", "pos", "total", "percent"), ("",)),
}  # fmt: skip
# Slots that any move may use: they say nothing of a tumour.
_FREE = frozenset(("size", "mm", "date", "month", "year", "age", "count", "weeks", "percent", "pos", "total"))
SLOT = re.compile(r"\{([^{}]*)\}")
_MARK = re.compile(r"\[([a-z_]+)(?:#([123]))?\] ?")
PLACE = re.compile(r"<([^<>]*)>")
# Places of a frame that are no move: all tumours and ailments as a list; what is told of others and other tumours.
PLACES = ("list", "further")
_ORGAN = re.compile(r"\*|C\d\d(?:\.\d)?")
_HISTOLOGY = re.compile(r"\d{2,4}")
_NAMED = {"suspicion": "TH", "histology": "TH", "diagnosis": "TH", "past": "TH"}
_STATING = {"now": ("histology", "diagnosis"), "suspected": ("suspicion",), "past": ("past",)}
_LONGEST = 900
_SMALL = re.compile(r"\b[a-zäöüß]{3,}\b")


class SkeletonError(TableError):
    """A row of an author's file that cannot be used; the message names file, row and remedy."""


@dataclass(frozen=True, slots=True)
class Move:
    """One row of `moves.tsv`: of whom a sentence speaks (`tumour`, `other`, `nobody`) and the slots it may use."""

    name: str
    of: str
    slots: frozenset[str]
    says: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of text with slots, and what it does; `number` is that of the tumour, in a whole document with
    several."""

    move: str
    text: str
    number: int = 1

    @property
    def slots(self) -> tuple[tuple[str, str], ...]:
        """(slot, form) in order."""
        return tuple(parted(slot) for slot in SLOT.findall(self.text))

    @property
    def runs(self) -> bool:
        """Whether it is a sentence, not an entry of a list: some words of it are written small."""
        return len(_SMALL.findall(SLOT.sub(" ", self.text))) > 2


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One or more sentences that are written together. `organs` and `histologies` are prefixes of topography and
    morphology codes that it fits; empty: all."""

    sentences: tuple[Sentence, ...]
    organs: tuple[str, ...]
    histologies: tuple[str, ...]

    @property
    def moves(self) -> tuple[str, ...]:
        return tuple(sentence.move for sentence in self.sentences)

    @property
    def slots(self) -> frozenset[str]:
        return frozenset(name for sentence in self.sentences for name, _ in sentence.slots)

    @property
    def text(self) -> str:
        """All of its words and slots."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def speaks_of_patient(self) -> bool:
        """Whether a sentence of it speaks of a tumour that the patient has, may have or had."""
        return any(load_moves()[move].of == "tumour" for move in self.moves)

    def fits(self, topography: str, morphology: str) -> bool:
        """Whether it can be said of a tumour with these codes (`C34.1`, `8140/3`)."""
        return (not self.organs or topography.startswith(self.organs)) and (
            not self.histologies or morphology.startswith(self.histologies)
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """The order of a document: literal text with `<move>` places. `status` is one of `STATUSES`."""

    status: str
    text: str
    organs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole document: `status` is that of its first tumour, the sentences keep their blanks and line breaks."""

    status: str
    skeleton: Skeleton


@dataclass(frozen=True, slots=True)
class Voice:
    """One author's file, `<kind>-<name>.tsv`."""

    name: str
    kind: str
    skeletons: tuple[Skeleton, ...]
    frames: tuple[Frame, ...]
    documents: tuple[Whole, ...] = ()


@lru_cache(maxsize=1)
def load_moves(path: Path = HERE / "moves.tsv") -> dict[str, Move]:
    """The moves by name. Raises `TableError` naming file and row."""
    return {
        row["move"]: Move(row["move"], row["of"], frozenset(row["slots"].split()), row["says"])
        for _, row in table_rows(path, ("move", "of", "slots", "says"))
    }


def load_voices(folder: Path = VOICES) -> tuple[Voice, ...]:
    """All voices. Raises `SkeletonError` for the first row that cannot be used."""
    return tuple(map(load_voice, sorted(folder.glob("*.tsv"))))


def load_voice(path: Path) -> Voice:
    """One author's file. Raises `SkeletonError` for the first row that cannot be used."""
    kind, _, name = path.stem.partition("-")
    if kind not in KINDS or not name:
        raise SkeletonError(f"{path}: the name has to be KIND-NAME.tsv with a kind of {', '.join(KINDS)}.")
    rows = [_checked_row(where, row) for where, row in table_rows(path, COLUMNS)]
    skeletons = tuple(row for row in rows if isinstance(row, Skeleton))
    frames = tuple(row for row in rows if isinstance(row, Frame))
    return Voice(path.stem, kind, skeletons, frames, tuple(row for row in rows if isinstance(row, Whole)))


def _checked_row(where: str, row: dict[str, str]) -> Skeleton | Frame | Whole:
    organs = _prefixes(where, row["organs"], _ORGAN, "organ such as C34 or C34.1")
    histologies = _prefixes(where, row["histologies"], _HISTOLOGY, "beginning of a histology such as 814")
    text, move = row["text"].replace("\\n", "\n"), row["move"]
    longest = _LONGEST * (1 if move not in FRAMES | WHOLE else 5)
    if not 0 < len(text) <= longest:
        raise SkeletonError(f"{where}: {len(text)} characters of text; 1 to {longest} are taken.")
    if move in FRAMES:
        return Frame(FRAMES[move], _checked_frame(where, text), organs)
    skeleton = Skeleton(_sentences(where, move, text), organs, histologies)
    return Whole(WHOLE[move], skeleton) if move in WHOLE else skeleton


def _prefixes(where: str, cell: str, pattern: re.Pattern[str], example: str) -> tuple[str, ...]:
    values = tuple(value.strip() for value in cell.split(",") if value.strip())
    for value in values:
        if pattern.fullmatch(value) is None:
            raise SkeletonError(f"{where}: {value!r} is no {example}.")
    return () if "*" in values else values


def _sentences(where: str, move: str, text: str) -> tuple[Sentence, ...]:
    if move != PARAGRAPH and move not in WHOLE:
        return (_checked(where, Sentence(move, text)),)
    parts = _MARK.split(text)
    if parts[0].strip() or len(parts) < 7:
        raise SkeletonError(f"{where}: a {move} is two or more sentences, each behind its [move].")
    found = tuple(
        _checked(where, Sentence(name, said, int(number or 1)))
        for name, number, said in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    )
    if move == PARAGRAPH and any(sentence.number != 1 for sentence in found):
        raise SkeletonError(f"{where}: only a whole document speaks of several tumours.")
    status = WHOLE.get(move)
    told = {sentence.move for sentence in found if sentence.number == 1}
    if status in _STATING and not told & set(_STATING[status]):
        raise SkeletonError(f"{where}: {move} has to have one of {', '.join(_STATING[status])}.")
    if status == "none" and any(load_moves()[m].of == "tumour" and m != "complaint" for m in told):
        raise SkeletonError(f"{where}: document:none speaks of a tumour of the patient.")
    return found


def _checked(where: str, sentence: Sentence) -> Sentence:
    move = load_moves().get(sentence.move)
    if move is None:
        raise SkeletonError(f"{where}: {sentence.move!r} is no move of moves.tsv.")
    slots = sentence.slots
    if "{" in SLOT.sub("", sentence.text) or "}" in SLOT.sub("", sentence.text):
        raise SkeletonError(f"{where}: a brace that belongs to no slot.")
    for name, form in slots:
        if name not in SLOTS or form not in SLOTS[name]:
            raise SkeletonError(f"{where}: {{{name}{':' if form else ''}{form}}} is no slot with that form.")
        if name not in move.slots and name not in _FREE:
            raise SkeletonError(f"{where}: {{{name}}} is no slot of the move {move.name}.")
    names = {name for name, _ in slots}
    if move.name in _NAMED and not names & set(_NAMED[move.name]):
        raise SkeletonError(f"{where}: {move.name} has to name {{T}} or {{H}}.")
    if move.name in ("diagnosis", "past") and "T" not in names and not names & {"S", "O"}:
        raise SkeletonError(f"{where}: {move.name} with {{H}} has to name {{S}} or {{O}} too.")
    if move.name == "metastasis" and not names & {"M", "MS"}:
        raise SkeletonError(f"{where}: metastasis has to name {{M}} or {{MS}}.")
    for name, needed in (("subsite", "S"), ("family", "X"), ("tnm", "tnm")):
        if move.name == name and needed not in names:
            raise SkeletonError(f"{where}: {name} has to name {{{needed}}}.")
    return sentence


def _checked_frame(where: str, text: str) -> str:
    for place in PLACE.findall(text):
        name = place.rstrip("?*")
        if name not in load_moves() and name not in PLACES and name != PARAGRAPH:
            raise SkeletonError(f"{where}: <{place}> names no move and is none of {', '.join(PLACES)}.")
    if SLOT.search(text):
        raise SkeletonError(f"{where}: a frame has places <move>, no slots.")
    return text


def parted(slot: str) -> tuple[str, str]:
    """A slot as (name, form)."""
    name, _, form = slot.partition(":")
    return name, form


def faults_of(path: Path) -> tuple[list[str], Counter[str]]:
    """Every fault of an author's file, and how often each move and kind of frame stands in it."""
    faults: list[str] = []
    found: Counter[str] = Counter()
    seen: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        where = f"{path}, row {number}"
        cells = [cell.strip() for cell in line.split("\t")]
        try:
            if len(cells) != len(COLUMNS):
                raise SkeletonError(f"{where}: {len(cells)} cells instead of {len(COLUMNS)}.")
            row = _checked_row(where, dict(zip(COLUMNS, cells, strict=True)))
            if cells[3] in seen:
                raise SkeletonError(f"{where}: the same text stands above.")
        except TableError as fault:
            faults.append(str(fault))
            continue
        seen.add(cells[3])
        found.update(
            row.moves
            if isinstance(row, Skeleton)
            else [f"{'frame' if isinstance(row, Frame) else 'document'}:{row.status}"]
        )
    return faults, found
