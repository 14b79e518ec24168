"""Lists of ICD-10-GM terms: the alphabet as plain text, the alphabet in its official layout, and Alpha-ID.

Cholera durch Vibrio cholerae (M01.39*) {+A00.0}            plain text
1;13614;1;A00.9;;;Cholera;                                   official layout ("EDV-Fassung")
1|I13614|A00.9||||173|Cholera                                Alpha-ID-SE; Alpha-ID lacks the ORPHA field
"""

from __future__ import annotations

import re

from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.source import CatalogueFile, Source
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
            raise source.error(
                "has no code in braces at its end, such as {C34.1}; the file looks cut off or edited", number
            )
        found.append((number, match["code"], clean_term(match["term"])))
    edition = edition_id(source, "alphabet", codes={code for _, code, _ in found})
    lines = [source.line(edition, number, code, term) for number, code, term in found if term]
    return source.finish("ICD-10-GM Alphabet (Text)", SYSTEM, edition, {"rows": len(found)}, lines=lines)


def is_official_alphabet(source: Source) -> bool:
    """Eight fields by semicolon: type, number, print flag, three codes, text, nothing."""
    return source.share(_OFFICIAL_MARK) >= 0.6


def read_official_alphabet(source: Source) -> CatalogueFile:
    """The alphabet's EDV layout; references and terms with only a `!` code give rows, but no lines."""
    found: list[tuple[str, str, str]] = []
    codes: set[str] = set()
    rows = without_code = highest = 0
    for number, row in source.rows("cp1252"):
        kind, alpha_id, printed, primary, _star, _additional, term, last = source.fields(
            row, ";", number, (8,)
        )
        if kind not in "012345" or not alpha_id.isdecimal() or printed not in "01" or last:
            raise source.error(
                "does not follow the alphabet's layout type;number;print flag;…; restore the original file",
                number,
            )
        rows += 1
        highest = max(highest, int(alpha_id))
        if not primary:
            without_code += 1
            continue
        code = plain_code(primary)
        if code is None:
            raise source.error(f"{primary!r} is no ICD-10-GM code; download the file again", number)
        codes.add(code)
        found.append((alpha_id, code, clean_term(term)))
    edition = edition_id(source, "alphabet", codes=codes, last_alpha_id=highest)
    return source.finish(
        "ICD-10-GM Alphabet (EDV-Fassung)",
        SYSTEM,
        edition,
        {"rows": rows, "without_code": without_code},
        lines=_numbered_lines(source, edition, found),
    )


def is_alpha_id(source: Source) -> bool:
    """Seven (Alpha-ID) or eight (Alpha-ID-SE) fields by vertical bar."""
    return source.share(_ALPHA_ID_MARK) >= 0.6


def read_alpha_id(source: Source) -> CatalogueFile:
    """Alpha-ID and Alpha-ID-SE; entries marked as no longer valid give rows, but no lines."""
    found: list[tuple[str, str, str]] = []
    codes: set[str] = set()
    rows = without_code = invalid = highest = width = 0
    for number, row in source.rows("cp1252"):
        fields = source.fields(row, "|", number, (width,) if width else (7, 8))
        width = len(fields)
        valid, alpha_id, primary, second, term = fields[0], fields[1], fields[2], fields[5], fields[-1]
        digits = alpha_id.removeprefix("I")
        if valid not in ("0", "1") or not digits.isdecimal():
            raise source.error(
                "does not follow the layout valid|Alpha-ID|code|…; restore the original file", number
            )
        rows += 1
        highest = max(highest, int(digits))
        if valid == "0":
            invalid += 1
            continue
        if not (primary or second):
            without_code += 1
            continue
        code = plain_code(primary or second)
        if code is None:
            raise source.error(f"{primary or second!r} is no ICD-10-GM code; download the file again", number)
        if not term.strip():
            raise source.error("has no text", number)
        codes.add(code)
        found.append((alpha_id, code, clean_term(term)))
    name, family = ("Alpha-ID-SE", "alpha-id-se") if width == 8 else ("Alpha-ID", "alpha-id")
    edition = edition_id(source, family, codes=codes, last_alpha_id=highest)
    return source.finish(
        name,
        SYSTEM,
        edition,
        {"rows": rows, "without_code": without_code, "invalid": invalid},
        lines=_numbered_lines(source, edition, found),
    )


def _numbered_lines(source: Source, edition: str, found: list[tuple[str, str, str]]) -> list[CatalogueLine]:
    """Lines whose id is the Alpha-ID; a number that comes twice gets a suffix, so that ids stay unique."""
    lines: list[CatalogueLine] = []
    seen: dict[str, int] = {}
    for alpha_id, code, term in found:
        if not term:
            continue
        seen[alpha_id] = repeat = seen.get(alpha_id, 0) + 1
        number = f"{alpha_id}#{repeat}" if repeat > 1 else alpha_id
        lines.append(source.line(edition, number, code, term))
    return lines
