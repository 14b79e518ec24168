"""Reads oBDS 3 and ADT/GEKID 2 messages: what a Meldung says of its tumours, and where its codes stand.

    for meldung in read_meldungen(stream): ...       # one at a time, whatever the size of the file
    meldung.tumours[0].slots[0].code.place            # where a code stands in the bytes of the file

A tumour's texts come from Diagnose, Pathologie, OP and Verlauf of one Meldung. Of the patient nothing is kept,
and neither are earlier tumours (Menge_Fruehere_Tumorerkrankung): they are history of the patient, mostly
reported in a Meldung of their own, and their code elements do not belong to the tumour of this Meldung.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from agent.apps.registry.absent import ADT, OBDS, Order
from agent.apps.registry.errors import RefusedDocument
from agent.apps.registry.parts import Group, OpenLeaf, Section
from agent.apps.registry.records import Histology, Leaf, Meldung, Remark, Tumour
from agent.apps.registry.years import readable, year_told
from index.records import CodeSystem
from index.xml import End, Other, Start, Text, stream_events

# Root element -> its namespace and the major schema version that is read.
_ROOTS = {"oBDS": (OBDS, "3"), "ADT_GEKID": (ADT, "2")}
_ROOT_CHILDREN = {"Absender", "Meldedatum", "Menge_Patient", "Menge_Melder"}
_SECTIONS = {"Tumorzuordnung", "Diagnose", "Pathologie", "OP", "Verlauf"}
_EARLIER = {"Menge_Fruehere_Tumorerkrankung", "Fruehere_Tumorerkrankung"}
_TEXTS = {
    "Primaertumor_Diagnosetext": "diagnosis",
    "Primaertumor_Topographie_Freitext": "place",
    "Primaertumor_Topographie_ICD_O_Freitext": "place",
    "Morphologie_Freitext": "histology",
    "Diagnosedatum": "date",
}
# ADT/GEKID: code and version are siblings. oBDS: they are children of a container.
_ADT_LEAVES = {
    "Primaertumor_ICD_Code": ("code", CodeSystem.ICD10GM),
    "Primaertumor_ICD_Version": ("version", CodeSystem.ICD10GM),
    "Primaertumor_Topographie_ICD_O": ("code", CodeSystem.TOPOGRAPHY),
    "Primaertumor_Topographie_ICD_O_Version": ("version", CodeSystem.TOPOGRAPHY),
    "Morphologie_Code": ("code", CodeSystem.MORPHOLOGY),
    "Morphologie_ICD_O_Version": ("version", CodeSystem.MORPHOLOGY),
}
_OBDS_CONTAINERS = {
    "Primaertumor_ICD": CodeSystem.ICD10GM,
    "Primaertumor_Topographie_ICD_O": CodeSystem.TOPOGRAPHY,
    "Morphologie_ICD_O": CodeSystem.MORPHOLOGY,
}
# The elements whose text is read; `Code` and `Version` are those of the containers.
_LEAVES = frozenset({*_TEXTS, *_ADT_LEAVES, "Code", "Version"})
# The schemas allow 500 characters; whoever writes more than this did not write a diagnosis.
MAX_TEXT = 4000
# More than this in one Meldung is no message but an attempt to fill the memory.
_MAX_GROUPS = 2000


def read_meldungen(stream: BinaryIO) -> Iterator[Meldung]:
    """The Meldungen of a document, in order.

    Raises `RefusedDocument` for a document that is no oBDS 3 or ADT/GEKID 2 message, and `XmlError`.
    """
    reader = _Reader()
    for event in stream_events(stream, text_in=_LEAVES):
        if isinstance(event, Text):
            reader.wrote(event)
        elif isinstance(event, Start):
            reader.started(event)
        elif isinstance(event, Other):
            reader.interrupted()
        elif (meldung := reader.ended(event)) is not None:
            yield meldung
    reader.finish()


class _Reader:
    """The state of one document. Elements are known by their local name inside the document's namespace."""

    def __init__(self) -> None:
        self.namespace: str | None = None
        self.depth = 0
        self.skip_below: int | None = None
        self.meldungen = self.patients = 0
        self.unknown: list[int] = []
        self.notices: list[Remark] = []
        self.root = ("", 0)
        self._clear()

    def _clear(self) -> None:
        self.meldung: Start | None = None
        self.meldung_depth = 0
        self.sections: list[Section] = []
        self.section: Section | None = None
        self.histology: Group | None = None
        self.container: Group | None = None
        self.leaf: OpenLeaf | None = None
        self.groups = 0

    def started(self, event: Start) -> None:
        self.depth += 1
        depth = self.depth
        if self.namespace is None:
            self._check_root(event)
            return
        if self.skip_below is not None:
            return
        if self.leaf is not None:
            self.leaf.nested = True
            return
        if event.namespace != self.namespace:
            return
        for group in (self.section, self.histology):
            if group is not None and depth == group.depth + 1:
                group.order.saw(event.name, event.byte)
        if depth == 2 and event.name not in _ROOT_CHILDREN:
            self._unknown(event)
        elif self.meldung is None:
            self.patients += event.name == "Patient"
            if event.name == "Meldung":
                self.meldung, self.meldung_depth = event, depth
                self.meldungen += 1
        elif self.section is None:
            # `Diagnose` may also be a value deeper down; a section stands under the Meldung or in its Menge_.
            if event.name in _SECTIONS and depth <= self.meldung_depth + 2:
                self._count_group(event)
                self.section = Section(
                    event.name, depth, event.line, event.byte, Order.of(self.namespace, event.name)
                )
                self.section.tumour_id = _identifier(event.attributes.get("Tumor_ID", ""))
                self.sections.append(self.section)
        elif event.name in _EARLIER:
            self.skip_below = depth
        else:
            self._inside(event, depth)

    def _inside(self, event: Start, depth: int) -> None:
        """An element inside a section."""
        assert self.section is not None
        name, section = event.name, self.section.section
        if self.container is not None:
            if name in ("Code", "Version"):
                inside = self.container.container
                self.leaf = OpenLeaf(f"{inside}/{name}", depth, event, name.lower(), _OBDS_CONTAINERS[inside])
        elif self.namespace == OBDS and name in _OBDS_CONTAINERS:
            self._count_group(event)
            self.container = Group(section, depth, event.line, container=name)
        elif name == "Histologie":
            self._count_group(event)
            assert self.namespace is not None
            order = Order.of(self.namespace, "Histologie")
            self.histology = Group(section, depth, event.line, event.byte, order)
        elif name in _TEXTS:
            self.leaf = OpenLeaf(name, depth, event, _TEXTS[name])
        elif self.namespace == ADT and name in _ADT_LEAVES:
            self.leaf = OpenLeaf(name, depth, event, *_ADT_LEAVES[name])

    def wrote(self, event: Text) -> None:
        leaf = self.leaf
        if leaf is not None:
            leaf.pieces.append(event.text)
            if leaf.content is None:
                leaf.content = event.byte

    def interrupted(self) -> None:
        if self.leaf is not None:
            self.leaf.mixed = True

    def ended(self, event: End) -> Meldung | None:
        depth = self.depth
        self.depth -= 1
        if self.skip_below is not None:
            if depth == self.skip_below:
                self.skip_below = None
            return None
        if self.leaf is not None:
            if depth == self.leaf.depth:
                self._close_leaf(event)
        elif self.container is not None and depth == self.container.depth:
            self._close_container()
        elif self.histology is not None and depth == self.histology.depth:
            self._close_histology(event)
        elif self.section is not None and depth == self.section.depth:
            section = self.section
            section.close()
            section.gaps = tuple(section.order.gaps(section.section, section.line, section.byte, event.byte))
            self.section = None
        elif self.meldung is not None and depth == self.meldung_depth:
            return self._close_meldung(self.meldung)
        return None

    def finish(self) -> None:
        """Refuses a document without a Meldung."""
        if self.meldungen:
            return
        name, line = self.root
        if self.unknown:
            raise RefusedDocument(
                self.unknown[0],
                f"{name}/…",
                "das Element ist unter dem Wurzelelement nicht bekannt, und eine Meldung gibt es nicht",
                "Namen des Elements prüfen: Meldungen stehen in Menge_Patient/Patient/Menge_Meldung/Meldung",
            )
        raise RefusedDocument(
            line, name, "das Dokument enthält keine Meldung", "Export mit mindestens einer Meldung erzeugen"
        )

    def _check_root(self, event: Start) -> None:
        name = event.name
        if name not in _ROOTS:
            raise RefusedDocument(
                event.line,
                "",
                "das Dokument ist weder oBDS 3 noch ADT/GEKID 2",
                "eine Meldedatei mit dem Wurzelelement oBDS oder ADT_GEKID angeben",
            )
        namespace, major = _ROOTS[name]
        if event.namespace != namespace:
            raise RefusedDocument(
                event.line,
                name,
                f"der Namensraum {'ist ein anderer' if event.namespace else 'fehlt'}",
                f'xmlns="{namespace}" angeben',
            )
        version = event.attributes.get("Schema_Version", major)
        if not version.startswith(f"{major}.") and version != major:
            raise RefusedDocument(
                event.line,
                name,
                f"die Schema_Version ist keine {major}",
                f"als {name} {major} exportieren",
            )
        self.namespace, self.root = namespace, (name, event.line)

    def _note(self, line: int, element: str, reason: str, remedy: str) -> None:
        self.notices.append(Remark(line, element, reason, remedy))

    def _unknown(self, event: Start) -> None:
        if len(self.unknown) < 20:
            self.unknown.append(event.line)
            reason = "Element unter dem Wurzelelement unbekannt, nicht gelesen"
            remedy = "Namen des Elements mit dem Schema vergleichen"
            self._note(event.line, f"{self.root[0]}/…", reason, remedy)

    def _count_group(self, event: Start) -> None:
        self.groups += 1
        if self.groups > _MAX_GROUPS:
            raise RefusedDocument(
                event.line,
                event.name,
                f"eine Meldung enthält mehr als {_MAX_GROUPS} Histologien und Codes",
                "in mehrere Meldungen teilen",
            )

    def _close_leaf(self, event: End) -> None:
        assert self.leaf is not None and self.section is not None
        opened, leaf = self.leaf, self.leaf.close(event)
        self.leaf = None
        group = self.container or self.histology or self.section
        if opened.role == "code" and opened.system is not None:
            group.codes.append((opened.system, leaf))
        elif opened.role == "version" and opened.system is not None:
            group.versions.append((opened.system, leaf))
        elif leaf.text:
            self._keep_text(opened.role, leaf)

    def _keep_text(self, role: str, leaf: Leaf) -> None:
        assert self.section is not None
        text = leaf.text
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT]
            reason = f"Text ist länger als {MAX_TEXT} Zeichen, nur der Anfang wurde kodiert"
            self._note(leaf.place.line, leaf.name, reason, "nur die Diagnose in das Feld schreiben")
        if role == "diagnosis":
            self.section.diagnosis = self.section.diagnosis or text
        elif role == "place":
            self.section.place = self.section.place or text
        elif role == "date":
            self.section.date = self.section.date or text
        elif self.histology is not None:
            self.histology.text = self.histology.text or text
        else:
            self.section.histologies.append(Histology(self.section.section, leaf.place.line, text, ()))

    def _close_container(self) -> None:
        assert self.container is not None and self.section is not None
        container, self.container = self.container, None
        if container.codes:
            (self.histology or self.section).slots.extend(container.close())
        else:
            reason = "kein Code-Element: darin steht kein <Code>, gefüllt wird nichts"
            self._note(container.line, container.container, reason, "ein leeres <Code/> einfügen")

    def _close_histology(self, event: End) -> None:
        assert self.histology is not None and self.section is not None
        group, self.histology = self.histology, None
        slots = tuple(group.close())
        gap = next(group.order.gaps(group.section, group.line, group.byte, event.byte), None)
        self.section.histologies.append(Histology(group.section, group.line, group.text, slots, gap))

    def _close_meldung(self, start: Start) -> Meldung:
        identifier = _identifier(start.attributes.get("Meldung_ID", ""))
        if not identifier:
            self._note(start.line, "Meldung", "Meldung_ID fehlt", "vor dem Versand eine Meldung_ID vergeben")
        assignments = [section for section in self.sections if section.section == "Tumorzuordnung"]
        notices, self.notices = [*self.notices, *_missing(start.line, assignments, self.sections)], []
        default = next((section.tumour_id for section in assignments), "")
        by_tumour: dict[str, list[Section]] = {}
        for section in self.sections:
            by_tumour.setdefault(section.tumour_id or default, []).append(section)
        tumours = tuple(_tumour(name, sections) for name, sections in by_tumour.items())
        for section in self.sections:
            if readable(section.date):
                continue
            reason = "Diagnosedatum nicht verstanden, Kodes in der Ausgabe des laufenden Jahres"
            notices.append(
                Remark(section.line, "Diagnosedatum", reason, "als JJJJ-MM-TT oder TT.MM.JJJJ schreiben")
            )
        self._clear()
        return Meldung(identifier, start.line, tumours, tuple(notices), self.patients)


def _missing(line: int, assignments: list[Section], sections: list[Section]) -> Iterator[Remark]:
    """What a registry needs to know which tumour a Meldung speaks of."""
    if not sections:
        yield Remark(line, "Meldung", "nennt keinen Tumor", "Tumorzuordnung mit Tumor_ID ergänzen")
    elif not assignments:
        remedy = "Tumorzuordnung mit Tumor_ID ergänzen, sonst kann das Register den Tumor nicht zuordnen"
        yield Remark(line, "Meldung", "Tumorzuordnung fehlt", remedy)
    elif not any(section.tumour_id for section in sections):
        yield Remark(assignments[0].line, "Tumorzuordnung", "Tumor_ID fehlt", "Tumor_ID ergänzen")


def _tumour(name: str, sections: list[Section]) -> Tumour:
    return Tumour(
        tumour_id=name,
        line=sections[0].line,
        diagnosis=next((section.diagnosis for section in sections if section.diagnosis), ""),
        place=next((section.place for section in sections if section.place), ""),
        histologies=tuple(histology for section in sections for histology in section.histologies),
        slots=tuple(slot for section in sections for slot in section.slots),
        year=year_told(
            [slot.version.text for section in sections for slot in section.slots if slot.version],
            [section.date for section in sections],
        ),
        gaps=tuple(gap for section in sections for gap in section.gaps),
    )


def _identifier(value: str) -> str:
    return " ".join(value.split())[:100]
