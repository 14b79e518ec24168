"""Lists of ICD-10-GM terms: the alphabet as plain text, the alphabet in its official layout, and Alpha-ID.

Cholera durch Vibrio cholerae (M01.39*) {+A00.0}            plain text
1;13614;1;A00.9;;;Cholera;                                   official layout ("EDV-Fassung")
1|I13614|A00.9||||173|Cholera                                Alpha-ID-SE; Alpha-ID lacks the ORPHA field
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.source import CatalogueFile, Source
from index.io.language import say
from index.records import CatalogueLine, CodeSystem

_CODE = r"[A-Z]\d\d(?:\.\d{1,2})?"
_PLAIN = re.compile(rf"^(?P<term>.+?)(?: \({_CODE}[*+!]\))? \{{\+?(?P<code>{_CODE})[+*!#]?\}}\s*$")
_PLAIN_MARK = re.compile(rf"^.+\{{\+?{_CODE}[+*!#]?\}}")
_OFFICIAL_MARK = re.compile(r"^[0-5];\d+;[01];")
_ALPHA_ID_MARK = re.compile(r"^[01]\|I?\d+\|")
_MARKED_CODE = re.compile(rf"^(?P<code>{_CODE})(?:\.?-)?[+*!#]?$")
_SEE_ALSO = re.compile(r"\s+-\s+s\.\s?(?:a\.)?\s.*$")
_NOT_ELSEWHERE = re.compile(r"\s+a\.\s?n\.\s?k\.?$")
SYSTEM = CodeSystem.ICD10GM
# Row, Alpha-ID, marked code ("": none, None: no longer valid), term.
_Entry = tuple[int, str, str | None, str]


def clean_term(text: str) -> str:
    """A term without its reference (`- s.a. Kokzidiose`) and the tag `a.n.k.` (not elsewhere classified)."""
    return _NOT_ELSEWHERE.sub("", _SEE_ALSO.sub("", text.strip())).strip()


def plain_code(marked: str) -> str | None:
    """`A17.0+` -> `A17.0`; None where the field holds no code."""
    match = _MARKED_CODE.match(marked.strip())
    return match["code"] if match else None


def is_plain_alphabet(source: Source) -> bool:
    """Terms, each with its code in braces at the end."""
    return source.share(_PLAIN_MARK) >= 0.6


def read_plain_alphabet(source: Source) -> CatalogueFile:
    """The alphabet as plain text; the dagger code is the term's code."""
    found: list[tuple[int, str, str]] = []
    for number, row in source.rows():
        match = _PLAIN.match(row)
        if not match:
            raise source.error(say("catalogue-no-braces", example="{C34.1}"), number)
        found.append((number, match["code"], clean_term(match["term"])))
    edition = edition_id(source, "alphabet", codes={code for _, code, _ in found})
    lines = [source.line(edition, number, code, term) for number, code, term in found if term]
    return source.finish("ICD-10-GM Alphabet (Text)", SYSTEM, edition, {"rows": len(found)}, lines=lines)


def is_official_alphabet(source: Source) -> bool:
    """Eight fields by semicolon: type, number, print flag, three codes, text, nothing."""
    return source.share(_OFFICIAL_MARK) >= 0.6


def read_official_alphabet(source: Source) -> CatalogueFile:
    """The alphabet's EDV layout; references and terms with only a `!` code give rows, but no lines."""
    layout, counts = "ICD-10-GM Alphabet (EDV-Fassung)", {"rows": 0, "without_code": 0}
    return _read_numbered(source, layout, "alphabet", _official_entries(source), counts)


def _official_entries(source: Source) -> Iterator[_Entry]:
    for number, fields in source.records(";", (8,), "cp1252"):
        kind, alpha_id, printed, primary, _star, _additional, term, last = fields
        if kind not in "012345" or not alpha_id.isdecimal() or printed not in "01" or last:
            raise source.altered(say("catalogue-layout", layout="type;number;print flag;…"), number)
        yield number, alpha_id, primary, term


def is_alpha_id(source: Source) -> bool:
    """Seven (Alpha-ID) or eight (Alpha-ID-SE) fields by vertical bar."""
    return source.share(_ALPHA_ID_MARK) >= 0.6


def read_alpha_id(source: Source) -> CatalogueFile:
    """Alpha-ID and Alpha-ID-SE; entries marked as no longer valid give rows, but no lines."""
    layout = "Alpha-ID-SE" if source.header.count("|") == 7 else "Alpha-ID"
    counts = {"rows": 0, "without_code": 0, "invalid": 0}
    return _read_numbered(source, layout, layout.lower(), _alpha_id_entries(source), counts)


def _alpha_id_entries(source: Source) -> Iterator[_Entry]:
    for number, fields in source.records("|", (7, 8), "cp1252"):
        valid, alpha_id, primary, second, term = fields[0], fields[1], fields[2], fields[5], fields[-1]
        if valid not in ("0", "1") or not alpha_id.removeprefix("I").isdecimal():
            raise source.altered(say("catalogue-layout", layout="valid|Alpha-ID|code|…"), number)
        marked = primary or second
        if valid == "1" and marked and not term.strip():
            raise source.error(say("catalogue-no-text"), number)
        yield number, alpha_id, marked if valid == "1" else None, term


def _read_numbered(
    source: Source, layout: str, family: str, entries: Iterable[_Entry], counts: dict[str, int]
) -> CatalogueFile:
    """A list by Alpha-ID; `counts` holds a zero for each kind of entry that the layout has.

    A line's id is its Alpha-ID; a number that comes twice gets a suffix, so that ids stay unique.
    """
    found: list[tuple[str, str, str]] = []
    highest = 0
    for number, alpha_id, marked, term in entries:
        counts["rows"] += 1
        highest = max(highest, int(alpha_id.removeprefix("I")))
        if marked is None:
            counts["invalid"] += 1
        elif not marked:
            counts["without_code"] += 1
        elif (code := plain_code(marked)) is None:
            raise source.again(say("catalogue-no-icd", code=marked), number)
        else:
            found.append((alpha_id, code, clean_term(term)))
    edition = edition_id(source, family, codes={code for _, code, _ in found}, last_alpha_id=highest)
    lines: list[CatalogueLine] = []
    seen: Counter[str] = Counter()
    for alpha_id, code, term in found:
        if term:
            seen[alpha_id] += 1
            number_of_line = alpha_id if seen[alpha_id] == 1 else f"{alpha_id}#{seen[alpha_id]}"
            lines.append(source.line(edition, number_of_line, code, term))
    return source.finish(layout, SYSTEM, edition, counts, lines=lines)
