"""Texts in, unit vectors out, one space per axis: the only module that knows sentence-transformers.

    encoder = Encoder.load()                                   # the embedded default
    encoder.encode(["Mammakarzinom"], CodeSystem.ICD10GM)      # float32 array, shape (1, 128)

The embedded encoder is a sentence-transformers `Router` with one route per axis, because the axes need
different neighbourhoods: on the ICD axis a Mammakarzinom is far from a Fibroadenom, on the topography axis
they are the same place; `index.search.static` computes it. Any other sentence-transformers model works, by folder or
hub name; it has one space, used for all axes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.errors import ModelError
from index.io.weights import (
    LOADING_ERRORS,
    PROBES,
    check_folder,
    check_numbers,
    only_safetensors,
    stored_snapshot,
)
from index.records import AXES, CodeSystem
from index.search.static import StaticModel, is_static

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
# Below, everything is as near as everything else; above, exp(scale) leaves the range of float32.
_SCALES = (1.0, 80.0)
# transformers adds a layer for whole sentences, which sentence-transformers does not ask.
_UNUSED = "pooler."


@dataclass(frozen=True)
class Prototypes:
    """Vectors that stand for codes on a machine that lacks their lines.

    `codes` has m entries (a code may own several rows), `vectors` is float32 (m, d), rows of unit length.
    """

    codes: tuple[str, ...]
    vectors: np.ndarray


class Encoder:
    """A sentence-transformers model with what retrieval needs to know about it.

    `model` is the sentence-transformers model, or the embedded one as it is computed here, `name` the folder or hub name, `scale` the factor on cosines in the retrieval distribution.
    """

    _static: StaticModel | None = None

    def __init__(
        self,
        model: SentenceTransformer | StaticModel,
        name: str,
        *,
        scale: float = _FOREIGN_SCALE,
        prototypes: dict[CodeSystem, Prototypes] | None = None,
        fingerprint: str = "",
    ) -> None:
        self.model = model
        self._static = model if isinstance(model, StaticModel) else None
        self._routed = bool(_routes(model))
        self._prototypes = prototypes or {}
        self.name = name
        self.scale = scale
        self.fingerprint = fingerprint or name

    @classmethod
    def load(cls, name: str | Path | None = None, *, device: str | None = None) -> Encoder:
        """Load an encoder by folder or hub name; the embedded default without a name.

        Raises:
            ModelError: the folder or name holds no sentence-transformers model, only pickled weights, or weights
                that are incomplete or no numbers.
        """
        path = Path(name) if name is not None else EMBEDDED
        shown = str(name or path)
        model = StaticModel.load(path) if is_static(path) else sentence_model(shown, device=device)
        config = _read_config(path / CONFIG)
        prototypes = _read_prototypes(path / PROTOTYPES)
        encoder = cls(
            model,
            str(name or EMBEDDED_NAME),
            scale=config["scale"],
            prototypes=prototypes,
            fingerprint=config["fingerprint"],
        )
        encoder._try_out(shown)
        return encoder

    def _try_out(self, shown: str) -> None:
        """Encodes two texts of ours. Settings can spoil what sound weights give."""
        routes = _routes(self.model)
        for system in [axis for axis in AXES if axis.value in routes] or AXES[:1]:
            try:
                one, other = self.encode(PROBES, system)
            except LOADING_ERRORS as error:
                raise ModelError(f"{shown}: cannot encode a text ({error})") from error
            if one.any() and np.array_equal(one, other):
                raise ModelError(
                    f"{shown}: gives every text the same vector; fetch or train the weights again"
                )
            prototypes = self._prototypes.get(system)
            if prototypes is not None and prototypes.vectors.shape[1] != len(one):
                raise ModelError(
                    f"{shown}: the prototypes of {system.value} have {prototypes.vectors.shape[1]} components, its "
                    f"texts {len(one)}; train the encoder again"
                )

    def encode(self, texts: Sequence[str], system: CodeSystem, *, progress: bool = False) -> np.ndarray:
        """Vectors of unit length, float32 of shape (n, d). A text without a known word is the zero vector.

        Raises `ModelError` where the model gives values that are no numbers.
        """
        if not texts:
            return np.zeros((0, self.dimension(system)), dtype=np.float32)
        if self._static is not None:
            return self.encode_for(texts, [system])[0]
        assert not isinstance(self.model, StaticModel)
        extra: dict[str, Any] = {"task": _ROUTES[system]} if self._routed else {}
        size = 1024 if self._routed else 64
        vectors = self.model.encode(_readable(texts), batch_size=size, show_progress_bar=progress, **extra)
        return self._unit(np.asarray(vectors, dtype=np.float32))

    def encode_for(self, texts: Sequence[str], systems: Sequence[CodeSystem]) -> list[np.ndarray]:
        """`encode` on several axes, for which the embedded encoder reads the texts once."""
        if self._static is None or not texts:
            return [self.encode(texts, system) for system in systems]
        found = self._static.vectors(_readable(texts), [_ROUTES[system] for system in systems])
        return [self._unit(vectors) for vectors in found]

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
        if not np.isfinite(lengths).all():
            raise ModelError(
                f"encoder {self.name}: gives vectors that are no numbers; load or train it again"
            )
        return vectors / np.maximum(lengths, np.float32(1e-12))

    def dimension(self, system: CodeSystem) -> int:
        """Width of the vectors of an axis."""
        prototypes = self._prototypes.get(CodeSystem(_ROUTES[system]))
        if prototypes is not None:
            return int(prototypes.vectors.shape[1])
        if isinstance(self.model, StaticModel):
            return self.model.dimension(_ROUTES[system])
        return int(self.model.get_embedding_dimension() or 0)

    def prototypes(self, system: CodeSystem) -> Prototypes | None:
        """The code prototypes of an axis, or None where the encoder ships none."""
        return self._prototypes.get(system)


def _readable(texts: Sequence[str]) -> list[str]:
    """Tokenizers refuse lone surrogates, which broken encodings leave behind."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def save_prototypes(folder: Path, prototypes: dict[CodeSystem, Prototypes], config: dict[str, Any]) -> None:
    """Write prototypes (half precision) and the encoder's settings beside its weights."""
    from safetensors.numpy import save_file

    tensors = {system.value: p.vectors.astype(np.float16) for system, p in prototypes.items()}
    codes = {system.value: json.dumps(p.codes) for system, p in prototypes.items()}
    save_file(tensors, folder / PROTOTYPES, metadata=codes)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def sentence_model(name: str | Path, *, device: str | None = None) -> SentenceTransformer:
    """A sentence-transformers model by folder or hub name, as `Encoder.load` does without what is computed here: for
    training. Raises `ModelError` as it does."""
    from sentence_transformers import SentenceTransformer

    path, shown = Path(name), str(name)
    folder = path if path.exists() else stored_snapshot(shown)
    if folder is not None and folder.is_dir():
        _check_weights(folder)
    try:
        with only_safetensors(shown) as loaded:
            model = SentenceTransformer(
                str(path) if path.exists() else shown,
                device=device,
                trust_remote_code=False,
                local_files_only=path.exists(),
                model_kwargs={"use_safetensors": True},
            )
        model.float().eval()
    except ModelError:
        raise
    except LOADING_ERRORS as error:
        raise ModelError(f"{shown}: not a sentence-transformers model ({error})") from error
    missing = [tensor for tensor in loaded.missing if not tensor.startswith(_UNUSED)]
    if missing:
        # transformers fills them with random numbers.
        raise ModelError(f"{shown}: the weights are incomplete ({missing[0]} is missing)")
    check_numbers(model, shown)
    return model


def _routes(model: SentenceTransformer | StaticModel) -> frozenset[str]:
    """The names of a router's routes; none where the model has one way for all texts."""
    if isinstance(model, StaticModel):
        return model.routes
    from sentence_transformers.base.modules.router import Router

    return frozenset(name for module in model if isinstance(module, Router) for name in module.sub_modules)


def _check_weights(folder: Path) -> None:
    """Raises `ModelError` where a module of the model has no safetensors weights; each has a folder of its own."""
    pickled = [p for p in folder.rglob("pytorch_model*.bin") if not any(p.parent.glob("*.safetensors"))]
    if pickled or not any(folder.rglob("*.safetensors")):
        where = pickled[0].parent if pickled else folder
        raise ModelError(f"{where}: no safetensors weights here; pickled weights are not loaded")
    check_folder(folder)


def _read_config(path: Path) -> dict[str, Any]:
    """`scale` and `fingerprint`, checked."""
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        scale = config.get("scale", _FOREIGN_SCALE)
        fingerprint = config.get("fingerprint", "")
    except (OSError, ValueError, AttributeError, RecursionError):
        raise ModelError(f"{path}: holds no settings; save the encoder again") from None
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not isinstance(fingerprint, str):
        raise ModelError(f"{path}: holds no settings: scale is a number, fingerprint a text")
    if not (math.isfinite(scale) and _SCALES[0] <= scale <= _SCALES[1]):
        raise ModelError(f"{path}: scale is {scale}, it has to be between {_SCALES[0]:g} and {_SCALES[1]:g}")
    return {"scale": float(scale), "fingerprint": fingerprint}


def _read_prototypes(path: Path) -> dict[CodeSystem, Prototypes]:
    """The prototypes of each axis, rows of unit length. Raises `ModelError` that names file and tensor."""
    from safetensors import safe_open

    if not path.is_file():
        return {}
    prototypes = {}
    try:
        with safe_open(path, framework="np") as file:
            names = file.metadata() or {}
            for system in file.keys():  # noqa: SIM118  (safe_open is no mapping)
                vectors = file.get_tensor(system).astype(np.float32)
                prototypes[CodeSystem(system)] = Prototypes(tuple(json.loads(names[system])), vectors)
    except LOADING_ERRORS as error:  # deeply nested JSON is a RuntimeError
        raise ModelError(f"{path}: holds no prototypes ({error}); train the encoder again") from None
    for system, found in prototypes.items():
        where = f"{path}: the tensor {system.value}"
        if found.vectors.ndim != 2 or len(found.codes) != len(found.vectors):
            raise ModelError(f"{where} has not one row per code; train the encoder again")
        if not all(isinstance(code, str) and code for code in found.codes):
            raise ModelError(f"{where} is of something else than codes; train the encoder again")
        lengths = np.linalg.norm(found.vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ModelError(f"{where} holds rows that are no numbers or nothing; train the encoder again")
        found.vectors[:] /= np.maximum(lengths, 1e-12)
    return prototypes
