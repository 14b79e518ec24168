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
from agent.models.store.known import known_models
from agent.models.store.stored import prepared, stored_model
from index.errors import ModelError

if TYPE_CHECKING:
    from agent.models.store.conversion import Say

_LOG = logging.getLogger("onkokode")
_GGUF = ".gguf"


def model_folder(model: str | Path, *, say: Say | None = None) -> str:
    """The folder of a model that is named by `onkokode model add`, by a GGUF file, or by itself; a hub name as it is.

    Making a folder from a GGUF file takes a minute and more; `say` gets a line for each step, else they are logged.

    Raises:
        ModelError: the name is known and not added yet, or the file cannot be converted. Whatever else the text may
            be, the loader says what is wrong with it.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        if not is_gguf(path):
            raise ModelError(f"{path}: is neither a GGUF file nor the folder of a model")
        return str(prepared(path.resolve(), say=say or _LOG.warning).folder)
    if path.suffix.lower() == _GGUF:
        raise ModelError(f"{path}: there is no such GGUF file; check the path")
    name = str(model)
    if (found := stored_model(name)) is not None:
        return str(found.folder)
    if name in known_models():
        known_models()[name].require()
        raise ModelError(
            f"{name}: is not prepared yet; `onkokode model add {name}` does it, once, without a network"
        )
    return name


def _folder(path: Path) -> str:
    files = sorted(path.glob(f"*{_GGUF}"))
    if files and not (path / "config.json").is_file():
        raise ModelError(f"{path}: holds GGUF files; name one of them, such as {files[0]}")
    return str(path)
