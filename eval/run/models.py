"""Which models a variant runs on: variants name roles, a researcher gives each role a folder or a hub name.

    parts = Parts.load(Models("Qwen/Qwen3-8B", adapter="runs/8b"), catalogue)
    context = parts.context(variant)              # the agent's parts with the model of the variant's role
    parts.models_of(variant)                      # names and fingerprints, for the record

A model is loaded once and kept for all variants of its role; the next role takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from agent.models.compact import CompactModel
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from agent.resources import (
    EMBEDDED_ADAPTER,
    EMBEDDED_MODEL,
    EMBEDDED_WITH_CANDIDATES,
    Resources,
    decision_of,
    model_on_this_machine,
    restrict,
)
from eval.run.variants import WITHOUT_MODEL, Variant
from index.catalogue.catalogue import Catalogue
from index.errors import OnkokodeError
from index.io.fingerprint import fingerprint as fingerprint_of

_EMBEDDED = "onkokode-embedded"
_EMBEDDED_ADAPTERS = {"plain": EMBEDDED_ADAPTER, "candidates": EMBEDDED_WITH_CANDIDATES}
_OPTIONS = {"plain": "--adapter", "candidates": "--adapter-with-candidates"}


class NotPossible(OnkokodeError):
    """A variant that these models cannot run; the message says why."""


@dataclass(frozen=True)
class Models:
    """Folders or names by role; None is the embedded default. An adapter may also be the folder of a whole fine-tuned model."""

    model: str | None = None
    adapter: str | None = None
    with_candidates: str | None = None
    encoder: str | None = None
    quantise: Literal["4bit", "8bit"] | None = None

    def source(self, role: str) -> tuple[str, str | None]:
        """Model and adapter of a role.

        Raises `NotPossible` where no adapter of that role was named, `OnkokodeError` where the package lacks it.
        """
        model = model_folder(self.model) if self.model else str(EMBEDDED_MODEL)
        if role == "none":
            return model, None
        adapter = self.with_candidates if role == "candidates" else self.adapter
        if adapter is None and self.model is None:
            embedded = _EMBEDDED_ADAPTERS[role]
            if not embedded.is_dir():
                raise OnkokodeError(
                    f"{embedded}: is not there, so no variant with the adapter {role} can run; make it with `onkokode "
                    f"train all --publish`, or name one with {_OPTIONS[role]}"
                )
            adapter = str(embedded)
        if adapter is None:
            raise NotPossible(f"needs an adapter of the role {role}; name it with {_OPTIONS[role]}")
        folder = Path(adapter)
        whole = (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file()
        return (adapter, None) if whole else (model, adapter)


class CountingEncoder(PromptEncoder):
    """Counts the tokens of all prompts that the model reads. A prompt that several questions share counts for
    each of them, although the model may read it once."""

    tokens = 0

    def prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        ids = super().prompts(prompts)
        self.tokens += sum(map(len, ids))
        return ids


@dataclass
class Parts:
    """Catalogue, retriever and settings, loaded once, and the model of the role that was asked for last."""

    models: Models
    base: Resources
    _loaded: tuple[str, CompactModel | LocalModel] | None = field(default=None, repr=False)

    @classmethod
    def load(cls, models: Models, catalogue: Catalogue | None) -> Parts:
        """`catalogue` None is the one that is installed. Raises `OnkokodeError` where a part cannot be loaded."""
        # The embedded model comes with it and is dropped: a large one is loaded when a variant asks for it.
        context = Resources.load(encoder=models.encoder, catalogue=catalogue)
        return cls(models, replace(context, model=None))

    def prompts(self, variant: Variant) -> Prompts | None:
        """How the variant asks its model; None where it asks none. Raises `NotPossible`."""
        if variant.answer in WITHOUT_MODEL:
            return None
        prompts = Prompts.of(*self.models.source(variant.adapter))
        candidates = prompts.candidates if variant.candidates is None else variant.candidates
        return replace(prompts, candidates=candidates, examples=variant.examples)

    def context(self, variant: Variant) -> Resources:
        """The agent's parts with the variant's model and prompts. Raises `NotPossible`, `ModelError`."""
        prompts = self.prompts(variant)
        if prompts is None:
            return self.base
        # What is to write needs a network that can; to score, the model is loaded as users have it.
        writes = variant.answer == "written"
        if (
            self._loaded is None
            or self._loaded[0] != variant.adapter
            or (writes and isinstance(self._loaded[1], CompactModel))
        ):
            self._loaded = None  # two large models do not fit beside each other
            source, quantise = self.models.source(variant.adapter), self.models.quantise
            model = (
                LocalModel.load(*source, quantise=quantise)
                if writes
                else model_on_this_machine(*source, prompts, quantise=quantise)
            )
            model.encoder = CountingEncoder(model.encoder.tokenizer)
            restrict(model, prompts, self.base.catalogue)
            self._loaded = (variant.adapter, model)
        folder, adapter = self.models.source(variant.adapter)
        weights = decision_of(self.models.model is None, self.models.encoder, adapter or folder)
        return replace(self.base, model=self._loaded[1], prompts=prompts, weights=weights)

    def models_of(self, variant: Variant) -> dict[str, dict[str, str]]:
        """Name and fingerprint of each model that the variant runs on. Raises `NotPossible`."""
        own = self.base.names["encoder_fingerprint"]
        found = {"encoder": {"name": self.base.names["encoder"], "fingerprint": own}}
        if variant.answer in WITHOUT_MODEL:
            return found
        for kind, source in zip(("model", "adapter"), self.models.source(variant.adapter), strict=True):
            if source is not None:
                found[kind] = {"name": _name(source), "fingerprint": fingerprint(source)}
        if self.models.quantise is not None:
            found["model"]["quantised"] = self.models.quantise
        return found


def fingerprint(source: str) -> str:
    """That of a folder's weights; for a hub name the commit that lies in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).is_dir():
        return fingerprint_of(Path(source))
    for file in ("adapter_config.json", "config.json"):
        # A path of a folder that is not there is no hub name; the loaders say so.
        with suppress(ValueError):
            cached = try_to_load_from_cache(source, file)
            if isinstance(cached, str):
                return f"commit {Path(cached).parent.name}"
    return "not fetched yet"


def _name(source: str) -> str:
    """A hub name, or a folder's name; where it lies is nobody's business."""
    if source in {str(EMBEDDED_MODEL), *map(str, _EMBEDDED_ADAPTERS.values())}:
        return _EMBEDDED
    return Path(source).name if Path(source).is_dir() else source
