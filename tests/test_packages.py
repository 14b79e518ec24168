"""What pip installs is bounded, pinned and hashed, and the lists in requirements/ say the same as each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
# In no list: what is for GPUs only, and the weights of a model.
UNLISTED = ("quantised", "gemma")
LISTS = sorted((ROOT / "requirements").glob("*.txt"))


def _lines(path: Path) -> list[str]:
    """The entries of a list, each with its hashes."""
    text = re.sub(r"(?m)^#.*\n", "", path.read_text("utf-8")).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def _versions(path: Path) -> dict[str, Version]:
    found = {}
    for line in _lines(path):
        asked = Requirement(line.partition(" --hash")[0])
        (pin,) = asked.specifier
        assert pin.operator == "==" and "*" not in pin.version, line
        found[canonicalize_name(asked.name)] = Version(pin.version)
    return found


CONSTRAINTS = _versions(ROOT / "constraints.txt")


@pytest.mark.parametrize(
    "given", [*PROJECT["project"]["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
)
def test_a_dependency_has_two_bounds_that_hold_the_pinned_version(given: str) -> None:
    asked = Requirement(given)
    if asked.name == "onkokode":
        assert asked.extras <= set(EXTRAS)
        return
    assert {bound.operator for bound in asked.specifier} == {">=", "<"}, given
    if asked.name in {Requirement(one).name for extra in UNLISTED for one in EXTRAS[extra]}:
        return
    pinned = CONSTRAINTS[canonicalize_name(asked.name)]
    assert asked.specifier.contains(pinned)
    # The bound is the next major, and does not wait for one after it.
    (upper,) = (Version(bound.version) for bound in asked.specifier if bound.operator == "<")
    assert upper == Version(str(pinned.major + 1)), given


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_each_package_of_a_list_is_pinned_as_elsewhere_and_has_hashes(path: Path) -> None:
    for line in _lines(path):
        assert re.search(r"(?: +--hash=sha256:[0-9a-f]{64})+ *$", line), line[:80]
    for name, version in _versions(path).items():
        # A local version (+cpu) is a build of the same.
        assert CONSTRAINTS.get(name, version) == Version(version.public), name


def test_the_lists_hold_what_each_level_needs() -> None:
    base, service, dev = (
        set(_versions(ROOT / "requirements" / f"{name}.txt")) for name in ("base", "service", "dev")
    )
    torch, cpu = (set(_versions(ROOT / "requirements" / f"{name}.txt")) for name in ("torch", "torch-cpu"))
    assert cpu == {"torch"} <= torch
    assert base <= service <= dev and not dev & torch and "setuptools" in base
    needed = {
        "base": PROJECT["project"]["dependencies"],
        "service": [*EXTRAS["files"], *EXTRAS["service"]],
        "dev": [one for name, extra in EXTRAS.items() if name not in UNLISTED for one in extra],
    }
    for level, found in (("base", base), ("service", service), ("dev", dev)):
        names = {canonicalize_name(Requirement(one).name) for one in needed[level]} - {"onkokode"}
        assert names <= found | torch, level
    # Nothing is pinned that no list has.
    assert set(CONSTRAINTS) <= dev | torch


@pytest.mark.parametrize("name", ["Makefile", "docs/deploy/Containerfile"])
def test_what_is_installed_is_hashed_or_is_the_project(name: str) -> None:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(
        r"(?:pip install|\$\((?:INSTALL|FROM_LISTS)\))(.*)", re.sub(r"(?m)^\s*#.*\n", "", text)
    )
    assert commands
    for command in commands:
        parts = re.split(r"&&|\|\|", command)
        assert "--no-deps" in command or name == "Makefile"
        for part in parts:
            if " -r " in part and "$(" not in part:
                assert "--require-hashes" in part or name == "Makefile"
    if name == "Makefile":
        assert "FROM_LISTS := $(INSTALL) --require-hashes" in text and "$(INSTALL) -r" not in text
    else:
        # A tag is another image tomorrow: the digest is asked for, and none is invented here.
        base = "docker.io/library/python@${DIGEST}"  # nothing but a digest can stand after an @
        assert re.findall(r"(?m)^FROM (\S+)", text) == [base, base] and re.search(r"(?m)^ARG DIGEST$", text)
