"""The built-in lexicon against the official files: its codes exist, none is missing, its wording is our own."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from index.catalogue.catalogue import is_neoplasm
from index.catalogue.layouts import CatalogueFile, NotACatalogue, parse_all
from index.catalogue.lexicon import read_lexicon
from index.catalogue.store import walk
from index.records import CatalogueLine, CodeSystem
from index.text import normalise

pytestmark = pytest.mark.shared_data

# Single terms are common property (there is one way to say "Prostatakarzinom"); a block of them in a row is not.
LONGEST_RUN = 5


@pytest.fixture(scope="module")
def files(shared: Path) -> list[CatalogueFile]:
    found: list[CatalogueFile] = []
    for path in walk([shared / "catalogues"]):
        try:
            found += parse_all(path)
        except NotACatalogue:
            continue
    return found


def _edition(files: list[CatalogueFile], edition: str) -> CatalogueFile:
    (file,) = [file for file in files if file.edition == edition]
    return file


def _used(system: CodeSystem) -> set[str]:
    return {line.code for line in read_lexicon().lines if line.system is system}


def _listed(file: CatalogueFile, system: CodeSystem) -> set[str]:
    return {entry.code for entry in (*file.codes, *file.lines) if entry.system is system}


def test_icd10_codes_exist_and_are_terminal(files: list[CatalogueFile]) -> None:
    terminal = {code.code for code in _edition(files, "icd10gm-2024").codes if code.terminal}
    assert sorted(_used(CodeSystem.ICD10GM) - terminal) == []


def test_no_tumour_code_is_missing(files: list[CatalogueFile]) -> None:
    terminal = {code.code for code in _edition(files, "icd10gm-2024").codes if code.terminal}
    assert sorted(code for code in terminal - _used(CodeSystem.ICD10GM) if is_neoplasm(code)) == []


def test_topography_codes_exist_and_none_is_missing(files: list[CatalogueFile]) -> None:
    there = _listed(_edition(files, "icdo3-2019"), CodeSystem.TOPOGRAPHY)
    used = _used(CodeSystem.TOPOGRAPHY)
    assert sorted(used - there) == []
    four_characters = {code for code in there if len(code) == 5}
    assert sorted(four_characters - used) == []
    assert sorted(code for code in used if len(code) != 5) == []


def test_morphology_codes_exist(files: list[CatalogueFile]) -> None:
    there = _listed(_edition(files, "icdo3-2019"), CodeSystem.MORPHOLOGY) | _listed(
        _edition(files, "registry-morphology"), CodeSystem.MORPHOLOGY
    )
    # ICD-O's rule: a malignant histology may take the behaviour /6 (metastasis), listed or not.
    there |= {f"{code[:4]}/6" for code in there if code.endswith("/3")}
    used = _used(CodeSystem.MORPHOLOGY)
    assert sorted(used - there) == []
    assert len(used) >= 150


def test_ops_codes_exist(files: list[CatalogueFile]) -> None:
    assert sorted(_used(CodeSystem.OPS) - _listed(_edition(files, "ops-2024"), CodeSystem.OPS)) == []


def test_every_tumour_code_has_a_title() -> None:
    titled = {(line.system, line.code) for line in read_lexicon().lines if line.kind == "title"}
    for system in (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY):
        codes = {code for code in _used(system) if system is not CodeSystem.ICD10GM or is_neoplasm(code)}
        assert sorted(code for code in codes if (system, code) not in titled) == []


def test_size() -> None:
    assert len(read_lexicon().lines) >= 2500


def test_no_block_is_copied_from_a_catalogue(files: list[CatalogueFile]) -> None:
    tables: dict[str, list[CatalogueLine]] = defaultdict(list)
    for line in read_lexicon().lines:
        tables[line.source].append(line)
    copied = []
    for file in files:
        texts = [normalise(line.text) for line in file.lines]
        for name, lines in tables.items():
            length, last = _longest_common_run([normalise(line.text) for line in lines], texts)
            if length > LONGEST_RUN:
                copied.append(
                    f"{name}: {length} lines up to {lines[last].text!r} stand so in {file.path.name}"
                )
    assert copied == []


def test_longest_common_run_by_hand() -> None:
    assert _longest_common_run(list("xabcy"), list("ababcab")) == (3, 3)
    assert _longest_common_run(list("ab"), list("xy")) == (0, -1)


def _longest_common_run(texts: list[str], others: list[str]) -> tuple[int, int]:
    """The length of the longest run of equal consecutive texts, and where in `texts` it ends."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(others):
        places[text].append(place)
    best, last = 0, -1
    ending: dict[int, int] = {}
    for number, text in enumerate(texts):
        ending = {place: ending.get(place - 1, 0) + 1 for place in places.get(text, ())}
        longest = max(ending.values(), default=0)
        if longest > best:
            best, last = longest, number
    return best, last
