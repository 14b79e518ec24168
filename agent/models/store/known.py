"""The models that `onkokode model add NAME` makes from an installed package: one row of `known.tsv` each.

    model = known_models()["gemma-3-270m"]
    model.installed                             # the package's version, None where it is not installed
    with model.gguf(folder) as path: ...        # its GGUF file, checked

A newcomer's model needs a row and no code: `file` is the name of a GGUF file that lies in the package, or
`assemble()` where the package puts its parts together by a function of that name. `sha256` is that of the file,
and the word of nobody else counts.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from index.catalogue.overrides import table_rows
from index.errors import ModelError
from index.io.failures import MissingPackage, reason
from index.io.language import say

TABLE = Path(__file__).parent / "known.tsv"
_ASSEMBLE = "assemble"


class StoreError(ModelError):
    """A model cannot be added, removed or used by its name."""

    translated = True


@dataclass(frozen=True)
class KnownModel:
    """A row of the table. `install` is what `pip install` is given."""

    name: str
    package: str
    module: str
    file: str
    sha256: str
    parameters: int
    licence: str
    terms: str
    install: str
    about: str

    @property
    def installed(self) -> str | None:
        """The version of the package that is installed."""
        try:
            return metadata.version(self.package) if find_spec(self.module) else None
        except (metadata.PackageNotFoundError, ModuleNotFoundError, ValueError):
            return None

    def require(self) -> str:
        """The version of the installed package. Raises `MissingPackage` with the line that installs it."""
        version = self.installed
        if version is None:
            raise MissingPackage(
                say("package-not-installed", name=self.name, package=self.package, install=self.install)
            )
        return version

    @contextmanager
    def gguf(self, folder: Path) -> Iterator[Path]:
        """The model's GGUF file, whose hash is the one of the table; what has to be put together lies in `folder` as
        long as it lasts. Raises `ModelError` where the package holds another file."""
        self.require()
        if self.file != f"{_ASSEMBLE}()":
            # Not imported: a plugin of another program would start that.
            spec = find_spec(self.module)
            assert spec is not None and spec.origin is not None
            path = Path(spec.origin).parent / self.file
            self._check(path)
            yield path
            return
        path = folder / f"{self.name}.gguf"
        try:
            getattr(importlib.import_module(self.module), _ASSEMBLE)(path)
        except (ValueError, FileNotFoundError, ImportError, AttributeError):
            raise self._broken() from None
        self._check(path)
        yield path

    def _check(self, path: Path) -> None:
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            raise self._broken() from None
        except OSError as error:
            raise StoreError(say("model-cannot-read", path=path, reason=reason(error))) from None
        if found != self.sha256:
            raise self._broken()

    def _broken(self) -> StoreError:
        return StoreError(say("package-other-file", package=self.package, install=self.install))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file. Raises `OSError`."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@lru_cache(maxsize=1)
def known_models() -> dict[str, KnownModel]:
    """The rows of the table by name."""
    columns = tuple(field.name for field in fields(KnownModel))
    return {row["name"]: _known(row) for _, row in table_rows(TABLE, columns)}


def _known(row: dict[str, str]) -> KnownModel:
    parameters = int(row.pop("parameters"))
    return KnownModel(**row, parameters=parameters)  # type: ignore[arg-type]
