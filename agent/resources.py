"""What the nodes work with: catalogue, retriever, language model, recogniser and settings.

resources = Resources.load()                         # the embedded default
graph.invoke({"texts": ["Mamma-Ca"]}, context=resources)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from agent.decide.recognise import Recogniser
from agent.decide.records import Weights
from agent.models.base import PREFIX_TREE
from agent.models.compact import CompactModel
from agent.models.compact_network import is_compact
from agent.models.prompts import Prompts
from agent.models.store.names import model_folder
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.catalogue.layouts import CatalogueError
from index.catalogue.overrides import load_overrides
from index.catalogue.store import files_below
from index.errors import ModelError
from index.io.language import say
from index.records import AXES
from index.search.encoder import EMBEDDED_NAME, Encoder
from index.search.index import Index, index_folder
from index.search.retriever import Retriever

if TYPE_CHECKING:
    from agent.models.base import CodeModel
    from agent.models.local import LocalModel
    from agent.models.served import ServedModel
    from agent.reading.tagger import Tagger

WEIGHTS = Path(__file__).parent / "weights"
EMBEDDED_MODEL = WEIGHTS / "model"
EMBEDDED_ADAPTER = WEIGHTS / "adapter"
# Trained with retrieved candidates; the default agent asks plainly and does without it.
EMBEDDED_WITH_CANDIDATES = WEIGHTS / "adapter-with-candidates"

CatalogueSource = Catalogue | str | Path | Iterable[str | Path] | None


@dataclass
class Resources:
    """Loaded once, shared by all texts. `model` None decides by retrieval alone."""

    catalogue: Catalogue
    retriever: Retriever
    model: CodeModel | None
    prompts: Prompts
    recogniser: Recogniser
    weights: Weights
    crosswalk: Crosswalk
    candidates: int = 20
    names: dict[str, str] = field(default_factory=dict)
    reader_folder: Path | None = None
    """Of the reader of documents; None: the package's."""

    @cached_property
    def reader(self) -> Tagger:
        """What reads whole documents; loaded when the first one comes."""
        from agent.reading.tagger import WEIGHTS, Tagger

        return Tagger.load(self.retriever.encoder, self.reader_folder or WEIGHTS)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        adapter: str | Path | None = None,
        encoder: str | Path | None = None,
        catalogue: CatalogueSource = None,
        edition: str | None = None,
        *,
        device: str | None = None,
        quantise: Literal["4bit", "8bit"] | None = None,
        home: Path | None = None,
        candidates: int = 20,
        server: str | None = None,
        reader: str | Path | None = None,
    ) -> Resources:
        """Load everything; None means the embedded default.

        Raises:
            OnkokodeError: a catalogue, index, model, adapter or encoder cannot be used; the message says why.
        """
        from agent.models.self_check import check_encoder, check_model, check_recogniser

        if device is not None:
            _check_device(device)
        served = _served(server, model, adapter, quantise) if server is not None else None
        loaded = Encoder.load(encoder, device=device)
        if encoder is None:
            check_encoder(loaded)
        known, index = _catalogue_and_index(catalogue, edition, home, loaded)
        default = model is None and served is None
        if default and adapter is None and EMBEDDED_ADAPTER.is_dir():
            adapter = EMBEDDED_ADAPTER
        source: str | Path = EMBEDDED_MODEL
        if model is not None and served is None:
            source = model_folder(model)
        if served is not None:
            source = served.source or served.name
        prompts, recogniser = Prompts.of(source, adapter), Recogniser.load()
        check_recogniser(recogniser)
        language: CodeModel = served or model_on_this_machine(
            source, adapter, prompts, device=device, quantise=quantise
        )
        if default and adapter in (None, EMBEDDED_ADAPTER):
            check_model(language, prompts)
        if served is None:
            restrict(language, prompts, known)
        scoring = getattr(language, "scoring", PREFIX_TREE)
        resources = cls(
            catalogue=known,
            retriever=Retriever(index, loaded),
            model=language,
            prompts=prompts,
            recogniser=recogniser,
            weights=decision_of(default, encoder, adapter or source),
            crosswalk=Crosswalk(known.rules, load_overrides()),
            candidates=candidates,
            reader_folder=None if reader is None else Path(reader),
            names={
                "model": served.name if served else str(model or "onkokode-embedded"),
                "adapter": "onkokode-embedded" if adapter == EMBEDDED_ADAPTER else str(adapter or ""),
                "encoder": loaded.name,
                "encoder_fingerprint": loaded.fingerprint,
                **({"scoring": served.method} if served else {}),
                # Worth a word where it is slow: many times the passes of a prefix tree.
                **({"scoring": scoring} if scoring != PREFIX_TREE else {}),
                **({"reader": str(reader)} if reader is not None else {}),
            },
        )
        if reader is not None:
            _ = resources.reader  # a folder that holds none is told now, not at the first document
        return resources


def decision_of(default: bool, encoder: str | Path | None, folder: str | Path) -> Weights:
    """The fitted numbers, which belong to a model with its adapter and to the embedded encoder: the package's for its
    own model (`default`), else those beside the `folder` of adapter or model."""
    if encoder is not None:
        return Weights()
    return Weights.load() if default else Weights.beside(folder)


def restrict(model: CodeModel, prompts: Prompts, catalogue: Catalogue) -> None:
    """Lets a model on this machine, of a style that says nothing but answers, weigh their tokens only."""
    if not prompts.restricted:
        return
    codes = {prompts.answer(code, axis) for axis in AXES for code in (*catalogue.codable_codes(axis), None)}
    cast("LocalModel", model).restrict(codes | {prompts.tumour_answer(said) for said in (True, False)})


def model_on_this_machine(
    source: str | Path,
    adapter: str | Path | None,
    prompts: Prompts,
    *,
    device: str | None = None,
    quantise: Literal["4bit", "8bit"] | None = None,
) -> CompactModel | LocalModel:
    """A language model that is loaded here, in the quickest way that there is for its kind. Raises `ModelError`."""
    folder, beside = Path(source), None if adapter is None else Path(adapter)
    plain = prompts.style == "compact" and device in (None, "cpu") and quantise is None
    if plain and is_compact(folder, beside):
        return CompactModel.load(folder, beside)
    from agent.models.local import LocalModel

    return LocalModel.load(source, adapter, device=device, quantise=quantise)


def _check_device(device: str) -> None:
    """Tried, since each kind of device has its own way to say no: a wrong name, no driver, no such number."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        here = ", ".join(["cpu", *cards, *["mps"] * torch.backends.mps.is_available()])
        raise ModelError(f"--device {device}: there is no such device; this machine has: {here}") from None


def _served(
    server: str, model: str | Path | None, adapter: str | Path | None, quantise: str | None
) -> ServedModel:
    """The model behind a server, which has loaded it already: how is the server's business."""
    from agent.models.served import ServedModel

    if adapter is not None or quantise is not None:
        raise ModelError(
            f"{server}: a server has loaded its model already; start it with the adapter (vLLM: "
            "--lora-modules) or the quantisation, and name what it serves with --model"
        )
    return ServedModel.load(server, model)


@lru_cache(maxsize=1)
def embedded_resources() -> Resources:
    """The embedded default, loaded once."""
    return Resources.load()


def _catalogue_and_index(
    source: CatalogueSource, edition: str | None, home: Path | None, encoder: Encoder
) -> tuple[Catalogue, Index]:
    if source is None:
        catalogue = Catalogue.load(home, edition)
        folder = index_folder(home)
        if (folder / "manifest.json").is_file() and edition is None:
            index = Index.load(folder)
            # Editions with their files' hashes: a file added to an edition since makes the index stale.
            if index.encoder == encoder.fingerprint and index.editions == dict(catalogue.editions):
                index.fits(catalogue, encoder)
                return catalogue, index
        return catalogue, _index_of(catalogue, encoder)
    if isinstance(source, Catalogue):
        if edition is not None:
            raise CatalogueError(say("edition-of-catalogue"))
        return source, _index_of(source, encoder)
    paths = [source] if isinstance(source, str | Path) else source
    catalogue = Catalogue.from_files(files_below(paths), edition=edition)
    return catalogue, Index.build(catalogue, encoder)


# Agents of one process share the index of the built-in lexicon, which no call changes.
_BUILTIN_INDEX: dict[str, Index] = {}


def _index_of(catalogue: Catalogue, encoder: Encoder) -> Index:
    if catalogue is not Catalogue.builtin() or encoder.name != EMBEDDED_NAME:
        return Index.build(catalogue, encoder)
    if encoder.fingerprint not in _BUILTIN_INDEX:
        _BUILTIN_INDEX[encoder.fingerprint] = Index.build(catalogue, encoder)
    return _BUILTIN_INDEX[encoder.fingerprint]
