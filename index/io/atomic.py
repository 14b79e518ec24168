"""Files that are there whole or not at all, and that leave no texts behind when their writing ends early.

    with new_file(path) as half, half.open("w", encoding="utf-8") as stream:     # in this order
        stream.write(text)
    with new_file(path) as half:
        pq.write_table(table, half)                  # whatever takes a path; a path is all that is handed out
    write_whole(path, "text or bytes")
    with new_file(path, private=True) as half: ...   # readable by its owner only, whatever was there before

While it is written the file lies in the folder of `path` as `.onkokode-….part`, with mode 600. At the end of the
block it is synced, gets its mode and takes the name of `path`; with an error, Ctrl-C or any other exception it is
removed and what was at `path` stays. A process that is killed can remove nothing: the first `new_file` of
a later process in the same folder does. A live writer holds a lock on its file, so the files of a run at the
same time are left alone.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_BEGIN, _END = ".onkokode-", ".part"
_MOST_LINKS = 40  # as Linux has it
# Errors of writing that the system reports without the name of a file.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def new_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Gives the path of an empty file to write, which takes the name `path` at the end of the block.

    The new file has the mode of the file that it replaces, or what the umask says; 600 with `private`. Where `path`
    is a symbolic link, it is what that leads to (`target_of`). Do not close the block before the stream that writes.

    Raises `OSError`, whose `filename` is `path` where the disk is full, the folder is missing or not writable, or
    `path` is something else than a file.
    """
    with _named(path):
        target = target_of(path)
        mode = _mode(target, private)
        _sweep_once(target.parent.resolve())
        half, lock = _begin(target.parent)
    try:
        with _named(path, half):
            yield half
            with half.open("rb+") as written:
                os.fsync(written.fileno())
            half.chmod(mode)
            if sys.platform == "win32":
                os.close(lock)  # an open file cannot be renamed there
                lock = -1
            half.replace(target)
    finally:
        half.unlink(missing_ok=True)
        if lock != -1:
            os.close(lock)


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """`content` as the whole file `path`; a text in UTF-8 with its line ends as they are. Raises `OSError`."""
    with new_file(path, private=private) as half:
        half.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def remove_leftovers(folder: Path) -> int:
    """Removes what killed processes left half-written in `folder`; returns how many files. `new_file` does it by
    itself, once per process and folder."""
    removed = 0
    with suppress(OSError):  # an unreadable folder: the writing will say so
        for entry in os.scandir(folder):
            ours = entry.name.startswith(_BEGIN) and entry.name.endswith(_END)
            if ours and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    removed += _remove_if_left(entry.path)
    return removed


_sweep_once = lru_cache(maxsize=4096)(remove_leftovers)


def _begin(folder: Path) -> tuple[Path, int]:
    """A new file in `folder` and a descriptor that holds its lock."""
    while True:
        half = folder / f"{_BEGIN}{secrets.token_hex(8)}{_END}"
        lock = os.open(half, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        if sys.platform == "win32":
            return half, lock
        with suppress(OSError):  # some network file systems have no locks: nothing is swept there either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return half, lock
        os.close(lock)  # swept by another process between its creation and its lock


def _remove_if_left(path: str) -> bool:
    """Removes a half-written file that no process holds. On Windows an open file cannot be removed anyway."""
    if sys.platform == "win32":
        os.unlink(path)
        return True
    lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(lock)
    return True


def target_of(path: Path) -> Path:
    """The file that a path leads to, which need not be there. Raises `OSError`, errno EINVAL, where that is no file
    or lies among the system's devices and processes: /dev/stdout may lead to a file, but is none to be replaced."""
    for step in _steps(path):
        if step.is_relative_to("/proc") or (
            step.is_relative_to("/dev") and not step.is_relative_to("/dev/shm")
        ):
            raise OSError(errno.EINVAL, "Is not a file")
    try:
        if not stat.S_ISREG(step.stat().st_mode):
            # Replaced by a file, a device such as /dev/null would be gone for every program.
            raise OSError(errno.EINVAL, "Is not a file")
    except FileNotFoundError:
        pass
    return step if path.is_symlink() else path


def _steps(path: Path) -> Iterator[Path]:
    """The path and what its links lead to, one by one; only the last is no link."""
    for _ in range(_MOST_LINKS):
        # Folders may be links, too, as /dev/fd is.
        path = Path(os.path.realpath(path.parent)) / path.name
        yield path
        if not path.is_symlink():
            return
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _mode(path: Path, private: bool) -> int:
    try:
        there = path.stat().st_mode
    except FileNotFoundError:
        there = 0
    if private:
        return 0o600
    if there:
        return stat.S_IMODE(there) & 0o777
    mask = os.umask(0o077)  # can only be read by setting it; this one is safe for other threads meanwhile
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def _named(path: Path, half: Path | None = None) -> Iterator[None]:
    """Errors of writing name `path`, not the file beside it, which is gone when somebody reads the message. With
    `half`, other errors of the caller's block pass as they are."""
    try:
        yield
    except OSError as error:
        full = error.filename is None and error.errno in _FULL
        if half is None or full or error.filename == str(half):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
