"""The built-in lexicon: our own German wording for the tumour codes, shipped with the package.

    lexicon = read_lexicon()             # a CatalogueFile of the edition 'onkokode-lexicon'
    findings = read_findings()           # ('Zustand nach Appendektomie', …): no tumour, no code

The tables lie in `index/catalogue/lexicon/*.tsv` with the columns system, code, kind, text. Their codes are those of
ICD-10-GM 2024 and ICD-O-3 2019.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from index.catalogue.crosswalk import shipped_rules
from index.catalogue.layouts.source import CatalogueError, CatalogueFile
from index.catalogue.overrides import TableError, table_rows
from index.icd import ADDITIONAL_CODES
from index.io.language import say
from index.io.sealed import DamagedFile
from index.records import CODE_FORMS, CatalogueLine, Code, CodeSystem, code_above

EDITION = "onkokode-lexicon"
# The years of the classifications whose codes the lexicon holds.
YEAR = {CodeSystem.ICD10GM: 2024, CodeSystem.TOPOGRAPHY: 2019, CodeSystem.MORPHOLOGY: 2019}
FOLDER = Path(__file__).parent / "lexicon"
COLUMNS = ("system", "code", "kind", "text")
_KINDS = ("title", "synonym", "abbreviation")
_NO_SYSTEM = "none"
# ICD-10 categories of the female and the male organs.
_WOMEN = re.compile(r"^(?:C5[1-8]|D06|D07\.[0-3]|D2[5-8]|D39)")
_MEN = re.compile(r"^(?:C6[0-3]|D07\.[4-6]|D29|D40)")


@lru_cache(maxsize=4)
def read_lexicon(folder: Path = FOLDER) -> CatalogueFile:
    """The lexicon's codes and lines. Raises `CatalogueError` where a table is missing or malformed."""
    rows = _rows(folder)
    titles: dict[tuple[CodeSystem, str], str] = {}
    lines = []
    for number, (name, system, code, kind, text) in enumerate(rows, start=1):
        if system is None:
            continue
        lines.append(CatalogueLine(f"{EDITION}:{number}", code, text, kind, system, EDITION, name))
        if kind == "title":
            titles.setdefault((system, code), text)
    divided = {(system, above) for system, code in titles if (above := _parent(system, code))}
    codes = tuple(
        Code(
            code,
            title,
            system,
            EDITION,
            parent=above if (system, above := _parent(system, code)) in titles else None,
            terminal=(system, code) not in divided,
            valid=not (system is CodeSystem.ICD10GM and code in ADDITIONAL_CODES),
            sex=_sex(code) if system is CodeSystem.ICD10GM else None,
        )
        for (system, code), title in titles.items()
    )
    counts = {"rows": len(rows), "codes": len(codes), "lines": len(lines)}
    sha256 = hashlib.sha256(b"".join(path.read_bytes() for path in _tables(folder))).hexdigest()
    try:
        rules = shipped_rules()
    except DamagedFile as error:
        raise CatalogueError(say("lexicon-damaged", what=error)) from None
    return CatalogueFile(
        folder, sha256, "Onkokode lexicon", None, EDITION, codes, tuple(lines), rules, counts
    )


@lru_cache(maxsize=4)
def read_findings(folder: Path = FOLDER) -> tuple[str, ...]:
    """The texts of the system `none`: findings that are no tumour and have no code, for recognition only."""
    return tuple(text for _, system, _, _, text in _rows(folder) if system is None)


def _tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tsv"))


def _rows(folder: Path) -> list[tuple[str, CodeSystem | None, str, str, str]]:
    """Every row as (table, system, code, kind, text)."""
    tables = _tables(folder)
    if not tables:
        raise CatalogueError(say("lexicon-damaged", what=say("lexicon-missing", folder=folder)))
    try:
        return [(path.name, *_row(*row)) for path in tables for row in table_rows(path, COLUMNS)]
    except TableError as error:
        raise CatalogueError(say("lexicon-damaged", what=str(error).rstrip(".;"))) from None


def _row(where: str, row: dict[str, str]) -> tuple[CodeSystem | None, str, str, str]:
    name, code, kind, text = row.values()
    if kind not in _KINDS or not text:
        raise TableError(f"{where}: needs a kind ({', '.join(_KINDS)}) and a text;")
    if name == _NO_SYSTEM:
        return None, "", kind, text
    if name not in CODE_FORMS:
        raise TableError(f"{where}: {name!r} is no code system;")
    system = CodeSystem(name)
    if not CODE_FORMS[system].fullmatch(code):
        raise TableError(f"{where}: {code!r} is no code of {system.value};")
    return system, code, kind, text


def _parent(system: CodeSystem, code: str) -> str | None:
    return code_above(code) if system in (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY) else None


def _sex(code: str) -> str | None:
    if _WOMEN.match(code):
        return "W"
    return "M" if _MEN.match(code) else None
