"""What is open while a message is read: a section, a histology or container in it, an element with a text.

group.codes.append((system, leaf))
group.close()                       # its slots: each code with its version
leaf.close(event)                   # its text and its place
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.apps.registry.absent import Order
from agent.apps.registry.records import Gap, Histology, Leaf, Place, Slot
from index.records import CodeSystem
from index.xml import End, Start

_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"


@dataclass
class Group:
    """A part of a Meldung whose codes and versions belong together."""

    section: str
    depth: int
    line: int
    byte: int = 0
    order: Order = field(default_factory=lambda: Order(()))
    codes: list[tuple[CodeSystem, Leaf]] = field(default_factory=list)
    versions: list[tuple[CodeSystem, Leaf]] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    text: str = ""
    container: str = ""

    def close(self) -> list[Slot]:
        """The group's slots; the nth code of an axis belongs to the nth version of that axis."""
        for system in {system for system, _ in self.codes}:
            versions = iter([leaf for axis, leaf in self.versions if axis is system])
            for axis, leaf in self.codes:
                if axis is system:
                    self.slots.append(Slot(system, self.section, leaf, next(versions, None)))
        return self.slots


@dataclass
class Section(Group):
    tumour_id: str = ""
    diagnosis: str = ""
    place: str = ""
    date: str = ""
    histologies: list[Histology] = field(default_factory=list)
    gaps: tuple[Gap, ...] = ()


@dataclass
class OpenLeaf:
    name: str
    depth: int
    start: Start
    role: str
    system: CodeSystem | None = None
    content: int | None = None
    mixed: bool = False
    nested: bool = False
    pieces: list[str] = field(default_factory=list)

    def close(self, end: End) -> Leaf:
        text = " ".join("".join(self.pieces).split())
        place = Place(self.start.line, self.start.byte, None if self.mixed else self.content, end.byte)
        nil = self.start.attributes.get(_NIL, "") in ("true", "1")
        return Leaf(self.name, text, place, not (nil or self.nested))
