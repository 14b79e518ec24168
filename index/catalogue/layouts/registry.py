"""Tables of the cancer registries: morphology, topography, ICD-10, small reference tables, the crosswalk.

code;dignität;name;histologie;group                          morphology
id;code;name;id3;istPaarig                                   topography
id;code;name;id3;epi_valide;p65_valide                       ICD-10
Version  Topographie  …  Morphologiecodes  Dignität  Default  ICD10  ICD-10 Text      crosswalk, by tab
"""

from __future__ import annotations

import re

from index.catalogue.layouts.alphabets import plain_code
from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.source import CUT_OFF, CatalogueFile, Source
from index.records import CODE_FORMS, Code, CodeSystem, CrosswalkRule

_MORPHOLOGY_MARK = ["code", "name", "histologie", "group"]
_TOPOGRAPHY_HEADER = ["id", "code", "name", "id3", "istPaarig"]
_ICD10_HEADER = ["id", "code", "name", "id3", "epi_valide", "p65_valide"]
_FLAGS = {"True", "False", "1", "0", ""}
_REFERENCE_HEADERS = (["code", "name"], ["code", "name", "description"])
_CROSSWALK_MARK = ["Version", "Topographie"]
_CROSSWALK_COLUMNS = ("Version", "Topographie", "Morphologiecodes", "Dignität", "Default", "ICD10")
# No quantifier gets in, so that a rule's expression always matches in linear time.
_TOPOGRAPHY_RULE = re.compile(r"^C[\dd.\\()?!|\[\]C-]{0,80}$")
_RANGE = re.compile(r"^(\d{4})(?:-(\d{4}))?$")
_ICD10_RULE = re.compile(r"^[A-Z](?:\d\d(?:\.\d{1,2})?|\d{0,2}\*)$")
# The table lists combinations that are allowed although ICD-O does not name them; that is no wording.
_NO_NAME = re.compile(r"^Kombination nicht in ICDO3", re.IGNORECASE)


def is_morphology(source: Source) -> bool:
    """The header row is the mark, apart from its umlaut: a wrong encoding is an error, not another layout."""
    header = source.header.split(";")
    return len(header) == 5 and header[:1] + header[2:] == _MORPHOLOGY_MARK


def read_morphology(source: Source) -> CatalogueFile:
    """Morphology codes with behaviour; only those with a name give a code and a line."""
    named: dict[str, str] = {}
    rows = 0
    for number, row in source.rows(skip=1):
        code, behaviour, name, histology, _group = source.fields(row, ";", number, (5,))
        if not CODE_FORMS[CodeSystem.MORPHOLOGY].fullmatch(code) or code != f"{histology}/{behaviour}":
            raise source.error(f"{code!r} is no morphology code; restore the original file", number)
        rows += 1
        if name.strip() and not _NO_NAME.match(name):
            named[code] = name.strip()
    edition = edition_id(source, "registry-morphology")
    codes = [Code(code, name, CodeSystem.MORPHOLOGY, edition) for code, name in named.items()]
    counts = {"rows": rows, "without_name": rows - len(named)}
    return _table(source, "morphology", CodeSystem.MORPHOLOGY, codes, counts)


def is_topography(source: Source) -> bool:
    """The header row is the whole mark."""
    return source.header.split(";") == _TOPOGRAPHY_HEADER


def read_topography(source: Source) -> CatalogueFile:
    """Topography codes with their names."""
    return _read_code_table(source, 5, "topography", CodeSystem.TOPOGRAPHY)


def is_icd10(source: Source) -> bool:
    """The header row is the whole mark."""
    return source.header.split(";") == _ICD10_HEADER


def read_icd10(source: Source) -> CatalogueFile:
    """The registries' ICD-10 codes (three and four characters) with their names."""
    return _read_code_table(source, 6, "icd10", CodeSystem.ICD10GM)


def _read_code_table(source: Source, width: int, name: str, system: CodeSystem) -> CatalogueFile:
    named: dict[str, str] = {}
    above: set[str] = set()
    for number, row in source.rows(skip=1):
        fields = source.fields(row, ";", number, (width,))
        code = plain_code(fields[1])
        if code is None or not fields[2].strip():
            raise source.error("lacks its code or its name; restore the original file", number)
        if not set(fields[4:]) <= _FLAGS:
            raise source.error(f"ends in {fields[-1]!r}, which is no flag: {CUT_OFF}", number)
        named[code] = fields[2].strip()
        above.add(fields[3])
    lost = sorted(above - named.keys())
    if lost:
        raise source.error(f"holds codes below {lost[0]}, but not {lost[0]} itself: {CUT_OFF}")
    edition = edition_id(source, f"registry-{name}")
    divided = {code[:3] for code in named if len(code) > 3}
    codes = [
        Code(
            code,
            title,
            system,
            edition,
            parent=code[:3] if len(code) > 3 and code[:3] in named else None,
            terminal=code not in divided,
        )
        for code, title in named.items()
    ]
    return _table(source, name, system, codes, {"rows": len(named)})


def _table(
    source: Source, name: str, system: CodeSystem, codes: list[Code], counts: dict[str, int]
) -> CatalogueFile:
    layout, edition = f"Registry table: {name} (CSV)", edition_id(source, f"registry-{name}")
    return source.finish(layout, system, edition, counts, codes=codes, lines=source.titles(codes))


def is_reference_table(source: Source) -> bool:
    """Side, grading, basis of diagnosis: a header `code;name`, then keys of one character."""
    keys = [row.split(";")[0] for row in source.sample[1:]]
    return (
        source.header.split(";") in _REFERENCE_HEADERS and bool(keys) and all(len(key) == 1 for key in keys)
    )


def read_reference_table(source: Source) -> CatalogueFile:
    """A table without codes of our systems; it is recognised, so that a user knows why nothing came of it."""
    width = len(source.header.split(";"))
    rows = [source.fields(row, ";", number, (width,)) for number, row in source.rows(skip=1)]
    keys = {row[0] for row in rows}
    name = "basis" if width == 3 else "side" if {"L", "R"} <= keys else "grading"
    edition = edition_id(source, f"registry-{name}")
    return source.finish("Registry reference table (no codes)", None, edition, {"rows": len(rows)})


def is_crosswalk(source: Source) -> bool:
    """A header row that begins with version and topography and names all the columns that rules need."""
    header = source.header.split("\t")
    return header[:2] == _CROSSWALK_MARK and {"Morphologiecodes", "Default", "ICD10"} <= set(header)


def read_crosswalk(source: Source) -> CatalogueFile:
    """The rules from ICD-O-3 topography, morphology and behaviour to ICD-10-GM."""
    rules: list[CrosswalkRule] = []
    years: set[int] = set()
    column: dict[str, int] = {}
    for number, row in source.rows("latin-1"):
        if not column:
            column = {name: position for position, name in enumerate(row.split("\t"))}
            missing = [name for name in _CROSSWALK_COLUMNS if name not in column]
            if missing:
                raise source.error(f"lacks the column {missing[0]}; restore the original file", number)
            continue
        fields = source.fields(row, "\t", number, (len(column),))
        version, topography, ranges, behaviour, default, icd10 = (
            fields[column[name]].strip() for name in _CROSSWALK_COLUMNS
        )
        years.update(int(year) for year in re.findall(r"\b(20\d\d)\b", version))
        rules.append(
            CrosswalkRule(
                _topography_rule(source, topography, number),
                _morphology_ranges(source, ranges, number),
                _behaviour(source, behaviour, number),
                _icd10_rule(source, icd10, number),
                default == "1",
            )
        )
    edition = edition_id(source, "crosswalk", stated=max(years, default=None))
    return source.finish(
        "ICD-O-3 to ICD-10 crosswalk (TSV)", CodeSystem.ICD10GM, edition, {"rows": len(rules)}, rules=rules
    )


def _topography_rule(source: Source, text: str, number: int) -> str:
    try:
        if _TOPOGRAPHY_RULE.match(text):
            re.compile(text)
            return text
    except re.error:
        pass
    raise source.error(f"{text!r} is no expression for topography codes; restore the original file", number)


def _morphology_ranges(source: Source, text: str, number: int) -> tuple[tuple[int, int], ...]:
    ranges = []
    for part in text.split(","):
        match = _RANGE.match(part.strip())
        if not match:
            raise source.error(
                f"{text!r} are no morphology ranges such as 8000-8719; restore the original file", number
            )
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return tuple(ranges)


def _behaviour(source: Source, text: str, number: int) -> str:
    if not re.fullmatch(r"/\d", text):
        raise source.error(f"{text!r} is no behaviour such as /3; restore the original file", number)
    return text[1]


def _icd10_rule(source: Source, text: str, number: int) -> str:
    if not _ICD10_RULE.match(text):
        raise source.error(f"{text!r} is no ICD-10 code; restore the original file", number)
    return text
