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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from agent.models.tree_mask import tree_masks

_IGNORED = -100


@dataclass(frozen=True, eq=False)
class AnswerLoss:
    """`answer_tokens` (ids, ascending) are always in the softmax; `others` are drawn beside them, 0 takes all.

    `own_head`: the network's scores are one matrix product of its last states, so that a part can be computed alone.
    """

    answer_tokens: np.ndarray
    others: int = 4096
    own_head: bool = True

    def __call__(self, network: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        inputs = {
            "input_ids": batch["input_ids"],
            "position_ids": batch["position_ids"],
            "attention_mask": tree_masks(network, batch["ends"], batch["position_ids"]),
            "use_cache": False,
        }
        edges, labels = batch["edges"], batch["labels"]
        if not self.own_head:
            logits = network(**inputs).logits
            return functional.cross_entropy(logits.flatten(0, 1)[edges].float(), labels, ignore_index=_IGNORED)
        base = network.get_base_model() if hasattr(network, "peft_config") else network
        states = base.get_decoder()(**inputs).last_hidden_state
        states = states.flatten(0, 1)[edges]
        head = base.get_output_embeddings()
        vocabulary = head.weight.shape[0]
        known = torch.from_numpy(self.answer_tokens).to(edges.device)
        if not self.others or len(known) + self.others >= vocabulary:
            logits = head(states).float()
            return functional.cross_entropy(logits, labels, ignore_index=_IGNORED)
        drawn = torch.randint(vocabulary, (self.others,), device=edges.device)
        logits = functional.linear(states, head.weight[torch.cat([known, drawn])]).float()
        # What was drawn although it is there already is masked out: another size would need other kernels.
        again = torch.isin(drawn, known)
        weight = math.log((vocabulary - len(known)) / max(1, int((~again).sum())))
        logits = logits + torch.cat([logits.new_zeros(len(known)), torch.where(again, -torch.inf, weight)])
        places = torch.searchsorted(known, labels.clamp(min=0)).masked_fill(labels == _IGNORED, _IGNORED)
        return functional.cross_entropy(logits, places, ignore_index=_IGNORED)
