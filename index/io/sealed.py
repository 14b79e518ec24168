"""Folders whose manifest lists and hashes every file: written so that a reader finds the old or the new state.

    with one_writer(home):                                          # a second one waits and says for whom
        write_manifest(path, 2, {"files": {"lines.parquet": sha256}})
    content = read_manifest(path, 2)                                # DamagedFile where a single character differs
    data = read_files(folder, content["files"])                     # exactly these files, each with its hash
    store = whole_state(path, lambda: load(path))                   # again where a writer was in between

The manifest carries a hash of itself. That tells accidents and hand edits, not a forger, who can compute it too:
what was read still has to be checked by its content.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tokenize
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from index.errors import OnkokodeError
from index.io.atomic import write_whole
from index.io.failures import reason
from index.io.language import say

T = TypeVar("T")

LOCK = ".writing"
# What the readers of NumPy, Parquet and JSON raise over bytes that only begin like theirs.
UNREADABLE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, SyntaxError, OverflowError,
    MemoryError, RecursionError, ImportError, NotImplementedError, tokenize.TokenError,
)  # fmt: skip
# Building an index of all catalogues takes half a minute with the embedded encoder.
_LONGEST_WAIT = 600.0
# Each try again means that a writer has finished in between.
_TRIES = 5
_LOG = logging.getLogger("onkokode")


class DamagedFile(Exception):
    """What is wrong with which file; its reader knows the remedy."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")


class UnreachableFile(OnkokodeError):
    """A file that may well be whole, but that the system does not give: nothing is to be deleted or built again."""

    translated = True


class BusyFolder(OnkokodeError):
    """Another process has been writing for too long."""

    translated = True


@contextmanager
def one_writer(folder: Path, *, longest: float = _LONGEST_WAIT) -> Iterator[None]:
    """Holds the folder's lock; a lock of the operating system, so a killed process leaves none. A thread that holds
    it may take it again.

    Waits for another writer, and logs for which process. Raises `BusyFolder` after `longest` seconds, `OSError` where the
    folder cannot be written.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    name = folder.resolve() / LOCK
    owner = name.with_name(f"{LOCK}.by")
    lock = FileLock(str(name), is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _LOG.warning("%s: waiting for process %s, which is changing it", folder, _process(owner))
        try:
            lock.acquire(timeout=longest)
        except Timeout:
            raise BusyFolder(
                say("busy-folder", folder=folder, process=_process(owner), seconds=round(longest))
            ) from None
    try:
        with suppress(OSError):  # the name is for people, the lock is what counts
            owner.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()


@contextmanager
def changing(folder: Path, refused: type[OnkokodeError]) -> Iterator[None]:
    """The right to change what lies in a folder of the user's data; errors of the disk in one line, as `refused`."""
    try:
        with one_writer(folder.parent):
            yield
    except OSError as error:
        raise refused(say("cannot-write", path=folder, reason=reason(error))) from None


def _process(owner: Path) -> str:
    try:
        text = owner.read_text(encoding="ascii")
    except (OSError, ValueError):
        return say("unknown-process")
    return text if text.isdigit() else say("unknown-process")


def write_manifest(path: Path, version: int, content: Mapping[str, Any]) -> None:
    """Writes a manifest in one step: whoever reads it meets the old or the new one."""
    manifest = {"format": version, **content}
    # Escaped: a file name may hold what UTF-8 cannot.
    write_whole(path, json.dumps({**manifest, "digest": _digest(manifest)}, indent=1))


def read_manifest(path: Path, version: int) -> dict[str, Any]:
    """The manifest. Raises `DamagedFile` where it is not as it was written, `FileNotFoundError` where there is none, and
    `UnreachableFile` where the system does not let us read it, as `read_files` does."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _not_read(path, error) from None
    except (ValueError, RecursionError):
        raise DamagedFile(path, say("damaged-no-json")) from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise DamagedFile(path, say("damaged-no-manifest"))
    found = manifest["format"]
    if found != version or isinstance(found, bool):
        shown = found if isinstance(found, int) else type(found).__name__
        raise DamagedFile(path, say("damaged-version", found=shown, wanted=version))
    if manifest.pop("digest", None) != _digest(manifest):
        raise DamagedFile(path, say("damaged-edited"))
    return manifest


def _not_read(path: Path, error: OSError) -> DamagedFile | UnreachableFile:
    if isinstance(error, IsADirectoryError):
        return DamagedFile(path, say("damaged-is-folder"))
    return UnreachableFile(say("cannot-read-home", path=path, reason=reason(error)))


def _digest(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_names(folder: Path) -> set[str]:
    """The files below a folder, by their paths in it. Raises `DamagedFile` for links and whatever else is no file."""
    if folder.is_symlink() or not folder.is_dir():
        raise DamagedFile(folder, say("damaged-folder-link" if folder.is_symlink() else "damaged-missing"))
    names = set()
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise DamagedFile(path, say("damaged-file-link"))
        if path.is_file():
            names.add(path.relative_to(folder).as_posix())
    return names


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, by its path in it: what `read_files` wants again."""
    hashes = {}
    for name in sorted(file_names(folder)):
        with (folder / name).open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def read_files(folder: Path, hashes: Mapping[str, str], wanted: set[str]) -> dict[str, bytes]:
    """The bytes of the `wanted` files, which have to be those listed in `hashes` and those in the folder. Raises
    `DamagedFile` for one that is missing, too much, or has another SHA-256."""
    there = file_names(folder)
    for name in sorted(wanted | there | set(hashes)):
        if name not in there:
            raise DamagedFile(folder / name, say("damaged-missing"))
        if name not in wanted:
            raise DamagedFile(folder / name, say("damaged-foreign"))
        if name not in hashes:
            raise DamagedFile(folder / name, say("damaged-unlisted"))
    content = {}
    for name in sorted(wanted):
        try:
            content[name] = (folder / name).read_bytes()
        except OSError as error:
            raise _not_read(folder / name, error) from None
        if hashlib.sha256(content[name]).hexdigest() != hashes[name]:
            raise DamagedFile(folder / name, say("damaged-hash"))
    return content


def whole_state(manifest: Path, read: Callable[[], T]) -> T:
    """What `read` finds. Where it fails although a writer has put a new manifest there meanwhile, the files that it
    looked for are gone with the old one, and it reads again."""
    for _ in range(_TRIES):
        before = _content(manifest)
        try:
            return read()
        except (DamagedFile, OnkokodeError, OSError):
            if _content(manifest) == before:
                raise
    return read()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
