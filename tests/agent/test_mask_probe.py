"""How a network may be scored is measured on it: whatever is found, the scores are those of each answer alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent.models import mask_probe
from agent.models.mask_probe import RECORD, measured_method, method_for
from agent.models.prefix_tree import AnswerTokens
from agent.models.tree_scoring import AnswerScorer, Method
from tests.agent.test_scoring import TEXTS, assert_equal_to_alone, assert_same, requests
from tests.agent.tiny_families import MORE_TREES, MORE_WITHOUT, NO_TREES, TREES, tiny_decoder
from tests.agent.tiny_models import tiny_network, with_random_adapter

# Prompts far longer than the windows of the tiny networks, with answers past them.
LONG: list[list[tuple[list[int], list[list[int]]]]] = [
    [
        ([*range(10, 40), 5], [[1, 2, 3], [1, 2], [1, 3], [4]]),
        ([*range(10, 40), 6, 7], [[8, 9, 9, 9], [8, 9, 1]]),
    ],
    [([3, 3, 3], [[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1], [2, 2, 5]])],
]
# Two calls under one instruction of forty tokens, each with several texts.
UNDER_ONE_INSTRUCTION = [
    [[([*range(40), n, n + 1], [[n, 2], [n, 3], [4]]), ([*range(40), n, 9], [[1]])] for n in start]
    for start in ((41, 43, 47), (50, 52))
]


@pytest.mark.parametrize("name", TREES)
def test_trees(name: str) -> None:
    network = tiny_decoder(name)
    method = measured_method(network)
    assert method.tree and method.cached
    assert method.own_head == ("logits" not in name)
    assert method.windows == bool(getattr(network.config, "sliding_window", None))
    check(network, method)


@pytest.mark.parametrize("name", NO_TREES)
def test_no_trees(name: str) -> None:
    network = tiny_decoder(name)
    method = measured_method(network)
    assert not method.tree
    check(network, method)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MORE_TREES, *MORE_WITHOUT])
def test_more_families(name: str) -> None:
    network = tiny_decoder(name)
    method = measured_method(network)
    assert method.tree == (name in MORE_TREES)
    assert method.own_head == ("scaled" not in name and name not in ("cohere2", "recurrent_gemma"))
    check(network, method)


def check(network: Any, method: Method) -> None:
    assert_equal_to_alone(network, [*TEXTS[:2], *LONG], method=method)
    scorer = AnswerScorer(network, method, pad_id=0)
    for call in UNDER_ONE_INSTRUCTION:
        assert_same(
            scorer.score(requests(call)),
            AnswerScorer(network, Method(), pad_id=0).score(requests(call)),
            1e-4,
        )


def test_past_the_window_trees_stay_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_decoder("gemma3_text")
    method = measured_method(network)
    assert method.by_layer
    fed: list[tuple[int, ...]] = []
    forward = network.model.forward
    monkeypatch.setattr(
        network.model, "forward", lambda **k: fed.append(k["input_ids"].shape) or forward(**k)
    )
    scores = AnswerScorer(network, method, pad_id=0, keep=0).score(requests(LONG[:1]))
    assert fed == [(1, 30 + 1 + 2 + 2 + 3)]
    monkeypatch.undo()
    # Were the layers' window ignored, the scores would be others.
    network.config.sliding_window = 64
    wide = AnswerScorer(network, method, pad_id=0, keep=0).score(requests(LONG[:1]))
    assert abs(scores[0][0] - wide[0][0]).max() > 1e-2


def test_the_window_is_put_back() -> None:
    network = tiny_decoder("gemma3_text")
    measured_method(network)
    assert network.config.sliding_window == 8


def test_a_mask_that_is_ignored_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_decoder("llama")
    forward = network.model.forward

    def deaf(**inputs: Any) -> Any:
        inputs.pop("attention_mask", None)
        return forward(**inputs)

    monkeypatch.setattr(network.model, "forward", deaf)
    assert not measured_method(network).tree


def test_positions_that_are_ignored_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_decoder("llama")
    forward = network.model.forward
    monkeypatch.setattr(network.model, "forward", lambda position_ids=None, **inputs: forward(**inputs))
    assert not measured_method(network).tree


def test_a_network_that_does_not_read_proves_nothing() -> None:
    network = tiny_network("llama", 60, initializer_range=1e-6)
    assert not measured_method(network).tree


def test_an_adapter_and_half_precision() -> None:
    network = with_random_adapter(tiny_network("qwen3", 60))
    assert measured_method(network) == Method(tree=True, own_head=True, cached=True)
    assert measured_method(tiny_network("qwen3", 60).to(torch.bfloat16)).tree


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Method]:
    """Every measuring is worth a file, and is noted here."""
    made: list[Method] = []
    original = mask_probe.measured_method

    def noted(network: Any, *, pad_id: int = 0) -> Method:
        made.append(original(network, pad_id=pad_id))
        return made[-1]

    monkeypatch.setattr(mask_probe, "_WORTH_KEEPING", 0.0)
    monkeypatch.setattr(mask_probe, "measured_method", noted)
    return made


def test_a_method_is_measured_once(tmp_path: Path, measured: list[Method]) -> None:
    network = tiny_decoder("llama")
    first = method_for(network, tmp_path, name="x", pad_id=0)
    assert (tmp_path / RECORD).is_file()
    assert method_for(network, tmp_path, name="x", pad_id=0) == first and len(measured) == 1
    # Other numbers, another way of attention, another configuration: measured again, and kept beside the first.
    network.set_attn_implementation("eager")
    method_for(network, tmp_path, name="x", pad_id=0)
    assert len(measured) == 2
    method_for(tiny_decoder("bloom, distances by column"), tmp_path, name="x", pad_id=0)
    assert len(measured) == 3
    network.set_attn_implementation("sdpa")
    assert method_for(network, tmp_path, name="x", pad_id=0) == first and len(measured) == 3


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        '{"methods": []}',
        '{"methods": {"KEY": {"tree": 1}}}',
        '{"methods": {"KEY": null}}',
        '{"methods": {"KEY": {"tree": "yes", "own_head": true, "windows": false, "by_layer": false, "cached": false}}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_a_torn_record_is_measured_again(record: str, tmp_path: Path, measured: list[Method]) -> None:
    network = tiny_decoder("bloom, distances by column")
    key = mask_probe._key(network)
    (tmp_path / RECORD).write_bytes(record.replace("KEY", key).encode("utf-8", "surrogateescape"))
    method_for(network, tmp_path, name="x", pad_id=0)
    assert len(measured) == 1
    assert key in json.loads((tmp_path / RECORD).read_text())["methods"]


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, measured: list[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    network = tiny_decoder("llama")
    nowhere = tmp_path / "gone" / "model"
    first = method_for(network, nowhere, name="x", pad_id=0)
    assert list((tmp_path / "home" / "scoring").iterdir())
    assert method_for(network, nowhere, name="x", pad_id=0) == first and len(measured) == 1
    # Nowhere at all: measured at each start.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "file"))
    method_for(network, nowhere, name="x", pad_id=0)
    assert len(measured) == 2


def test_a_quick_measuring_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_probe, "_WORTH_KEEPING", 1000)
    method_for(tiny_decoder("llama"), tmp_path, name="x", pad_id=0)
    assert not list(tmp_path.iterdir())


def test_the_log_says_that_answers_are_scored_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        method_for(tiny_decoder("llama"), tmp_path, name="llama", pad_id=0)
        assert not caplog.records
        method_for(tiny_decoder("bloom, distances by column"), tmp_path, name="bloom", pad_id=0)
    [record] = caplog.records
    assert "bloom" in record.getMessage() and "alone" in record.getMessage()


def test_answers_prepared_for_the_probe_end_in_the_vocabulary() -> None:
    [[(prompt, answers), *_], *_] = mask_probe._requests(7)
    assert max(prompt) < 7 and isinstance(answers, AnswerTokens) and np.max(answers.edge_token) < 7
