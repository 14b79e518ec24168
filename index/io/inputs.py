"""Paths that commands read: what is wrong with one is said like any other error, before any work.

@click.argument("files", nargs=-1, type=InputPath(dir_okay=False, path_type=Path))
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from index.errors import OnkokodeError
from index.io.language import say


class InputError(OnkokodeError):
    """A path that cannot be read; the message names it and the remedy."""

    translated = True


class InputPath(click.Path):
    """A path that has to be there; click would say in English that it is not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(exists=True, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            path = Path(os.fsdecode(value))
        if not path.exists():
            raise InputError(f"{path}: {say('no-such-file')}")
        if path.is_dir() and not self.dir_okay:
            raise InputError(f"{path}: {say('is-folder')}")
        if path.is_file() and not self.file_okay:
            raise InputError(say("file-no-folder", path=path, otherwise=say("name-another")))
        raise InputError(f"{path}: {say('no-permission')}")
