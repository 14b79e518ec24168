"""Onkokode under its own name: `from onkokode import CodingAgent`, the same as `from agent import CodingAgent`.

The packages are called agent, index, training and eval, names that others may have too. Where another one stands before
ours, the import says so.
"""

from __future__ import annotations

from typing import Any

import agent as _agent

if "CodingAgent" not in getattr(_agent, "__all__", ()):
    raise ImportError(
        f"{getattr(_agent, '__file__', None) or list(_agent.__path__)}: another package called agent hides Onkokode's; "
        "install Onkokode in an environment of its own (python -m venv)"
    )

__all__ = list(_agent.__all__)


def __getattr__(name: str) -> Any:
    # As late as `agent` itself loads them.
    if name in __all__:
        return getattr(_agent, name)
    raise AttributeError(f"module 'onkokode' has no attribute {name!r}")
