"""What `--model` may say, and the folder that is meant: the one place that decides it.

    model_folder("gemma-3-270m")                        # the folder that `onkokode model add` made
    model_folder("qwen2.5-7b-instruct-q4_k_m.gguf")     # the folder made from it, the first time now
    model_folder("runs/8b"), model_folder("Qwen/Qwen3-8B")      # as they are

A folder that is there comes first, then a file, then a name.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from agent.models.store.gguf_file import is_gguf
from agent.models.store.known import StoreError, known_models
from agent.models.store.stored import prepared, stored_model
from index.io.language import say

if TYPE_CHECKING:
    from agent.models.store.conversion import Tell

_LOG = logging.getLogger("onkokode")
_GGUF = ".gguf"


def model_folder(model: str | Path, *, tell: Tell | None = None) -> str:
    """The folder of a model that is named by `onkokode model add`, by a GGUF file, or by itself; a hub name as it is.

    Making a folder from a GGUF file takes a minute and more; `tell` gets a line for each step, else they are logged.

    Raises:
        ModelError: the name is known and not added yet, or the file cannot be converted. Whatever else the text may
            be, the loader says what is wrong with it.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        if not is_gguf(path):
            raise StoreError(say("model-no-gguf-or-folder", path=path))
        return str(prepared(path.resolve(), tell=tell or _LOG.warning).folder)
    if path.suffix.lower() == _GGUF:
        raise StoreError(say("model-no-gguf-there", path=path))
    name = str(model)
    if (found := stored_model(name)) is not None:
        return str(found.folder)
    if name in known_models():
        known_models()[name].require()
        raise StoreError(say("model-not-prepared", name=name))
    return name


def _folder(path: Path) -> str:
    files = sorted(path.glob(f"*{_GGUF}"))
    if files and not (path / "config.json").is_file():
        raise StoreError(say("model-holds-gguf", path=path, file=files[0]))
    return str(path)
