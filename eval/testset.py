"""Test sets: rows of diagnosis texts with the codes that somebody gave them, read from tab-separated files.

    rows = read_testset(CLINICAL)                       # our own set, eval/testsets/clinical.tsv
    rows = read_testset(shared / "evalsets/grascco_coded.tsv")
    rows[0].text, rows[0].gold(CodeSystem.ICD10GM), rows[0].tumour

Both layouts are UTF-8 without quoting: `text icd10 icdo_topography icdo_morphology source_id note`, and ours,
which has no `source_id`. The note says what a row may be used for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from index.errors import OnkokodeError
from index.records import CodeSystem

TESTSETS = Path(__file__).parent / "testsets"
CLINICAL = TESTSETS / "clinical.tsv"
# The development sets of the shared folder; the other files there are results and messages.
DEVELOPMENT_FILES = (
    "albis_gp_own.tsv",
    "grascco_coded.tsv",
    "obds_test_messages.tsv",
    "fhir_example_cases.tsv",
)
# Of these, the one whose rows are the diagnosis lines of letters; `source_id` names the letter.
LETTERS = "grascco_coded.tsv"
# How notes begin: the text is literally a line of a catalogue; the code is itself in doubt, or holds a subsite that the
# text does not name.
IN_ALPHA_ID = "in_alpha_id"
NOT_EXACT = ("doubtful", "subsite_not_derivable")
APART = (IN_ALPHA_ID, *NOT_EXACT)
_COLUMNS = ("text", "icd10", "icdo_topography", "icdo_morphology")
_HEADERS = ((*_COLUMNS, "source_id", "note"), (*_COLUMNS, "note"))
# A semicolon inside brackets belongs to a remark.
_NOTE_SEPARATOR = re.compile(r";(?![^()]*\))")
_CODE_FORMS = {
    CodeSystem.ICD10GM: re.compile(r"^[A-Z]\d\d(?:\.\d{1,2})?$"),
    CodeSystem.TOPOGRAPHY: re.compile(r"^C\d\d(?:\.\d)?$"),
    CodeSystem.MORPHOLOGY: re.compile(r"^\d{4}/\d$"),
}
_GOLD_COLUMN = {
    CodeSystem.ICD10GM: "icd10",
    CodeSystem.TOPOGRAPHY: "icdo_topography",
    CodeSystem.MORPHOLOGY: "icdo_morphology",
}


class TestSetError(OnkokodeError):
    """A test set that cannot be read; the message names the file, the row and the remedy."""

    # Keeps pytest from taking the class for a test.
    __test__ = False


@dataclass(frozen=True, slots=True)
class Row:
    """One text with its codes; None where the set gives no code on an axis.

    `tumour` is true unless the note says `non_tumour`; `tumour_stated` tells whether the note says either.
    `file` and `number` name the row (the header is row 1). `expected` is what a trap asks (`eval.run.traps`).
    """

    text: str
    icd10: str | None
    icdo_topography: str | None
    icdo_morphology: str | None
    source_id: str
    note: tuple[str, ...]
    file: str
    number: int
    expected: Mapping[str, str] = field(default_factory=dict, hash=False)

    def gold(self, system: CodeSystem) -> str | None:
        """The code that the set gives on an axis."""
        return getattr(self, _GOLD_COLUMN[system]) if system in _GOLD_COLUMN else None

    @property
    def tumour(self) -> bool:
        """Whether the row is a tumour diagnosis; sets without the note hold tumours only."""
        return "non_tumour" not in self.note

    @property
    def tumour_stated(self) -> bool:
        """Whether the note says that it is a tumour, or that it is none."""
        return "tumour" in self.note or "non_tumour" in self.note

    @property
    def exact_counts(self) -> bool:
        """Whether the row may count for exact accuracy, be it a catalogue line or not."""
        return not any(noted(self.note, beginning) for beginning in NOT_EXACT)

    @property
    def cluster(self) -> str:
        """What the row shares with its near-duplicates: the series of the note, else the row itself."""
        series = [part for part in self.note if part.startswith("near_duplicate_series")]
        return series[0] if series else f"{self.file}:{self.number}"


def noted(notes: Iterable[str], beginning: str) -> bool:
    """Whether one of a row's notes begins so."""
    return any(note.startswith(beginning) for note in notes)


def counts_for_exact(notes: Collection[str]) -> bool:
    """Whether the row's code is its own, undoubted and derivable from the text."""
    return not any(noted(notes, beginning) for beginning in APART)


def own_testsets() -> dict[str, Path]:
    """The test sets that the package holds, by name: a file with their header in `eval/testsets` is one."""
    found = {}
    for path in sorted(TESTSETS.glob("*.tsv")):
        with path.open(encoding="utf-8-sig") as file:
            if tuple(file.readline().rstrip("\n").split("\t")) in _HEADERS:
                found[path.stem] = path
    return found


def read_testset(path: Path) -> tuple[Row, ...]:
    """All rows of a file.

    Raises:
        TestSetError: the file is missing, not UTF-8, of another layout, or a row lacks its text, has another
            number of fields, a code of the wrong form, or says both `tumour` and `non_tumour`.
    """
    path = Path(path)
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TestSetError(
            f"{path}: cannot be read ({error.strerror or error}); check the path to the test sets"
        ) from None
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start) + 1
        raise TestSetError(f"{path.name}, row {row}: is not UTF-8; save the file as UTF-8") from None
    # Not `splitlines`: it also breaks at characters that may stand inside a text.
    lines = re.split("\r\n|\n|\r", content)
    header = tuple(lines[0].split("\t"))
    if header not in _HEADERS:
        raise TestSetError(
            f"{path.name}, row 1: is not the header {' '.join(_HEADERS[1])} (with or without source_id), by tab"
        )
    rows = tuple(
        _row(path.name, number, line, header)
        for number, line in enumerate(lines[1:], start=2)
        if line.strip()
    )
    if not rows:
        raise TestSetError(f"{path.name}: holds no row below its header")
    return rows


def read_development_sets(shared: Path) -> tuple[Row, ...]:
    """The rows of all development sets in the shared folder. Raises `TestSetError` where one is missing."""
    return tuple(row for name in DEVELOPMENT_FILES for row in read_testset(shared / "evalsets" / name))


def _row(name: str, number: int, line: str, header: tuple[str, ...]) -> Row:
    fields = line.split("\t")
    if len(fields) != len(header):
        raise TestSetError(f"{name}, row {number}: has {len(fields)} fields instead of {len(header)}")
    values = dict(zip(header, fields, strict=True))
    if not values["text"].strip():
        raise TestSetError(f"{name}, row {number}: has no text")
    for system, column in _GOLD_COLUMN.items():
        values[column] = values[column].strip()
        if values[column] and not _CODE_FORMS[system].match(values[column]):
            raise TestSetError(f"{name}, row {number}: {values[column]!r} is no code of {system.value}")
    note = tuple(part.strip() for part in _NOTE_SEPARATOR.split(values["note"]) if part.strip())
    if "tumour" in note and "non_tumour" in note:
        raise TestSetError(f"{name}, row {number}: its note says both tumour and non_tumour")
    icd10, topography, morphology = (values[column] or None for column in _GOLD_COLUMN.values())
    source = values.get("source_id", "")
    return Row(values["text"], icd10, topography, morphology, source, note, name, number)
