"""The networks that label a document: a small one of our own, or the layers of a language model under the same heads.

    network = Network(own_encoder(pieces=8000), vectors=768)
    encoder, tokenizer = pretrained_encoder("gemma-3-270m", layers=12)

Our own is transformers' ModernBERT (rotary positions; every other layer looks at its neighbourhood only), from scratch. A
language model is read with both sides of each word in sight, where its layers allow that, and only up to one of its
layers: what names what is known long before the next word is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import ModernBertConfig, ModernBertModel

from agent.models.loading import load_network, with_adapter
from agent.models.store.names import model_folder
from agent.reading.labels import LINK, MOVES, TAGS
from agent.reading.pieces import by_words
from index.errors import ModelError

WINDOW = 512  # pieces
PADDING = 0


class Network(nn.Module):
    """Encoder and heads: ids (b, n), mask (b, n) and vectors of words (b, n, v) in, the scores of tags, moves and links
    out."""

    def __init__(self, encoder: Any, vectors: int, *, pretrained: bool = False) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.known = nn.Linear(vectors, width)
        # States of a layer in the middle have no scale of their own.
        self.norm = nn.LayerNorm(width) if pretrained else nn.Identity()
        self.tags = nn.Linear(width, len(TAGS))
        self.moves = nn.Linear(width, len(MOVES))
        self.links = nn.Linear(width, LINK)
        self.link_offset = nn.Parameter(torch.zeros(()))
        if pretrained:  # it begins with what the model knows
            nn.init.zeros_(self.known.weight)
            nn.init.zeros_(self.known.bias)
        self.to(encoder.device)
        self.encoder = encoder

    @property
    def device(self) -> torch.device:
        return self.known.weight.device

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, vectors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pieces = self.encoder.get_input_embeddings()(ids)
        inputs = pieces + self.known(vectors).to(pieces.dtype)
        states = self.encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
        states = self.norm(states.float())
        return self.tags(states), self.moves(states), self.links(states)


def own_encoder(pieces: int, *, width: int = 256, layers: int = 4) -> ModernBertModel:
    """An untrained encoder for a vocabulary of so many pieces."""
    kinds = ["full_attention" if layer % 2 == 0 else "sliding_attention" for layer in range(layers)]
    return ModernBertModel(ModernBertConfig(
        vocab_size=pieces, hidden_size=width, intermediate_size=width * 3 // 2, num_hidden_layers=layers,
        num_attention_heads=4, local_attention=128, layer_types=kinds, max_position_embeddings=WINDOW,
        pad_token_id=PADDING, bos_token_id=None, eos_token_id=None, cls_token_id=None, sep_token_id=None,
    ))  # fmt: skip


def pretrained_encoder(
    model: str | Path, layers: int, adapter: Path | None = None, *, trainable: bool = False
) -> tuple[Any, Tokenizer]:
    """The first `layers` of a language model (a name of `onkokode model list`, a folder, a GGUF file, a hub name) with
    the tokenizer that divides at words; an adapter is merged into them unless it is to be trained on. Raises `ModelError` where it cannot be used."""
    network, tokenizer, name = load_network(model_folder(model), bidirectional=True)
    body = getattr(network, "model", None)
    if body is None or not hasattr(body, "layers"):
        raise ModelError(f"{name}: has no layers that could be cut; take a decoder such as gemma-3-270m")
    body.layers = body.layers[:layers]
    body.config.num_hidden_layers = len(body.layers)
    if adapter is not None:
        body, _ = with_adapter(body, adapter, merge=not trainable, trainable=trainable)
    return body, by_words(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
