"""The user's data folder: the catalogue files that were added, parsed once and kept as Parquet.

    reports = add([Path("icd10gm2024.txt")])       # [AddReport(status='added', edition='alphabet-2024', …)]
    files = load_files()                            # what Catalogue.load puts together
    remove("alphabet-2024")

    <home>/catalogue/manifest.json                  what is here: original name, hash, edition, layout, counts
    <home>/catalogue/<id>/{codes,lines,rules}.parquet

Nothing of the original file is copied but its codes and terms. A folder `<id>` is written under a temporary
name and renamed, then the manifest likewise: whatever interrupts `add`, the store stays as it was. One process
writes at a time, and a reader finds the state before or after (`index.io.sealed`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from index.catalogue.layouts import CatalogueError, CatalogueFile, NotACatalogue, parse_all
from index.io.language import say
from index.io.sealed import (
    DamagedFile,
    changing,
    file_hashes,
    read_files,
    read_manifest,
    whole_state,
    write_manifest,
)
from index.records import CodeSystem
from index.tables import TABLES, read_table, write_table

FORMAT = 2
MANIFEST = "manifest.json"
_HASH = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[0-9a-f]{16}")
# What an entry of the manifest says in the same words as the file that was parsed.
_SHARED = ("sha256", "edition", "layout", "member", "systematic", "counts")


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
            raise CatalogueError(say("catalogue-no-user", home=chosen)) from None
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


def files_below(paths: Iterable[str | Path]) -> Iterator[CatalogueFile]:
    """What the files hold, and those below folders. A folder may hold other files too; a file that is named
    must be a catalogue."""
    for path in map(Path, paths):
        for file in walk([path]):
            try:
                yield from parse_all(file)
            except NotACatalogue:
                if file == path:
                    raise


def add(paths: Iterable[Path], home: Path | None = None, edition: str | None = None) -> list[AddReport]:
    """Parse files and store them, each wholly or not at all; a broken file does not stop the others.

    `edition` overrides the edition found, for all files.
    """
    root = _root(home)
    reports: list[AddReport] = []
    for path in walk(paths):
        try:
            parsed = parse_all(path, edition)
        except CatalogueError as error:
            status = "skipped" if isinstance(error, NotACatalogue) else "broken"
            reports.append(AddReport(path, status, message=str(error)))
            continue
        with changing(root, CatalogueError):
            reports += [_store(root, file) for file in parsed]
    return reports


def stored(home: Path | None = None) -> tuple[StoredFile, ...]:
    """What is in the store, in the order in which it was added. Raises `CatalogueError` where it is damaged."""
    return _read_manifest(_root(home))


def remove(edition: str, home: Path | None = None) -> tuple[StoredFile, ...]:
    """Remove all files of an edition and return them. Raises `CatalogueError` where there is none."""
    root = _root(home)
    with changing(root, CatalogueError):
        entries = _read_manifest(root)
        gone = tuple(entry for entry in entries if entry.edition == edition)
        if not gone:
            here = ", ".join(dict.fromkeys(entry.edition for entry in entries)) or say("none")
            raise CatalogueError(say("catalogue-no-edition", edition=edition, here=here))
        _write_manifest(root, [entry for entry in entries if entry.edition != edition])
        _sweep(root)
    return gone


def load_files(home: Path | None = None) -> tuple[CatalogueFile, ...]:
    """Everything in the store. The hash of each table is checked before it is read, and then what is in it."""
    root = _root(home)
    return whole_state(root / MANIFEST, lambda: tuple(_load(root, entry) for entry in _read_manifest(root)))


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
        if not (root / MANIFEST).exists():
            # Before any folder: from now on a store without a manifest is one that has lost it.
            _write_manifest(root, [])
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        hashes = _write_tables(temporary, file)
        shutil.rmtree(root / folder, ignore_errors=True)
        temporary.rename(root / folder)
        entry = StoredFile(
            file=file.path.name,
            system=file.system.value if file.system else None,
            added=datetime.now(UTC).isoformat(timespec="seconds"),
            folder=folder,
            tables=hashes,
            **{name: getattr(file, name) for name in _SHARED},
        )
        _write_manifest(root, [*kept, entry])
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sweep(root)
    return report("replaced" if len(kept) < len(entries) else "added")


def _write_tables(folder: Path, file: CatalogueFile) -> dict[str, str]:
    """Write the tables that are not empty; returns the SHA-256 of each."""
    for name in TABLES:
        if records := getattr(file, name):
            write_table(name, records, folder / f"{name}.parquet")
    return {Path(name).stem: sha256 for name, sha256 in file_hashes(folder).items()}


def _load(root: Path, entry: StoredFile) -> CatalogueFile:
    folder = root / entry.folder
    hashes = {f"{name}.parquet": sha256 for name, sha256 in entry.tables.items()}
    try:
        content = read_files(folder, hashes, set(hashes))
        records: dict[str, Any] = {}
        for name in entry.tables:
            path = folder / f"{name}.parquet"
            records[name] = rows = read_table(name, content[path.name], path)
            if entry.counts.get(name) != len(rows):
                raise DamagedFile(
                    path, say("damaged-count", found=len(rows), name=name, wanted=entry.counts.get(name))
                )
            if name != "rules" and any(row.edition != entry.edition for row in rows):
                raise DamagedFile(path, say("damaged-edition", edition=entry.edition))
    except DamagedFile as error:
        raise CatalogueError(
            say("catalogue-add-again", what=error, edition=entry.edition, file=entry.file)
        ) from None
    return CatalogueFile(
        path=Path(entry.file),
        system=CodeSystem(entry.system) if entry.system else None,
        **records,
        **{name: getattr(entry, name) for name in _SHARED},
    )


def _read_manifest(root: Path) -> tuple[StoredFile, ...]:
    path = root / MANIFEST
    try:
        try:
            manifest = read_manifest(path, FORMAT)
        except FileNotFoundError:
            lost = _folders(root)
            if lost:
                raise DamagedFile(path, say("damaged-lost", name=lost[0].name)) from None
            return ()
        files = manifest.get("files")
        if not isinstance(files, list):
            raise DamagedFile(path, say("damaged-no-files"))
        entries = tuple(_checked_entry(path, entry) for entry in files)
        if len({entry.folder for entry in entries}) < len(entries):
            raise DamagedFile(path, say("damaged-twice"))
    except DamagedFile as error:
        index = (
            root.parent / "index"
        )  # made from the catalogue, and as old: the next message would be about it
        if index.exists():
            message = say("catalogue-delete-folders", what=error, folder=root, index=index)
        else:
            message = say("catalogue-delete-folder", what=error, folder=root)
        raise CatalogueError(message) from None
    return entries


def _checked_entry(path: Path, entry: Any) -> StoredFile:
    """An entry of the manifest, each field of its type. A folder's name with a path in it would lead outside."""
    try:
        found = StoredFile(**entry)
    except TypeError:
        raise DamagedFile(path, say("damaged-entry")) from None
    texts = (found.file, found.sha256, found.edition, found.layout, found.added, found.folder)
    sound = (
        all(isinstance(text, str) and text for text in texts)
        and (found.member is None or isinstance(found.member, str))
        and (found.system is None or found.system in [system.value for system in CodeSystem])
        and isinstance(found.systematic, bool)
        and _maps(found.counts, int)
        and _maps(found.tables, str)
        # What was counted has a table: a list that names none would leave nothing to check.
        and set(found.tables) == {name for name in TABLES if name in found.counts}
        and all(map(_HASH.fullmatch, (found.sha256, *found.tables.values())))
        and _FOLDER.fullmatch(found.folder)
    )
    if not sound:
        raise DamagedFile(path, say("damaged-names"))
    return found


def _maps(value: Any, kind: type) -> bool:
    return isinstance(value, Mapping) and all(type(one) is kind for one in value.values())


def _write_manifest(root: Path, entries: list[StoredFile]) -> None:
    write_manifest(root / MANIFEST, FORMAT, {"files": [asdict(entry) for entry in entries]})


def _folders(root: Path) -> list[Path]:
    """The folders of stored files; those whose name begins with a full stop are being written."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sweep(root: Path) -> None:
    """Delete the folders that the manifest no longer names, left over from replaced files or a killed run."""
    named = {entry.folder for entry in _read_manifest(root)}
    for folder in root.iterdir():
        if folder.is_dir() and folder.name not in named:
            shutil.rmtree(folder, ignore_errors=True)
