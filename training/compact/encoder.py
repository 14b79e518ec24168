"""Trains the compact encoder: one static table per axis, with a neighbourhood loss over the whole catalogue.

    tokenizer = train_tokenizer(texts)
    table = train_axis(lines, queries, codes, tokenizer, Settings())
    save_encoder(folder, tokenizer, {CodeSystem.ICD10GM: table, ...})

The loss is the negative log-share that the right code holds of exp(scale x cosine), summed over all
catalogue lines (neighbourhood component analysis, Goldberger et al. 2004) without the query's own line,
plus the same over learned prototypes, two per code. The prototypes stand in for the lines where a machine
has none.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from index.records import CodeSystem
from index.search.encoder import Prototypes, save_prototypes

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PIECES = 4000
UNKNOWN, PADDING = "<unk>", "<pad>"


@dataclass(frozen=True)
class Settings:
    """What the pilot found best (RECIPES.md); `dimension` hardly matters between 128 and 512."""

    dimension: int = 128
    steps: int = 1000
    batch: int = 256
    learning_rate: float = 0.02
    scale: float = 15.0
    token_dropout: float = 0.15
    prototypes_per_code: int = 2
    seed: int = 13


@dataclass(frozen=True)
class AxisTable:
    """A trained axis: `weights` (pieces, d), `prototypes` (codes x k, d) with the code of each row."""

    weights: torch.Tensor
    prototypes: Prototypes


def train_tokenizer(texts: Iterable[str], pieces: int = PIECES) -> Tokenizer:
    """A lower-cased Unigram tokeniser with single digits; it splits German compounds (tonsillen|krebs).

    The same texts give the same numbers: the trainer's own order of equal scores differs from run to run, so
    the pieces are numbered by their letters and the scores rounded.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=pieces, unk_token=UNKNOWN, special_tokens=[UNKNOWN, PADDING], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    special = [UNKNOWN, PADDING]
    vocabulary = sorted((piece, round(score, 6)) for piece, score in model["vocab"] if piece not in special)
    tokenizer.model = models.Unigram([*((piece, 0.0) for piece in special), *vocabulary], unk_id=0)
    return tokenizer


LabelledTexts = Sequence[tuple[str, str]]  # (text, code)


def train_axis(
    lines: LabelledTexts,
    queries: Callable[[random.Random, int], list[tuple[str, str, int]]],
    codes: Sequence[str],
    tokenizer: Tokenizer,
    settings: Settings,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> AxisTable:
    """Train one axis.

    `lines` is the bank of catalogue lines; `queries(rng, n)` draws n texts as (text, code, number of the
    line that the text was made from, or -1), so that no text finds its own line.
    """
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    number = {code: i for i, code in enumerate(codes)}
    bank_codes = torch.tensor([number[code] for _, code in lines])
    bank_ids = [e.ids for e in tokenizer.encode_batch([t for t, _ in lines], add_special_tokens=False)]
    bank = _pack(bank_ids)
    table = torch.nn.EmbeddingBag(tokenizer.get_vocab_size(), settings.dimension, mode="mean")
    torch.nn.init.normal_(table.weight, std=0.1)
    k = settings.prototypes_per_code
    prototypes = torch.nn.Parameter(torch.randn(len(codes) * k, settings.dimension) * 0.1)
    optimiser = torch.optim.Adam([*table.parameters(), prototypes], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.02, 1 - step / settings.steps))
    for step in range(settings.steps):
        drawn = queries(rng, settings.batch)
        ids = [
            e.ids for e in tokenizer.encode_batch([text for text, _, _ in drawn], add_special_tokens=False)
        ]
        target = torch.tensor([number[code] for _, code, _ in drawn])
        own = torch.tensor([line for _, _, line in drawn])
        query = F.normalize(table(*_pack(ids, settings.token_dropout, rng)), dim=-1)
        similarity = query @ F.normalize(table(*bank), dim=-1).T
        made = (own >= 0).nonzero().squeeze(1)
        similarity[made, own[made]] = -torch.inf
        # Cosines end at 1, so no maximum has to be found: exp stays between e^-30 and 1.
        weight = torch.exp(settings.scale * (similarity - 1))
        by_code = weight.new_zeros(len(drawn), len(codes)).index_add(1, bank_codes, weight)
        right = by_code.gather(1, target[:, None]).squeeze(1)
        # A code whose only line is the query's own has no neighbour to be near to: no loss from it.
        near = right > 0
        neighbour = (by_code[near].sum(1).log() - right[near].log()).mean()
        share = settings.scale * query @ F.normalize(prototypes, dim=-1).T
        share = torch.logsumexp(share.view(len(drawn), len(codes), k), 2)
        loss = neighbour + F.cross_entropy(share, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        report(step, float(loss.detach()))
    weights = table.weight.detach()
    # Pieces that no training text has would only add noise to a text's mean.
    seen = torch.zeros(len(weights), dtype=torch.bool)
    seen[bank[0]] = True
    weights[~seen] = 0.0
    vectors = F.normalize(prototypes.detach(), dim=-1).numpy().astype(np.float32)
    return AxisTable(weights, Prototypes(tuple(code for code in codes for _ in range(k)), vectors))


def routed(tokenizer: Tokenizer, tables: Mapping[CodeSystem, torch.Tensor]) -> SentenceTransformer:
    """A sentence-transformers model with a static table (pieces, d) per axis, each as a route of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    routes = {
        axis.value: [StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()]
        for axis, weights in tables.items()
    }
    return SentenceTransformer(modules=[Router(routes, default_route=next(iter(routes)))])


def save_encoder(
    folder: Path,
    tokenizer: Tokenizer,
    tables: dict[CodeSystem, AxisTable],
    settings: Settings,
    fingerprint: str,
) -> None:
    """Write a sentence-transformers model with a route per axis, half precision, and its prototypes."""
    model = routed(tokenizer, {system: table.weights for system, table in tables.items()})
    model.half()
    model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
    save_prototypes(
        folder,
        {system: table.prototypes for system, table in tables.items()},
        {"scale": settings.scale, "fingerprint": fingerprint},
    )


def _pack(
    ids: Sequence[Sequence[int]], dropout: float = 0.0, rng: random.Random | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    flat: list[int] = []
    offsets = []
    for tokens in ids:
        offsets.append(len(flat))
        kept = [t for t in tokens if rng.random() >= dropout] if rng is not None else tokens
        flat.extend(kept or tokens)
    return torch.tensor(flat, dtype=torch.long), torch.tensor(offsets, dtype=torch.long)
