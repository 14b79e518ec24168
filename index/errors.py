"""Errors that a user can act on: each message names the file and the remedy."""

from __future__ import annotations

from typing import ClassVar, Literal

Language = Literal["en", "de"]


class OnkokodeError(Exception):
    """Base of all errors that Onkokode raises on purpose. `language` is that of their messages, so that what stands
    around one can be in the same."""

    language: ClassVar[Language] = "en"


class ModelError(OnkokodeError):
    """A model, adapter or encoder cannot be loaded."""


class IndexFolderError(OnkokodeError):
    """An index folder is missing, damaged or of an unknown format."""
