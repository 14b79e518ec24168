"""What several commands do at the terminal: read one text per line, and count on standard error.

damaged: list[int] = []
with counting(say("texts")) as advance:
    for text in text_lines(standard_input(), damaged): ...; advance(1)
warn_of(damaged, "onkokode code -")
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, TextIO

import click

from index.io.language import say


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises `UsageError` where it is closed."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed; name a file, or give texts as arguments")
    return sys.stdin.buffer


def text_lines(stream: Iterable[bytes], damaged: list[int]) -> Iterator[str]:
    """One text per line, blank ones included. Only a line feed ends a row: a stray U+2028 or form feed
    inside a text must not shift all that follow. Bytes that are not UTF-8 become lone surrogates, and the
    line's number goes into `damaged`."""
    from agent.apps.files.lines import decode_line

    for number, line in enumerate(stream, start=1):
        row = line.removesuffix(b"\n").removesuffix(b"\r")
        text, note = decode_line(row.removeprefix(b"\xef\xbb\xbf") if number == 1 else row, mixed=False)
        if note:
            damaged.append(number)
        yield text


def warn_of(damaged: Sequence[int], remedy: str) -> None:
    """Say on standard error which lines were not UTF-8; `remedy` is what a file from Windows goes through."""
    if damaged:
        click.echo(say("not-utf8", count=len(damaged), first=damaged[0], remedy=remedy), err=True)


def is_watched(stream: TextIO | None) -> bool:
    """Whether somebody sees what is written there. A service manager may start us without the stream at all."""
    return stream is not None and stream.isatty()


@contextmanager
def counting(unit: str) -> Iterator[Callable[[int], None]]:
    """A running count on standard error, if somebody is there to see it."""
    if not is_watched(sys.stderr):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn(f"{{task.completed}} {unit}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda count: progress.advance(task, count)
