"""One number for a text, the same on every machine: which side of a split it is on, and whether it was seen."""

from __future__ import annotations

import hashlib

SPAN = 2**64


def hash64(text: str) -> int:
    """A number from 0 to `SPAN` - 1, evenly spread."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
