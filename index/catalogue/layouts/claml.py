"""ClaML 2.0.0, the XML in which BfArM publishes its classifications: ICD-O-3, ICD-10-GM, OPS.

    <Class code="8140:3" kind="category"> <Rubric kind="preferred"><Label>Adenokarzinom o.n.A.</Label> …

A `ModifiedBy` gives a class further characters: each `ModifierClass` of the named `Modifier` becomes a code
of its own (C90.0 + 0 = C90.00), for the class and all classes below it that no `ExcludeModifier` exempts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.catalogue.layouts.editions import edition_id
from index.catalogue.layouts.labels import label_terms
from index.catalogue.layouts.source import CatalogueFile, Source
from index.io.language import say
from index.records import CODE_FORMS, CatalogueLine, Code, CodeSystem
from index.xml import XmlError, safe_parse

if TYPE_CHECKING:
    from lxml.etree import _Element

_XML_MARK = re.compile(rb"^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
# Mark in the title, name, family of editions.
_CLASSIFICATIONS = (
    ("ICD-O", "ICD-O-3", "icdo3", CodeSystem.MORPHOLOGY),
    ("ICD-10", "ICD-10-GM", "icd10gm", CodeSystem.ICD10GM),
    ("OPS", "OPS", "ops", CodeSystem.OPS),
)
_NOT_PRIMARY = ("aster", "optional")
_TERM_KINDS = {"inclusion": "inclusion", "exclusion": "exclusion", "note": "note", "coding-hint": "note"}


@dataclass(frozen=True)
class _Character:
    """One `ModifierClass`: what it adds to a code and to its title, and after which choice it may not stand."""

    suffix: str
    title: str
    usage: str | None
    not_after: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class _Stem:
    """A code while modifiers extend it; `chosen` holds the modifier classes that it already carries."""

    code: str
    title: str
    usage: str | None
    chosen: frozenset[tuple[str, str]] = frozenset()


def is_xml(source: Source) -> bool:
    """The first character is an opening bracket, in UTF-8 or UTF-16."""
    return bool(_XML_MARK.match(source.data[:64]))


def read_claml(source: Source) -> CatalogueFile:
    """Read a ClaML file; any other XML is a `NotACatalogue`."""
    try:
        root = safe_parse(source.data)
    except XmlError as error:
        raise source.again(str(error)) from None
    if root.tag != "ClaML":
        raise source.foreign(say("catalogue-root", name=str(root.tag)[:80]))
    source.check_umlauts(source.data.decode("utf-8", "ignore"))
    title = root.find("Title")
    heading = " ".join(
        [
            title.get("name", "") if title is not None else "",
            *(meta.get("value", "") for meta in root.iterfind("Meta")),
        ]
    )
    stated = _stated_year(root, title)
    for mark, name, family, system in _CLASSIFICATIONS:
        if mark in heading:
            return _read(source, root, f"{name} (ClaML)", system, edition_id(source, family, stated=stated))
    raise source.error(say("catalogue-other-claml"))


def _stated_year(root: _Element, title: _Element | None) -> int | None:
    """The year in the version (ICD-10-GM, OPS), in the long title (ICD-O-3 2019), or of the date."""
    if title is None:
        return None
    long_titles = [meta.get("value", "") for meta in root.iterfind("Meta[@name='titleLong']")]
    for text in (title.get("version", ""), *long_titles, title.get("date", "")):
        match = _YEAR.search(text)
        if match:
            return int(match[1])
    return None


def _read(source: Source, root: _Element, layout: str, system: CodeSystem, edition: str) -> CatalogueFile:
    classes = {
        code: element
        for element in root.iterfind("Class")
        if element.get("kind") == "category" and (code := element.get("code"))
    }
    everything = {element.get("code", ""): element for element in root.iterfind("Class")}
    modifiers = _modifiers(root)
    divided = {
        parent.get("code", "") for element in classes.values() for parent in element.iterfind("SuperClass")
    } & classes.keys()
    codes: list[Code] = []
    lines: list[CatalogueLine] = []
    inclusions = 0

    def add_line(code: str, text: str, kind: str, code_system: CodeSystem) -> None:
        lines.append(source.line(edition, f"claml/{len(lines) + 1}", code, text, kind, code_system))

    for raw, element in classes.items():
        code, code_system = _code_and_system(source, raw, system, element.sourceline)
        title, terms = _rubrics(element)
        inclusions += len(element.findall("Rubric[@kind='inclusion']"))
        if not title:
            raise source.again(say("catalogue-no-label", name=raw), element.sourceline)
        stem = _Stem(code, title, element.get("usage"))
        finer = [] if raw in divided else list(_extended(stem, raw, everything, modifiers))
        parent = _parent(element, classes)
        for made, terminal, above in ((stem, raw not in divided and not finer, parent), *finer):
            valid = made.usage not in _NOT_PRIMARY
            codes.append(Code(made.code, made.title, code_system, edition, above, terminal, valid))
            add_line(made.code, made.title, "title", code_system)
        for text, kind in dict.fromkeys(terms):
            if text != title or kind != "title":
                add_line(code, text, kind, code_system)
    counts = {"rows": len(everything), "inclusions": inclusions}
    if system is CodeSystem.MORPHOLOGY:
        counts["morphology"] = sum(code.system is CodeSystem.MORPHOLOGY for code in codes)
        counts["topography"] = len(codes) - counts["morphology"]
    return source.finish(layout, system, edition, counts, codes=codes, lines=lines, systematic=True)


def _code_and_system(source: Source, raw: str, system: CodeSystem, row: int | None) -> tuple[str, CodeSystem]:
    """The code as it is printed (`8140:3` -> `8140/3`), and its system (ICD-O-3 holds two)."""
    icdo = system is CodeSystem.MORPHOLOGY
    code = raw.replace(":", "/") if icdo else raw
    for one in (CodeSystem.MORPHOLOGY, CodeSystem.TOPOGRAPHY) if icdo else (system,):
        if CODE_FORMS[one].fullmatch(code):
            return code, one
    raise source.again(say("catalogue-no-code", code=raw[:40]), row)


def _parent(element: _Element, classes: dict[str, _Element]) -> str | None:
    """The category above; blocks and chapters are no codes."""
    for above in element.iterfind("SuperClass"):
        code = above.get("code", "")
        if code in classes:
            return code.replace(":", "/")
    return None


def _rubrics(element: _Element) -> tuple[str, list[tuple[str, str]]]:
    """The full title and the further (text, kind) of a class."""
    titles: dict[str, str] = {}
    terms: list[tuple[str, str]] = []
    for rubric in element.iterfind("Rubric"):
        kind = rubric.get("kind", "")
        for label in rubric.iterfind("Label"):
            if kind in ("preferred", "preferredLong"):
                found = label_terms(label, "title")
                titles.setdefault(kind, next((text for text, what in found if what == "title"), ""))
                # What a title label holds beside the title (an exclusion, a hint, a second name) is kept as a line.
                terms += [
                    (text, "inclusion" if what == "title" else what)
                    for text, what in found
                    if text != titles[kind]
                ]
            elif kind in _TERM_KINDS:
                terms += label_terms(label, _TERM_KINDS[kind])
    return titles.get("preferredLong") or titles.get("preferred", ""), terms


def _modifiers(root: _Element) -> dict[str, list[_Character]]:
    """The characters that each modifier offers, in the order of the file."""
    offered: dict[str, list[_Character]] = {}
    for element in root.iterfind("ModifierClass"):
        title, _ = _rubrics(element)
        excluded = frozenset(
            (parts[0], parts[1])
            for meta in element.iterfind("Meta[@name='excludeOnPrecedingModifier']")
            if len(parts := meta.get("value", "").split()) == 2
        )
        character = _Character(element.get("code", ""), title, element.get("usage"), excluded)
        offered.setdefault(element.get("modifier", ""), []).append(character)
    return offered


def _modified_by(code: str, classes: dict[str, _Element]) -> dict[str, frozenset[str]]:
    """The modifiers in force for a class, own and inherited; the value holds the characters allowed (empty: all)."""
    chain: list[_Element] = []
    seen: set[str] = set()
    current: str | None = code
    while current is not None and current in classes and current not in seen:
        seen.add(current)
        chain.append(classes[current])
        above = classes[current].find("SuperClass")
        current = above.get("code") if above is not None else None
    in_force: dict[str, frozenset[str]] = {}
    for element in reversed(chain):
        for modified in element.iterfind("ModifiedBy"):
            allowed = frozenset(valid.get("code", "") for valid in modified.iterfind("ValidModifierClass"))
            in_force[modified.get("code", "")] = frozenset() if modified.get("all") == "true" else allowed
        for excluded in element.iterfind("ExcludeModifier"):
            in_force.pop(excluded.get("code", ""), None)
    return in_force


def _extended(
    stem: _Stem, raw: str, classes: dict[str, _Element], modifiers: dict[str, list[_Character]]
) -> Iterator[tuple[_Stem, bool, str | None]]:
    """The finer codes of an undivided class as (stem, terminal, parent): first the fourth, then the fifth characters."""
    in_force = _modified_by(raw, classes)
    levels = {name: _level(name, modifiers.get(name, [])) for name in in_force}
    fourth = [name for name, level in levels.items() if level == 4 and len(raw) == 3]
    fifth = [name for name, level in levels.items() if level != 4]

    def made_of(base: _Stem, names: list[str]) -> list[_Stem]:
        return [
            new for name in names for new in _appended(base, name, modifiers.get(name, []), in_force[name])
        ]

    for base in made_of(stem, fourth) or [stem]:
        # A fifth character needs a fourth one before it; an unknown level fits any base.
        finest = made_of(base, [name for name in fifth if levels[name] is None or len(base.code) == 5])
        if base is not stem:
            yield base, not finest, stem.code
        for made in finest:
            yield made, True, base.code


def _level(name: str, characters: list[_Character]) -> int | None:
    """Whether a modifier adds the fourth or the fifth character: by its point, else by its name (`S04E10_5`)."""
    if characters and characters[0].suffix.startswith("."):
        return 4
    return {"_4": 4, "_5": 5}.get(name[-2:])


def _appended(
    stem: _Stem, modifier: str, characters: list[_Character], allowed: frozenset[str]
) -> Iterator[_Stem]:
    for character in characters:
        if (
            (allowed and character.suffix not in allowed)
            or character.not_after & stem.chosen
            or not character.suffix
        ):
            continue
        point = "." if len(stem.code) == 3 and not character.suffix.startswith(".") else ""
        yield _Stem(
            stem.code + point + character.suffix,
            f"{stem.title}: {character.title}" if character.title else stem.title,
            character.usage or stem.usage,
            stem.chosen | {(modifier, character.suffix)},
        )
