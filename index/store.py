"""The user's data folder: the catalogue files that were added, parsed once and kept as Parquet.

    reports = add([Path("icd10gm2024.txt")])       # [AddReport(status='added', edition='alphabet-2024', …)]
    files = load_files()                            # what Catalogue.load puts together
    remove("alphabet-2024")

    <home>/catalogue/manifest.json                  what is here: original name, hash, edition, layout, counts
    <home>/catalogue/<id>/{codes,lines,rules}.parquet

Nothing of the original file is copied but its codes and terms. A folder `<id>` is written under a temporary
name and renamed, then the manifest likewise: whatever interrupts `add`, the store stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.failures import reason
from index.layouts import CatalogueError, CatalogueFile, NotACatalogue, parse_all
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_MANIFEST = "manifest.json"
_TABLES = ("codes", "lines", "rules")


@dataclass(frozen=True)
class AddReport:
    """What became of one file (or of one member of a zip).

    `status`: `added`; `replaced` (an earlier file of the same edition and layout gave way); `known` (the same
    file was here already); `skipped` (no catalogue); `broken`. `message` says more for the last two.
    """

    path: Path
    status: str
    layout: str = ""
    edition: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class StoredFile:
    """A catalogue file in the store; `folder` is the name of its folder, `tables` the hashes of what is in it."""

    file: str
    member: str | None
    sha256: str
    edition: str
    layout: str
    system: str | None
    systematic: bool
    counts: dict[str, int]
    added: str
    folder: str
    tables: dict[str, str]


def home() -> Path:
    """The user's data folder: `ONKOKODE_HOME`, else the system's usual place."""
    chosen = os.environ.get("ONKOKODE_HOME")
    if chosen:
        try:
            return Path(chosen).expanduser()
        except RuntimeError:
            raise CatalogueError(
                f"ONKOKODE_HOME={chosen}: there is no such user on this machine; name a folder"
            ) from None
    from platformdirs import user_data_dir

    return Path(user_data_dir("onkokode", appauthor=False))


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that `add` looks at: files as they are, folders with all below them (hidden ones left out)."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from (
                found
                for found in sorted(path.rglob("*"))
                if found.is_file() and not any(part.startswith(".") for part in found.relative_to(path).parts)
            )
        else:
            yield path


def add(
    paths: Iterable[Path],
    home: Path | None = None,
    edition: str | None = None,
    on_file: Callable[[Path], None] | None = None,
) -> list[AddReport]:
    """Parse files and store them, each wholly or not at all; a broken file does not stop the others.

    `edition` overrides the edition found, for all files. `on_file` is called before each file, for a
    progress bar.
    """
    root = _root(home)
    reports: list[AddReport] = []
    for path in walk(paths):
        if on_file is not None:
            on_file(path)
        try:
            parsed = parse_all(path, edition)
        except NotACatalogue as error:
            reports.append(AddReport(path, "skipped", message=str(error)))
            continue
        except CatalogueError as error:
            reports.append(AddReport(path, "broken", message=str(error)))
            continue
        reports += [_store(root, file) for file in parsed]
    return reports


def stored(home: Path | None = None) -> tuple[StoredFile, ...]:
    """What is in the store, in the order in which it was added. Raises `CatalogueError` where it is damaged."""
    return _read_manifest(_root(home))


def remove(edition: str, home: Path | None = None) -> tuple[StoredFile, ...]:
    """Remove all files of an edition and return them. Raises `CatalogueError` where there is none."""
    root = _root(home)
    entries = _read_manifest(root)
    gone = tuple(entry for entry in entries if entry.edition == edition)
    if not gone:
        here = ", ".join(dict.fromkeys(entry.edition for entry in entries)) or "none"
        raise CatalogueError(f"edition {edition!r} is not in the catalogue; there is: {here}")
    _write_manifest(root, [entry for entry in entries if entry.edition != edition])
    _sweep(root)
    return gone


def load_files(home: Path | None = None) -> tuple[CatalogueFile, ...]:
    """Everything in the store. The hash of each table is checked before it is read."""
    root = _root(home)
    return tuple(_load(root, entry) for entry in _read_manifest(root))


def _root(home_folder: Path | None) -> Path:
    return (Path(home_folder) if home_folder is not None else home()) / "catalogue"


def _store(root: Path, file: CatalogueFile) -> AddReport:
    entries = _read_manifest(root)

    def report(status: str) -> AddReport:
        return AddReport(file.path, status, file.layout, file.edition, dict(file.counts))

    if any(entry.sha256 == file.sha256 and entry.edition == file.edition for entry in entries):
        return report("known")
    folder = hashlib.sha256(f"{file.sha256} {file.edition}".encode()).hexdigest()[:16]
    # The same file under another edition, or another file of the same edition and layout, gives way.
    kept = [
        entry
        for entry in entries
        if entry.sha256 != file.sha256 and (entry.edition, entry.layout) != (file.edition, file.layout)
    ]
    temporary = root / f".{folder}.{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        hashes = _write_tables(temporary, file)
        shutil.rmtree(root / folder, ignore_errors=True)
        temporary.rename(root / folder)
        _write_manifest(root, [*kept, _entry(file, folder, hashes)])
    except OSError as error:
        reason = error.strerror or error
        raise CatalogueError(
            f"{root}: cannot be written ({reason}); check its rights and the free space"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sweep(root)
    return report("replaced" if len(kept) < len(entries) else "added")


def _entry(file: CatalogueFile, folder: str, hashes: dict[str, str]) -> StoredFile:
    return StoredFile(
        file=file.path.name,
        member=file.member,
        sha256=file.sha256,
        edition=file.edition,
        layout=file.layout,
        system=file.system.value if file.system else None,
        systematic=file.systematic,
        counts=dict(file.counts),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        folder=folder,
        tables=hashes,
    )


def _write_tables(folder: Path, file: CatalogueFile) -> dict[str, str]:
    """Write the tables that are not empty; returns the SHA-256 of each."""
    import pyarrow.parquet as pq

    hashes = {}
    for name in _TABLES:
        records = getattr(file, name)
        if records:
            path = folder / f"{name}.parquet"
            pq.write_table(_TO_TABLE[name](records), path, compression="zstd")
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def _load(root: Path, entry: StoredFile) -> CatalogueFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records: dict[str, tuple[Any, ...]] = {}
    for name, expected in entry.tables.items():
        path = root / entry.folder / f"{name}.parquet"
        repair = f"run `onkokode catalogue remove {entry.edition}` and then `onkokode catalogue add` with the file {entry.file}"
        try:
            data = path.read_bytes()
        except OSError:
            raise CatalogueError(f"{path}: is missing; {repair}") from None
        if hashlib.sha256(data).hexdigest() != expected:
            raise CatalogueError(f"{path}: is damaged, its hash is not the one recorded; {repair}")
        try:
            records[name] = tuple(_FROM_TABLE[name](pq.read_table(pa.BufferReader(data)).to_pydict()))
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            raise CatalogueError(f"{path}: cannot be read ({type(error).__name__}); {repair}") from None
    return CatalogueFile(
        Path(entry.file),
        entry.sha256,
        entry.layout,
        CodeSystem(entry.system) if entry.system else None,
        entry.edition,
        records.get("codes", ()),
        records.get("lines", ()),
        records.get("rules", ()),
        entry.counts,
        entry.systematic,
        entry.member,
    )


def _codes_to_table(codes: tuple[Code, ...]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "code": pa.array([code.code for code in codes], pa.string()),
            "title": pa.array([code.title for code in codes], pa.string()),
            "system": pa.array([code.system.value for code in codes], pa.string()),
            "edition": pa.array([code.edition for code in codes], pa.string()),
            "parent": pa.array([code.parent for code in codes], pa.string()),
            "terminal": pa.array([code.terminal for code in codes], pa.bool_()),
            "valid": pa.array([code.valid for code in codes], pa.bool_()),
            "sex": pa.array([code.sex for code in codes], pa.string()),
            "age_low": pa.array([code.age[0] if code.age else None for code in codes], pa.float64()),
            "age_high": pa.array([code.age[1] if code.age else None for code in codes], pa.float64()),
        }
    )


def _codes_from_table(columns: dict[str, list[Any]]) -> Iterator[Code]:
    names = (
        "code",
        "title",
        "system",
        "edition",
        "parent",
        "terminal",
        "valid",
        "sex",
        "age_low",
        "age_high",
    )
    for code, title, system, edition, parent, terminal, valid, sex, low, high in zip(
        *(columns[name] for name in names), strict=True
    ):
        age = None if low is None and high is None else (low, high)
        yield Code(code, title, CodeSystem(system), edition, parent, terminal, valid, sex, age)


_LINE_COLUMNS = ("line_id", "code", "text", "kind", "system", "edition", "source")


def _lines_to_table(lines: tuple[CatalogueLine, ...]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {name: pa.array([str(getattr(line, name)) for line in lines], pa.string()) for name in _LINE_COLUMNS}
    )


def _lines_from_table(columns: dict[str, list[Any]]) -> Iterator[CatalogueLine]:
    for line_id, code, text, kind, system, edition, source in zip(
        *(columns[name] for name in _LINE_COLUMNS), strict=True
    ):
        yield CatalogueLine(line_id, code, text, kind, CodeSystem(system), edition, source)


def _rules_to_table(rules: tuple[CrosswalkRule, ...]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "topography": pa.array([rule.topography for rule in rules], pa.string()),
            "morphologies": pa.array(
                [list(map(list, rule.morphologies)) for rule in rules], pa.list_(pa.list_(pa.int32()))
            ),
            "behaviour": pa.array([rule.behaviour for rule in rules], pa.string()),
            "icd10": pa.array([rule.icd10 for rule in rules], pa.string()),
            "default": pa.array([rule.default for rule in rules], pa.bool_()),
        }
    )


def _rules_from_table(columns: dict[str, list[Any]]) -> Iterator[CrosswalkRule]:
    names = ("topography", "morphologies", "behaviour", "icd10", "default")
    for topography, ranges, behaviour, icd10, default in zip(*(columns[name] for name in names), strict=True):
        yield CrosswalkRule(topography, tuple((low, high) for low, high in ranges), behaviour, icd10, default)


_TO_TABLE: dict[str, Callable[[Any], pa.Table]] = {
    "codes": _codes_to_table,
    "lines": _lines_to_table,
    "rules": _rules_to_table,
}
_FROM_TABLE: dict[str, Callable[[dict[str, list[Any]]], Iterator[Any]]] = {
    "codes": _codes_from_table,
    "lines": _lines_from_table,
    "rules": _rules_from_table,
}


def _read_manifest(root: Path) -> tuple[StoredFile, ...]:
    path = root / _MANIFEST
    repair = f"delete the folder {root} and add the catalogue files again with `onkokode catalogue add`"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except OSError as error:
        # Its catalogue is whole, so nothing must be deleted: what is in the way is said.
        raise CatalogueError(
            f"{path}: cannot be read: {reason(error)}, or set ONKOKODE_HOME to another folder"
        ) from None
    except UnicodeDecodeError:
        raise CatalogueError(f"{path}: is damaged; {repair}") from None
    try:
        manifest = json.loads(text)
        version = manifest["format"]
        if version != FORMAT:
            raise CatalogueError(f"{path}: has format {version!r}, this version reads {FORMAT}; {repair}")
        entries = tuple(StoredFile(**entry) for entry in manifest["files"])
        # A name with a path in it would let a doctored manifest point outside the store.
        sound = all(
            entry.folder.isalnum()
            and set(entry.tables) <= set(_TABLES)
            and (entry.system is None or entry.system in set(CodeSystem))
            for entry in entries
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CatalogueError(f"{path}: is damaged; {repair}") from None
    if not sound:
        raise CatalogueError(
            f"{path}: names a folder, a table or a code system that is none of ours; {repair}"
        )
    return entries


def _write_manifest(root: Path, entries: list[StoredFile]) -> None:
    manifest = {"format": FORMAT, "files": [asdict(entry) for entry in entries]}
    temporary = root / f".{_MANIFEST}.{os.getpid()}"
    temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(root / _MANIFEST)


def _sweep(root: Path) -> None:
    """Delete the folders that the manifest no longer names, left over from replaced files or a killed run."""
    named = {entry.folder for entry in _read_manifest(root)}
    for folder in root.iterdir():
        if folder.is_dir() and folder.name not in named:
            shutil.rmtree(folder, ignore_errors=True)
