"""A store and an index of real files, tampered with in every way that we could think of: an error of ours that names
file and remedy, or exactly what was there before. Never a traceback, never something else without a word.

With the hashes made anew (`rehash`) only the checks of the content are left.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import catalogue_files as sample
import numpy as np
import pytest

from index.catalogue import store
from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueError
from index.errors import IndexFolderError
from index.io.sealed import LOCK, write_manifest
from index.records import CodeSystem
from index.search.index import FORMAT, MANIFEST, SPACES, Index
from index.search.retriever import Retriever
from tests.index.tiny_encoder import TableEncoder

Damage = Callable[[Path, random.Random], None]
# What a damaged or foreign file may hold instead, and what a field of a manifest may.
CONTENTS = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"x"',
    b"[" * 20000,
    b"\xff\xfe",
    b"PAR1PAR1",
    b"\x93NUMPY\x01\x00",
    b"\x80\x04.",
)
VALUES = (None, 7, -1, 10**30, 1.5, float("nan"), True, "", "x", "../x", "/etc/passwd", "a" * 64, [], [None], {}, {"x": "y"})  # fmt: skip


class AnyText(TableEncoder):
    """A direction for every text, drawn from its hash."""

    def __init__(self) -> None:
        super().__init__({"x": (0.0,) * 6}, fingerprint="any")

    def encode(self, texts: Any, system: CodeSystem, *, progress: bool = False) -> np.ndarray:
        rows = [np.frombuffer(hashlib.sha256(f"{system} {t}".encode()).digest()[:6], np.uint8) for t in texts]
        vectors = np.array(rows, np.float32).reshape(len(texts), 6) - 127.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ENCODER = AnyText()
# Of the damages below, drawn for each file: all of them would take a minute. Raise it to look for more.
PER_FILE = int(os.environ.get("ONKOKODE_TEST_DAMAGES", "5"))


def flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))


def linked(path: Path, _: random.Random) -> None:
    outside = path.parents[2] / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)


def swapped(path: Path, chance: random.Random) -> None:
    others = [p for p in path.parents[1].rglob(f"*{path.suffix}") if p != path and p.is_file()]
    if others:
        other = chance.choice(sorted(others))
        one, two = path.read_bytes(), other.read_bytes()
        path.write_bytes(two)
        other.write_bytes(one)


def as_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def holding(content: bytes) -> Damage:
    return lambda path, _: path.write_bytes(content) and None  # type: ignore[func-returns-value]


DAMAGES: list[Damage] = [
    *[flipped] * 6,
    linked,
    swapped,
    as_folder,
    lambda path, _: path.unlink(),
    lambda path, chance: (
        path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)]) and None
    ),  # type: ignore[func-returns-value]
    lambda path, _: path.write_bytes(path.read_bytes() * 2) and None,  # type: ignore[func-returns-value]
    lambda path, _: path.with_name("more.parquet").write_bytes(b"x") and None,  # type: ignore[func-returns-value]
    *map(holding, CONTENTS),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tampering")
    for name, text in (
        ("alphabet-2023.txt", sample.PLAIN_ALPHABET),
        ("icdo.xml", sample.ICDO),
        ("metadata2024.txt", sample.metadata()),
    ):
        (root / name).write_text(text, encoding="utf-8")
    (root / "crosswalk.tsv").write_text(sample.CROSSWALK, encoding="latin-1")
    home = root / "home"
    store.add([path for path in root.iterdir() if path.is_file()], home)
    Index.build(catalogue(home), ENCODER).save(home / "index")
    return home


def catalogue(home: Path) -> Catalogue:
    return Catalogue.from_files(store.load_files(home), lexicon=False)


def of_store(home: Path) -> Any:
    files = store.load_files(home)
    # What was read has to be fit for use, too.
    Catalogue.from_files(files, lexicon=False)
    return files


def of_index(home: Path) -> Any:
    index = Index.load(home / "index")
    index.fits(catalogue(home), ENCODER)
    found = Retriever(index, ENCODER).retrieve(["Brustkrebs", "Lungenkrebs"], CodeSystem.ICD10GM, k=5)
    vectors = {name: space.vectors.round(2).tolist() for name, space in index.spaces.items()}
    lines = {name: (space.codes, space.lines) for name, space in index.spaces.items()}
    return index.encoder, index.editions, lines, vectors, [[c.code for c in row] for row in found]


KINDS: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "catalogue": (of_store, CatalogueError, "onkokode catalogue add"),
    "index": (of_index, IndexFolderError, "onkokode catalogue index"),
}


def rehash(folder: Path, kind: str) -> None:
    """The hashes of a manifest, and its own, as a careful forger would leave them."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if kind == "index":
            root = folder / manifest["folder"]
            manifest["files"] = {
                p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in root.rglob("*")
                if p.is_file()
            }
        else:
            for entry in manifest["files"]:
                entry["tables"] = {
                    p.stem: hashlib.sha256(p.read_bytes()).hexdigest()
                    for p in (folder / entry["folder"]).iterdir()
                    if p.is_file()
                }
        sealed(path, manifest)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError):
        return  # nothing left to forge


def sealed(path: Path, manifest: Any) -> None:
    manifest.pop("digest", None)
    write_manifest(path, FORMAT, manifest)


class Copies:
    """A fresh copy of the home for each attack."""

    def __init__(self, home: Path, root: Path) -> None:
        self._home, self._root, self._number = home, root, 0

    def next(self) -> Path:
        shutil.rmtree(self._root / str(self._number), ignore_errors=True)
        self._number += 1
        return Path(shutil.copytree(self._home, self._root / str(self._number)))


@pytest.fixture
def copies(home: Path, tmp_path: Path) -> Copies:
    return Copies(home, tmp_path)


def files_of(home: Path, kind: str) -> list[str]:
    return sorted(
        p.relative_to(home).as_posix()
        for p in (home / kind).rglob("*")
        if p.is_file() and not p.name.startswith(LOCK)
    )


def answer(home: Path, kind: str, what: str) -> Any:
    """What is loaded, or None for an error as promised; any other exception fails the test."""
    load, error_class, remedy = KINDS[kind]
    try:
        return load(home)
    except error_class as error:
        message = str(error)
        assert remedy in message and "\n" not in message, (what, message)
        assert str(home) in message or message.startswith("the index: "), (what, message)
        return None
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(home: Path, copies: Copies, kind: str) -> None:
    whole = answer(home, kind, "untouched")
    assert whole is not None
    chance = random.Random(17)
    refused = 0
    for name in files_of(home, kind):
        for number, damage in chance.sample(list(enumerate(DAMAGES)), PER_FILE):
            there = copies.next()
            damage(there / name, chance)
            found = answer(there, kind, f"{name}, damage {number}")
            assert found is None or found == whole, f"{name}, damage {number}: something else was loaded"
            refused += found is None
    assert refused > 25


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_with_new_hashes(home: Path, copies: Copies, kind: str) -> None:
    whole = answer(home, kind, "untouched")
    chance = random.Random(18)
    for name in files_of(home, kind):
        for number, damage in chance.sample(list(enumerate(DAMAGES)), PER_FILE):
            there = copies.next()
            damage(there / name, chance)
            rehash(there / kind, kind)
            found = answer(there, kind, f"{name}, damage {number}, rehashed")
            # A letter of a catalogue's text is what the text is; lines, codes and vectors of an index are compared
            # with the catalogue and the encoder.
            if kind == "index" and found is not None and ".lexical" not in name:
                assert found == whole, f"{name}, damage {number}, rehashed: something else was loaded"


def spots(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a manifest."""
    if where:
        yield where
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from spots(inner, (*where, key))


def changed(manifest: Any, where: tuple[Any, ...], value: Any, *, delete: bool) -> Any:
    manifest = copy.deepcopy(manifest)
    spot = manifest
    for key in where[:-1]:
        spot = spot[key]
    if delete:
        del spot[where[-1]]
    else:
        spot[where[-1]] = value
    return manifest


@pytest.mark.parametrize("kind", KINDS)
def test_changed_manifests(home: Path, copies: Copies, kind: str) -> None:
    whole = answer(home, kind, "untouched")
    chance = random.Random(19)
    manifest = json.loads((home / kind / MANIFEST).read_text(encoding="utf-8"))
    attacks = [(where, value) for where in spots(manifest) for value in (*VALUES, "delete")]
    there = copies.next()
    path = there / kind / MANIFEST
    for where, value in chance.sample(attacks, 100):
        doctored = changed(manifest, where, value, delete=value == "delete")
        path.write_text(json.dumps(doctored), encoding="utf-8")
        found = answer(there, kind, f"{where} = {value!r}")
        assert found is None or found == whole, f"{where} = {value!r}: something else was loaded"
        if isinstance(doctored.get("format"), int):
            doctored.pop("format")
            sealed(path, doctored)
            found = answer(there, kind, f"{where} = {value!r}, sealed")
            if kind == "index" and found is not None and where[0] not in ("encoder", "editions"):
                assert found == whole, f"{where} = {value!r}, sealed: something else was loaded"


def test_no_list_of_files(home: Path, copies: Copies) -> None:
    """A manifest that lists nothing is no way past the hashes."""
    for kind, empty in (("index", {}), ("catalogue", [])):
        there = copies.next()
        path = there / kind / MANIFEST
        manifest = json.loads(path.read_text(encoding="utf-8")) | {"files": empty}
        path.write_text(json.dumps(manifest), encoding="utf-8")
        assert answer(there, kind, "files: nothing") is None
    sealed(there / "index" / MANIFEST, json.loads((home / "index" / MANIFEST).read_text()) | {"files": {}})
    assert answer(there, "index", "files: nothing, sealed") is None
    there = copies.next()
    path = there / "catalogue" / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        entry["tables"] = {}
    sealed(path, manifest)
    assert answer(there, "catalogue", "tables: nothing, sealed") is None


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    "change",
    [
        lambda v: np.full_like(v, np.nan),
        lambda v: np.full_like(v, np.inf),
        lambda v: v * 2,
        lambda v: v[:-1],
        lambda v: np.concatenate([v, v]),
        lambda v: v[:, :-1],
        lambda v: v.astype(np.float64),
        lambda v: v.astype(np.float16),
        lambda v: v.astype("S4"),
        lambda v: v.ravel(),
        lambda v: v[:, :, None],
        lambda v: -v,
        lambda v: v[::-1],
        lambda v: np.zeros_like(v),
        lambda v: v[:, ::-1],
        lambda v: v.astype(">f4"),
    ],
)
def test_vectors_that_belong_to_nothing(
    copies: Copies, space: str, change: Callable[[np.ndarray], Any]
) -> None:
    there = copies.next()
    path = next((there / "index").rglob(f"{space}.npy"))
    before = np.load(path)
    np.save(path, change(before))
    if np.array_equal(np.load(path).astype(np.float32, casting="unsafe") if change(before).dtype.kind == "f" else before[:0], before) and change(before).dtype == np.float32:  # fmt: skip
        pytest.skip("a single line turned around is the same")
    rehash(there / "index", "index")
    assert answer(there, "index", space) is None
