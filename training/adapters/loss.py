"""The loss of answers in a batch of trees, without the scores that nobody asks for.

    objective = AnswerLoss(answer_tokens, others=4096)
    loss = objective(network, batch)                  # the mean over the batch's edges, in nats

A model with 262,144 tokens spends more on their scores than on reading a text of twelve. So scores are computed at
the answers' places alone, and the softmax runs over the tokens that answers are made of and a sample of the others
that stands for all of them: drawn anew in each step, their exponentials weighted by how many each stands for. The
model learns to say nothing but answers, as under its whole vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from agent.models.tree_mask import tree_mask
from agent.models.tree_scoring import Method, text_settings
from training.adapters.trees import IGNORED


@dataclass(frozen=True, eq=False)
class AnswerLoss:
    """`method` is what the network was found to allow: where it obeys no mask of ours, each row holds a single pair.
    `answer_tokens` (ids, ascending) are always in the softmax; `others` are drawn beside them, 0 takes all."""

    method: Method
    answer_tokens: np.ndarray
    others: int = 4096

    def __call__(self, network: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean negative log-probability of the batch's labels (`trees.Collator`)."""
        edges, labels = batch["edges"], batch["labels"]
        inner = getattr(network, "module", network)  # accelerate may have wrapped it
        head = inner.get_output_embeddings()
        vocabulary = int(head.weight.shape[0])
        known = torch.from_numpy(self.answer_tokens).to(edges.device)
        chosen: torch.Tensor | None = None
        if self.others and len(known) + self.others < vocabulary:
            drawn = torch.randint(vocabulary, (self.others,), device=edges.device)
            chosen = torch.cat([known, drawn])
            labels = torch.searchsorted(known, labels.clamp(min=0)).masked_fill(labels == IGNORED, IGNORED)

        def scores(states: torch.Tensor) -> torch.Tensor:
            states = states.flatten(0, 1)[edges]
            return functional.linear(states, head.weight if chosen is None else head.weight[chosen])

        with _forward(head, scores):
            # Through the outermost module, which several processes share the work in.
            logits = network(
                input_ids=batch["input_ids"], use_cache=False, **self._positions(inner, batch)
            ).logits.float()
        if chosen is not None:
            # What was drawn although it is there already is masked: another size would need other kernels.
            again = torch.isin(drawn, known)
            weight = math.log((vocabulary - len(known)) / max(1, int((~again).sum())))
            logits = logits + torch.cat(
                [logits.new_zeros(len(known)), torch.where(again, -torch.inf, weight).to(logits)]
            )
        return functional.cross_entropy(logits, labels, ignore_index=IGNORED)

    def _positions(self, network: Any, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """What tells the pairs of a row apart. A single pair needs nothing: what fills its row stands behind it."""
        if not self.method.tree:
            return {}
        mask = tree_mask(
            batch["ends"], batch["position_ids"], dtype=network.dtype,
            window=text_settings(network).sliding_window if self.method.windows else None,
            by_layer=self.method.by_layer,
        )  # fmt: skip
        return {"position_ids": batch["position_ids"], "attention_mask": mask}


@contextmanager
def _forward(module: torch.nn.Module, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """For a while the module computes something else; what its model does with the scores (scale, cap) stays."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
