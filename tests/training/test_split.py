"""The held-out split: which lines, what it bans, and that nothing of it stays in a catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile
from index.errors import OnkokodeError
from index.records import CatalogueLine, Code, CodeSystem
from training.split import Split

ICD = CodeSystem.ICD10GM


def _file(edition: str, terms: list[tuple[str, str]] = (), codes: tuple[Code, ...] = ()) -> CatalogueFile:  # type: ignore[assignment]
    lines = tuple(
        CatalogueLine(f"{edition}:{i}", code, text, "synonym", ICD, edition, edition)
        for i, (code, text) in enumerate(terms)
    )
    return CatalogueFile(Path(edition), "0", "test", ICD, edition, codes, lines, systematic=bool(codes))


SYSTEMATIC = _file(
    "icd10gm-2024",
    codes=tuple(
        Code(code, code, ICD, "icd10gm-2024", terminal=terminal)
        for code, terminal in (("C50", False), ("C50.9", True), ("C61", True), ("I10", True))
    ),
)
TERMS = [("C61", f"Prostatakarzinom der Form {i}") for i in range(100)]
OTHERS = [("I10", "Hypertonie"), ("C50", "Mammakarzinom ohne Angabe"), ("C99.9", "Karzinom ohne Code")]
FILES = [SYSTEMATIC, _file("alphabet-2023", TERMS + OTHERS), _file("alphabet-2010", [("C61", "Etwas")])]


def test_lines_of_terminal_neoplasm_codes_only_and_the_same_every_time() -> None:
    split = Split.of(FILES)
    assert (len(split.held_out), len(split.development)) == (10, 5)
    assert {line.code for line in (*split.held_out, *split.development)} == {"C61"}
    assert split == Split.of(reversed(FILES))
    assert not set(split.held_out) & set(split.development)


def test_bans_by_words_whatever_their_form_and_order() -> None:
    line = CatalogueLine("a:1", "C34.1", "Bösartige Cyste, Lunge", "synonym", ICD, "alphabet-2023", "a")
    split = Split((line,), ())
    for text in ("Bösartige Cyste, Lunge", "LUNGE: boesartige  Zyste", "Zyste, Lunge (bösartige)"):
        assert split.bans(text)
    for text in ("Bösartige Zyste", "bösartige Zyste Lunge Lunge", "Bösartige Zyste der Lunge", "", "…"):
        assert not split.bans(text)


def test_development_lines_are_banned_too() -> None:
    split = Split.of(FILES)
    assert all(split.bans(line.text) for line in (*split.held_out, *split.development))
    assert sum(not split.bans(line.text) for line in FILES[1].lines) == len(FILES[1].lines) - 15


def test_catalogue_without_loses_the_terms_in_every_edition() -> None:
    split = Split.of(FILES)
    twin = split.held_out[0].text.replace("Prostatakarzinom der", "der Prostata-Karzinom").replace("-K", "k")
    files = [*FILES, _file("alpha-id-2022", [("C61", twin), ("C61", "Ganz anderer Begriff")])]
    whole = Catalogue.from_files(files, lexicon=False)
    without = split.catalogue_without(whole)
    assert any(line.text == twin for line in whole.lines)
    for lines in (without.lines, without.searchable_lines, without.lines_of(ICD, "C61")):
        assert not any(split.bans(line.text) for line in lines)
    assert len(without.lines) == len(whole.lines) - 16
    assert without.report["filtered"] == 16
    assert without.codable_codes(ICD) == whole.codable_codes(ICD)
    assert any(line.text == "Ganz anderer Begriff" for line in without.lines_of(ICD, "C61"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(OnkokodeError, match="alphabet-2023"):
        Split.of([SYSTEMATIC])
    with pytest.raises(OnkokodeError, match="icd10gm-2024"):
        Split.of([_file("alphabet-2023", TERMS)])
