"""What is said to people, in the language of whoever started the program: one table of messages, one language a run.

say("note", note="…")        # 'Hinweis: …' where ONKOKODE_LANGUAGE, LC_ALL, LC_MESSAGES or LANG says de, else 'Note: …'

    raise OutputError(say("no-folder", path=path))      # errors are worded where they are raised

`messages.tsv` has a row for each message: its key, English, German; tests/index/test_messages.py compares it with what
is said. Codings and what stands in a table's columns are German in any language, as the catalogues are; help and what
is wrong with a command line is English, as click says it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from index.errors import Language

# As the locale is looked up, after our own; an empty one says nothing.
_VARIABLES = ("ONKOKODE_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_TABLE = Path(__file__).with_name("messages.tsv")
_chosen: ContextVar[Language | None] = ContextVar("language", default=None)


def language() -> Language:
    """The language in which things are said here."""
    said = next(filter(None, map(os.environ.get, _VARIABLES)), "")
    return _chosen.get() or ("de" if said.lower().startswith("de") else "en")


@contextmanager
def speaking(chosen: Language) -> Iterator[None]:
    """One language whatever the environment says, for who answers others than the one who started the program."""
    before = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(before)


def say(key: str, **values: Any) -> str:
    """A message. Whole numbers get the language's separator of thousands."""
    spoken = language()
    comma = "." if spoken == "de" else ","
    shown = {
        name: f"{value:,}".replace(",", comma) if isinstance(value, int) else value
        for name, value in values.items()
    }
    return messages()[key][spoken].format(**shown)


@cache
def messages() -> dict[str, dict[Language, str]]:
    """All messages by key and language."""
    rows = (line.split("\t") for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:])
    return {key: {"en": english, "de": german} for key, english, german in rows}
