"""The table of messages against what is said: both languages, the same placeholders, every key used and known."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import string
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from index.errors import OnkokodeError
from index.io.language import messages
from tests.conftest import ROOT
from tests.spoken import spoken_in

LAYERS = ("index", "agent", "training", "eval")
# What these refuse stands in the registry's report, which is German in any locale.
_IN_A_REPORT = {"RefusedDocument"}


@lru_cache(maxsize=1)
def trees() -> dict[Path, ast.Module]:
    return {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
    }


def calls() -> Iterator[tuple[Path, ast.Call]]:
    """Each call of `say`, where that is the table's."""
    for path, tree in trees().items():
        if "from index.io.language import" not in path.read_text(encoding="utf-8"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                yield path, node


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_each_message_says_the_same_in_both_languages() -> None:
    for key, said in messages().items():
        assert set(said) == {"en", "de"} and all(text.strip() for text in said.values()), key
        assert placeholders(said["en"]) == placeholders(said["de"]), key
        for spoken, text in said.items():
            assert spoken_in(re.sub(r"{\w+}", "", text)) <= {spoken}, (key, text)


def test_no_key_stands_in_the_table_twice() -> None:
    table = (ROOT / "index" / "io" / "messages.tsv").read_text(encoding="utf-8").splitlines()
    keys = [line.split("\t")[0] for line in table]
    assert sorted(set(keys)) == sorted(keys)
    assert {line.count("\t") for line in table} == {2}


def test_what_is_said_is_in_the_table_with_all_its_values() -> None:
    wrong = []
    for path, call in calls():
        key = call.args[0] if call.args else None
        for one in [key.body, key.orelse] if isinstance(key, ast.IfExp) else [key]:
            if not (isinstance(one, ast.Constant) and isinstance(one.value, str)):
                continue  # from a table of keys
            said = messages().get(one.value)
            given = {keyword.arg for keyword in call.keywords}
            if said is None or (None not in given and placeholders(said["en"]) - given):
                wrong.append(f"{path}:{call.lineno}: {one.value}")
    assert wrong == []


def test_every_message_is_said() -> None:
    constants: set[str] = set()
    beginnings: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                constants.add(node.value)
    for _, call in calls():
        first = call.args[0]
        # say(f"count-{name}"), say("kind-" + line["kind"])
        part = first.values[0] if isinstance(first, ast.JoinedStr) else getattr(first, "left", None)
        if isinstance(part, ast.Constant):
            beginnings.add(part.value)
    unsaid = {key for key in messages() if key not in constants and not key.startswith(tuple(beginnings))}
    assert unsaid == set()


def translated_errors() -> set[str]:
    """The names of all errors whose messages are in the table."""
    for path in trees():
        if "translated = True" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: set[str] = set()
    kinds = [OnkokodeError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.translated and inspect.getmodule(kind).__name__.split(".")[0] in LAYERS:  # type: ignore[union-attr]
            found.add(kind.__name__)
    return found - _IN_A_REPORT


def test_an_error_that_is_translated_is_worded_in_the_table() -> None:
    """No sentence in the code: an f-string may only put a path before what the table says."""
    kinds, worded = translated_errors(), []
    assert {"TableFileError", "OutputError", "CatalogueError", "XmlError", "StoreError"} <= kinds
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds):
                continue
            for part in node.args[:1]:
                texts = part.values if isinstance(part, ast.JoinedStr) else [part]
                literal = "".join(
                    str(text.value)
                    for text in texts
                    if isinstance(text, ast.Constant) and isinstance(text.value, str)
                )
                if re.search(r"(?<!-)\b[^\W\d_]{2,}", re.sub(r"--[\w-]+", "", literal)):
                    worded.append(f"{path}:{node.lineno}: {literal}")
    assert worded == []
