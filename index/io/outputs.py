"""Whether an output can be written, found out before the work and not after it.

    check_file(Path("kodiert.csv"))         # OutputError: 'kodiert.csv: is a folder; name a file'
    check_folder(Path("docs/results"))      # the folder need not be there yet

It is tried, not asked: rights alone do not tell of a disk that is full or read-only, and the superuser is
told that everything is allowed. Nothing is left behind.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from index.errors import OnkokodeError
from index.io.atomic import target_of
from index.io.failures import reason
from index.io.language import say

_BLOCK = b"\0" * 4096  # a full disk still takes an empty file


class OutputError(OnkokodeError):
    """An output that cannot be written; the message names it and the remedy."""

    translated = True


def check_file(path: Path) -> None:
    """Raise `OutputError` unless a file could be written, or one that is there replaced."""
    if os.path.isdir(path):
        raise OutputError(f"{path}: {say('is-folder')}")
    try:
        target = target_of(path)
        there = target.exists()
    except OSError as error:
        # Outputs are renamed into place, which would put a file where the device or pipe is.
        what = say("is-device") if error.errno == errno.EINVAL else reason(error)
        raise OutputError(f"{path}: {what}") from None
    if not os.path.isdir(target.parent):
        raise OutputError(say("no-folder", path=target.parent))
    _try_in(target.parent, path)
    if there:
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_APPEND))
        except OSError as error:
            raise OutputError(f"{path}: {reason(error)}") from None


def check_folder(path: Path, otherwise: str = "name-another") -> None:
    """Raise `OutputError` unless files could be written into a folder, which may have to be made; `otherwise` is the key
    of a message that says how a person chooses another one."""
    there = path
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not os.path.isdir(there):
        if there == path:
            raise OutputError(say("file-no-folder", path=path, otherwise=say(otherwise)))
        raise OutputError(say("file-above", path=path, file=there, otherwise=say(otherwise)))
    _try_in(there, path, otherwise)


def _try_in(folder: Path, output: Path, otherwise: str = "name-another") -> None:
    try:
        # Without a name where the system can do that, so that not even a kill leaves it behind.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_BLOCK)
            file.flush()
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            message = say("folder-rights", path=output, folder=folder, otherwise=say(otherwise))
        else:
            message = f"{output}: {reason(error)}"
        raise OutputError(message) from None
