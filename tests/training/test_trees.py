"""Trees of training examples: nothing is lost in packing, and the loss is that of each pair alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from agent.models.prompts import TUMOUR, Prompts
from agent.models.tokens import PromptEncoder
from agent.models.tree_scoring import Method
from index.records import AXES
from tests.agent.tiny_models import FAMILIES, tiny_network, tiny_tokenizer, with_random_adapter
from training.adapters.data import Example
from training.adapters.loss import AnswerLoss
from training.adapters.trees import IGNORED, Collator, PackedRows, Trees, real_tokens, tree_of, write_trees

TEXTS = ("Mammakarzinom links", "kleinzelliges Bronchialkarzinom", "Adenokarzinom des Colon", "Karzinom")
ANSWERS = ("C50.9", "C34.9", "8140/3")


def questions(style: str = "short") -> list[Example]:
    ask, pairs = Prompts(style), []  # type: ignore[arg-type]
    for text in TEXTS:
        for axis, answer in zip(AXES, ANSWERS, strict=True):
            pairs.append(Example(len(pairs), axis.value, ask.question(text, axis), answer, answer, text))
        pairs.append(Example(len(pairs), TUMOUR, ask.tumour_question(text), "ja", "ja", text))
    return pairs


def written(pairs: list[Example], folder: Path, tokenizer: Any, longest: int = 256) -> Trees:
    count = write_trees([pairs], PromptEncoder(tokenizer), folder / "x.arrow", longest=longest, with_end=True)
    assert count == len(pairs)
    return Trees.open(folder / "x.arrow")


def mean_loss_of_each_pair_alone(network: Any, pairs: list[Example], tokenizer: Any) -> torch.Tensor:
    encoder, losses = PromptEncoder(tokenizer), []
    for pair in pairs:
        [prompt], [answer] = encoder.prompts([pair.prompt]), encoder.answers([pair.answer])
        answer = [*answer, tokenizer.eos_token_id]
        logits = network(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        losses.append(functional.cross_entropy(logits, torch.tensor(answer), reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("style", ["short", "instruct"])
def test_loss_and_gradients_are_those_of_each_pair_alone(family: str, style: str, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(family)
    network = with_random_adapter(tiny_network(family, len(tokenizer)))
    pairs = questions(style)
    trees = written(pairs, tmp_path, tokenizer, longest=512)
    rows = PackedRows(trees, 512, seed=1)
    batch = Collator(len(rows) + 1, 512, tokenizer.eos_token_id)([rows[i] for i in range(len(rows))])
    weights = [p for p in network.parameters() if p.requires_grad]
    loss = AnswerLoss(Method(tree=True), trees.answer_tokens(), others=0)(network, batch)
    expected = mean_loss_of_each_pair_alone(network, pairs, tokenizer)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
    for one, other in zip(
        torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_a_network_that_obeys_no_mask_learns_each_pair_in_a_row_of_its_own(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen3")
    network, pairs = tiny_network("qwen3", len(tokenizer)), questions()
    path = tmp_path / "alone.arrow"
    write_trees([pairs], PromptEncoder(tokenizer), path, longest=256, with_end=True, grouped=False)
    trees = Trees.open(path)
    rows = PackedRows(trees, None, seed=1)
    assert len(rows) == len(trees) == len(pairs)
    batch = Collator(len(rows), 256, 0)([rows[i] for i in range(len(rows))])
    with torch.no_grad():
        loss = AnswerLoss(Method(), trees.answer_tokens(), others=0)(network, batch)
        expected = mean_loss_of_each_pair_alone(network, pairs, tokenizer)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)


def test_a_sample_stands_for_the_whole_vocabulary(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen3")
    network = tiny_network("qwen3", len(tokenizer))
    trees = written(questions(), tmp_path, tokenizer)
    rows = PackedRows(trees, 256, seed=1)
    batch = Collator(len(rows), 256, 0)([rows[i] for i in range(len(rows))])
    with torch.no_grad():
        whole = AnswerLoss(Method(tree=True), trees.answer_tokens(), others=0)(network, batch)
        torch.manual_seed(3)
        sampled = AnswerLoss(Method(tree=True), trees.answer_tokens(), others=120)
        drawn = torch.stack([sampled(network, batch) for _ in range(40)])
    assert drawn.std() > 0
    assert abs(drawn.mean() - whole) < 0.05 * whole
    # The head is itself again.
    assert "forward" not in vars(network.get_output_embeddings())


def test_questions_of_a_text_share_it_and_every_answer_token_is_an_edge(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen3")
    pairs = questions()
    trees, encoder = written(pairs, tmp_path, tokenizer), PromptEncoder(tokenizer)
    assert len(trees) == len(TEXTS)
    lengths = [len(ids) for ids in encoder.prompts([pair.prompt for pair in pairs])]
    answers = encoder.answers([pair.answer for pair in pairs])
    assert trees.sizes().sum() < 0.8 * (sum(lengths) + sum(map(len, answers)))
    edges = sum(len(trees[i]["edge_token"]) for i in range(len(trees)))
    assert edges == sum(len(answer) + 1 for answer in answers)
    assert set(trees.answer_tokens()) == {*(t for answer in answers for t in answer), tokenizer.eos_token_id}


def test_two_answers_to_one_prompt_hang_on_one_node() -> None:
    tree = tree_of([((1, 2), (7, 9)), ((1, 2), (8, 9)), ((1, 2), (7, 9))])
    assert list(tree["tokens"]) == [1, 2, 7, 8] and list(tree["end"]) == [4, 4, 3, 4]
    assert sorted(zip(tree["edge_node"], tree["edge_token"], strict=True)) == [
        (1, 7), (1, 7), (1, 8), (2, 9), (2, 9), (3, 9)
    ]  # fmt: skip


def test_rows_hold_every_tree_once_and_are_nearly_full() -> None:
    class Sized:
        def sizes(self) -> np.ndarray:
            return np.random.default_rng(0).integers(8, 60, 5000)

    rows = PackedRows(Sized(), 128, seed=3).rows  # type: ignore[arg-type]
    sizes = Sized().sizes()
    assert sorted(tree for row in rows for tree in row) == list(range(5000))
    filled = [sum(sizes[row]) for row in rows]
    assert max(filled) <= 128 and np.mean(filled) > 0.98 * 128
    assert PackedRows(Sized(), 128, seed=3).rows == rows  # type: ignore[arg-type]
    assert PackedRows(Sized(), 128, seed=4).rows != rows  # type: ignore[arg-type]


def test_batches_have_one_shape_whatever_they_hold(tmp_path: Path) -> None:
    trees = written(questions(), tmp_path, tiny_tokenizer("qwen3"))
    collate = Collator(3, 256, 0)
    one, three = collate([[trees[0]]]), collate([[trees[0]], [trees[1]], [trees[2], trees[3]]])
    for name in ("input_ids", "position_ids", "ends"):
        assert one[name].shape == three[name].shape == (3, 256)
    assert len(one["labels"]) % 128 == 0 == len(three["edges"]) % 128
    assert (three["labels"] != IGNORED).sum() == sum(len(trees[i]["edge_token"]) for i in range(4))
    assert int(real_tokens(three)) == trees.sizes().sum()


def test_what_is_too_long_loses_its_start_and_keeps_its_question(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen3")
    pairs = [Example(0, "icd10gm", "x " * 300 + "ICD:", "C50.9", "C50.9", "a")]
    trees = written(pairs, tmp_path, tokenizer, longest=40)
    assert trees.sizes().tolist() == [40]
    said = tokenizer.decode([*trees[0]["tokens"], trees[0]["edge_token"][-1]])
    assert said.endswith("C50.9" + tokenizer.eos_token) and "ICD:" in tokenizer.decode(trees[0]["tokens"])


def test_a_group_larger_than_a_row_is_divided(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen3")
    whole = written(questions(), tmp_path, tokenizer)
    pairs = [pair for pair in questions() if pair.group == TEXTS[1]]
    divided = written(pairs, tmp_path, tokenizer, longest=int(whole.sizes()[1]) - 1)
    assert len(divided) == len(pairs)
