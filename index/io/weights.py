"""How weights are read: from safetensors only, every tensor there, and every value a number.

    check_folder(folder)                                   # a list of shards that leads to a pickle, or outside
    with only_safetensors(name) as loaded:                  # whatever the libraries try, nothing is unpickled
        network = AutoModel.from_pretrained(name)
    loaded.missing                                         # tensors that the library filled with random numbers
    check_numbers(network, name)

A folder can make a library unpickle in ways that no option excludes (`use_safetensors=True` follows the list of
shards wherever it leads; a module's configuration may ask for other files). They all end in `torch.load`, which is
refused while weights are being read.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from index.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

# What the loaders of libraries raise for a folder that they cannot use.
LOADING_ERRORS = (
    OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, IndexError, ImportError,
    SafetensorError,
)  # fmt: skip
# Two texts of ours that no sound model takes for one and the same.
PROBES = ("Mammakarzinom", "Arterielle Hypertonie")
_REMEDY = "save the weights as safetensors with save_pretrained() on a machine that you trust"
_FINISH = "_finalize_model_loading"
# `torch.load` is one for the whole process: one thread at a time may take it away and give it back.
_LOADING = threading.RLock()


@dataclass
class LoadReport:
    """What was noticed while loading: names of tensors that no file held."""

    missing: list[str] = field(default_factory=list)


def pickled(path: Path | str) -> ModelError:
    return ModelError(f"{path}: is a pickle file, which can run code when it is loaded; {_REMEDY}")


def check_folder(folder: Path) -> None:
    """Raises `ModelError` where a list of shards in or below the folder names something else than safetensors files
    beside it."""
    for path in sorted(folder.rglob("*.index.json")):
        try:
            shards = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        except KeyError:
            continue  # a list of something else
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            raise ModelError(f"{path}: is no list of weight files; fetch or save the model again") from None
        if "safetensors" not in path.name:
            continue  # the list of a pickled copy, which nothing follows
        for shard in shards:
            if not isinstance(shard, str) or not shard.endswith(".safetensors"):
                raise pickled(f"{path}: {shard}")
            if "/" in shard or "\\" in shard:
                raise ModelError(f"{path}: leads outside its folder ({shard}); fetch or save the model again")
            if not (path.parent / shard).is_file():
                raise ModelError(f"{path.parent / shard}: is missing; fetch or save the model again")


def stored_snapshot(name: str) -> Path | None:
    """Where the hub's client keeps a model by this name; None where it has none. Nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError, ValueError):
        return None


@contextmanager
def only_safetensors(source: str | Path) -> Iterator[LoadReport]:
    """While it lasts, `torch.load` raises `ModelError`, and what transformers did not find in the files is noted."""
    import torch
    from transformers import PreTrainedModel

    loaded = LoadReport()

    def refuse(file: Any = None, *_: Any, **__: Any) -> Any:
        raise pickled(file if isinstance(file, str | Path) else source)

    # Only the language models' own loader tells outright what was missing. An older transformers 5 has no such step.
    finish = getattr(PreTrainedModel, _FINISH, None)

    def note(*arguments: Any, **options: Any) -> Any:
        assert finish is not None
        report = finish(*arguments, **options)
        loaded.missing += sorted(report.missing_keys)
        return report

    with _LOADING:
        load = torch.load
        torch.load = refuse  # type: ignore[assignment]
        if finish is not None:
            setattr(PreTrainedModel, _FINISH, staticmethod(note))
        try:
            yield loaded
        finally:
            torch.load = load
            if finish is not None:
                setattr(PreTrainedModel, _FINISH, staticmethod(finish))


def check_numbers(network: nn.Module, source: str | Path) -> None:
    """Raises `ModelError` that names the first tensor with a value that is no finite number. One pass over each
    tensor, where it lies."""
    import torch

    for name, tensor in chain(network.named_parameters(), network.named_buffers()):
        if not tensor.is_floating_point() or tensor.is_meta or not tensor.numel():
            continue
        # Both ends are NaN where one value is; one pass, and no second tensor of the size of the first.
        values = tensor.detach()
        low, high = torch.aminmax(values.float() if values.itemsize < 2 else values)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ModelError(
                f"{_file(source)}: the tensor {name} holds values that are no numbers; fetch or train the weights "
                "again"
            )


def _file(source: str | Path) -> Path | str:
    """The one weights file of a folder; else the folder or name."""
    files = list(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    return files[0] if len(files) == 1 else source
