"""The one place where errors of the operating system and of libraries become one line with file and remedy.

    try: ...
    except Exception as error:
        failures.explain(error, reads=[source], writes=[target])
        # 'kodiert.csv: no space is left on the disk; make room, then run the same command again'
        # None: nothing that a user could act on, so a bug: failures.report(error)

What a library says about an error may quote a patient's text, so its message is never passed on: only the kind
of error, the operating system's own number, and the files that the command was given.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import traceback
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from index.errors import Language, OnkokodeError
from index.io.language import language, say, speaking

DEBUG = "ONKOKODE_DEBUG"  # in the environment: also print where an error came from
_OURS = ("agent", "index", "training", "eval")
_ROOT = Path(__file__).resolve().parents[2]

# What the operating system's numbers mean, and what helps: keys of messages.
_SYSTEM = {
    errno.EACCES: "no-permission",
    errno.EROFS: "read-only",
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "quota-full",
    errno.EFBIG: "file-limit",
    errno.EIO: "disk-fails",
    errno.ENOENT: "no-such-file",
    errno.EISDIR: "is-folder",
    errno.ENOTDIR: "file-in-path",
    errno.EEXIST: "exists",
    errno.ENOTEMPTY: "not-empty",
    errno.ELOOP: "link-circle",
    errno.ENAMETOOLONG: "long-name",
    errno.EMFILE: "open-files",
    errno.ENOMEM: "memory-full",
    errno.EBUSY: "in-use",
    errno.EPIPE: "other-side-gone",
}
_SAME = {errno.EPERM: errno.EACCES, errno.ENFILE: errno.EMFILE, errno.ETXTBSY: errno.EBUSY}
_WRITING = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# By the end of sqlite's own name for the error, the extended codes (SQLITE_IOERR_WRITE) included.
_SQLITE = {
    "SQLITE_FULL": errno.ENOSPC,
    **dict.fromkeys(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_CANTOPEN"), errno.EACCES),
    "SQLITE_IOERR": errno.EIO,
    "SQLITE_NOMEM": errno.ENOMEM,
    **dict.fromkeys(("SQLITE_BUSY", "SQLITE_LOCKED"), errno.EBUSY),
}

# Errors of libraries, by module and name, so that nothing is imported to recognise them.
_DAMAGED = {
    "zipfile.BadZipFile": "damaged-zip",
    **dict.fromkeys(("zlib.error", "lzma.LZMAError"), "damaged-packed"),
    "pyarrow.lib.ArrowException": "damaged-parquet",
    "json.decoder.JSONDecodeError": "damaged-json",
    **dict.fromkeys(
        ("xml.parsers.expat.ExpatError", "xml.etree.ElementTree.ParseError", "lxml.etree.LxmlError"),
        "damaged-xml",
    ),
    "safetensors_rust.SafetensorError": "damaged-safetensors",
}
_GPU_MEMORY = "torch.OutOfMemoryError"
_RAY = "ray.exceptions.RayError"

# The optional packages and the extra of pyproject.toml that brings each; a test compares the two.
EXTRAS = {
    **dict.fromkeys(("openpyxl", "python_calamine"), "files"),
    **dict.fromkeys(("pypdf", "striprtf"), "documents"),
    **dict.fromkeys(
        ("fastapi", "uvicorn", "nicegui", "langgraph.checkpoint.sqlite", "prometheus_client"), "service"
    ),
    "ray": "ray",
    "bitsandbytes": "quantised",
    "gguf": "gguf",
    **dict.fromkeys(("accelerate", "datasets", "matplotlib", "trl"), "train"),
}


class MissingPackage(OnkokodeError):
    """An optional package that is not installed; the message names the extra that brings it."""

    translated = True


def require(package: str, purpose: str) -> None:
    """Raise `MissingPackage` unless `package` is installed; nothing is imported. `purpose` is what needs it, in the
    words of whoever is asked: `say("reading-file", name=path.name)`.

    For a command to ask before its work, where the import itself comes after it.
    """
    try:
        found = find_spec(package)
    except (ModuleNotFoundError, ValueError):  # a parent package is missing; or the module is blocked
        found = None
    if found is None:
        raise MissingPackage(say("package-needed", purpose=purpose, name=package, install=_install(package)))


def explain(
    error: BaseException, reads: Iterable[Path | str] = (), writes: Iterable[Path | str] = ()
) -> str | None:
    """One line: file, what happened, remedy. None where it is no error that a user can act on.

    `reads` and `writes` are the files that a command was given: errors of writing and of damaged files mostly
    do not say which file it was. Without `writes` the output is the standard one.
    """
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if _RAY in names:
        # Its message is the worker's traceback; where it also poses as what the worker raised, that is in `cause`.
        cause = getattr(error, "cause", None)
        if isinstance(cause, OnkokodeError):
            return explain(cause, reads, writes)
        return say("ray-worker", files=_named(writes), kind=type(error).__name__)
    if isinstance(error, OnkokodeError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return _explain_system(error, list(reads), list(writes))
    if isinstance(error, sqlite3.Error):
        return _explain_sqlite(error, [*writes, *reads])
    if isinstance(error, ImportError):
        return _explain_import(error)
    if _GPU_MEMORY in names:
        return say("gpu-memory")
    if isinstance(error, MemoryError) or _allocator_failed(error):
        return say("memory-full-for", files=_named(reads))
    if isinstance(error, UnicodeDecodeError):
        return say("wrong-encoding", files=_named(reads), encoding=error.encoding)
    if isinstance(error, UnicodeEncodeError):
        return say("unwritable-text", files=_named(writes), encoding=error.encoding)
    for name, key in _DAMAGED.items():
        if name in names:
            return say(key, files=_named(reads), kind=type(error).__name__)
    return None


def line_of(message: str, error: BaseException) -> str:
    """`Error: …`, with what `explain` says of an error; its first word is of the language of the others."""
    with speaking(_language_of(error)):
        return say("error", error=message)


def _language_of(error: BaseException) -> Language:
    cause = getattr(error, "cause", None)  # of a worker of Ray
    ours = next((one for one in (error, cause) if isinstance(one, OnkokodeError)), None)
    return "en" if ours is not None and not ours.translated else language()


def reason(error: OSError, spoken: Language | None = None) -> str:
    """What happened and what helps, without the file's name: 'no permission; change the rights …'. `spoken` is for
    sentences that are in one language in any locale."""
    if spoken is not None:
        with speaking(spoken):
            return reason(error)
    number = _SAME.get(error.errno or 0, error.errno or 0)
    if number in _SYSTEM:
        return say(_SYSTEM[number])
    # The system's words for the number: a library's own may quote anything.
    return say("system-error", what=os.strerror(number) if number else type(error).__name__)


def report(error: BaseException) -> str:
    """One line about a bug: kind and place, never the message, which may hold a patient's text."""
    place = _place(error)
    if place is None:
        return say("bug-somewhere", kind=type(error).__name__, debug=DEBUG)
    return say("bug", kind=type(error).__name__, place=place[0], line=place[1], debug=DEBUG)


def trace(error: BaseException) -> str:
    """Where an error came from, with its causes: lines of code and kinds of error, no values, no messages."""
    shown: list[str] = []
    link: BaseException | None = error
    while link is not None and len(shown) < 10:
        frames = "".join(traceback.format_tb(link.__traceback__)).rstrip()
        shown.append("\n".join(filter(None, (frames, type(link).__qualname__))))
        link = link.__cause__ or link.__context__
    return "\n--- after ---\n".join(shown)


def _explain_system(error: OSError, reads: list[Path | str], writes: list[Path | str]) -> str:
    # Of a renaming, the name that the file was to have.
    name = error.filename2 or error.filename
    if isinstance(name, str | bytes | os.PathLike):
        return f"{os.fsdecode(name)}: {reason(error)}"
    if error.errno in _WRITING:
        return f"{_named(writes) or say('standard-output') + ': '}{reason(error)}"
    return f"{_named([*reads, *writes])}{reason(error)}"


def _explain_sqlite(error: sqlite3.Error, files: list[Path | str]) -> str | None:
    name = getattr(error, "sqlite_errorname", None) or ""
    for known, number in _SQLITE.items():
        if name.startswith(known):
            return say("database", files=_named(files), reason=say(_SYSTEM[number]))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return say("database-damaged", files=_named(files))
    return None


def _explain_import(error: ImportError) -> str:
    name = error.name or "?"
    if name.partition(".")[0] in _OURS:
        return say("broken-installation", name=name)
    missing = isinstance(error, ModuleNotFoundError)
    return say("package-missing" if missing else "package-broken", name=name, install=_install(name))


def _install(package: str) -> str:
    for known, extra in EXTRAS.items():
        if package == known or package.startswith(f"{known}."):
            return say("install-extra", extra=extra)
    # A package that an optional one needs, or one that the installation lost.
    return say("install-again")


def _allocator_failed(error: BaseException) -> bool:
    """Torch says so in a plain RuntimeError; its words are looked at, not shown."""
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate" in str(error)


def _named(files: Iterable[Path | str]) -> str:
    names = list(dict.fromkeys(map(str, files)))
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}: " if names else ""


def _place(error: BaseException) -> tuple[str, int] | None:
    """File and line of the innermost frame of ours, else of the innermost at all."""
    frames = [
        (Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    ours = [
        (path.relative_to(_ROOT), line)
        for path, line in frames
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _OURS
    ]
    for path, line in reversed(ours or [(Path(path.name), line) for path, line in frames]):
        return path.as_posix(), line
    return None
