"""Why a registry message is refused, in German and with the place: for documentation officers.

raise RefusedDocument(3, "oBDS", "das Dokument enthält keine Meldung", "Export mit Meldungen erzeugen")
refused_because(error)         # the same for what the XML parser or the system says
"""

from __future__ import annotations

from index.errors import OnkokodeError
from index.io.failures import reason
from index.xml import BrokenXml, CutOffXml, EndlessXml, UnsafeXml, XmlError


class RegistryError(OnkokodeError):
    """The command cannot do what it was asked to; the message says why and what helps."""

    translated = True


class RefusedDocument(RegistryError):
    """A document that is not coded; it stands in the report, which is German in any locale. `element` is a name of the schema: no word of a message comes from the
    document, since a text can stand in any attribute, namespace or name."""

    def __init__(self, line: int | None, element: str, reason: str, remedy: str) -> None:
        self.line, self.element, self.reason, self.remedy = line, element, reason, remedy
        place = f"Zeile {line}" if line is not None else "Datei"
        super().__init__(f"{place}{f', Element {self.element}' if element else ''}: {reason}; {remedy}")


def system_words(error: OSError) -> str:
    """What the system says, in German as all that stands in a report."""
    return reason(error, "de").partition(";")[0]


def refused_because(error: RefusedDocument | XmlError | OSError) -> RefusedDocument:
    """Any error of reading one file, as a refusal."""
    if isinstance(error, RefusedDocument):
        return error
    if isinstance(error, OSError):
        return RefusedDocument(
            None, "", f"nicht lesbar oder schreibbar ({system_words(error)})", "Pfad und Rechte prüfen"
        )
    return RefusedDocument(
        error.line, "", *_REASONS[next(kind for kind in _REASONS if isinstance(error, kind))]
    )


_REASONS: dict[type[XmlError], tuple[str, str]] = {
    EndlessXml: (
        "zu tief geschachtelt, oder ein Element oder Text ist zu lang",
        "die Datei neu exportieren: eine Meldedatei sieht nicht so aus",
    ),
    UnsafeXml: (
        "das Dokument verlangt Entitäten oder fremde Dateien (Entity, XInclude) und wird deshalb nicht gelesen",
        "ohne DOCTYPE und Entitäten exportieren",
    ),
    CutOffXml: ("das XML endet zu früh, die Datei ist leer oder abgeschnitten", "die Datei neu exportieren"),
    BrokenXml: (
        "das XML ist nicht wohlgeformt oder nennt eine falsche Zeichenkodierung",
        "die Datei neu exportieren oder die Zeile berichtigen",
    ),
    XmlError: ("das XML ist nicht lesbar", "die Datei neu exportieren"),
}
