"""Training of the compact model: a stopped run ends at the weights of one that was not stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from training.compact.model import Batch, train

QUESTIONS = torch.tensor([60, 61])


class Stopped(Exception):
    pass


def _model() -> Qwen3ForCausalLM:
    torch.manual_seed(1)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            head_dim=8, intermediate_size=16, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip


def _batches() -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(3)
    while True:
        ids = torch.randint(2, 60, (4, 5), generator=generator)
        yield Batch(ids, torch.full((4,), 5), torch.randint(2, 60, (4, 2), generator=generator))


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, stopped = _model(), _model()
    train(whole, QUESTIONS, _batches(), 8, warm_up=2)

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise Stopped

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        train(stopped, QUESTIONS, _batches(), 8, warm_up=2, report=stop, checkpoint=path, checkpoint_every=2)
    assert path.is_file()
    again = _model()
    train(again, QUESTIONS, _batches(), 8, warm_up=2, checkpoint=path, checkpoint_every=2)
    assert not path.exists()
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other)
