"""Throughput is counted in real tokens, for the same pairs in three arms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.agent.tiny_models import save_tiny_model
from tests.training.test_lora import instruct_rows, write_pairs_folder
from training.adapters.throughput import ARMS, GROUPED, PADDED, TREES, measure_throughput
from training.commands import train
from training.plan import LoraPlan


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("throughput")
    rows = instruct_rows()
    # Lengths differ, so that a random batch has padding.
    rows = [row if n % 4 else {**row, "prompt": row["prompt"] * 3} for n, row in enumerate(rows * 4)]
    return save_tiny_model("qwen3", folder / "model"), write_pairs_folder(folder / "pairs", rows)


@pytest.mark.slow
def test_arms_pad_as_they_say_and_see_the_same_pairs(folders: tuple[Path, Path]) -> None:
    measured = measure_throughput(*folders, LoraPlan(batch=2, longest=1024), steps=3)
    arms = measured["arms"]
    assert tuple(arms) == ARMS
    padding = {arm: arms[arm]["padding"] for arm in ARMS}
    assert padding[PADDED] > 0 and padding[GROUPED] <= padding[PADDED]
    # A step of each arm has about as many real tokens.
    tokens = [arms[arm]["real_tokens_per_step"] for arm in ARMS]
    assert max(tokens) < 3 * min(tokens)
    for arm in (PADDED, GROUPED):
        ratio = arms[TREES]["tokens_per_second"] / arms[arm]["tokens_per_second"]
        assert measured["faster"][arm]["tokens_per_second"] == pytest.approx(ratio, abs=0.01)


@pytest.mark.slow
def test_the_command_writes_table_and_figures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    model, pairs = map(str, folders)
    arguments = [
        "throughput",
        "--model",
        model,
        "--pairs",
        pairs,
        "--out",
        str(tmp_path),
        "--steps",
        "2",
        "--batch",
        "4",
    ]
    done = CliRunner().invoke(train, arguments)
    assert done.exit_code == 0, done.output
    measured = json.loads((tmp_path / "throughput.json").read_text(encoding="utf-8"))
    assert measured["hours_for_the_study"] > 0
    assert all(arm in done.output for arm in ARMS)
