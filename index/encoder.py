"""Texts in, unit vectors out, one space per axis: the only module that knows sentence-transformers.

    encoder = Encoder.load()                                   # the embedded default
    encoder.encode(["Mammakarzinom"], CodeSystem.ICD10GM)      # float32 array, shape (1, 128)

The embedded encoder is a sentence-transformers `Router` with one route per axis, because the axes need
different neighbourhoods: on the ICD axis a Mammakarzinom is far from a Fibroadenom, on the topography axis
they are the same place. Any other sentence-transformers model works, by folder or hub name; it has one
space, used for all axes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.errors import ModelError
from index.records import CodeSystem

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

EMBEDDED_NAME = "onkokode-embedded"
EMBEDDED = Path(__file__).parent / "weights" / "encoder"
PROTOTYPES = "prototypes.safetensors"
CONFIG = "onkokode.json"

# OPS lines live in the ICD-10 space: they are looked at only beside ICD-10 lines, as neighbours that speak
# against a tumour.
_ROUTES = {system: system.value for system in CodeSystem} | {CodeSystem.OPS: CodeSystem.ICD10GM.value}

# exp(scale x cosine) turns similarities into shares of a retrieval distribution. Ours is trained with 15;
# general embedders keep all cosines between 0.7 and 1, which needs a sharper scale.
_FOREIGN_SCALE = 60.0


@dataclass(frozen=True)
class Prototypes:
    """Vectors that stand for codes on a machine that lacks their lines.

    `codes` has m entries (a code may own several rows), `vectors` is float32 (m, d), rows of unit length.
    """

    codes: tuple[str, ...]
    vectors: np.ndarray


class Encoder:
    """A sentence-transformers model with what retrieval needs to know about it.

    `model` is the sentence-transformers model, `name` the folder or hub name, `scale` the factor on cosines in the retrieval distribution.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        name: str,
        *,
        scale: float = _FOREIGN_SCALE,
        prototypes: dict[CodeSystem, Prototypes] | None = None,
        fingerprint: str = "",
    ) -> None:
        self.model = model
        self._routed = _is_routed(model)
        self._prototypes = prototypes or {}
        self.name = name
        self.scale = scale
        self.fingerprint = fingerprint or name

    @classmethod
    def load(cls, name: str | Path | None = None, *, device: str | None = None) -> Encoder:
        """Load an encoder by folder or hub name; the embedded default without a name.

        Raises:
            ModelError: the folder or name holds no sentence-transformers model, or only pickled weights.
        """
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        path = Path(name) if name is not None else EMBEDDED
        # Each module of a model has a folder of its own.
        pickled = [p for p in path.rglob("pytorch_model*.bin") if not any(p.parent.glob("*.safetensors"))]
        if path.is_dir() and (pickled or not any(path.rglob("*.safetensors"))):
            where = pickled[0].parent if pickled else path
            raise ModelError(f"{where}: no safetensors weights here; pickled weights are not loaded")
        try:
            model = SentenceTransformer(
                str(path) if path.exists() else str(name),
                device=device,
                trust_remote_code=False,
                local_files_only=path.exists(),
                model_kwargs=None if path.exists() else {"use_safetensors": True},
            )
            config = _read_config(path / CONFIG)
            scale = float(config.get("scale", _FOREIGN_SCALE))
            prototypes = _read_prototypes(path / PROTOTYPES)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{name or path}: not a sentence-transformers model ({error})") from error
        model.float().eval()
        return cls(
            model,
            str(name or EMBEDDED_NAME),
            scale=scale,
            prototypes=prototypes,
            fingerprint=str(config.get("fingerprint", "")),
        )

    def encode(self, texts: Sequence[str], system: CodeSystem, *, progress: bool = False) -> np.ndarray:
        """Vectors of unit length, float32 of shape (n, d). A text without a known word is the zero vector."""
        if not texts:
            return np.zeros((0, self.dimension(system)), dtype=np.float32)
        extra: dict[str, Any] = {"task": _ROUTES[system]} if self._routed else {}
        # Tokenizers refuse lone surrogates, which broken encodings leave behind.
        readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        vectors = self.model.encode(
            readable, batch_size=1024 if self._routed else 64, show_progress_bar=progress, **extra
        )
        vectors = np.asarray(vectors, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, 1e-12)

    def dimension(self, system: CodeSystem) -> int:
        """Width of the vectors of an axis."""
        prototypes = self._prototypes.get(CodeSystem(_ROUTES[system]))
        if prototypes is not None:
            return int(prototypes.vectors.shape[1])
        return int(self.model.get_embedding_dimension() or 0)

    def prototypes(self, system: CodeSystem) -> Prototypes | None:
        """The code prototypes of an axis, or None where the encoder ships none."""
        return self._prototypes.get(system)


def save_prototypes(folder: Path, prototypes: dict[CodeSystem, Prototypes], config: dict[str, Any]) -> None:
    """Write prototypes (half precision) and the encoder's settings beside its weights."""
    from safetensors.numpy import save_file

    tensors = {system.value: p.vectors.astype(np.float16) for system, p in prototypes.items()}
    codes = {system.value: json.dumps(p.codes) for system, p in prototypes.items()}
    save_file(tensors, folder / PROTOTYPES, metadata=codes)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _is_routed(model: SentenceTransformer) -> bool:
    from sentence_transformers.base.modules.router import Router

    return any(isinstance(module, Router) for module in model)


def _read_config(path: Path) -> dict[str, Any]:
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(config, dict):
        raise ValueError(f"{path.name} holds no settings")
    return config


def _read_prototypes(path: Path) -> dict[CodeSystem, Prototypes]:
    if not path.is_file():
        return {}
    from safetensors import safe_open

    prototypes = {}
    with safe_open(path, framework="np") as file:
        codes = file.metadata()
        for system in file.keys():  # noqa: SIM118  (safe_open is no mapping)
            vectors = file.get_tensor(system).astype(np.float32)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            prototypes[CodeSystem(system)] = Prototypes(tuple(json.loads(codes[system])), vectors)
    return prototypes
