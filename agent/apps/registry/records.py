"""What is kept of a registry message: Meldungen, their tumours, texts and code elements, and nothing of the
patient.

for slot in meldung.tumours[0].slots: slot.system, slot.code.text, slot.code.place.line
"""

from __future__ import annotations

from dataclasses import dataclass

from index.records import CodeSystem

# Unless told otherwise, what is less sure than this stays in the report.
MIN_CONFIDENCE = 0.9
# Sections that speak of the primary tumour as such; OP and Verlauf may speak of a metastasis or a relapse.
PRIMARY_SECTIONS = ("Diagnose", "Pathologie")


@dataclass(frozen=True, slots=True)
class Place:
    """An element in the bytes of the file: the offset of its start tag, of its first text (None where it has
    none, or something besides text), and of its end tag."""

    line: int
    start: int
    content: int | None
    end: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element that holds a text: its name, what it says, and where. `fillable` is false for an element
    that says to be empty on purpose (xsi:nil), or that holds other elements."""

    name: str
    text: str
    place: Place
    fillable: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """An element for a code, with the version element beside it. `section` is where it stands."""

    system: CodeSystem
    section: str
    code: Leaf
    version: Leaf | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the schema has a code element that the message leaves out: `names` are its own, with that of its container
    first where there is one; `byte` is the place that its order gives it, `parent` that of the start tag around it."""

    system: CodeSystem
    section: str
    line: int
    names: tuple[str, ...]
    byte: int
    parent: int


@dataclass(frozen=True, slots=True)
class Histology:
    """One histology: its text and its morphology codes; `gap` where it has no element for one."""

    section: str
    line: int
    text: str
    slots: tuple[Slot, ...]
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Tumour:
    """What one Meldung says of one tumour. `slots` are the codes outside of a histology. `year` is that of the ICD-10-GM
    edition which the Meldung names, else of the diagnosis; None where it says neither. `histology_elsewhere` is a
    histology's text from another Meldung, `carried` whether any text is from one; `gaps` are outside of a histology."""

    tumour_id: str
    line: int
    diagnosis: str
    place: str
    histologies: tuple[Histology, ...]
    slots: tuple[Slot, ...]
    year: int | None = None
    histology_elsewhere: str = ""
    carried: bool = False
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a documentation officer should know, that does not stop the coding."""

    line: int
    element: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Meldung:
    """One Meldung; the notices about the document stand with the Meldung that follows them. `patient` counts the
    patients of the file."""

    meldung_id: str
    line: int
    tumours: tuple[Tumour, ...]
    notices: tuple[Remark, ...]
    patient: int = 0
