"""Documents for tests, as Word and printers make them: .docx, and .pdf with text, without any, and with a password.

pdf(path, "Rektum-Ca")
"""

from __future__ import annotations

import zipfile
from pathlib import Path


def docx(path: Path, *paragraphs: str) -> Path:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
        )
    return path


def pdf(path: Path, text: str = "", password: str = "") -> Path:
    """A page with this text; without, one as a scanner makes it."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    page = writer.add_blank_page(300, 200)
    if text:
        font = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica", "Encoding": "WinAnsiEncoding"}
        named = DictionaryObject(
            {NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in font.items()}
        )
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(named)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        shown = DecodedStreamObject()
        shown.set_data(b"BT /F1 12 Tf 20 100 Td (" + text.encode("cp1252") + b") Tj ET")
        page[NameObject("/Contents")] = writer._add_object(shown)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(path)
    return path
