"""When, on what and with what a figure is measured.

environment()["weights"], environment()["hardware"]["cpu"]
peak_bytes()                                    # highest resident memory of this process
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from index.io.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = (ROOT / "agent" / "weights", ROOT / "index" / "search" / "weights")
_PACKAGES = (
    "onkokode",
    "torch",
    "transformers",
    "peft",
    "sentence-transformers",
    "faiss-cpu",
    "langgraph",
    "numpy",
)


def shipped_weights() -> str:
    """The fingerprint of the weights that the package holds: models, recogniser, fitted numbers and encoder."""
    return fingerprint(*WEIGHTS)


def catalogue_fingerprint(editions: Mapping[str, Mapping[str, Any]]) -> str:
    """The first 16 digits of the SHA-256 over the files of a catalogue's editions, as `CodingAgent.info` lists them."""
    files = sorted(f"{name} {file['sha256']}" for name, about in editions.items() for file in about["files"])
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]


def environment() -> dict[str, Any]:
    """Date, hardware, versions, and the fingerprint of the package's weights; JSON types."""
    return {
        "date": date.today().isoformat(),
        "hardware": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": platform.platform(),
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "weights": shipped_weights(),
    }


def peak_bytes() -> int:
    """The highest resident memory of this process.

    Linux hands `ru_maxrss` of the parent on to a process that is spawned by it, so it is only the way out where
    /proc is missing (it counts bytes there, on macOS).
    """
    if (peak := memory_bytes("VmHWM")) is not None:
        return peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_bytes(field: str, process: int | str = "self") -> int | None:
    """VmRSS, the resident memory of a process, or VmHWM, its highest; None where there is no /proc, or no process."""
    line = _line_of(f"{process}/status", field)
    return int(line.split()[0]) * 1024 if line else None


def _line_of(file: str, field: str) -> str | None:
    """What the first line of that field says in a file below /proc; None where either is missing."""
    with suppress(OSError):
        for line in Path("/proc", file).read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return None


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _cpu_model() -> str:
    return _line_of("cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    with suppress(ValueError, OSError, AttributeError):
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return None
