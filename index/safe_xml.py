"""The one XML parser of the project: it reads ClaML and registry messages without ever leaking a file.

    root = safe_parse(Path("icdo32019.xml"))
    root = safe_parse(b"<oBDS/>", max_bytes=1_000_000)

A DOCTYPE passes, because ClaML files carry one, but nothing that it points to is read. A document that
declares or needs an entity, or that asks for an XInclude, is refused: resolving entities would leak local
files, and skipping them would silently drop text. Two parsers look at each document: expat streams over it
and reports every declaration, in whatever encoding; only then does lxml build the tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from index.errors import OnkokodeError

if TYPE_CHECKING:
    from lxml import etree

MAX_BYTES = 256 * 1024 * 1024
_XINCLUDE = "http://www.w3.org/2001/XInclude "
_CHUNK = 1 << 20
# What expat says where a document simply stops (codes are stable, see pyexpat.errors).
_CUT_OFF = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
}


class XmlError(OnkokodeError):
    """An XML document that is not read; the message says why, without naming the file."""


class UnsafeXml(XmlError):
    """The document declares or uses an entity, asks for another file, or is larger than allowed."""


class BrokenXml(XmlError):
    """The document is not well-formed, for example because it was cut off."""


def safe_parse(source: Path | bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """The root element of `source`, a path or the bytes of a document; comments are left out.

    Raises `UnsafeXml` or `BrokenXml`, and `OSError` where the file cannot be read.
    """
    data = source if isinstance(source, bytes) else _read(source, max_bytes)
    if len(data) > max_bytes:
        raise UnsafeXml(f"the document is larger than the {max_bytes:,} bytes allowed")
    _inspect(data)

    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise BrokenXml(f"the XML is broken: {error.msg}") from None
    # Second line of defence, should the two parsers ever read a document differently.
    subset = root.getroottree().docinfo.internalDTD
    if (subset is not None and any(True for _ in subset.iterentities())) or next(
        root.iter(etree.Entity), None
    ) is not None:
        raise UnsafeXml("the document declares or uses an entity")
    return root


def _read(path: Path, max_bytes: int) -> bytes:
    """One byte more than allowed at most, so that an endless file does not fill the memory."""
    with path.open("rb") as stream:
        return stream.read(max_bytes + 1)


def _inspect(data: bytes) -> None:
    """Stream over the document and refuse everything that would need a second source."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def entity_declared(name: str, is_parameter: bool, *_rest: object) -> None:
        kind = "parameter entity %" if is_parameter else "entity &"
        raise UnsafeXml(f"line {parser.CurrentLineNumber} declares the {kind}{name};, which is not allowed")

    def entity_skipped(name: str, is_parameter: bool) -> None:
        sign = "%" if is_parameter else "&"
        raise UnsafeXml(
            f"line {parser.CurrentLineNumber} uses the entity {sign}{name};, which it does not declare"
        )

    def element_started(name: str, _attributes: dict[str, str]) -> None:
        if name.startswith(_XINCLUDE):
            raise UnsafeXml(f"line {parser.CurrentLineNumber} asks for another file by XInclude")

    def external_reference(context: str | None, *_rest: object) -> int:
        if context is None:
            return 1  # the DTD that the DOCTYPE names: passed over, as if it were empty
        raise UnsafeXml(f"line {parser.CurrentLineNumber} refers to an external entity")

    # Without this expat stops reporting declarations after the first parameter entity that it skips.
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)
    parser.EntityDeclHandler = entity_declared
    parser.SkippedEntityHandler = entity_skipped
    parser.StartElementHandler = element_started
    parser.ExternalEntityRefHandler = external_reference
    try:
        for start in range(0, len(data), _CHUNK):
            parser.Parse(data[start : start + _CHUNK], False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        if error.code in _CUT_OFF:
            raise BrokenXml(f"the XML ends too early, in line {error.lineno}: the file was cut off") from None
        raise BrokenXml(
            f"the XML is broken in line {error.lineno}: {expat.ErrorString(error.code)}"
        ) from None
    except (LookupError, ValueError) as error:
        raise BrokenXml(f"the XML names an encoding that is not known here: {error}") from None
