"""The house's own rules: no import circle, layers one way, no borrowed private names, no room too full.

Imports are read from the source: those inside functions count, those under `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = ("index", "agent", "training", "eval")  # each may import those before it
MOST_FILES = {"index": 8, "agent": 8, "training": 10, "eval": 8}
MOST_LINES = 400


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """Module name -> file, of all four layers."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file imports; the name is empty for a module as such."""

    def visit(node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from visit(other)
            return
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def graph() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    known = modules()
    return {
        module: {
            name
            for source, imported in imports(path)
            for name in [f"{source}.{imported}" if f"{source}.{imported}" in known else source]
            if name in known and name != module
        }
        for module, path in known.items()
    }


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that can reach one another (Tarjan's strongly connected components of two and more)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in edges:
        if node not in number:
            visit(node)
    return found


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "e2"}, "e2": {"e"}}
    assert circles(edges) == [["b", "c"], ["e", "e2"]]


def test_no_import_circle() -> None:
    assert circles(graph()) == []


def test_layers_import_downwards_only() -> None:
    rank = {layer: place for place, layer in enumerate(LAYERS)}
    upwards = {
        (module, other)
        for module, others in graph().items()
        for other in others
        if rank[other.partition(".")[0]] > rank[module.partition(".")[0]]
    }
    assert upwards == set()


def test_no_private_name_of_another_package() -> None:
    """`from pkg.x import _y` and `module._y` stay within the folder of `pkg.x`."""
    known, borrowed = modules(), []
    for module, path in known.items():
        aliases: dict[str, Path] = {}
        for source, name in imports(path):
            home = known.get(source)
            if home is not None and home.parent != path.parent and name.startswith("_"):
                borrowed.append(f"{module}: from {source} import {name}")
            if (imported := known.get(f"{source}.{name}")) is not None:
                aliases[name] = imported
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            home = aliases.get(node.value.id)
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if home is not None and home.parent != path.parent and private:
                borrowed.append(f"{module}: {node.value.id}.{node.attr}")
    assert borrowed == []


def test_no_file_is_too_long() -> None:
    lines = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in modules().values()
    }
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_room_is_too_full(layer: str) -> None:
    files = sorted(path.name for path in (ROOT / layer).glob("*.py"))
    assert len(files) <= MOST_FILES[layer], files


def test_every_package_says_what_is_in_it() -> None:
    """Each package's docstring has a line for each of its modules, so the README needs no file tree."""
    missing = {}
    for path in modules().values():
        if path.name != "__init__.py":
            continue
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rooms = [one.stem for one in path.parent.glob("*.py") if not one.stem.startswith("__")]
        rooms += [one.parent.name for one in path.parent.glob("*/__init__.py")]
        unsaid = sorted(room for room in rooms if room not in said)
        if unsaid:
            missing[str(path.parent.relative_to(ROOT))] = unsaid
    assert missing == {}
