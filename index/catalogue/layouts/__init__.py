"""Catalogue files in, codes and lines out. A file is recognised by its content, never by its name.

    file = parse(Path("icd10gm2023.txt"))
    file.layout, file.edition, file.counts     # ('ICD-10-GM Alphabet (Text)', 'alphabet-2023', {'rows': 85686, …})

Each module holds a family of layouts: a function that says whether a file is of that layout, and one that reads
it. A file that is no catalogue raises `NotACatalogue`, a damaged one `CatalogueError`.

    source.py       a file's bytes, their decoding, its rows, the errors about it; editions.py: which edition it is
    systematic.py   ICD-10-GM metadata, its rubrics, the OPS tree
    claml.py        ClaML; labels.py: its labels as text
    alphabets.py    the alphabet in both layouts, Alpha-ID
    datasets.py     tumour term lists
    registry.py     tables of the cancer registries, the crosswalk
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from index.catalogue.layouts import alphabets, claml, datasets, registry, systematic
from index.catalogue.layouts.editions import check_edition
from index.catalogue.layouts.source import MAX_BYTES, CatalogueError, CatalogueFile, NotACatalogue, Source
from index.io.language import say

__all__ = ["CatalogueError", "CatalogueFile", "NotACatalogue", "parse", "parse_all"]

_Recognise = Callable[[Source], bool]
_Read = Callable[[Source], CatalogueFile]
# Layouts that their whole header row tells.
_BY_HEADER: dict[str, _Read] = {
    "Alpha-ID;Label;ICD-10-Code;Tumordiagnose": datasets.read_tumour_terms,
    "ID;ICD-10-Code;ICD-O-Code;ICD-10 Text;Label;Topography Text;Extended Label;Prompt Text":
        datasets.read_topography_terms,
    "code;description;kind;parent;terminal": systematic.read_code_table,
    "ICD10;Label;Rubrik": systematic.read_rubrics,
    "code\tparent\tdisplay": systematic.read_ops_tree,
    "id;code;name;id3;istPaarig": registry.read_topography,
    "id;code;name;id3;epi_valide;p65_valide": registry.read_icd10,
}  # fmt: skip
# Those with a mark in the header come first: it is exact, the others' is a share of rows.
_BY_MARK: tuple[tuple[_Recognise, _Read], ...] = (
    (claml.is_xml, claml.read_claml),
    (registry.is_crosswalk, registry.read_crosswalk),
    (registry.is_morphology, registry.read_morphology),
    (registry.is_reference_table, registry.read_reference_table),
    (systematic.is_metadata, systematic.read_metadata),
    (alphabets.is_official_alphabet, alphabets.read_official_alphabet),
    (alphabets.is_alpha_id, alphabets.read_alpha_id),
    (alphabets.is_plain_alphabet, alphabets.read_plain_alphabet),
)
_ZIP = b"PK\x03\x04"
_MAX_MEMBERS = 500


def parse(path: Path | str, edition: str | None = None) -> CatalogueFile:
    """Read the one catalogue in a file, plain or zipped.

    `edition` overrides the edition that the content says, as an id (`alphabet-2024`) or a year. Raises
    `NotACatalogue`, or `CatalogueError` for a damaged file and for a zip that holds several catalogues.
    """
    found = parse_all(path, edition)
    if len(found) > 1:
        names = ", ".join(str(file.member) for file in found)
        raise CatalogueError(say("catalogue-several", file=Path(path).name, count=len(found), names=names))
    return found[0]


def parse_all(path: Path | str, edition: str | None = None) -> tuple[CatalogueFile, ...]:
    """Read every catalogue in a file: one, or as many as a zip holds."""
    path = Path(path)
    if edition is not None:
        try:
            check_edition(edition)
        except ValueError as error:
            raise CatalogueError(str(error)) from None
    source = Source.of_file(path, edition)
    if not source.data.startswith(_ZIP):
        return (_parse_source(source),)
    return tuple(_parse_zip(source))


def _parse_source(source: Source) -> CatalogueFile:
    if not source.data.strip():
        raise source.foreign(say("catalogue-empty"))
    if not claml.is_xml(source) and _is_utf16(source.data):
        raise source.error(say("catalogue-utf16"))
    if source.header in _BY_HEADER:
        return _BY_HEADER[source.header](source)
    for recognise, read in _BY_MARK:
        if recognise(source):
            return read(source)
    raise source.foreign(say("catalogue-none"))


def _is_utf16(data: bytes) -> bool:
    """By its byte order mark, or because every other byte of Latin text is zero."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    head = data[:2000]
    return max(head[0::2].count(0), head[1::2].count(0)) > 0.4 * len(head)


def _parse_zip(source: Source) -> Iterator[CatalogueFile]:
    members = _members(source)
    readme = "\n".join(
        data[:65536].decode("utf-8", "replace")
        for name, data in members.items()
        if "liesmich" in name.lower()
    )
    found = 0
    for name, data in members.items():
        member = Source(source.path, data, hashlib.sha256(data).hexdigest(), source.edition, name, readme)
        try:
            file = _parse_source(member)
        except NotACatalogue:
            continue
        found += 1
        yield file
    if not found:
        raise source.foreign(say("catalogue-zip-without"))


def _members(source: Source) -> dict[str, bytes]:
    """The files in a zip, checked against their checksums and capped in number and size."""
    contents: dict[str, bytes] = {}
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(BytesIO(source.data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if len(infos) > _MAX_MEMBERS:
                raise source.error(say("catalogue-zip-many", limit=_MAX_MEMBERS))
            for info in infos:
                if info.flag_bits & 1:
                    raise source.error(say("catalogue-zip-locked"))
                # Reads one byte more than allowed: the size that a zip states need not be true.
                with archive.open(info) as stream:
                    data = stream.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise source.error(say("catalogue-zip-large", limit=MAX_BYTES >> 20))
                contents[info.filename] = data
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise source.error(say("catalogue-zip-damaged", kind=type(error).__name__)) from None
    except (NotImplementedError, RuntimeError) as error:
        raise source.error(say("catalogue-zip-packed", kind=type(error).__name__)) from None
    return contents
