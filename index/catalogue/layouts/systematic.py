"""The complete lists of codes that come as rows: ICD-10-GM metadata, its neoplasm rubrics, and the OPS tree.

4;T;X;02;C30;C34.1;C34.1;C341;Bösartige Neubildung: …       metadata, 28 or 30 fields without a header
code;description;kind;parent;terminal                       a table of categories, blocks and chapters
ICD10;Label;Rubrik                                          rubrics of chapter II
code    parent    display                                   OPS as a tree, by tab
"""

from __future__ import annotations

import re

from index.catalogue.layouts.alphabets import plain_code
from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.source import CatalogueFile, Source
from index.icd import ADDITIONAL_CODES
from index.io.language import say
from index.records import Code, CodeSystem, code_above

_METADATA_MARK = re.compile(r"^[345];[TN];[XS];\d\d;[A-Z]\d\d;[A-Z]\d\d")
_AGE = re.compile(r"^(?:[tj]\d{3}|9999)$")
# Between field 22 and 26, depending on whether the older three-digit age format stands beside the newer.
_AGE_FIELDS = slice(21, 26)
_READ_ME_YEAR = re.compile(r"ICD-10-GM\s+Version\s+(\d{4})")
_OPS_CODE = re.compile(r"^\d(?:-\d[0-9a-z]{1,2}(?:\.[0-9a-z]{1,3})?(?:\.\.\.\d-\d[0-9a-z])?)?$")
_RUBRIC_KINDS = {
    **dict.fromkeys(("", "preferred", "preferredLong"), "title"),
    **{kind: kind for kind in ("inclusion", "exclusion")},
}


def is_metadata(source: Source) -> bool:
    """Rows that begin with level, terminal flag, kind and chapter."""
    return source.share(_METADATA_MARK) >= 0.6


def read_metadata(source: Source) -> CatalogueFile:
    """The systematic list as metadata; full titles, sex and age limits, and use as a primary code."""
    rows: list[tuple[str, list[str]]] = []
    width = 0
    for number, row in source.rows():
        fields = source.fields(row, ";", number, (width,) if width else range(25, 33))
        width = len(fields)
        if not _METADATA_MARK.match(row) or plain_code(fields[6]) is None or not fields[8].strip():
            raise source.altered(say("catalogue-layout", layout="5;T;X;02;C30;C34;…"), number)
        rows.append((fields[6], fields))
    known = {code for code, _ in rows}
    parents = {code_above(code) for code in known}
    for code, fields in rows:
        parent = code_above(code)
        if parent and parent not in known:
            raise source.cut_off(say("catalogue-no-parent", code=code, parent=parent))
        if fields[1] == "N" and code not in parents:
            raise source.cut_off(say("catalogue-no-children", code=code))
    stated = _READ_ME_YEAR.search(source.readme)
    edition = edition_id(source, "icd10gm", stated=int(stated[1]) if stated else None, codes=known)
    codes = [_metadata_code(code, fields, edition) for code, fields in rows]
    layout = (
        "ICD-10-GM Systematik, Metadaten (Zip)" if source.member else "ICD-10-GM Systematik, Metadaten (Text)"
    )
    return source.finish(
        layout, CodeSystem.ICD10GM, edition, {"rows": len(rows)},
        codes=codes, lines=source.titles(codes), systematic=True,
    )  # fmt: skip


def _metadata_code(code: str, fields: list[str], edition: str) -> Code:
    ages = [value for value in fields[_AGE_FIELDS] if _AGE.match(value)]
    limits = (_years(ages[0]), _years(ages[1])) if len(ages) >= 2 else (None, None)
    return Code(
        code,
        fields[8].strip(),
        CodeSystem.ICD10GM,
        edition,
        parent=code_above(code),
        terminal=fields[1] == "T",
        # Fields 13 and 14: use in out-patient (section 295) and in-patient (section 301) care, P = primary.
        valid="P" in (fields[12], fields[13]),
        sex=fields[19] if fields[19] in ("M", "W") else None,
        age=None if limits == (None, None) else limits,
    )


def _years(limit: str) -> float | None:
    """`j015` -> 15 years, `t028` -> 28 days in years; 9999 and 124 years (the layout's highest) mean no limit."""
    if limit == "9999" or (limit >= "j124" and limit[0] == "j"):
        return None
    return float(limit[1:]) if limit[0] == "j" else round(int(limit[1:]) / 365.25, 4)


def read_code_table(source: Source) -> CatalogueFile:
    """The systematic list as a table of one row per chapter, block and code; which codes may be a primary one it says
    of no chapter, and of chapter II it is known. A title may lack that of its category
    ("Oberlappen"); its search line then has both."""
    rows: list[tuple[int, str, str, str, bool]] = []
    for number, (code, title, kind, parent, mark) in source.records(";", (5,), skip=1):
        if kind in ("chapter", "block"):
            continue
        if plain_code(code) != code or not title.strip() or mark not in ("Y", "N"):
            raise source.altered(
                say("catalogue-layout", layout="code;description;kind;parent;terminal"), number
            )
        rows.append((number, code, title.strip(), parent, mark == "Y"))
    own = {code: title for _, code, title, _, _ in rows}
    divided = {parent for _, _, _, parent, _ in rows}
    for number, code, _, _, terminal in rows:
        # Four characters that a modifier divides (E10.0) may be missing, a category may not.
        if code[:3] not in own:
            raise source.cut_off(say("catalogue-no-parent", code=code, parent=code[:3]), number)
        if not terminal and code not in divided:
            raise source.cut_off(say("catalogue-no-children", code=code), number)
    edition = edition_id(source, "icd10gm", codes=own.keys())
    codes = [
        Code(
            code,
            _full_title(code, own),
            CodeSystem.ICD10GM,
            edition,
            parent=code_above(code),
            terminal=terminal,
            valid=code not in ADDITIONAL_CODES,
        )
        for _, code, _, _, terminal in rows
    ]
    return source.finish(
        "ICD-10-GM Systematik, Tabelle (CSV)", CodeSystem.ICD10GM, edition, {"rows": len(rows)},
        codes=codes, lines=source.titles(codes), systematic=True,
    )  # fmt: skip


def _full_title(code: str, own: dict[str, str]) -> str:
    """A title behind that of its category, unless it says it already: "Haut der Lippe" of C44 says no tumour."""
    title, category = own[code], own[code[:3]]
    first = category.split(" ", 1)[0].casefold()
    return title if len(code) == 3 or first in title.casefold() else f"{category}: {title}"


def read_rubrics(source: Source) -> CatalogueFile:
    """Titles and rubrics of chapter II. Not a complete list of codes, so it gives lines only."""
    found: list[tuple[int, str, str, str]] = []
    for number, (marked, label, rubric) in source.records(";", (3,), skip=1):
        code, kind = plain_code(marked), _RUBRIC_KINDS.get(rubric)
        if code is None or kind is None or not label.strip():
            raise source.altered(say("catalogue-layout", layout="ICD10;Label;Rubrik"), number)
        found.append((number, code, label.strip(), kind))
    edition = edition_id(source, "icd10gm-rubrics", codes={code for _, code, _, _ in found})
    lines = [source.line(edition, *row) for row in found]
    counts = {"rows": len(found), "categories": len({code for _, code, _, _ in found})}
    return source.finish("ICD-10-GM neoplasm rubrics (CSV)", CodeSystem.ICD10GM, edition, counts, lines=lines)


def read_ops_tree(source: Source) -> CatalogueFile:
    """OPS as a tree of codes with full titles; chapters and groups are nodes as well."""
    nodes: dict[str, tuple[str, str]] = {}
    for number, (code, parent, title) in source.records("\t", (3,), skip=1):
        if not _OPS_CODE.match(code) or not title.strip():
            raise source.altered(say("catalogue-no-ops", code=code), number)
        if code in nodes:
            raise source.altered(say("catalogue-code-again", code=code), number)
        nodes[code] = (parent, title.strip())
    parents = {parent for parent, _ in nodes.values()}
    lost = sorted(parent for parent in parents if parent and parent not in nodes)
    if lost:
        raise source.cut_off(say("catalogue-lost-parent", code=lost[0]))
    edition = edition_id(source, "ops", codes=nodes.keys())
    codes = [
        Code(code, title, CodeSystem.OPS, edition, parent=parent or None, terminal=code not in parents)
        for code, (parent, title) in nodes.items()
    ]
    counts = {"rows": len(nodes), "nodes": len(nodes)}
    return source.finish(
        "OPS, tree (TSV)", CodeSystem.OPS, edition, counts,
        codes=codes, lines=source.titles(codes), systematic=True,
    )  # fmt: skip
