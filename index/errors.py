"""Errors that a user can act on: each message names the file and the remedy."""

from __future__ import annotations

from typing import ClassVar, Literal

Language = Literal["en", "de"]


class OnkokodeError(Exception):
    """Base of all errors that Onkokode raises on purpose. `translated` says that all messages of a class are in the
    table (`index.io.language`); those about models, servers, training and measuring are in English alone."""

    translated: ClassVar[bool] = False


class ModelError(OnkokodeError):
    """A model, adapter or encoder cannot be loaded."""


class IndexFolderError(OnkokodeError):
    """An index folder is missing, damaged or of an unknown format."""

    translated = True
