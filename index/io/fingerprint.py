"""A short name for the weights in a folder, so that a published figure says which weights it is of.

fingerprint(Path("agent/weights"))          # '3f0c9a51d2b7e864'
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_SUFFIXES = {".safetensors", ".json"}
_DIGITS = 16


@cache
def fingerprint(*folders: Path) -> str:
    """The first 16 digits of the SHA-256 over names and contents of all weight and settings files below the folders.

    Cards and other text do not count: they may change without the weights.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]
