"""Code elements that a message leaves out, and the place that the order of its schema gives them.

    order = Order.of(OBDS, "Diagnose")          # what may stand in a Diagnose, and behind which of its elements
    order.saw("Diagnosesicherung", byte)        # for each child, in the order of the document
    order.gaps("Diagnose", line, parent, end)   # what was not seen, with its place

A newcomer adds an element as a row of `_ELEMENTS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.apps.registry.records import Gap
from index.records import CodeSystem

OBDS = "http://www.basisdatensatz.de/oBDS/XML"
ADT = "http://www.gekid.de/namespace"


@dataclass(frozen=True, slots=True)
class _Element:
    """`names`: container (oBDS), code, version; `behind` are the elements that the schema has before it."""

    namespace: str
    parent: str
    system: CodeSystem
    names: tuple[str, ...]
    behind: tuple[str, ...] = ()


_HISTOLOGY = ("Tumor_Histologiedatum", "Histologie_EinsendeNr")
_ADT_ICD = ("Primaertumor_ICD_Code", "Primaertumor_ICD_Version")
_ELEMENTS = (
    _Element(OBDS, "Tumorzuordnung", CodeSystem.ICD10GM, ("Primaertumor_ICD", "Code", "Version")),
    _Element(
        OBDS, "Diagnose", CodeSystem.TOPOGRAPHY, ("Primaertumor_Topographie_ICD_O", "Code", "Version"),
        ("Primaertumor_Diagnosetext",),
    ),
    _Element(OBDS, "Histologie", CodeSystem.MORPHOLOGY, ("Morphologie_ICD_O", "Code", "Version"), _HISTOLOGY),
    _Element(ADT, "Tumorzuordnung", CodeSystem.ICD10GM, _ADT_ICD),
    _Element(ADT, "Diagnose", CodeSystem.ICD10GM, _ADT_ICD),
    _Element(
        ADT, "Diagnose", CodeSystem.TOPOGRAPHY,
        ("Primaertumor_Topographie_ICD_O", "Primaertumor_Topographie_ICD_O_Version"),
        (*_ADT_ICD, "Primaertumor_Diagnosetext"),
    ),
    _Element(ADT, "Histologie", CodeSystem.MORPHOLOGY, ("Morphologie_Code", "Morphologie_ICD_O_Version"), _HISTOLOGY),
)  # fmt: skip


@dataclass
class Order:
    """The elements that one parent may have, and where each comes to stand."""

    elements: tuple[_Element, ...]
    places: dict[CodeSystem, int] = field(default_factory=dict)
    there: set[CodeSystem] = field(default_factory=set)
    children: int = 0

    @classmethod
    def of(cls, namespace: str, parent: str) -> Order:
        return cls(tuple(one for one in _ELEMENTS if (one.namespace, one.parent) == (namespace, parent)))

    def saw(self, child: str, byte: int) -> None:
        """A child's start tag begins at this byte."""
        self.children += 1
        for one in self.elements:
            if child in one.names:
                self.there.add(one.system)
            if child not in one.behind:
                self.places.setdefault(one.system, byte)

    def gaps(self, section: str, line: int, parent: int, end: int) -> Iterator[Gap]:
        """What was not seen; at the `end` tag of the parent where all its children come before. A parent without
        children says nothing that could be coded."""
        for one in self.elements if self.children else ():
            if one.system not in self.there:
                yield Gap(one.system, section, line, one.names, self.places.get(one.system, end), parent)


def written(gap: Gap, prefix: str, code: str, version: str) -> str:
    """The element with its content; `prefix` is that of the elements around it, with its colon."""
    *container, code_name, version_name = (prefix + name for name in gap.names)
    inside = f"<{code_name}>{code}</{code_name}><{version_name}>{version}</{version_name}>"
    return f"<{container[0]}>{inside}</{container[0]}>" if container else inside
