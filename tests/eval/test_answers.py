"""Measurements side by side: the same rows, exact tests, and clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.answers import compare_answers
from index.errors import OnkokodeError


def _file(folder: Path, name: str, exact: list[bool], part: str = "test_term", first: int = 0) -> Path:
    rows = [[first + n, "icd10gm", hit, True, False] for n, hit in enumerate(exact)]
    record = {
        "model": "m",
        "adapter": None,
        "candidates": 0,
        "data": "x",
        "seconds": 1.0,
        "part": part,
        "rows": rows,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def test_models_are_tested_on_the_rows_that_both_were_asked(tmp_path: Path) -> None:
    base = _file(tmp_path, "base", [True, False, False, False])
    other = _file(tmp_path, "other", [True, True, True, False], first=1)
    section = compare_answers([base, other], "base", "x")
    shares = {share.name: (share.hits, share.n) for share in section.shares}
    assert shares["base: exact"] == (1, 4) and shares["other: exact"] == (3, 4)
    assert shares["other: malformed"] == (0, 4)
    [(_, rows)] = section.tables.values()
    assert rows[0][:3] == ("other", "3", "0")


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    base = _file(tmp_path, "base", [True])
    with pytest.raises(OnkokodeError, match="different parts"):
        compare_answers([base, _file(tmp_path, "dev", [True], part="development")], "base", "x")
    with pytest.raises(OnkokodeError, match="no such file"):
        compare_answers([base], "rank-8", "x")
    (tmp_path / "odd.json").write_text("[]", encoding="utf-8")
    with pytest.raises(OnkokodeError, match="onkokode train measure"):
        compare_answers([tmp_path / "odd.json"], "odd", "x")
