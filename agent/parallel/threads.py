"""How many threads the libraries compute with: BLAS, OpenMP (FAISS) and, where it is loaded, torch.

with one_thread(): ...            # a single text is too little work to share
stay_with_one_thread()            # in a process that is one of several on the machine
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController

# Read by the libraries when they are loaded.
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


@contextmanager
def one_thread() -> Iterator[None]:
    """For a while, no library divides its work: threads that wait for each other on a busy machine cost up to ten
    times what they save."""
    with _controller("torch" in sys.modules).limit(limits=1):
        yield


def stay_with_one_thread() -> None:
    """For good, and for libraries that are loaded later too."""
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    _controller("torch" in sys.modules).limit(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@lru_cache(maxsize=2)
def _controller(with_torch: bool) -> ThreadpoolController:
    """The libraries that are loaded; looking for them takes milliseconds."""
    return ThreadpoolController()
