"""The index folder: what comes back equals what was saved, and what is damaged or foreign says so."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.errors import IndexFolderError
from index.io.sealed import LOCK, read_manifest, write_manifest
from index.records import AXES, CodeSystem
from index.search.encoder import Encoder
from index.search.index import CONTEXT, FORMAT, MANIFEST, Index, build_user_index, index_folder
from index.search.retriever import Retriever
from tests.index.tiny_encoder import TableEncoder, catalogue_of

QUERIES = ["Mammakarzinom", "Bronchialkarzinom Oberlappen", "Basaliom der Nase", "Rektumkarzinom", "", "Xyz"]
TABLE = {"Brustkrebs": (1.0, 0.0), "Nierenkrebs": (0.0, 1.0), "Nierentumor": (0.6, 0.8)}
TINY = catalogue_of(("C50.9", "Brustkrebs"), ("C64", "Nierenkrebs"), ("C64", "Nierentumor"))


@lru_cache
def embedded() -> Encoder:
    return Encoder.load(device="cpu")


@pytest.fixture(scope="module")
def built() -> Index:
    return Index.build(Catalogue.builtin(), embedded())


@pytest.fixture(scope="module")
def saved(built: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built.save(tmp_path_factory.mktemp("saved") / "index")


def tiny(encoder: Encoder | None = None) -> Index:
    return Index.build(TINY, encoder or TableEncoder(TABLE))


def test_every_searchable_line_is_in_exactly_one_space(built: Index) -> None:
    lines = [line.line_id for space in built.spaces.values() for line in space.lines]
    assert sorted(lines) == sorted(line.line_id for line in Catalogue.builtin().searchable_lines)
    assert all(is_neoplasm(line.code) for line in built.spaces["icd10gm"].lines)
    assert not any(
        line.system is CodeSystem.ICD10GM and is_neoplasm(line.code) for line in built.spaces[CONTEXT].lines
    )


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_knows_every_codable_code_and_no_other(built: Index, axis: CodeSystem) -> None:
    space = built.spaces[axis.value]
    assert space.codes == Catalogue.builtin().codable_codes(axis)
    assert [space.codes[n] for n in space.code_of] == [line.code for line in space.lines]
    assert space.vectors.shape == (len(space.lines), embedded().dimension(axis))
    assert space.flat.ntotal == len(space.lines)


def test_loaded_it_finds_the_same(built: Index, saved: Path) -> None:
    loaded = Index.load(saved, embedded())
    assert loaded.editions == dict(built.editions) and loaded.encoder == built.encoder
    before, after = Retriever(built, embedded()), Retriever(loaded, embedded())
    for axis in AXES:
        assert after.retrieve(QUERIES, axis) == before.retrieve(QUERIES, axis)
    assert after.non_tumour_lines(QUERIES) == before.non_tumour_lines(QUERIES)


def test_the_manifest_names_every_file(saved: Path) -> None:
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    there = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert {f"{manifest['folder']}/{name}" for name in manifest["files"]} == there - {MANIFEST}
    assert manifest["format"] == FORMAT and manifest["encoder"] == embedded().fingerprint


def test_nothing_is_pickled(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    for array in saved.rglob("*.npy"):
        np.load(array, allow_pickle=False)
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".npy", ".parquet"}
    Index.load(saved, embedded())


@pytest.mark.parametrize("name", ["icd10gm.npy", "icd10gm.parquet", "icd10gm.lexical/vocab.index.json"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_file_that_is_not_as_it_was_built(tmp_path: Path, name: str, how: str) -> None:
    folder = tiny().save(tmp_path / "index")
    file = next(folder.rglob(name))
    if how == "changed":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.raises(IndexFolderError, match=f"{name}.*onkokode catalogue index"):
        Index.load(folder)


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    manifest = read_manifest(folder / MANIFEST, FORMAT)
    change(manifest)
    write_manifest(folder / MANIFEST, FORMAT, manifest)
    return folder


def test_a_manifest_with_a_wrong_hash(tmp_path: Path) -> None:
    folder = edited(
        tiny().save(tmp_path / "index"), lambda manifest: manifest["files"].update({"icd10gm.npy": "0" * 64})
    )
    with pytest.raises(IndexFolderError, match=r"icd10gm\.npy.*onkokode catalogue index"):
        Index.load(folder)


def test_an_unknown_format_names_both_versions(tmp_path: Path) -> None:
    folder = tiny().save(tmp_path / "index")
    for version in (99, 1):
        (folder / MANIFEST).write_text(json.dumps({"format": version}))
        with pytest.raises(IndexFolderError, match=rf"version {version}.*reads 2.*onkokode catalogue index"):
            Index.load(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null", '{"format": 1}', "\x00", "\ufeff{}"])
def test_what_is_no_manifest(tmp_path: Path, content: str) -> None:
    folder = tiny().save(tmp_path / "index")
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(IndexFolderError, match="onkokode catalogue index"):
        Index.load(folder)


def test_no_index_at_all(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match=r"nowhere.*onkokode catalogue index"):
        Index.load(tmp_path / "nowhere")


def test_the_index_of_another_encoder(tmp_path: Path) -> None:
    folder = tiny(TableEncoder(TABLE, fingerprint="one")).save(tmp_path / "index")
    with pytest.raises(IndexFolderError, match=r"encoder one.*other is loaded.*onkokode catalogue index"):
        Index.load(folder, TableEncoder(TABLE, fingerprint="other"))
    assert Index.load(folder, TableEncoder(TABLE, fingerprint="one")).encoder == "one"


def test_saving_again_replaces_the_whole_folder(tmp_path: Path) -> None:
    folder = tiny().save(tmp_path / "index")
    (folder / "stale.npy").write_bytes(b"old")
    other = Index.build(catalogue_of(("C61", "Brustkrebs")), TableEncoder(TABLE))
    assert other.save(folder) == folder
    assert not (folder / "stale.npy").exists()
    assert Index.load(folder).spaces["icd10gm"].codes == ("C61",)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(LOCK)] == ["index"]
    assert len(list(folder.iterdir())) == 2  # the manifest and the folder that it names


def test_a_killed_build_leaves_the_old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny().save(tmp_path / "index")
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            Index.build(catalogue_of(("C61", "Brustkrebs")), TableEncoder(TABLE)).save(folder)
    assert Index.load(folder).spaces["icd10gm"].codes == ("C50.9", "C64")
    # What a killed process left is in nobody's way, and goes with the next build.
    half_written = folder / ("0" * 32)
    half_written.mkdir()
    (half_written / "icd10gm.npy").write_bytes(b"half")
    assert Index.load(folder).spaces["icd10gm"].codes == ("C50.9", "C64")
    tiny().save(folder)
    assert not half_written.exists()
    assert Index.load(folder).spaces["icd10gm"].codes == ("C50.9", "C64")


def test_an_axis_without_lines(tmp_path: Path) -> None:
    encoder = TableEncoder(TABLE)
    loaded = Index.load(tiny().save(tmp_path / "index"), encoder)
    assert Retriever(loaded, encoder).retrieve(["Brustkrebs"], CodeSystem.MORPHOLOGY) == [[]]
    assert Retriever(loaded, encoder).non_tumour_lines(["Brustkrebs"]) == [[]]


def test_the_user_index_lies_in_the_user_folder(tmp_path: Path) -> None:
    folder = build_user_index(tmp_path / "home", progress=False)
    assert folder == index_folder(tmp_path / "home") == tmp_path / "home" / "index"
    assert set(Index.load(folder).spaces) == {*(axis.value for axis in AXES), CONTEXT}
