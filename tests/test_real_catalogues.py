"""The real catalogue files (ONKOKODE_SHARED): added once, by the command that users run, and what is made of them.

Every test that needs all of them stands here, so that one process reads them once.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.apps.cli import cli
from index.catalogue import store
from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.catalogue.layouts import CatalogueError, CatalogueFile, NotACatalogue, parse
from index.catalogue.lexicon import read_lexicon
from index.records import CodeSystem
from index.text import normalise
from training.split import Split

pytestmark = pytest.mark.shared_data

ICD10, TOPOGRAPHY, MORPHOLOGY, OPS = CodeSystem
# Single terms are common property (there is one way to say "Prostatakarzinom"); a block of them in a row is not.
LONGEST_RUN = 5

REAL: dict[str, tuple[str, dict[str, int]]] = {
    "systematic-2024/icd10gm2024syst_kodes.txt": ("icd10gm-2024", {"codes": 16_793, "terminal": 14_290}),
    "systematic-2017/x1gmt2017.zip": ("icd10gm-2017", {"codes": 15_930, "terminal": 13_574}),
    "systematic-2024/neoplasm-rubrics.csv": ("icd10gm-rubrics-2024", {"rows": 1_401}),
    "alphabet-2023/icd10gm2023.txt": ("alphabet-2023", {"rows": 85_686, "lines": 85_686}),
    "alphabet-2010/icd10gm2010alpha_edv_ascii_20091030.txt": (
        "alphabet-2010",
        {"rows": 76_135, "without_code": 695},
    ),
    "alpha-id-se-2020-sample/icd10gm2020_alphaid_se_muster_edvtxt_20191004.txt": (
        "alpha-id-se-2020",
        {"rows": 7_278},
    ),
    "alpha-id-tumour-2024/Alpha_ID_dataset.csv": ("alpha-id-tumour-2024", {"lines": 12_021}),
    "alpha-id-tumour-2024/ICDO3_LE_dataset.csv": ("alpha-id-topography-2024", {"rows": 8_981}),
    "icd-o-3/icdo32019.xml": ("icdo3-2019", {"topography": 400, "morphology": 1_145, "inclusions": 2_597}),
    "icd-o-3/icdo32014.xml": ("icdo3-2014", {"topography": 400, "morphology": 1_076}),
    "ops-2024/ops2024_from_mapping_tree.tsv": ("ops-2024", {"nodes": 38_214}),
    "crosswalks/icdo-icd10-solid-tumours.tsv": ("crosswalk-2019", {"rules": 2_820}),
    "registry-tables/morphologie.csv": ("registry-morphology", {"rows": 5_790}),
    "registry-tables/topographie.csv": ("registry-topography", {"codes": 400}),
    "registry-tables/icd10.csv": ("registry-icd10", {"codes": 891}),
    "registry-tables/seitenlokalisation.csv": ("registry-side", {"rows": 6}),
    "registry-tables/diagnosesicherung.csv": ("registry-basis", {"rows": 8}),
    "registry-tables/grading.csv": ("registry-grading", {"rows": 12}),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("added")


@pytest.fixture(scope="module")
def added(shared: Path, home: Path) -> Result:
    return _command(home, "add", "--no-index", shared / "catalogues")


@pytest.fixture(scope="module")
def files(added: Result, home: Path) -> tuple[CatalogueFile, ...]:
    return store.load_files(home)


@pytest.fixture(scope="module")
def real(files: tuple[CatalogueFile, ...]) -> Catalogue:
    return Catalogue.from_files(files)


def _command(home: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["catalogue", *map(str, arguments)], env={"ONKOKODE_HOME": str(home)})


def test_add_the_real_files(added: Result, home: Path) -> None:
    assert added.exit_code == 0, added.output
    assert len(store.stored(home)) == 18 and "README.md" in added.output
    shown = json.loads(_command(home, "show", "C34.1", "--json").output)
    assert [entry["system"] for entry in shown] == ["icd10gm", "icdo_topography"]
    assert len(shown[0]["lines"]) >= 3 and shown[0]["crosswalk"]


@pytest.mark.parametrize("name", REAL)
def test_what_is_in_each_file(
    name: str, files: tuple[CatalogueFile, ...], shared: Path, tmp_path: Path
) -> None:
    edition, counts = REAL[name]
    (file,) = [file for file in files if file.path.name == Path(name).name]
    assert file.edition == edition
    assert {key: file.counts[key] for key in counts} == counts
    assert len({line.line_id for line in file.lines}) == len(file.lines)
    assert all(line.text and line.text == line.text.strip() for line in file.lines)
    renamed = Path(shutil.copyfile(shared / "catalogues" / name, tmp_path / "renamed"))
    assert parse(renamed).layout == file.layout


@pytest.mark.parametrize(
    "name",
    [name for name in REAL if Path(name).stem not in ("seitenlokalisation", "diagnosesicherung", "grading")],
)
@pytest.mark.parametrize("share", [0.4, 0.93])
def test_the_real_files_cut_off(name: str, share: float, shared: Path, tmp_path: Path) -> None:
    data = (shared / "catalogues" / name).read_bytes()
    size = int(len(data) * share)
    while data[size - 1 : size] in (b"\n", b"\r") or data[size : size + 1] in (b"\n", b"\r"):
        size += 1
    (tmp_path / "unnamed.bin").write_bytes(data[:size])
    with pytest.raises(CatalogueError) as error:
        parse(tmp_path / "unnamed.bin")
    assert not isinstance(error.value, NotACatalogue)


def test_the_readme_is_no_catalogue(shared: Path) -> None:
    with pytest.raises(NotACatalogue):
        parse(shared / "catalogues" / "README.md")


class TestCatalogue:
    def test_codes(self, real: Catalogue) -> None:
        # Terminal and primary codes of C00-D48 in 2024, counted from the metadata by hand (awk).
        assert len(real.codable_codes(ICD10)) == 829
        assert len(real.codable_codes(TOPOGRAPHY)) == 330
        assert len(real.codable_codes(MORPHOLOGY)) >= 1_145
        assert real.title(ICD10, "C90.00").startswith("Multiples Myelom: ")
        assert real.is_codable(ICD10, "C44.59") and not real.is_codable(ICD10, "C44.5")

    def test_lines(self, real: Catalogue) -> None:
        report = real.report
        assert report["read"] == sum(report[key] for key in ("kept", "duplicates", "moved", "dropped"))
        assert report["kept"] == len(real.lines) > 150_000
        assert len({line.line_id for line in real.lines}) == len(real.lines)
        assert all(
            real.is_codable(line.system, line.code)
            for line in real.searchable_lines
            if line.system in (TOPOGRAPHY, MORPHOLOGY) or (line.system is ICD10 and is_neoplasm(line.code))
        )

    def test_every_codable_code_has_a_line(self, real: Catalogue) -> None:
        spoken = {(line.system, line.code) for line in real.searchable_lines}
        for system in (ICD10, TOPOGRAPHY, MORPHOLOGY):
            assert {(system, code) for code in real.codable_codes(system)} <= spoken


def test_the_split_of_the_real_files(files: tuple[CatalogueFile, ...], real: Catalogue) -> None:
    split = Split.of(files)
    assert (len(split.held_out), len(split.development)) == (1286, 643)
    assert all(line.edition == "alphabet-2023" and is_neoplasm(line.code) for line in split.held_out)
    catalogue = split.catalogue_without(real)
    assert not any(split.bans(line.text) for line in catalogue.lines)
    # The right code stays an answer that can be given.
    codable = set(catalogue.codable_codes(ICD10))
    assert all(line.code in codable for line in split.held_out)


def _edition(files: tuple[CatalogueFile, ...], edition: str) -> CatalogueFile:
    (file,) = [file for file in files if file.edition == edition]
    return file


def _used(system: CodeSystem) -> set[str]:
    return {line.code for line in read_lexicon().lines if line.system is system}


def _listed(file: CatalogueFile, system: CodeSystem) -> set[str]:
    return {entry.code for entry in (*file.codes, *file.lines) if entry.system is system}


def test_lexicon_icd10_codes_exist_and_are_terminal(files: tuple[CatalogueFile, ...]) -> None:
    terminal = {code.code for code in _edition(files, "icd10gm-2024").codes if code.terminal}
    assert sorted(_used(CodeSystem.ICD10GM) - terminal) == []


def test_lexicon_no_tumour_code_is_missing(files: tuple[CatalogueFile, ...]) -> None:
    terminal = {code.code for code in _edition(files, "icd10gm-2024").codes if code.terminal}
    assert sorted(code for code in terminal - _used(CodeSystem.ICD10GM) if is_neoplasm(code)) == []


def test_lexicon_topography_codes_exist_and_none_is_missing(files: tuple[CatalogueFile, ...]) -> None:
    there = _listed(_edition(files, "icdo3-2019"), CodeSystem.TOPOGRAPHY)
    used = _used(CodeSystem.TOPOGRAPHY)
    assert sorted(used - there) == []
    four_characters = {code for code in there if len(code) == 5}
    assert sorted(four_characters - used) == []
    assert sorted(code for code in used if len(code) != 5) == []


def test_lexicon_morphology_codes_exist(files: tuple[CatalogueFile, ...]) -> None:
    there = _listed(_edition(files, "icdo3-2019"), CodeSystem.MORPHOLOGY) | _listed(
        _edition(files, "registry-morphology"), CodeSystem.MORPHOLOGY
    )
    # ICD-O's rule: a malignant histology may take the behaviour /6 (metastasis), listed or not.
    there |= {f"{code[:4]}/6" for code in there if code.endswith("/3")}
    used = _used(CodeSystem.MORPHOLOGY)
    assert sorted(used - there) == []
    assert len(used) >= 150


def test_lexicon_ops_codes_exist(files: tuple[CatalogueFile, ...]) -> None:
    assert sorted(_used(CodeSystem.OPS) - _listed(_edition(files, "ops-2024"), CodeSystem.OPS)) == []


def test_lexicon_has_a_title_for_every_tumour_code() -> None:
    titled = {(line.system, line.code) for line in read_lexicon().lines if line.kind == "title"}
    for system in (CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY):
        codes = {code for code in _used(system) if system is not CodeSystem.ICD10GM or is_neoplasm(code)}
        assert sorted(code for code in codes if (system, code) not in titled) == []


def test_lexicon_size() -> None:
    assert len(read_lexicon().lines) >= 2500


def test_lexicon_copies_no_block_of_a_catalogue(files: tuple[CatalogueFile, ...]) -> None:
    tables: dict[str, list[str]] = defaultdict(list)
    for line in read_lexicon().lines:
        tables[line.source].append(normalise(line.text))
    copied = []
    for file in files:
        texts = [normalise(line.text) for line in file.lines]
        for name, own in tables.items():
            length, last = _longest_common_run(own, texts)
            if length > LONGEST_RUN:
                copied.append(f"{name}: {length} lines up to {own[last]!r} stand so in {file.path.name}")
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
