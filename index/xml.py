"""The one XML parser of the project: it reads ClaML and registry messages without ever leaking a file.
Its errors name lines and quote nothing: a text can stand in any attribute or name.

    root = safe_parse(Path("icdo32019.xml"))
    root = safe_parse(b"<oBDS/>", max_bytes=1_000_000)
    for event in stream_events(stream): ...      # Start, End, Text, Other with byte offsets; any size
    inspect_stream(stream, started, wrote)       # only looked at, for a library that reads it next; any size

A DOCTYPE passes, because ClaML files carry one, but nothing that it points to is read. A document that
declares or needs an entity, or that asks for an XInclude, is refused: resolving entities would leak local
files, and skipping them would silently drop text. Two parsers look at each document: expat streams over it
and reports every declaration, in whatever encoding; only then does lxml build the tree. `stream_events` is
for documents of any size: expat alone with the same checks, one chunk at a time, and the place of each event
in the bytes of the file, so that a caller can change a few bytes and copy the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from xml.parsers import expat

from index.errors import OnkokodeError
from index.io.language import say

if TYPE_CHECKING:
    from lxml import etree

MAX_BYTES = 256 * 1024 * 1024
_XINCLUDE = "http://www.w3.org/2001/XInclude "
_CHUNK = 1 << 20
# Registry messages are about ten levels deep; one tag, text run or comment is a few kilobytes.
MAX_DEPTH = 64
MAX_TOKEN = 1 << 20
_MANY_NAMES = 10_000  # a schema has hundreds; a hostile file must not fill the cache
# What expat says where a document simply stops (codes are stable, see pyexpat.errors).
_CUT_OFF = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
}


class XmlError(OnkokodeError):
    """An XML document that is not read; the message says why, without naming the file. `line` is the line that the
    message names, for callers that say it in their own words."""

    translated = True

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class UnsafeXml(XmlError):
    """The document declares or uses an entity, asks for another file, or is larger than allowed."""


class EndlessXml(UnsafeXml):
    """The document is nested too deep, or one of its pieces is too long to be held."""


class BrokenXml(XmlError):
    """The document is not well-formed."""


class CutOffXml(BrokenXml):
    """The document is empty or simply stops."""


def safe_parse(source: Path | bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """The root element of `source`, a path or the bytes of a document; comments are left out.

    Raises `UnsafeXml` or `BrokenXml`, and `OSError` where the file cannot be read.
    """
    if isinstance(source, bytes):
        data = source
    else:
        with source.open("rb") as stream:
            data = stream.read(max_bytes + 1)  # an endless file must not fill the memory
    if len(data) > max_bytes:
        raise UnsafeXml(say("xml-large", bytes=max_bytes))
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
        raise _broken(error.lineno, f"libxml2 error {error.code}") from None
    # Second line of defence, should the two parsers ever read a document differently.
    subset = root.getroottree().docinfo.internalDTD
    declared = () if subset is None else subset.iterentities()
    if any(True for _ in chain(declared, root.iter(etree.Entity))):
        raise UnsafeXml(say("xml-entity"))
    return root


def _inspect(data: bytes) -> None:
    """Stream over the document and refuse everything that would need a second source."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = _guard(parser)
    for _ in _fed(parser, BytesIO(data), _CHUNK):
        pass


class Start(NamedTuple):
    """A start tag. `namespace` is "" where there is none; `byte` is the offset of its `<`."""

    namespace: str
    name: str
    attributes: dict[str, str]
    line: int
    byte: int


class End(NamedTuple):
    """An end tag; `byte` is the offset of its `<`, or, for `<a/>`, the offset behind the tag."""

    namespace: str
    name: str
    line: int
    byte: int


class Text(NamedTuple):
    """A piece of text. A text comes in several pieces: expat ends one at each line and reference."""

    text: str
    line: int
    byte: int


class Other(NamedTuple):
    """A comment, a processing instruction, or the begin or end of a CDATA section."""

    line: int
    byte: int


Event = Start | End | Text | Other


def stream_events(
    stream: BinaryIO,
    *,
    chunk: int = _CHUNK,
    max_token: int = MAX_TOKEN,
    text_in: Collection[str] | None = None,
) -> Iterator[Event]:
    """The events of a document of any size, in order; memory is that of one chunk. With `text_in`, `Text` and
    `Other` come only directly inside elements of those local names, which saves most of the time.

    Byte offsets count from where `stream` stands at the first call and are those of the file, whatever its
    encoding (a byte order mark counts). Raises `UnsafeXml` also for a document nested deeper than `MAX_DEPTH`
    and for a tag, comment or text without an end for more than `max_token` bytes, and `BrokenXml`.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    refuse_unsafe = _guard(parser)
    events: list[Event] = []
    seen = 0  # where the last complete token begins
    run = 0  # how many characters of text have come without a tag between
    wanted = [text_in is None]  # of the document and of each open element

    @lru_cache(_MANY_NAMES)  # of this document: a name may hold a text
    def split(name: str) -> tuple[str, str]:
        namespace, _, local = name.rpartition(" ")
        return namespace, local

    def started(name: str, attributes: dict[str, str]) -> None:
        nonlocal seen, run
        refuse_unsafe(name, attributes)
        run = 0
        if len(wanted) > MAX_DEPTH:
            line = parser.CurrentLineNumber
            raise EndlessXml(say("xml-deep", line=line, depth=MAX_DEPTH), line)
        seen = parser.CurrentByteIndex
        namespace, local = split(name)
        wanted.append(text_in is None or local in text_in)
        events.append(Start(namespace, local, attributes, parser.CurrentLineNumber, seen))

    def ended(name: str) -> None:
        nonlocal seen, run
        run = 0
        seen = parser.CurrentByteIndex
        wanted.pop()
        namespace, local = split(name)
        events.append(End(namespace, local, parser.CurrentLineNumber, seen))

    def wrote(text: str) -> None:
        nonlocal seen, run
        seen = parser.CurrentByteIndex
        run += len(text)
        _must_be_short(run, max_token, parser)
        if wanted[-1]:
            events.append(Text(text, parser.CurrentLineNumber, seen))

    def other(*_what: str) -> None:
        nonlocal seen
        seen = parser.CurrentByteIndex
        if wanted[-1]:
            events.append(Other(parser.CurrentLineNumber, seen))

    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.CharacterDataHandler = wrote
    parser.CommentHandler = parser.ProcessingInstructionHandler = other
    parser.StartCdataSectionHandler = parser.EndCdataSectionHandler = other
    for fed in _fed(parser, stream, chunk):
        if fed - seen > chunk + max_token:
            # expat holds an unfinished token whole, so an endless one would fill the memory.
            raise EndlessXml(say("xml-long-declaration", limit=max_token))
        yield from events
        events.clear()
    yield from events


def inspect_stream(
    stream: BinaryIO,
    started: Callable[[str, dict[str, str], int], None],
    *,
    max_text: int = MAX_TOKEN,
    between: Callable[[int], None] = lambda read: None,
) -> None:
    """Look over a document of any size that a library reads next, at a fifth of the cost of `stream_events`.

    `started` is called with the name (namespace, space, local name), attributes and byte offset of each start
    tag, `between` with the number of bytes read, once per chunk; either may raise to refuse the document.
    A text without a tag between may have `max_text` characters. Raises `UnsafeXml`, also for any DOCTYPE, which
    only ClaML has, and `BrokenXml`.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    run = seen = 0

    def doctype(*_declared: object) -> None:
        raise _unsafe("xml-doctype", parser)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal run, seen
        run = 0
        seen = parser.CurrentByteIndex
        started(name, attributes, seen)

    def wrote(text: str) -> None:
        nonlocal run, seen
        run += len(text)
        seen = parser.CurrentByteIndex
        _must_be_short(run, max_text, parser)

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.CharacterDataHandler = wrote
    for read in _fed(parser, stream, _CHUNK):
        between(read)
        if read - seen > _CHUNK + MAX_TOKEN:
            # What is neither text nor a start tag for so long: an endless tag, comment or end tags only.
            raise EndlessXml(say("xml-long-tag", limit=MAX_TOKEN))


def _fed(parser: Any, stream: BinaryIO, chunk: int) -> Iterator[int]:
    """Feeds a parser to the end of its document; gives the number of bytes after each piece."""
    read = 0
    while data := stream.read(chunk):
        with _plain_errors():
            parser.Parse(data, False)
        read += len(data)
        yield read
    with _plain_errors():
        parser.Parse(b"", True)


def _must_be_short(text: int, limit: int, parser: Any) -> None:
    if text > limit:
        line = parser.CurrentLineNumber
        raise EndlessXml(say("xml-long-text", line=line, limit=limit), line)


def _unsafe(key: str, parser: Any) -> UnsafeXml:
    line = parser.CurrentLineNumber
    return UnsafeXml(say(key, line=line), line)


def _broken(line: int, what: str) -> BrokenXml:
    return BrokenXml(say("xml-broken", line=line, what=what), line)


def _guard(parser: Any) -> Callable[[str, dict[str, str]], None]:
    """Makes a parser refuse whatever would need a second source; what is returned is to see each start tag."""

    def entity_declared(_name: str, is_parameter: bool, *_rest: object) -> None:
        raise _unsafe("xml-declares-parameter" if is_parameter else "xml-declares", parser)

    def entity_skipped(_name: str, is_parameter: bool) -> None:
        raise _unsafe("xml-undeclared-parameter" if is_parameter else "xml-undeclared", parser)

    def element_started(name: str, _attributes: dict[str, str]) -> None:
        if name.startswith(_XINCLUDE):
            raise _unsafe("xml-xinclude", parser)

    def external_reference(context: str | None, *_rest: object) -> int:
        if context is None:
            return 1  # the DTD that the DOCTYPE names: passed over, as if it were empty
        raise _unsafe("xml-external", parser)

    # Without this expat stops reporting declarations after the first parameter entity that it skips.
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)
    parser.EntityDeclHandler = entity_declared
    parser.SkippedEntityHandler = entity_skipped
    parser.ExternalEntityRefHandler = external_reference
    return element_started


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Says in words what expat found, and quotes nothing of the document."""
    try:
        yield
    except expat.ExpatError as error:
        if error.code in _CUT_OFF:
            raise CutOffXml(say("xml-cut-off", line=error.lineno), error.lineno) from None
        raise _broken(error.lineno, expat.ErrorString(error.code)) from None
    except (LookupError, ValueError):
        raise BrokenXml(say("xml-encoding")) from None
