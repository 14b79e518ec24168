"""`safe_parse` leaks no file, loses no text and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.safe_xml import BrokenXml, UnsafeXml, XmlError, safe_parse


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
    with pytest.raises(UnsafeXml, match="entity &a0;"):
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
