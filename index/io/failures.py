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

DEBUG = "ONKOKODE_DEBUG"  # in the environment: also print where an error came from
_OURS = ("agent", "index", "training", "eval")
_ROOT = Path(__file__).resolve().parents[2]
_AGAIN = "then run the same command again"
_WHERE = "check the path"

# What the operating system's numbers mean, and what helps.
_SYSTEM = {
    errno.EACCES: ("no permission", "change the rights of the file and of its folder"),
    errno.EROFS: ("the disk is mounted read-only", "name a folder on another disk"),
    errno.ENOSPC: ("no space is left on the disk", f"make room, {_AGAIN}"),
    errno.EDQUOT: ("the disk quota is used up", f"make room, {_AGAIN}"),
    errno.EFBIG: ("the file gets larger than is allowed here", f"raise the limit (ulimit -f), {_AGAIN}"),
    errno.EIO: ("the disk or network drive fails to read or write", f"check the disk, {_AGAIN}"),
    errno.ENOENT: ("there is no such file or folder", _WHERE),
    errno.EISDIR: ("is a folder", "name a file"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", _WHERE),
    errno.EEXIST: ("is there already", "move it away or name another"),
    errno.ENOTEMPTY: ("is there already and not empty", "move it away or name another"),
    errno.ELOOP: ("links point at one another in a circle", _WHERE),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.EMFILE: ("too many files are open", f"raise the limit (ulimit -n), {_AGAIN}"),
    errno.ENOMEM: ("the memory is full", f"close other programs, {_AGAIN}"),
    errno.EBUSY: ("another program is using it", f"close that program, {_AGAIN}"),
    errno.EPIPE: ("the other side has gone", _AGAIN.removeprefix("then ")),
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
    "zipfile.BadZipFile": "a ZIP or Excel file is damaged or only half copied",
    **dict.fromkeys(("zlib.error", "lzma.LZMAError"), "a compressed file is damaged or only half copied"),
    "pyarrow.lib.ArrowException": "a Parquet file is damaged or does not fit",
    "json.decoder.JSONDecodeError": "a JSON file is damaged",
    **dict.fromkeys(
        ("xml.parsers.expat.ExpatError", "xml.etree.ElementTree.ParseError", "lxml.etree.LxmlError"),
        "an XML file is damaged",
    ),
    "safetensors_rust.SafetensorError": "a safetensors file is damaged or only half copied",
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
    **dict.fromkeys(("accelerate", "datasets", "matplotlib", "tokenizers", "trl"), "train"),
}


class MissingPackage(OnkokodeError):
    """An optional package that is not installed; the message names the extra that brings it."""


def require(package: str, purpose: str) -> None:
    """Raise `MissingPackage` unless `package` is installed; nothing is imported.

    For a command to ask before its work, where the import itself comes after it.
    """
    try:
        found = find_spec(package)
    except (ModuleNotFoundError, ValueError):  # a parent package is missing; or the module is blocked
        found = None
    if found is None:
        raise MissingPackage(f"{purpose} needs the package {package}, which is missing; {_install(package)}")


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
        return (
            f"{_named(writes)}a worker of Ray failed ({type(error).__name__}); {_AGAIN.removeprefix('then ')}, "
            "what is coded is kept; with --engine local the reason shows"
        )
    if isinstance(error, OnkokodeError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return _explain_system(error, list(reads), list(writes))
    if isinstance(error, sqlite3.Error):
        return _explain_sqlite(error, [*writes, *reads])
    if isinstance(error, ImportError):
        return _explain_import(error)
    if _GPU_MEMORY in names:
        return "the memory of the GPU is full; try --quantise 4bit, another --device, or a smaller model"
    if isinstance(error, MemoryError) or _allocator_failed(error):
        return f"{_named(reads)}the memory is full; close other programs, divide the file, or use a larger machine"
    if isinstance(error, UnicodeDecodeError):
        return f"{_named(reads)}a file is not in the encoding {error.encoding}; save it as UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return (
            f"{_named(writes)}a text has a character that the encoding {error.encoding} cannot write; "
            "write UTF-8, and check the input for damaged characters"
        )
    for name, what in _DAMAGED.items():
        if name in names:
            return f"{_named(reads)}{what} ({type(error).__name__}); copy or save it again"
    return None


def language_of(error: BaseException) -> Language:
    """The language of what `explain` says of an error."""
    cause = getattr(error, "cause", None)  # of a worker of Ray
    return next((one.language for one in (error, cause) if isinstance(one, OnkokodeError)), "en")


def reason(error: OSError) -> str:
    """What happened and what helps, without the file's name: 'no permission; change the rights …'."""
    number = _SAME.get(error.errno or 0, error.errno or 0)
    if number in _SYSTEM:
        return "; ".join(_SYSTEM[number])
    # The system's words for the number: a library's own may quote anything.
    return os.strerror(number) if number else f"cannot be read or written ({type(error).__name__})"


def report(error: BaseException) -> str:
    """One line about a bug: kind and place, never the message, which may hold a patient's text."""
    return (
        f"internal error: {type(error).__name__} in {_place(error)}; please report this line. "
        f"{DEBUG}=1 shows the way there, without texts"
    )


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
        return f"{_named(writes) or 'standard output: '}{reason(error)}"
    return f"{_named([*reads, *writes])}{reason(error)}"


def _explain_sqlite(error: sqlite3.Error, files: list[Path | str]) -> str | None:
    name = getattr(error, "sqlite_errorname", None) or ""
    for known, number in _SQLITE.items():
        if name.startswith(known):
            return f"{_named(files)}the database: {'; '.join(_SYSTEM[number])}"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"{_named(files)}the database is damaged or none at all; restore it from a copy"
    return None


def _explain_import(error: ImportError) -> str:
    name = error.name or "?"
    if name.partition(".")[0] in _OURS:
        return f"this installation lacks {name}; install Onkokode again"
    if isinstance(error, ModuleNotFoundError):
        return f"the package {name} is missing; {_install(name)}"
    return f"the package {name} does not load; install it again: {_install(name)}"


def _install(package: str) -> str:
    for known, extra in EXTRAS.items():
        if package == known or package.startswith(f"{known}."):
            return f"pip install 'onkokode[{extra}]' brings it"
    # A package that an optional one needs, or one that the installation lost.
    return "pip install onkokode (with the extras in use, such as 'onkokode[files,service]') brings it"


def _allocator_failed(error: BaseException) -> bool:
    """Torch says so in a plain RuntimeError; its words are looked at, not shown."""
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate" in str(error)


def _named(files: Iterable[Path | str]) -> str:
    names = list(dict.fromkeys(map(str, files)))
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}: " if names else ""


def _place(error: BaseException) -> str:
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
        return f"{path.as_posix()}, line {line}"
    return "an unknown place"
