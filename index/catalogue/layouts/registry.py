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
from index.catalogue.layouts.source import CatalogueFile, Source
from index.io.language import say
from index.records import CODE_FORMS, Code, CodeSystem, CrosswalkRule

_MORPHOLOGY_MARK = ["code", "name", "histologie", "group"]
_FLAGS = {"True", "False", "1", "0", ""}
_REFERENCE_HEADERS = (["code", "name"], ["code", "name", "description"])
_CROSSWALK_MARK = ["Version", "Topographie"]
_CROSSWALK_COLUMNS = ("Version", "Topographie", "Morphologiecodes", "Dignität", "Default", "ICD10")
# No quantifier gets in, so that a rule's expression always matches in linear time.
_TOPOGRAPHY_RULE = re.compile(r"C[\dd.\\()?!|\[\]C-]{0,80}")
_RANGE = re.compile(r"(\d{4})(?:-(\d{4}))?")
_RANGES = re.compile(rf"{_RANGE.pattern}(?:\s*,\s*{_RANGE.pattern})*")
_ICD10_RULE = re.compile(r"[A-Z](?:\d\d(?:\.\d{1,2})?|\d{0,2}\*)")
_BEHAVIOUR = re.compile(r"/\d")
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
    for number, (code, behaviour, name, histology, _group) in source.records(";", (5,), skip=1):
        if not CODE_FORMS[CodeSystem.MORPHOLOGY].fullmatch(code) or code != f"{histology}/{behaviour}":
            raise source.altered(say("catalogue-no-morphology", code=code), number)
        rows += 1
        if name.strip() and not _NO_NAME.match(name):
            named[code] = name.strip()
    counts = {"rows": rows, "without_name": rows - len(named)}
    return _table(source, "morphology", CodeSystem.MORPHOLOGY, named, counts)


def read_topography(source: Source) -> CatalogueFile:
    """Topography codes with their names."""
    return _read_code_table(source, 5, "topography", CodeSystem.TOPOGRAPHY)


def read_icd10(source: Source) -> CatalogueFile:
    """The registries' ICD-10 codes (three and four characters) with their names."""
    return _read_code_table(source, 6, "icd10", CodeSystem.ICD10GM)


def _read_code_table(source: Source, width: int, name: str, system: CodeSystem) -> CatalogueFile:
    named: dict[str, str] = {}
    above: set[str] = set()
    for number, fields in source.records(";", (width,), skip=1):
        code = plain_code(fields[1])
        if code is None or not fields[2].strip():
            raise source.altered(say("catalogue-no-name"), number)
        if not set(fields[4:]) <= _FLAGS:
            raise source.cut_off(say("catalogue-no-flag", cell=fields[-1]), number)
        named[code] = fields[2].strip()
        above.add(fields[3])
    lost = sorted(above - named.keys())
    if lost:
        raise source.cut_off(say("catalogue-lost-parent", code=lost[0]))
    return _table(source, name, system, named, {"rows": len(named)})


def _table(
    source: Source, name: str, system: CodeSystem, named: dict[str, str], counts: dict[str, int]
) -> CatalogueFile:
    """Codes with their names; above a code of four characters stands its category, if the table has it."""
    layout, edition = f"Registry table: {name} (CSV)", edition_id(source, f"registry-{name}")
    above = {code: code[:3] if len(code) > 3 and code[:3] in named else None for code in named}
    divided = set(above.values())
    codes = [
        Code(code, title, system, edition, parent=above[code], terminal=code not in divided)
        for code, title in named.items()
    ]
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
    rows = [fields for _, fields in source.records(";", (width,), skip=1)]
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
                raise source.altered(say("catalogue-no-column", name=missing[0]), number)
            continue
        fields = source.fields(row, "\t", number, (len(column),))
        version, topography, ranges, behaviour, default, icd10 = (
            fields[column[name]].strip() for name in _CROSSWALK_COLUMNS
        )
        years.update(int(year) for year in re.findall(r"\b(20\d\d)\b", version))
        for text, pattern, key in (
            (topography, _TOPOGRAPHY_RULE, "crosswalk-topography"),
            (ranges, _RANGES, "crosswalk-ranges"),
            (behaviour, _BEHAVIOUR, "crosswalk-behaviour"),
            (icd10, _ICD10_RULE, "crosswalk-icd"),
        ):
            if not pattern.fullmatch(text) or (pattern is _TOPOGRAPHY_RULE and not _compiles(text)):
                raise source.altered(say(key, cell=text), number)
        morphologies = tuple((int(low), int(high or low)) for low, high in _RANGE.findall(ranges))
        rules.append(CrosswalkRule(topography, morphologies, behaviour[1:], icd10, default == "1"))
    edition = edition_id(source, "crosswalk", stated=max(years, default=None))
    return source.finish(
        "ICD-O-3 to ICD-10 crosswalk (TSV)", CodeSystem.ICD10GM, edition, {"rows": len(rules)}, rules=rules
    )


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
