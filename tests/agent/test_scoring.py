"""Tree scoring equals scoring each answer alone, for every family, with and without an adapter."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.models.mask_probe import measured_method
from agent.models.prefix_tree import AnswerTokens
from agent.models.token_head import TokenHead
from agent.models.tree_scoring import AnswerScorer, Method
from tests.agent.tiny_families import tiny_decoder
from tests.agent.tiny_models import FAMILIES, tiny_network, with_random_adapter

VOCABULARY = 60
PLAIN = [([5, 6, 7], [[1]])]
TEXTS: list[list[tuple[list[int], list[list[int]]]]] = [
    # Answers that begin one another, duplicates, single tokens, three questions under one prefix.
    [
        ([5, 6, 7, 8, 9], [[1, 2, 3], [1, 2], [1], [1, 2, 3], [4, 4], [1, 3]]),
        ([5, 6, 7, 10], [[2], [3], [2]]),
        ([5, 6, 7, 10, 11], [[7, 7, 7, 7, 7]]),
    ],
    # One prompt is another prompt plus an answer; the same prompt twice with different answers.
    [([5], [[6, 7], [6]]), ([5, 6], [[7], [8]]), ([5], [[9], [6, 7, 8]])],
    [(list(range(30)), [[40, 41], [42]])],
    PLAIN,
    [],
    [([3, 3, 3], [])],
]


def alone(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """The oracle: one sequence, the model's own forward, nothing shared."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0].float()
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return float(rows.gather(1, torch.tensor(answer)[:, None]).double().sum())


def requests(texts: Any) -> list[list[tuple[list[int], AnswerTokens]]]:
    return [[(prompt, AnswerTokens.of(answers)) for prompt, answers in text] for text in texts]


def tree(model: Any, texts: Any, method: Method | None = None, **how: Any) -> list[list[np.ndarray]]:
    found = method if method is not None else Method(tree=True, own_head=True)
    return AnswerScorer(model, found, pad_id=0, **how).score(requests(texts))


def assert_equal_to_alone(model: Any, texts: Any, *, tolerance: float = 1e-4, **how: Any) -> None:
    scores = tree(model, texts, **how)
    assert [len(text) for text in scores] == [len(text) for text in texts]
    for text, text_scores in zip(texts, scores, strict=True):
        for (prompt, answers), values in zip(text, text_scores, strict=True):
            assert values.dtype == np.float64
            expected = np.array([alone(model, prompt, answer) for answer in answers])
            np.testing.assert_allclose(values, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("adapted", [False, True], ids=["base", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tree_equals_each_answer_alone(family: str, adapted: bool, attention: str) -> None:
    model = tiny_network(family, VOCABULARY)
    model.set_attn_implementation(attention)
    if adapted:
        before = tree(model, TEXTS)
        model = with_random_adapter(model)
        assert abs(tree(model, TEXTS)[0][0] - before[0][0]).max() > 0.01
    assert_equal_to_alone(model, TEXTS)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.lists(st.integers(0, 3), min_size=1, max_size=7),
                st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=7),
            ),
            max_size=3,
        ),
        max_size=4,
    ),
    st.sampled_from([1, 40, 4096]),
)
def test_any_texts_any_batch_size(texts: Any, batch_tokens: int) -> None:
    # Four tokens only, so that prompts and answers begin one another all the time.
    assert_equal_to_alone(_NETWORK, texts, batch_tokens=batch_tokens)


_NETWORK = tiny_network("qwen3", VOCABULARY)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 3), min_size=1, max_size=40),
            st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=12),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([0.0, 0.3, 2.0]),
    st.sampled_from([1, 60, 4096]),
    st.sampled_from(
        [
            Method(),
            Method(own_head=True),
            Method(tree=True, own_head=True, cached=True),
            Method(tree=True, cached=True),
        ]
    ),
)
def test_what_is_far_behind_needs_no_exact_score(
    questions: Any, within: float, batch_tokens: int, method: Method
) -> None:
    scorer = AnswerScorer(_NETWORK, method, pad_id=0, batch_tokens=batch_tokens)
    texts = [questions[:2], questions[2:]]
    whole = scorer.score(requests(texts))
    searched = scorer.score(requests(texts), within=within)
    for exact, found in zip(itertools.chain(*whole), itertools.chain(*searched), strict=True):
        near = exact >= exact.max() - within
        np.testing.assert_allclose(found[near], exact[near], atol=1e-4, rtol=0)
        assert (found[~near] >= exact[~near] - 1e-4).all()
        assert (found[~near] < exact.max() - within + 1e-4).all()


def test_a_search_reads_a_fraction_of_the_answers_behind_a_kept_prefix_and_a_window() -> None:
    rng = random.Random(5)
    start = [rng.randrange(60) for _ in range(30)]
    answers = sorted({tuple(rng.randrange(8) for _ in range(5)) for _ in range(2000)})
    texts = [[([*start, number, number + 1], answers)] for number in range(5)]
    network = tiny_decoder("gemma3_text")
    # As sure as a trained one.
    network.get_output_embeddings().weight.data.mul_(5)
    method = measured_method(network)
    assert method.windows and method.cached and network.config.sliding_window < len(start)
    scorer = AnswerScorer(network, method, pad_id=0)
    whole = scorer.score(requests(texts))
    read: list[int] = []
    forward = scorer._decoder.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        read.append(int(kwargs["input_ids"].numel()))
        return forward(*args, **kwargs)

    scorer._decoder.forward = counting
    try:
        searched = scorer.score(requests(texts), within=0.5)
    finally:
        del scorer._decoder.forward
    # The whole trees are more than their answers; padding counts.
    assert 0 < sum(read) < 0.3 * 5 * len(answers), read
    for [exact], [found] in zip(whole, searched, strict=True):
        assert found.argmax() == exact.argmax() and abs(found.max() - exact.max()) < 1e-4


def test_batching_keeps_order_and_values() -> None:
    rng = random.Random(3)
    texts = [
        [([rng.randrange(60) for _ in range(rng.randint(1, 25))], [[rng.randrange(60)] for _ in range(5)])]
        for _ in range(20)
    ]
    whole = tree(_NETWORK, texts)
    one_by_one = [tree(_NETWORK, [text])[0] for text in texts]
    for left, right in zip(whole, one_by_one, strict=True):
        np.testing.assert_allclose(left[0], right[0], atol=1e-5)


def test_texts_under_one_instruction_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    instruction = [7] * 3 + list(range(40))
    texts = [[([*instruction, n, n + 1], [[n, 2], [n, 3], [4]])] for n in range(12)]
    fed: list[int] = []
    forward = _NETWORK.model.forward
    monkeypatch.setattr(
        _NETWORK.model, "forward", lambda **k: fed.append(k["input_ids"].numel()) or forward(**k)
    )
    scores = tree(_NETWORK, texts)
    assert sum(fed) == len(instruction) + 12 * 3
    monkeypatch.undo()
    assert_equal_to_alone(_NETWORK, texts)
    assert len(scores) == 12


def test_a_window_beyond_the_method_is_left_to_the_model() -> None:
    changes = {"use_sliding_window": True, "max_window_layers": 1}
    model = tiny_network("qwen3", VOCABULARY, sliding_window=6, **changes)
    # This method knows no windows: what is deeper than six tokens is scored as plain sequences.
    assert_equal_to_alone(model, TEXTS)
    # Were the window ignored, a long prompt would score differently.
    wide = tiny_network("qwen3", VOCABULARY)
    assert abs(tree(model, TEXTS)[2][0] - tree(wide, TEXTS)[2][0]).max() > 1e-3


def test_by_default_each_answer_is_scored_alone() -> None:
    assert_equal_to_alone(_NETWORK, TEXTS, method=Method())


@pytest.mark.parametrize("own_head", [True, False])
def test_probabilities_among_the_tokens_of_answers(own_head: bool) -> None:
    vocabulary = np.array([1, 2, 3, 4, 7, 50])
    texts = TEXTS[:1]
    scorer = AnswerScorer(_NETWORK, Method(tree=True, own_head=own_head), pad_id=0)
    scores = scorer.score(requests(texts), vocabulary=vocabulary)
    for (prompt, answers), values in zip(texts[0], scores[0], strict=True):
        for answer, value in zip(answers, values, strict=True):
            with torch.inference_mode():
                logits = _NETWORK(input_ids=torch.tensor([[*prompt, *answer]])).logits[
                    0, len(prompt) - 1 : -1
                ]
            among = logits[:, vocabulary].log_softmax(-1)
            expected = sum(float(among[step, list(vocabulary).index(t)]) for step, t in enumerate(answer))
            assert value == pytest.approx(expected, abs=1e-4)
    pairs = [list(pair) for pair in itertools.product(vocabulary.tolist(), repeat=2)]
    [[whole]] = scorer.score(requests([[([5, 6], pairs)]]), vocabulary=vocabulary)
    assert np.exp(whole).sum() == pytest.approx(1, abs=1e-4)
    # Another vocabulary is another question; what was kept of the first must not answer it.
    [[fewer]] = scorer.score(requests([[([5, 6], [[1]])]]), vocabulary=vocabulary[:2])
    assert fewer[0] > scorer.score(requests([[([5, 6], [[1]])]]), vocabulary=vocabulary)[0][0][0]
    with pytest.raises(ValueError, match="outside of the vocabulary"):
        scorer.score(requests([[([5], [[1, 9]])]]), vocabulary=vocabulary)


def test_rows_of_the_head_follow_training() -> None:
    model = tiny_network("llama", VOCABULARY)
    scorer = AnswerScorer(model, Method(tree=True, own_head=True), pad_id=0)
    vocabulary = np.array([1, 2, 3])
    before = scorer.score(requests([PLAIN]), vocabulary=vocabulary)[0][0]
    with torch.no_grad():
        model.get_output_embeddings().weight[1] += 1.0
    assert abs(scorer.score(requests([PLAIN]), vocabulary=vocabulary)[0][0] - before) > 1e-3


def test_bf16_is_close_and_finite() -> None:
    model = tiny_network("qwen3", VOCABULARY).to(torch.bfloat16)
    assert_equal_to_alone(model, TEXTS, tolerance=0.25)


def test_all_continuations_sum_to_one() -> None:
    pairs = [list(pair) for pair in itertools.product(range(VOCABULARY), repeat=2)]
    values = tree(_NETWORK, [[([5, 6], pairs)]])[0][0]
    assert np.exp(values).sum() == pytest.approx(1, abs=1e-4)


def test_large_vocabulary_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tree(_NETWORK, TEXTS)
    monkeypatch.setattr("agent.models.token_head.MAX_CELLS", 2 * VOCABULARY)
    assert_same(tree(_NETWORK, TEXTS), expected)


def assert_same(scores: list[list[np.ndarray]], expected: list[list[np.ndarray]], atol: float = 1e-5) -> None:
    for left, right in zip(scores, expected, strict=True):
        for one, other in zip(left, right, strict=True):
            np.testing.assert_allclose(one, other, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [False, True])
def test_a_very_large_vocabulary_is_gone_through_in_slices(
    bias: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(16, VOCABULARY, bias=bias).to(dtype)
    states = torch.randn(11, 16).to(dtype) * 9
    edge_row = np.array([0, 0, 1, 3, 3, 7, 10, 10])
    edge_token = np.array([59, 0, 31, 7, 8, 59, 58, 16])
    with torch.inference_mode():
        expected = TokenHead(head).log_probabilities(states, edge_row, edge_token)
        # Slices of 7 columns leave a last one of 4; passes of 4 rows, one of 3.
        monkeypatch.setattr("agent.models.token_head._COLUMNS", 7)
        monkeypatch.setattr("agent.models.token_head._ROWS", 4)
        found = TokenHead(head).log_probabilities(states, edge_row, edge_token)
    oracle = head(states).float().log_softmax(-1)[edge_row, edge_token].detach().numpy()
    np.testing.assert_allclose(expected, oracle, atol=1e-5)
    np.testing.assert_allclose(found, oracle, atol=1e-5 if dtype == torch.float32 or not bias else 0.1)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="without a token"):
        AnswerTokens.of([[1], []])
    with pytest.raises(ValueError, match="at least one token"):
        tree(_NETWORK, [[([], [[1]])]])
    assert tree(_NETWORK, []) == []


def test_prompt_learning_adapter_is_refused() -> None:
    from peft import PromptTuningConfig, get_peft_model

    model = get_peft_model(
        tiny_network("qwen3", VOCABULARY), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    )
    with pytest.raises(ValueError, match="LoRA"):
        tree(model, [PLAIN])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    texts = [text for text in TEXTS if text]
    expected = tree(_NETWORK, texts)
    scores = tree(tiny_network("qwen3", VOCABULARY).to("cuda"), texts)
    np.testing.assert_allclose(scores[0][0], expected[0][0], atol=1e-3)
