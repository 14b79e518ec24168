"""The folder of a run: a half-written checkpoint is no checkpoint, and another run is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.errors import ModelError
from training.runs import RUN_FILE, last_checkpoint, same_run, write_json


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, state in ((9, "{}"), (10, '{"global_step": 10}'), (11, '{"global'), (12, "")):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state, encoding="utf-8")
    (tmp_path / "checkpoint-13").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_further_entries_of_a_run_do_not_make_it_another(tmp_path: Path) -> None:
    write_json(tmp_path / RUN_FILE, {"plan": {"rank": 8}, "seconds": 3})
    same_run(tmp_path, {"plan": {"rank": 8}})
    with pytest.raises(ModelError, match="another folder"):
        same_run(tmp_path, {"plan": {"rank": 16}})
