"""The store keeps what was parsed, wholly or not at all, and notices when it was tampered with."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import catalogue_files as sample
import pytest

from index.catalogue import store
from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueError, parse
from index.io.sealed import write_manifest
from index.records import CodeSystem


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    (folder / "more").mkdir(parents=True)
    (folder / "alphabet-2023.txt").write_text(sample.PLAIN_ALPHABET, encoding="utf-8")
    (folder / "more" / "icdo.xml").write_text(sample.ICDO, encoding="utf-8")
    (folder / "crosswalk.tsv").write_text(sample.CROSSWALK, encoding="latin-1")
    (folder / "metadata2024.txt").write_text(sample.metadata(), encoding="utf-8")
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    (folder / ".hidden.txt").write_text("nothing", encoding="utf-8")
    return folder


def statuses(reports: list[store.AddReport]) -> dict[str, str]:
    return {report.path.name: report.status for report in reports}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_goes_in_comes_out(home: Path, downloads: Path) -> None:
    reports = store.add([downloads], home)
    assert statuses(reports) == {
        "alphabet-2023.txt": "added",
        "icdo.xml": "added",
        "crosswalk.tsv": "added",
        "metadata2024.txt": "added",
        "notes.txt": "skipped",
    }
    for loaded in store.load_files(home):
        source = next(path for path in store.walk([downloads]) if path.name == loaded.path.name)
        assert dataclasses.replace(loaded, path=source) == parse(source)
    assert [entry.edition for entry in store.stored(home)] == [
        "alphabet-2023",
        "crosswalk-2019",
        "icd10gm-2024",
        "icdo3-2019",
    ]


def test_the_original_is_not_copied(home: Path, downloads: Path) -> None:
    store.add([downloads], home)
    assert {Path(name).suffix for name in snapshot(home / "catalogue")} == {".json", ".parquet"}


def test_adding_again_changes_nothing(home: Path, downloads: Path) -> None:
    store.add([downloads], home)
    before = snapshot(home)
    assert set(statuses(store.add([downloads], home)).values()) == {"known", "skipped"}
    assert snapshot(home) == before


def test_a_corrected_file_replaces_its_edition(home: Path, downloads: Path) -> None:
    store.add([downloads], home)
    path = downloads / "alphabet-2023.txt"
    path.write_text(sample.PLAIN_ALPHABET + "Neuer Begriff {C50.9}\n", encoding="utf-8")
    assert statuses(store.add([path], home)) == {path.name: "replaced"}
    assert sum(entry.edition == "alphabet-2023" for entry in store.stored(home)) == 1
    assert len(list((home / "catalogue").iterdir())) == 5  # four folders and the manifest


def test_two_layouts_of_one_edition_live_together(home: Path, tmp_path: Path) -> None:
    for name, text in (("a.xml", sample.ICD10_CLAML), ("metadata2026.txt", sample.metadata())):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert store.add([tmp_path / name], home)[0].edition == "icd10gm-2026"
    catalogue = Catalogue.load(home)
    assert len({line.line_id for line in catalogue.lines}) == len(catalogue.lines)
    assert catalogue.is_codable(CodeSystem.ICD10GM, "C34.1") and catalogue.is_codable(
        CodeSystem.ICD10GM, "C90.01"
    )


def test_the_edition_can_be_given_and_changed(home: Path, downloads: Path) -> None:
    path = downloads / "alphabet-2023.txt"
    store.add([path], home)
    assert store.add([path], home, edition="alphabet-2022")[0].status == "replaced"
    assert [entry.edition for entry in store.stored(home)] == ["alphabet-2022"]
    assert store.add([path], home, edition="../evil")[0].status == "broken"


def test_a_broken_file_changes_nothing_and_stops_no_other(home: Path, downloads: Path) -> None:
    store.add([downloads / "crosswalk.tsv"], home)
    before = snapshot(home)
    broken = downloads / "broken.xml"
    broken.write_text(sample.ICDO[:-40], encoding="utf-8")
    (report,) = store.add([broken], home)
    assert report.status == "broken" and report.message.startswith("broken.xml: ")
    assert snapshot(home) == before
    assert (
        statuses(store.add([broken, downloads / "alphabet-2023.txt"], home))["alphabet-2023.txt"] == "added"
    )


def test_a_zip_with_one_broken_member_adds_none(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", sample.PLAIN_ALPHABET)
        archive.writestr("b.xml", sample.ICDO[:-40])
    assert [report.status for report in store.add([path], home)] == ["broken"]
    assert store.stored(home) == ()


def test_the_same_content_zipped_is_known(home: Path, downloads: Path, tmp_path: Path) -> None:
    path = downloads / "alphabet-2023.txt"
    store.add([path], home)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(path, "inner-2023.txt")
    assert [report.status for report in store.add([tmp_path / "z.zip"], home)] == ["known"]


@pytest.mark.parametrize("step", ["_write_tables", "_write_manifest"])
def test_a_crash_leaves_the_store_whole(
    step: str, home: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add([downloads / "crosswalk.tsv"], home)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, step, fail)
        with pytest.raises(CatalogueError, match="no space is left on the disk"):
            store.add([downloads / "alphabet-2023.txt"], home)
    assert [file.edition for file in store.load_files(home)] == ["crosswalk-2019"]
    store.add([downloads / "alphabet-2023.txt"], home)
    assert len(store.load_files(home)) == 2
    assert not [path for path in (home / "catalogue").iterdir() if path.name.startswith(".")]


def test_a_read_only_home(home: Path, downloads: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(CatalogueError, match="cannot be"):
        store.add([downloads / "crosswalk.tsv"], home)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_table_names_the_repair(damage: str, home: Path, downloads: Path) -> None:
    store.add([downloads / "alphabet-2023.txt"], home)
    table = next((home / "catalogue").rglob("lines.parquet"))
    data = table.read_bytes()
    if damage == "delete":
        table.unlink()
    else:
        table.write_bytes(
            data[:-5] if damage == "truncate" else data[:50] + bytes([data[50] ^ 1]) + data[51:]
        )
    with pytest.raises(
        CatalogueError, match=r"catalogue remove alphabet-2023.*catalogue add.*alphabet-2023\.txt"
    ):
        store.load_files(home)
    store.remove("alphabet-2023", home)
    assert store.load_files(home) == ()


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format": 99, "files": []}',
        b'{"format": 1, "files": []}',
        b'{"format": 2}',
        b'{"format": 2, "files": []}',
        b'{"format": 2, "files": 7}',
    ],
)
def test_a_damaged_manifest_names_the_repair(manifest: bytes, home: Path) -> None:
    (home / "catalogue").mkdir(parents=True)
    (home / "catalogue" / "manifest.json").write_bytes(manifest)
    for call in (store.stored, store.load_files, Catalogue.load):
        with pytest.raises(CatalogueError, match="onkokode catalogue add"):
            call(home)


def test_an_old_home_is_told_of_once(home: Path) -> None:
    """Catalogue and index are as old as each other; once the folders that are named are gone, all works."""
    for name in ("catalogue", "index"):
        (home / name).mkdir(parents=True)
        (home / name / "manifest.json").write_bytes(b'{"format": 1}')
    with pytest.raises(CatalogueError) as raised:
        store.stored(home)
    assert f"delete the folders {home / 'catalogue'} and {home / 'index'} and add" in str(raised.value)
    (home / "index" / "manifest.json").unlink()
    (home / "index").rmdir()
    with pytest.raises(CatalogueError, match=r"delete the folder \S*catalogue and add"):
        store.stored(home)


def test_a_manifest_cannot_point_elsewhere(home: Path, downloads: Path) -> None:
    store.add([downloads / "crosswalk.tsv"], home)
    path = home / "catalogue" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for key, value in (("folder", "../../x"), ("tables", {"../lines": "0"}), ("system", "icd11")):
        write_manifest(path, store.FORMAT, {"files": [manifest["files"][0] | {key: value}]})
        with pytest.raises(CatalogueError, match="none of ours"):
            store.load_files(home)


def test_remove(home: Path, downloads: Path) -> None:
    store.add([downloads], home)
    assert [entry.file for entry in store.remove("icdo3-2019", home)] == ["icdo.xml"]
    assert "icdo3-2019" not in {entry.edition for entry in store.stored(home)}
    with pytest.raises(CatalogueError, match=r"icdo3-2019 is not in the catalogue.*alphabet-2023"):
        store.remove("icdo3-2019", home)


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "x"))
    assert store.home() == tmp_path / "x"
    monkeypatch.delenv("ONKOKODE_HOME")
    assert store.home().name == "onkokode"


def test_an_empty_home_gives_the_lexicon(home: Path) -> None:
    assert store.stored(home) == () and store.load_files(home) == ()
    assert list(Catalogue.load(home).editions) == ["onkokode-lexicon"]


def test_load_uses_what_was_added(home: Path, downloads: Path) -> None:
    store.add([downloads], home)
    catalogue = Catalogue.load(home)
    assert catalogue.code(CodeSystem.ICD10GM, "C61").edition == "icd10gm-2024"  # type: ignore[union-attr]
    assert "Lungenkrebs des Oberlappens" in [
        line.text for line in catalogue.lines_of(CodeSystem.ICD10GM, "C34.1")
    ]
    assert len(catalogue.rules) == 2
    assert Catalogue.load(home, edition="icd10gm-2024").is_codable(CodeSystem.ICD10GM, "C61")
    with pytest.raises(CatalogueError, match="icd10gm-2020"):
        Catalogue.load(home, edition="icd10gm-2020")
