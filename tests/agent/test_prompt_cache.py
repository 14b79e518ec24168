"""An instruction is read once, whoever asks and however often; what comes out is what comes out without a cache."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import torch

from agent.models import prompt_cache
from agent.models.prompt_cache import PromptCache
from agent.models.tree_scoring import AnswerScorer, Method
from tests.agent.test_scoring import assert_same, requests
from tests.agent.tiny_families import tiny_decoder
from tests.agent.tiny_models import tiny_network

WITH_CACHE = Method(tree=True, own_head=True, cached=True)
INSTRUCTION = [random.Random(5).randrange(60) for _ in range(40)]
OTHER = [*INSTRUCTION[:30], *(random.Random(6).randrange(60) for _ in range(60))]


def text(word: int, instruction: list[int] = INSTRUCTION) -> list[tuple[list[int], list[list[int]]]]:
    """Two questions to a text of three words."""
    words = [word, word + 1, 7]
    return [([*instruction, *words, 1], [[2, 3], [2, 4], [5]]), ([*instruction, *words, 8], [[6], [6, 9]])]


@pytest.fixture
def network() -> Any:
    return tiny_network("llama", 60)


@pytest.fixture
def fed(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each pass through the decoder."""
    counts: list[int] = []
    forward = network.model.forward
    monkeypatch.setattr(
        network.model, "forward", lambda **k: counts.append(k["input_ids"].numel()) or forward(**k)
    )
    return counts


def plain(network: Any, texts: Any) -> Any:
    return AnswerScorer(network, Method(), pad_id=0).score(requests(texts))


def test_the_instruction_is_read_once(network: Any, fed: list[int]) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    calls = [[text(10), text(20), text(30)], [text(40)], [text(50), text(12)], [text(13)]]
    scores = [scorer.score(requests(call)) for call in calls]
    # A text is three words, two questions and the two tokens within its answers.
    assert fed == [40, 3 * 7, 7, 2 * 7, 7]
    for call, found in zip(calls, scores, strict=True):
        assert_same(found, plain(network, call), 1e-4)


def test_single_texts_find_their_instruction(network: Any, fed: list[int]) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    # The first knows of no other text; the second tells what both begin with.
    for word, expected in ((10, [47]), (20, [40, 7]), (30, [7]), (40, [7])):
        fed.clear()
        found = scorer.score(requests([text(word)]))
        assert fed == expected
        assert_same(found, plain(network, [text(word)]), 1e-4)


def test_a_prefix_that_is_too_long_is_cut(network: Any) -> None:
    kept = PromptCache(network.model)
    with torch.inference_mode():
        first = kept.prefix_of([(*INSTRUCTION, 9, 1), (*INSTRUCTION, 9, 2)], texts=2)
        second = kept.prefix_of([(*INSTRUCTION, 9, 1), (*INSTRUCTION, 8, 2)], texts=2)
        none = kept.prefix_of([(*INSTRUCTION[:20], 9), (*INSTRUCTION[:20], 8)], texts=2)
    assert first is not None and second is not None and none is None
    assert (len(first), len(second)) == (41, 40)
    assert all(keys.shape[2] == 40 for keys, _ in second.layers)
    assert len(kept._kept) == 1


def test_each_prompt_keeps_a_token_to_read_from(network: Any) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    same = [[(INSTRUCTION, [[1], [2, 3]])], [(INSTRUCTION, [[4]])], [([*INSTRUCTION, 5], [[4]])]]
    for _ in range(2):
        assert_same(scorer.score(requests(same)), plain(network, same), 1e-4)


def test_no_more_than_two_are_kept_and_a_longer_one_of_another_kind_stays(
    network: Any, fed: list[int]
) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    third = [3] * 50
    for _ in range(3):
        for instruction in (INSTRUCTION, OTHER):
            call = [text(10, instruction), text(20, instruction)]
            assert_same(scorer.score(requests(call)), plain(network, call), 1e-4)
    # Each was read once, although both begin alike.
    assert fed.count(len(INSTRUCTION)) == 1 and fed.count(len(OTHER)) == 1
    scorer.score(requests([text(10, third), text(20, third)]))
    assert scorer._prompts is not None and len(scorer._prompts._kept) == 2


def test_very_long_prompts_do_not_fill_the_memory(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "_LONGEST", 30)
    kept = PromptCache(network.model)
    prefix = kept.prefix_of([(*INSTRUCTION, 1), (*INSTRUCTION, 2)], texts=2)
    assert prefix is not None and len(prefix) == 30


def test_training_makes_it_read_again(network: Any) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    call = [text(10), text(20)]
    before = scorer.score(requests(call))
    with torch.no_grad():
        network.model.layers[0].self_attn.v_proj.weight += 0.5
    after = scorer.score(requests(call))
    assert abs(after[0][0] - before[0][0]).max() > 1e-2
    assert_same(after, plain(network, call), 1e-4)


def test_threads_share_it(network: Any) -> None:
    scorer = AnswerScorer(network, WITH_CACHE, pad_id=0)
    instructions = (INSTRUCTION, OTHER, [3] * 50)
    calls = [[text(n, instructions[n % 3]), text(n + 20, instructions[n % 3])] for n in range(12)]
    expected = [plain(network, call) for call in calls]
    errors: list[BaseException] = []

    def ask(start: int) -> None:
        try:
            for n in range(start, start + 12):
                assert_same(scorer.score(requests(calls[n % 12])), expected[n % 12], 1e-4)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_window_shorter_than_the_instruction() -> None:
    network = tiny_decoder("gemma3_text")
    method = Method(tree=True, own_head=True, windows=True, by_layer=True, cached=True)
    scorer = AnswerScorer(network, method, pad_id=0)
    for call in ([text(10), text(20)], [text(30)], [text(41), text(50), text(12)]):
        assert_same(scorer.score(requests(call)), plain(network, call), 1e-4)
