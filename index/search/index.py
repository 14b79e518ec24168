"""The index: catalogue lines with their vectors, in memory and as one folder on disk.

    index = Index.build(Catalogue.builtin(), Encoder.load())
    index.save(folder)
    index = Index.load(folder, encoder)

The folder holds `manifest.json` (format version, catalogue editions, encoder, codes, SHA-256 of every file) and,
in the folder that it names, the lines as Parquet, one `.npy` of vectors per space and the lexical index. A build
writes a new folder and then the manifest, so a killed one leaves the old index whole and a reader finds one of the
two. Loading checks every hash and then what was read; `fits` compares it with the catalogue and the encoder.
"""

from __future__ import annotations

import io
import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.errors import IndexFolderError
from index.io.language import say
from index.io.sealed import (
    UNREADABLE,
    DamagedFile,
    changing,
    file_hashes,
    read_files,
    read_manifest,
    whole_state,
    write_manifest,
)
from index.records import AXES, CatalogueLine, CodeSystem
from index.search.encoder import Encoder
from index.search.lexical import FILES as LEXICAL_FILES
from index.search.lexical import Lexical
from index.tables import read_table, write_table
from index.text import term_key

FORMAT = 2
MANIFEST = "manifest.json"
# Lines that are no answer on any axis (non-tumour diagnoses, procedures) are searched beside the axes: they
# are what speaks against a tumour.
CONTEXT = "context"
SPACES = (*(axis.value for axis in AXES), CONTEXT)
_ENCODE_CHUNK = 8192
_FOLDER = re.compile(r"[0-9a-f]{32}")
# Vectors are float32 of unit length, or zero for a text without a known word.
_UNIT = 1e-3
# Lines per space that are encoded again to see that index and encoder belong together, and how near they must be:
# batches of another size give other last digits, other weights other vectors.
_SAMPLE = 8
_SAME_VECTOR = 0.99


@dataclass(frozen=True)
class Space:
    """The searchable lines of one axis: `vectors[i]` belongs to `lines[i]`, whose code is
    `codes[code_of[i]]`. `codes` is sorted and holds every codable code, with or without lines."""

    name: str
    codes: tuple[str, ...]
    lines: tuple[CatalogueLine, ...]
    code_of: np.ndarray
    vectors: np.ndarray
    flat: faiss.IndexFlatIP
    exact: dict[str, tuple[str, ...]]
    stored_lexical: Lexical | None = None

    @cached_property
    def lexical(self) -> Lexical | None:
        """Search by letters, where the space has it: as it was stored, else made when somebody asks for it, which takes
        longer than all the vectors and is nothing that the embedded model needs."""
        if self.name == CONTEXT or not self.lines:
            return None
        return self.stored_lexical or Lexical.build(line.text for line in self.lines)

    @cached_property
    def number(self) -> dict[str, int]:
        """The place of each code among `codes`."""
        return {code: place for place, code in enumerate(self.codes)}


class Index:
    """Spaces by name: the three axes and `context`."""

    def __init__(self, spaces: dict[str, Space], editions: dict[str, Any], encoder: str) -> None:
        self.spaces = spaces
        self.editions = editions
        self.encoder = encoder

    @classmethod
    def build(cls, catalogue: Catalogue, encoder: Encoder, *, progress: bool = False) -> Index:
        """Encode every searchable line of a catalogue. About 200,000 lines a minute on two cores."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        groups = _by_space(catalogue.searchable_lines)
        spaces = {}
        columns = (TextColumn("Index"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not progress) as bar:
            task = bar.add_task("lines", total=sum(map(len, groups.values())))
            for name, lines in groups.items():
                system, codes = _system_and_codes(name, catalogue)
                chunks = []
                for start in range(0, len(lines), _ENCODE_CHUNK):
                    chunk = lines[start : start + _ENCODE_CHUNK]
                    chunks.append(encoder.encode([line.text for line in chunk], system))
                    bar.advance(task, len(chunk))
                vectors = np.concatenate(chunks) if chunks else encoder.encode([], system)
                spaces[name] = _space(name, codes, lines, vectors)
        return cls(spaces, dict(catalogue.editions), encoder.fingerprint)

    def save(self, folder: Path) -> Path:
        """Write the index anew; the old one stays whole until the new one is complete.

        Raises `IndexFolderError` where the folder cannot be written.
        """
        folder = Path(folder)
        new = folder / uuid.uuid4().hex
        with changing(folder, IndexFolderError):
            new.mkdir(parents=True)
            try:
                self._write(new)
                write_manifest(folder / MANIFEST, FORMAT, self._manifest(new))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            for path in folder.iterdir():
                if path not in (new, folder / MANIFEST):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return folder

    def _write(self, folder: Path) -> None:
        for name, space in self.spaces.items():
            write_table("lines", space.lines, folder / f"{name}.parquet")
            np.save(folder / f"{name}.npy", space.vectors, allow_pickle=False)
            if space.lexical is not None:
                (folder / f"{name}.lexical").mkdir()
                space.lexical.save(folder / f"{name}.lexical")

    def _manifest(self, folder: Path) -> dict[str, Any]:
        return {
            "encoder": self.encoder,
            "editions": self.editions,
            "codes": {name: list(space.codes) for name, space in self.spaces.items()},
            "folder": folder.name,
            "files": file_hashes(folder),
        }

    @classmethod
    def load(cls, folder: Path, encoder: Encoder | None = None) -> Index:
        """Read a folder and check it.

        Raises:
            IndexFolderError: no index, unknown format, a file that is not as it was written or holds what no index
                holds, or another encoder.
        """
        folder = Path(folder)
        try:
            index = whole_state(folder / MANIFEST, lambda: cls._read(folder))
        except FileNotFoundError:
            raise _rebuild(say("index-missing", folder=folder)) from None
        except DamagedFile as error:
            raise _rebuild(error) from None
        if encoder is not None and index.encoder != encoder.fingerprint:
            raise _rebuild(
                say("index-encoder", folder=folder, built=index.encoder, loaded=encoder.fingerprint)
            )
        return index

    @classmethod
    def _read(cls, folder: Path) -> Index:
        manifest = _read_manifest(folder / MANIFEST)
        files: dict[str, str] = manifest["files"]
        # Which spaces have lines is known when they were read; each may have a lexical index.
        wanted = {f"{name}.{kind}" for name in SPACES for kind in ("parquet", "npy")}
        lexical = {
            name: {f"{name}.lexical/{file}" for file in LEXICAL_FILES}
            for name in SPACES
            if name != CONTEXT and f"{name}.lexical/{LEXICAL_FILES[0]}" in files
        }
        home = folder / manifest["folder"]
        content = read_files(home, files, wanted.union(*lexical.values()))
        spaces = {
            name: _read_space(name, manifest["codes"][name], home, content, name in lexical)
            for name in SPACES
        }
        return cls(spaces, manifest["editions"], manifest["encoder"])

    def fits(self, catalogue: Catalogue, encoder: Encoder) -> None:
        """Raises `IndexFolderError` where the index holds other codes or lines than the catalogue, or vectors that
        this encoder does not make: hashes tell that files are as they were written, not that they belong here."""
        groups = _by_space(catalogue.searchable_lines)
        for name, space in self.spaces.items():
            system, codes = _system_and_codes(name, catalogue)
            if space.codes != _codes_of(codes, groups[name]) or list(space.lines) != groups[name]:
                raise _rebuild(say("index-lines", name=name))
            if not space.lines:
                continue
            rows = np.unique(np.linspace(0, len(space.lines) - 1, _SAMPLE).astype(int))
            made = encoder.encode([space.lines[row].text for row in rows], system)
            kept = space.vectors[rows]
            same = made.shape == kept.shape and np.all(
                (np.sum(made * kept, axis=1) > _SAME_VECTOR) | (~made.any(axis=1) & ~kept.any(axis=1))
            )
            if not same:
                raise _rebuild(say("index-vectors", name=name, encoder=encoder.name))


def _rebuild(what: object) -> IndexFolderError:
    return IndexFolderError(say("index-rebuild", what=what))


def index_folder(home: Path | None = None) -> Path:
    """Where the user's index lies."""
    from index.catalogue.store import home as user_home

    return (Path(home) if home is not None else user_home()) / "index"


def build_user_index(home: Path | None = None, *, encoder: str | None = None, progress: bool = True) -> Path:
    """Build the index of the built-in lexicon and all catalogues that the user added. Nobody else changes either
    meanwhile, so the index that is written last is that of the last catalogue."""
    loaded = Encoder.load(encoder)
    folder = index_folder(home)
    with changing(folder, IndexFolderError):
        return Index.build(Catalogue.load(home), loaded, progress=progress).save(folder)


def _by_space(lines: Iterable[CatalogueLine]) -> dict[str, list[CatalogueLine]]:
    groups: dict[str, list[CatalogueLine]] = {name: [] for name in SPACES}
    for line in lines:
        groups[_space_of(line)].append(line)
    return groups


def _system_and_codes(space: str, catalogue: Catalogue) -> tuple[CodeSystem, tuple[str, ...]]:
    """The axis whose vectors a space has, and the codes that the catalogue gives it."""
    if space == CONTEXT:
        return CodeSystem.ICD10GM, ()
    return CodeSystem(space), catalogue.codable_codes(CodeSystem(space))


def _space_of(line: CatalogueLine) -> str:
    if line.system == CodeSystem.ICD10GM and is_neoplasm(line.code):
        return CodeSystem.ICD10GM.value
    if line.system in (CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY):
        return line.system.value
    return CONTEXT


def _codes_of(codes: tuple[str, ...], lines: Sequence[CatalogueLine]) -> tuple[str, ...]:
    """A catalogue's codable codes; without any, those of the lines."""
    return codes or tuple(sorted({line.code for line in lines}))


def _space(
    name: str,
    codes: tuple[str, ...],
    lines: Sequence[CatalogueLine],
    vectors: np.ndarray,
    lexical: Lexical | None = None,
) -> Space:
    codes = _codes_of(codes, lines)
    number = {code: i for i, code in enumerate(codes)}
    flat = faiss.IndexFlatIP(int(vectors.shape[1]) or 1)
    if len(lines):
        flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
    exact: dict[str, tuple[str, ...]] = {}
    # Context lines answer nothing, so nobody asks for their exact terms; they are three lines in four.
    for line in lines if name != CONTEXT else ():
        key = term_key(line.text)
        if key and line.code not in exact.get(key, ()):
            exact[key] = (*exact.get(key, ()), line.code)
    code_of = np.fromiter((number[line.code] for line in lines), dtype=np.int64, count=len(lines))
    return Space(name, codes, tuple(lines), code_of, vectors, flat, exact, lexical)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest with each field of its type. Raises `DamagedFile`, `FileNotFoundError`."""
    manifest = read_manifest(path, FORMAT)
    texts = (manifest.get("encoder"), manifest.get("folder"))
    tables = (manifest.get("editions"), manifest.get("codes"), manifest.get("files"))
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(t, dict) for t in tables)
    # A name with a path in it would lead outside.
    sound = sound and bool(_FOLDER.fullmatch(manifest["folder"])) and set(manifest["codes"]) == set(SPACES)
    if not sound:
        raise DamagedFile(path, say("damaged-no-index"))
    for name, codes in manifest["codes"].items():
        if not isinstance(codes, list) or not all(isinstance(code, str) and code for code in codes):
            raise DamagedFile(path, say("damaged-no-codes", name=name))
        if codes != sorted(set(codes)):
            raise DamagedFile(path, say("damaged-code-order", name=name))
    return manifest


def _read_space(name: str, codes: list[str], folder: Path, content: dict[str, bytes], lexical: bool) -> Space:
    table, array = folder / f"{name}.parquet", folder / f"{name}.npy"
    lines: tuple[CatalogueLine, ...] = read_table("lines", content[table.name], table)
    known = set(codes)
    if any(_space_of(line) != name or line.code not in known for line in lines):
        raise DamagedFile(table, say("damaged-lines", name=name))
    vectors = _vectors(content[array.name], array, len(lines))
    if lexical != (bool(lines) and name != CONTEXT):
        raise DamagedFile(folder / f"{name}.lexical", say("damaged-lexical"))
    found = Lexical.load(folder / f"{name}.lexical", len(lines)) if lexical else None
    return _space(name, tuple(codes), lines, vectors, found)


def _vectors(data: bytes, path: Path, count: int) -> np.ndarray:
    try:
        vectors = np.load(io.BytesIO(data), allow_pickle=False)
    except UNREADABLE as error:
        raise DamagedFile(path, say("damaged-unreadable", kind=type(error).__name__)) from None
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or vectors.ndim != 2:
        raise DamagedFile(path, say("damaged-vectors"))
    if len(vectors) != count:
        raise DamagedFile(path, say("damaged-vector-count", found=len(vectors), wanted=count))
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that a length that is no number fails too.
    if not np.all((np.abs(lengths - 1) < _UNIT) | (lengths == 0)):
        raise DamagedFile(path, say("damaged-lengths"))
    return vectors
