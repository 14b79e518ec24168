"""The index: catalogue lines with their vectors, in memory and as one folder on disk.

    index = Index.build(Catalogue.builtin(), Encoder.load())
    index.save(folder)
    index = Index.load(folder, encoder)

The folder holds `manifest.json` (format version, catalogue editions, encoder, SHA-256 of every file), the
lines as Parquet, one `.npy` of vectors per space and the lexical index. It is written to a temporary folder
and renamed, so a killed build leaves the old index whole. Loading checks every hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.catalogue import Catalogue, is_neoplasm
from index.encoder import Encoder
from index.errors import IndexFolderError
from index.lexical import Lexical
from index.records import AXES, CatalogueLine, CodeSystem
from index.text import term_key

FORMAT = 1
MANIFEST = "manifest.json"
# Lines that are no answer on any axis (non-tumour diagnoses, procedures) are searched beside the axes: they
# are what speaks against a tumour.
CONTEXT = "context"
_ENCODE_CHUNK = 8192


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
    lexical: Lexical | None
    exact: dict[str, tuple[str, ...]]


class Index:
    """Spaces by name: the three axes and `context`."""

    def __init__(self, spaces: dict[str, Space], editions: dict[str, Any], encoder: str) -> None:
        self.spaces = spaces
        self.editions = editions
        self.encoder = encoder

    @classmethod
    def build(cls, catalogue: Catalogue, encoder: Encoder, *, progress: bool = False) -> Index:
        """Encode every searchable line of a catalogue. About 200,000 lines a minute on two cores."""
        groups: dict[str, list[CatalogueLine]] = {
            name: [] for name in (*(axis.value for axis in AXES), CONTEXT)
        }
        for line in catalogue.searchable_lines:
            groups[_space_of(line)].append(line)
        spaces = {}
        total = sum(len(lines) for lines in groups.values())
        with _progress(total, progress) as advance:
            for name, lines in groups.items():
                system = CodeSystem.ICD10GM if name == CONTEXT else CodeSystem(name)
                chunks = []
                for start in range(0, len(lines), _ENCODE_CHUNK):
                    chunk = lines[start : start + _ENCODE_CHUNK]
                    chunks.append(encoder.encode([line.text for line in chunk], system))
                    advance(len(chunk))
                vectors = np.concatenate(chunks) if chunks else encoder.encode([], system)
                codes = () if name == CONTEXT else catalogue.codable_codes(system)
                lexical = Lexical.build(line.text for line in lines) if lines and name != CONTEXT else None
                spaces[name] = _space(name, codes, lines, vectors, lexical)
        return cls(spaces, dict(catalogue.editions), encoder.fingerprint)

    def save(self, folder: Path) -> Path:
        """Write the folder anew; the old one stays whole until the new one is complete."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, space in self.spaces.items():
            pq.write_table(_table(space.lines), temporary / f"{name}.parquet", compression="zstd")
            np.save(temporary / f"{name}.npy", space.vectors, allow_pickle=False)
            if space.lexical is not None:
                (temporary / f"{name}.lexical").mkdir()
                space.lexical.save(temporary / f"{name}.lexical")
        manifest = {
            "format": FORMAT,
            "encoder": self.encoder,
            "editions": self.editions,
            "codes": {name: list(space.codes) for name, space in self.spaces.items()},
            "files": {
                path.relative_to(temporary).as_posix(): file_sha256(path)
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            },
        }
        (temporary / MANIFEST).write_text(
            json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8"
        )
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        return folder

    @classmethod
    def load(cls, folder: Path, encoder: Encoder | None = None) -> Index:
        """Read a folder and check it.

        Raises:
            IndexFolderError: no index, unknown format, a file whose hash differs, or another encoder.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder)
        if encoder is not None and manifest["encoder"] != encoder.fingerprint:
            raise IndexFolderError(
                f"{folder}: built with encoder {manifest['encoder']}, but {encoder.fingerprint} is loaded; {_REMEDY}"
            )
        for name, expected in manifest["files"].items():
            path = folder / name
            if not path.is_file() or file_sha256(path) != expected:
                raise IndexFolderError(f"{path}: missing or changed since the index was built; {_REMEDY}")
        spaces = {}
        for name, codes in manifest["codes"].items():
            lines = _lines(pq.read_table(folder / f"{name}.parquet"))
            vectors = np.load(folder / f"{name}.npy", allow_pickle=False)
            lexical_folder = folder / f"{name}.lexical"
            lexical = Lexical.load(lexical_folder, len(lines)) if lexical_folder.is_dir() else None
            spaces[name] = _space(name, tuple(codes), lines, vectors, lexical)
        return cls(spaces, manifest["editions"], manifest["encoder"])


_REMEDY = "rebuild it with `onkokode catalogue index`"


def index_folder(home: Path | None = None) -> Path:
    """Where the user's index lies."""
    from index.store import home as user_home

    return (Path(home) if home is not None else user_home()) / "index"


def build_user_index(home: Path | None = None, *, encoder: str | None = None, progress: bool = True) -> Path:
    """Build the index of the built-in lexicon and all catalogues that the user added."""
    catalogue = Catalogue.load(home)
    return Index.build(catalogue, Encoder.load(encoder), progress=progress).save(index_folder(home))


def _space_of(line: CatalogueLine) -> str:
    if line.system == CodeSystem.ICD10GM and is_neoplasm(line.code):
        return CodeSystem.ICD10GM.value
    if line.system in (CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY):
        return line.system.value
    return CONTEXT


def _space(
    name: str,
    codes: tuple[str, ...],
    lines: Sequence[CatalogueLine],
    vectors: np.ndarray,
    lexical: Lexical | None,
) -> Space:
    codes = codes or tuple(sorted({line.code for line in lines}))
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
    return Space(name, codes, tuple(lines), code_of, vectors, flat, lexical, exact)


_COLUMNS = ("line_id", "code", "text", "kind", "system", "edition", "source")


def _table(lines: Sequence[CatalogueLine]) -> pa.Table:
    return pa.table({c: pa.array([str(getattr(line, c)) for line in lines], pa.string()) for c in _COLUMNS})


def _lines(table: pa.Table) -> list[CatalogueLine]:
    columns = [table.column(c).to_pylist() for c in _COLUMNS]
    return [
        CatalogueLine(line_id, code, text, kind, CodeSystem(system), edition, source)
        for line_id, code, text, kind, system, edition, source in zip(*columns, strict=True)
    ]


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise IndexFolderError(f"{folder}: no index here; {_REMEDY}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        # The version first: another one may have other keys.
        found = manifest["format"]
        if found == FORMAT:
            _ = manifest["encoder"], manifest["editions"], manifest["codes"], manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise IndexFolderError(f"{path}: not an index manifest; {_REMEDY}") from error
    if found != FORMAT:
        raise IndexFolderError(f"{path}: format version {found}, this version reads {FORMAT}; {_REMEDY}")
    return manifest


def file_sha256(path: Path) -> str:
    """The hash by which a file is known again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _progress:
    """A progress bar over lines; silent without a terminal."""

    def __init__(self, total: int, shown: bool) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("Index"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), disable=not shown
        )
        self._task = self._bar.add_task("lines", total=total)

    def __enter__(self) -> Any:
        self._bar.start()
        return lambda n: self._bar.advance(self._task, n)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
