"""Fixtures for all tests: the shared catalogue files, and a user folder that is nobody's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# CI judges a commit: the same examples every time. Elsewhere hypothesis looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).resolve().parents[1]

# Files of twenty seconds and more. They begin first, so that no worker has one left when the others are done
# (`make test` gives each worker whole files).
LONGEST = (
    "test_real_catalogues.py",
    "test_recipe.py",
    "test_serve_command.py",
    "test_agent_bad_input.py",
    "test_agent_properties.py",
    "test_checkpoint_file.py",
    "test_candidates.py",
    "test_ablation.py",
)


def pytest_configure(config: pytest.Config) -> None:
    # Else xdist begins with the files that have the most tests.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real catalogue files; the test is skipped where it is missing."""
    folder = ROOT / os.environ.get("ONKOKODE_SHARED", "../shared")
    if not (folder / "catalogues").is_dir():
        pytest.skip(
            f"no catalogue files in {folder}; set ONKOKODE_SHARED to the folder that holds catalogues/"
        )
    return folder


@pytest.fixture(autouse=True)
def _no_user_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the data folder of the person who runs the tests."""
    monkeypatch.setenv("ONKOKODE_LANGUAGE", "en")  # whatever the developer's machine speaks
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path_factory.mktemp("home")))
