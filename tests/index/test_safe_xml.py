"""`safe_parse` leaks no file, loses no text and says what is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from index.xml import (
    BrokenXml,
    End,
    Other,
    Start,
    Text,
    UnsafeXml,
    XmlError,
    safe_parse,
    stream_events,
)


def test_a_doctype_alone_passes_and_is_not_loaded(tmp_path: Path) -> None:
    root = safe_parse(b'<!DOCTYPE ClaML SYSTEM "no-such-file.dtd"><ClaML version="2.0.0"><a>x</a></ClaML>')
    assert root.tag == "ClaML"
    path = tmp_path / "a.xml"
    path.write_bytes(b"<a>\xc3\xa4</a>")
    assert safe_parse(path).text == "ä"


def test_text_around_comments_and_in_cdata_is_kept() -> None:
    root = safe_parse(b"<a>vor<!-- x -->nach<![CDATA[<roh>]]>&amp;&#228;</a>")
    assert "".join(root.itertext()) == "vornach<roh>&ä"


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>never used</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x PUBLIC "p" "http://localhost/x">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><a/>',
        b"<!DOCTYPE a [<!ENTITY % x \"<!ENTITY y 'z'>\"> %x;]><a>&y;</a>",
        b'<!DOCTYPE a SYSTEM "a.dtd" [%undeclared;]><a/>',
        b'<!DOCTYPE a SYSTEM "a.dtd" [%undeclared; <!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "a.dtd"><a>&undeclared;</a>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>',
        b'<!DOCTYPE a [<!NOTATION n SYSTEM "n"><!ENTITY x SYSTEM "f" NDATA n>]><a/>',
        b'<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="/etc/passwd" parse="text"/></a>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE a [<!ENTITY ä "y">]><a>&ä;</a>'.encode(
            "latin-1"
        ),
    ],
)
def test_entities_and_inclusions_are_refused(document: bytes) -> None:
    with pytest.raises(UnsafeXml):
        safe_parse(document)


def test_an_external_entity_leaks_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("geheim")
    with pytest.raises(UnsafeXml) as error:
        safe_parse(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode())
    assert "geheim" not in str(error.value)


def test_billion_laughs_is_refused_at_the_first_declaration() -> None:
    declarations = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)
    )
    with pytest.raises(UnsafeXml, match="declares an entity"):
        safe_parse(f"<!DOCTYPE a [{declarations}]><a>&a11;</a>".encode())


@pytest.mark.parametrize(
    "document", [b"<a><b>text</b>", b"<a><b>te", b"<a><b attr='", b"", b"   ", b"<a><![CDATA[x"]
)
def test_a_cut_off_document_is_named_as_such(document: bytes) -> None:
    with pytest.raises(BrokenXml, match="cut off"):
        safe_parse(document)


@pytest.mark.parametrize(
    "document",
    [
        b"no xml",
        b"<a></b>",
        b"<a>&undefined;</a>",
        b"<a>\xff</a>",
        b"<p:a/>",
        b'<?xml version="1.0" encoding="no-such-code"?><a/>',
        b'<?xml version="1.0" encoding="UTF-7"?><a/>',
        b'<?xml version="1.0" encoding="shift-jis"?><a/>',
        b"<a>\x00</a>",
    ],
)
def test_a_broken_document_is_an_error(document: bytes) -> None:
    with pytest.raises(XmlError):
        safe_parse(document)


def test_size_and_depth_are_capped(tmp_path: Path) -> None:
    with pytest.raises(UnsafeXml, match="larger"):
        safe_parse(b"<a>" + b"x" * 100 + b"</a>", max_bytes=50)
    path = tmp_path / "large.xml"
    path.write_bytes(b"<a>" + b"x" * 100 + b"</a>")
    with pytest.raises(UnsafeXml, match="larger"):
        safe_parse(path, max_bytes=50)
    with pytest.raises(XmlError):
        safe_parse(b"<a>" * 5000 + b"</a>" * 5000)


_DOCUMENT = '<?xml version="1.0" encoding="{}"?>\n<!-- ä --><x:a xmlns:x="urn:x"><x:b c="é"/>ä<d>\n</d></x:a>'


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_events_name_their_bytes_in_every_encoding(codec: str, chunk: int) -> None:
    declared = {"utf-8-sig": "UTF-8", "utf-16-be": "UTF-16"}.get(codec, codec)
    data = _DOCUMENT.format(declared).encode(codec)
    plain = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(codec, codec)
    events = list(stream_events(io.BytesIO(data), chunk=chunk))

    starts = [event for event in events if isinstance(event, Start)]
    assert [(s.namespace, s.name) for s in starts] == [("urn:x", "a"), ("urn:x", "b"), ("", "d")]
    assert starts[1].attributes == {"c": "é"} and starts[2].line == 2
    for start, tag in zip(starts, ("<x:a ", "<x:b ", "<d>"), strict=True):
        assert data[start.byte :].startswith(tag.encode(plain))
    empty, inner, outer = (event for event in events if isinstance(event, End))
    assert data[: empty.byte].endswith("/>".encode(plain))
    assert data[inner.byte :] == "</d></x:a>".encode(plain)
    assert data[outer.byte :] == "</x:a>".encode(plain)
    text = next(event for event in events if isinstance(event, Text))
    assert text.text == "ä" and data[text.byte :].startswith("ä<d>".encode(plain))
    assert sum(isinstance(event, Other) for event in events) == 1


def test_events_of_a_file_with_an_entity_are_refused(tmp_path: Path) -> None:
    document = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    with pytest.raises(UnsafeXml, match="line 1 declares"):
        list(stream_events(io.BytesIO(document)))
    include = b'<a xmlns:x="http://www.w3.org/2001/XInclude">\n<x:include href="/etc/passwd"/></a>'
    with pytest.raises(UnsafeXml, match="line 2 asks for another file"):
        list(stream_events(io.BytesIO(include)))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<a>" * 70, "nested more than 64 deep"),
        (b"<a>" + b"x" * 5000, "a text is longer"),
        (b"<a><!--" + b"x" * 50_000, "a tag, comment or declaration is longer"),
        (b'<a b="' + b"x" * 50_000, "a tag, comment or declaration is longer"),
    ],
)
def test_endless_pieces_are_refused_before_they_fill_the_memory(document: bytes, said: str) -> None:
    with pytest.raises(UnsafeXml, match=said):
        list(stream_events(io.BytesIO(document), chunk=1000, max_token=4000))


def test_what_came_before_the_cut_is_read() -> None:
    events = stream_events(io.BytesIO(b"<a><b/>\n<c>"), chunk=3)
    seen = []
    with pytest.raises(BrokenXml, match=r"line 2.*cut off"):
        for event in events:
            seen.append(event)
    assert [event.name for event in seen if isinstance(event, Start)] == ["a", "b", "c"]


def test_text_comes_only_where_it_is_wanted() -> None:
    document = b"<a>1<b>2<c>3</c>4</b>5<!-- 6 --><d><!-- 7 --></d></a>"
    events = list(stream_events(io.BytesIO(document), text_in={"b", "d"}))
    assert [event.text for event in events if isinstance(event, Text)] == ["2", "4"]
    assert [event.byte for event in events if isinstance(event, Other)] == [document.index(b"<!-- 7")]
    assert sum(isinstance(event, Start) for event in events) == 4
