"""The catalogue: every code with its title, and every line of text that speaks for a code.

    catalogue = Catalogue.load()                                   # lexicon, and what the user added
    catalogue.title(CodeSystem.ICD10GM, "C34.1")
    [line.text for line in catalogue.lines_of(CodeSystem.ICD10GM, "C34.1")]

This is the place to start reading. Files become codes and lines in `index.catalogue.layouts`; here they are put
together: which edition says what exists, which line is a duplicate, and which old term has moved to
another code since. A catalogue does not change once it is built.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from index.catalogue.layouts import CatalogueError, CatalogueFile, parse_all
from index.catalogue.layouts.source import year_of
from index.catalogue.lexicon import YEAR as LEXICON_YEAR
from index.catalogue.lexicon import read_lexicon
from index.catalogue.years import MODELS_YEAR, changes, in_models_year, in_year, title_in_year
from index.io.language import say
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule, code_above
from index.text import normalise

_NEOPLASM = re.compile(r"^(?:C\d\d|D[0-3]\d|D4[0-8])(?:\.\d{1,2})?$")
_FOUR_CHARACTERS = re.compile(r"^C\d\d\.\d$")
_ICDO = (CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY)


def is_neoplasm(icd10_code: str) -> bool:
    """Whether an ICD-10-GM code lies in chapter II, C00-D48."""
    return bool(_NEOPLASM.match(icd10_code))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Catalogue:
    """Codes and lines of several editions, put together.

    `lines` is free of duplicates; `searchable_lines` are those that may answer a query. `editions` maps an
    edition id to its layouts, files, counts and whether it is in force. `report` counts the lines read, kept,
    duplicates, moved (the term has another code in a newer edition) and dropped (the code does not exist, or
    not as a terminal code, in the edition in force). The ICD-10-GM codes are those of the models' year; `asked_year` is
    that of the edition asked for, if one was. Codes of other years are known by name, and `index.catalogue.years`
    carries to them.
    """

    lines: tuple[CatalogueLine, ...]
    searchable_lines: tuple[CatalogueLine, ...]
    rules: tuple[CrosswalkRule, ...]
    editions: Mapping[str, dict[str, Any]]
    report: Mapping[str, int]
    asked_year: int | None = None
    _codes: Mapping[CodeSystem, Mapping[str, Code]] = field(default_factory=dict)
    _by_code: Mapping[tuple[CodeSystem, str], tuple[CatalogueLine, ...]] = field(default_factory=dict)

    @classmethod
    @cache
    def builtin(cls) -> Catalogue:
        """What a fresh machine has: the lexicon alone. Read once, and the same object from then on."""
        return cls.from_files([])

    @classmethod
    def load(cls, home: Path | None = None, edition: str | None = None) -> Catalogue:
        """The lexicon and every file that the user added with `onkokode catalogue add`.

        `edition` names the systematic edition that is to be in force (`icd10gm-2017`); without it the newest
        one is. Raises `CatalogueError` for an edition that is not there, and for a damaged store.
        """
        from index.catalogue.store import load_files

        files = load_files(home)
        return cls.from_files(files, edition=edition) if files or edition is not None else cls.builtin()

    @classmethod
    def from_files(
        cls, files: Iterable[Path | CatalogueFile], *, lexicon: bool = True, edition: str | None = None
    ) -> Catalogue:
        """Put files together, parsed already or as paths (of files, not of folders)."""
        parsed: list[CatalogueFile] = []
        for file in files:
            parsed += [file] if isinstance(file, CatalogueFile) else parse_all(file)
        if lexicon:
            parsed = [_in_models_codes(file) for file in parsed]
            parsed.append(read_lexicon())
        in_force, explicit = _editions_in_force(parsed, edition), edition is not None
        codes = _codes(parsed, in_force, explicit=explicit)
        authority = in_force.get(CodeSystem.ICD10GM) if _decides(in_force, explicit=explicit) else None
        kept, report = _merge(parsed, codes[CodeSystem.ICD10GM], in_force, authority)
        for system, table in codes.items():
            if not table:
                codes[system] = _codes_of_lines(system, kept)
            elif system in _ICDO:
                all_lines = (line for file in parsed for line in file.lines)
                gone = _terms_of(system, all_lines) - _terms_of(system, kept)
                codes[system] = {name: code for name, code in table.items() if name not in gone}
        rules = [file for file in parsed if file.rules]
        asked = (year_of(edition) if edition else None) if CodeSystem.ICD10GM in in_force else None
        return cls(
            lines=tuple(kept),
            searchable_lines=tuple(line for line in kept if _searchable(line, codes, authority)),
            rules=max(rules, key=lambda file: file.year or 0).rules if rules else (),
            editions=MappingProxyType(_describe(parsed, in_force)),
            report=MappingProxyType(report),
            asked_year=asked,
            _codes=MappingProxyType(codes),
            _by_code=_by_code(kept),
        )

    def code(self, system: CodeSystem, code: str) -> Code | None:
        """The code as the edition in force has it, else as another has it; None where it is unknown."""
        found = self._codes[system].get(code)
        return found if found is not None or system is not CodeSystem.ICD10GM else _of_other_years().get(code)

    def title(self, system: CodeSystem, code: str) -> str:
        """The full title; an empty string for an unknown code."""
        found = self.code(system, code)
        return found.title if found else (system is CodeSystem.ICD10GM and title_in_year(code)) or ""

    def is_codable(self, system: CodeSystem, code: str) -> bool:
        """Whether the code exists, is terminal, and may be a primary code."""
        found = self.code(system, code)
        return found is not None and _codable(found)

    def codable_codes(self, system: CodeSystem, neoplasms_only: bool = True) -> tuple[str, ...]:
        """The codes that an answer may have, sorted. ICD-10-GM is limited to C00-D48 unless told otherwise."""
        return tuple(
            sorted(
                code.code
                for code in self._codes[system].values()
                if _codable(code)
                and (system is not CodeSystem.ICD10GM or not neoplasms_only or is_neoplasm(code.code))
            )
        )

    def lines_of(self, system: CodeSystem, code: str) -> tuple[CatalogueLine, ...]:
        """All lines of a code, exclusions and notes among them, newest edition first."""
        return self._by_code.get((system, code), ())

    def filtered(self, keep: Callable[[CatalogueLine], bool]) -> Catalogue:
        """The catalogue with those lines only that `keep` wants. Codes and rules stay; the report counts the rest
        as `filtered`."""
        lines = tuple(filter(keep, self.lines))
        kept = set(lines)
        counts = {"kept": len(kept), "filtered": len(self.lines) - len(kept)}
        return replace(
            self,
            lines=lines,
            searchable_lines=tuple(line for line in self.searchable_lines if line in kept),
            report=MappingProxyType({**self.report, **counts}),
            _by_code=_by_code(lines),
        )

    def __repr__(self) -> str:
        return f"Catalogue({len(self.lines)} lines; {', '.join(self.editions)})"


def _in_models_codes(file: CatalogueFile) -> CatalogueFile:
    """An edition of another year with the codes of the models' year: texts are decided among those, and carried to their
    year afterwards."""
    year = file.year or MODELS_YEAR
    if year == MODELS_YEAR or CodeSystem.ICD10GM not in file.systems:
        return file

    # What this edition divides and the models' year does not.
    before = {code.code: in_models_year(code.code, year) for code in file.codes}
    whole = {carried[0] for code, carried in before.items() if year > MODELS_YEAR and carried != (code,)}

    def codes() -> Iterator[Code]:
        for code in file.codes:
            carried = before[code.code] if code.system is CodeSystem.ICD10GM else (code.code,)
            if carried == (code.code,):
                yield replace(code, terminal=True) if code.code in whole else code
            elif len(carried) > 1:
                for part in carried:
                    title = code.title if part == code.code else title_in_year(part) or code.title
                    yield replace(code, code=part, title=title)

    def line(of: CatalogueLine) -> CatalogueLine:
        if of.system is not CodeSystem.ICD10GM:
            return of
        return replace(of, code=in_year(of.code, MODELS_YEAR, text=of.text, of=year))

    return replace(file, codes=tuple(codes()), lines=tuple(map(line, file.lines)))


@cache
def _of_other_years() -> Mapping[str, Code]:
    """Codes of ICD-10-GM that the models' year does not have."""
    return MappingProxyType(
        {
            change.code: Code(
                change.code,
                change.title,
                CodeSystem.ICD10GM,
                f"icd10gm-{change.since}",
                code_above(change.code),
            )
            for change in changes()
            if change.since > MODELS_YEAR
        }
    )


def _by_code(lines: Iterable[CatalogueLine]) -> Mapping[tuple[CodeSystem, str], tuple[CatalogueLine, ...]]:
    grouped: dict[tuple[CodeSystem, str], list[CatalogueLine]] = defaultdict(list)
    for line in lines:
        grouped[line.system, line.code].append(line)
    return MappingProxyType({key: tuple(of_code) for key, of_code in grouped.items()})


def _codable(code: Code) -> bool:
    if code.system is CodeSystem.TOPOGRAPHY and not _FOUR_CHARACTERS.match(code.code):
        return False
    return code.terminal and code.valid


def _editions_in_force(files: list[CatalogueFile], asked: str | None) -> dict[CodeSystem, str]:
    """The edition that decides for each system: the one asked for, else the newest systematic one."""
    systematic = sorted((file for file in files if file.systematic), key=lambda file: file.year or 0)
    in_force = {system: file.edition for file in systematic for system in file.systems}
    if asked is not None:
        chosen = [file for file in systematic if file.edition == asked]
        if not chosen:
            there = ", ".join(dict.fromkeys(file.edition for file in systematic)) or say("none")
            raise CatalogueError(say("catalogue-not-systematic", edition=asked, here=there))
        in_force |= {system: asked for file in chosen for system in file.systems}
    return in_force


def _year(edition: str) -> int:
    return year_of(edition) or 0


def _decides(in_force: Mapping[CodeSystem, str], *, explicit: bool) -> bool:
    """Whether the ICD-10-GM edition in force outrules the lexicon's codes: it was asked for, or is not older."""
    edition = in_force.get(CodeSystem.ICD10GM)
    return edition is not None and (explicit or _year(edition) >= LEXICON_YEAR[CodeSystem.ICD10GM])


def _codes(
    files: list[CatalogueFile], in_force: Mapping[CodeSystem, str], *, explicit: bool
) -> dict[CodeSystem, Mapping[str, Code]]:
    """The codes of each system. ICD-10-GM and OPS follow their edition in force; ICD-O collects all editions,
    since a registry may still use a code that a newer edition lacks, unless an edition was asked for."""
    tables: dict[CodeSystem, Mapping[str, Code]] = {}
    for system in CodeSystem:
        edition = in_force.get(system)
        alone = edition is not None and (
            explicit
            or (system is CodeSystem.ICD10GM and _decides(in_force, explicit=False))
            or system is CodeSystem.OPS
        )
        table: dict[str, Code] = {}
        # First come, first kept: the edition in force, other systematic lists by year, the lexicon, tables.
        for file in sorted(
            files, key=lambda file: (file.edition != edition, not file.systematic, -(file.year or 0))
        ):
            if (alone and file.edition != edition) or (
                system is CodeSystem.ICD10GM and not _lists_icd10(file, edition)
            ):
                continue
            for code in file.codes:
                if code.system is system:
                    table.setdefault(code.code, code)
        tables[system] = table
    return tables


def _lists_icd10(file: CatalogueFile, in_force: str | None) -> bool:
    """An older edition's codes and the registries' coarser table are no part of today's ICD-10-GM."""
    return file.edition == in_force or (not file.systematic and file.system is None)


def _merge(
    files: list[CatalogueFile],
    icd10_codes: Mapping[str, Code],
    in_force: Mapping[CodeSystem, str],
    authority: str | None,
) -> tuple[list[CatalogueLine], dict[str, int]]:
    """All lines without duplicates, outdated and impossible ones, and the counts of what was left out."""
    report = dict.fromkeys(("read", "kept", "duplicates", "moved", "dropped"), 0)
    kept: list[CatalogueLine] = []
    seen: set[tuple[CodeSystem, str, str, str]] = set()
    # For each term of a family of editions: the edition that spoke first, that is the best one, and its codes.
    spoken: dict[tuple[str, str], tuple[int, set[str]]] = {}
    for file in sorted(files, key=lambda file: _precedence(file, in_force)):
        for line in file.lines:
            report["read"] += 1
            term = normalise(line.text)
            key = (line.system, line.code, term, "" if line.speaks else line.kind)
            if key in seen:
                report["duplicates"] += 1
                continue
            known = icd10_codes.get(line.code) if line.system is CodeSystem.ICD10GM else None
            # The title of a code that is divided further says nothing against a term of one of its parts.
            divided = known is not None and not known.terminal
            family = _family(line, file) if line.speaks else None
            if family is not None:
                spot = (family, term.replace(" ", ""))
                if not divided:
                    spoken.setdefault(spot, (file.year or 0, set()))
                year, codes = spoken.get(spot, (file.year, {line.code}))
                if year == file.year:
                    codes.add(line.code)
                elif line.code not in codes:
                    report["moved"] += 1
                    continue
            answers_to_authority = authority is not None and line.speaks and line.system is CodeSystem.ICD10GM
            if answers_to_authority and line.edition != authority and (known is None or divided):
                report["dropped"] += 1
                continue
            seen.add(key)
            kept.append(line)
    report["kept"] = len(kept)
    return kept, report


def _precedence(file: CatalogueFile, in_force: Mapping[CodeSystem, str]) -> tuple[bool, bool, int, bool]:
    """The order in which files speak: editions up to the one in force, newest first; then later ones, which
    know terms that the edition in force cannot code; files without a year last."""
    edition = in_force.get(
        CodeSystem.MORPHOLOGY if CodeSystem.MORPHOLOGY in file.systems else CodeSystem.ICD10GM
    )
    limit = _year(edition) if edition else 0
    year = file.year or 0
    later = bool(limit) and year > limit
    return (year == 0, later, year if later else -year, not file.systematic)


def _family(line: CatalogueLine, file: CatalogueFile) -> str | None:
    """Which editions may outdate one another's terms: ICD-10-GM lists of all kinds, and ICD-O-3 editions."""
    if file.year is None:
        return None
    if line.system is CodeSystem.ICD10GM:
        return "icd10gm"
    return line.system.value if line.system in _ICDO and file.systematic else None


def _terms_of(system: CodeSystem, lines: Iterable[CatalogueLine]) -> set[str]:
    """The codes that have a term. A code whose terms have all moved to other codes is no longer given."""
    return {line.code for line in lines if line.system is system and line.speaks}


def _codes_of_lines(system: CodeSystem, lines: list[CatalogueLine]) -> dict[str, Code]:
    """Without any list of a system's codes, the codes that its lines use are taken as they are."""
    table: dict[str, Code] = {}
    for line in lines:
        if line.system is system and line.speaks:
            table.setdefault(line.code, Code(line.code, line.text, system, line.edition))
    return table


def _searchable(
    line: CatalogueLine, codes: Mapping[CodeSystem, Mapping[str, Code]], authority: str | None
) -> bool:
    if not line.speaks or not line.text:
        return False
    if line.system is CodeSystem.OPS:
        return True
    known = codes[line.system].get(line.code)
    if line.system is CodeSystem.ICD10GM and not is_neoplasm(line.code):
        # The lexicon lists tumour codes only; without a full list other codes are taken on trust.
        return authority is None if known is None else known.terminal
    return known is not None and _codable(known)


def _describe(files: list[CatalogueFile], in_force: Mapping[CodeSystem, str]) -> dict[str, dict[str, Any]]:
    """What each edition consists of, in plain JSON types, since the index manifest records it."""
    described: dict[str, dict[str, Any]] = {}
    for file in files:
        new = {"files": [], "in_force": file.edition in in_force.values()}
        facts = {"name": file.path.name, "layout": file.layout, "sha256": file.sha256}
        described.setdefault(file.edition, new)["files"].append({**facts, "counts": dict(file.counts)})
    return described
