"""Errors that a user can act on: each message names the file and the remedy."""


class OnkokodeError(Exception):
    """Base of all errors that Onkokode raises on purpose."""


class ModelError(OnkokodeError):
    """A model, adapter or encoder cannot be loaded."""


class IndexFolderError(OnkokodeError):
    """An index folder is missing, damaged or of an unknown format."""
