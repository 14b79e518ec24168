"""`import onkokode`: the same objects under the project's own name, and a word where another `agent` hides ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import agent
import onkokode
from tests.conftest import ROOT


def _python(code: str, *first: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (*first, ROOT)))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        check=False,
    )


def test_the_same_objects_have_the_projects_name() -> None:
    assert onkokode.__all__ == agent.__all__
    assert all(getattr(onkokode, name) is getattr(agent, name) for name in agent.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Kodierer'"):
        _ = onkokode.Kodierer


def test_the_import_is_quick() -> None:
    done = _python("import sys, onkokode; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_another_package_called_agent_is_named(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").write_text("VERSION = 1\n", encoding="utf-8")
    done = _python("import onkokode", tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr and "environment of its own" in done.stderr
