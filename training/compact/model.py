"""Trains the compact causal language model from scratch.

    tokenizer = code_tokenizer(pieces, codes)
    model = new_model(tokenizer, encoder_tables, codes)
    train(model, tokenizer, batches, steps=4000)

Recipe (RECIPES.md, point 3): the token table starts from the encoder, every code is one token whose row
starts from the code's prototypes, input and output tables are tied. That start is worth more than anything
else: the model begins as the encoder and learns word order, context and the interplay of the axes on top.

All questions about a text are answered in one pass: after the text come the question tokens, each of which
sees the text and itself, and none sees another. At use each is asked as `text + question`, which is the
same computation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from agent.models.loading import computes_bf16
from agent.models.prompts import TUMOUR, Prompts, axis_token, code_token
from index.records import AXES, CodeSystem
from training.compact.encoder import PADDING, UNKNOWN, AxisTable
from training.runs import keep_state, resume_state

# The questions in the order of a batch's label columns.
QUESTIONS = (*(axis.value for axis in AXES), TUMOUR)
IGNORED = -100
_COMPACT = Prompts("compact")


@dataclass(frozen=True)
class Shape:
    """Size of the model: 4 layers x 256 are 2.6 million parameters besides the token table."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    key_value_heads: int = 2
    inner: int = 640


def code_tokenizer(pieces: Tokenizer, codes: Mapping[CodeSystem, Sequence[str]]) -> PreTrainedTokenizerFast:
    """The encoder's tokeniser with a token for every question and every code."""
    copy = Tokenizer.from_str(pieces.to_str())
    special = ["<|end|>", *(axis_token(axis) for axis in AXES), f"<|{TUMOUR}|>"]
    special += [_COMPACT.tumour_answer(True), _COMPACT.tumour_answer(False)]
    for axis in AXES:
        special += [code_token(code, axis) for code in (None, *codes[axis])]
    copy.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=copy, unk_token=UNKNOWN, pad_token=PADDING, eos_token="<|end|>", model_max_length=512
    )


def new_model(
    tokenizer: PreTrainedTokenizerFast,
    tables: Mapping[CodeSystem, AxisTable],
    shape: Shape = Shape(),
    seed: int = 13,
) -> Qwen3ForCausalLM:
    """A model whose token table comes from the encoder's axes, side by side, brought to the model's width."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.width // shape.heads,
        intermediate_size=shape.inner,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        _start_table(model.model.embed_tokens.weight, tokenizer, tables)
    return model


def _start_table(
    weight: torch.Tensor, tokenizer: PreTrainedTokenizerFast, tables: Mapping[CodeSystem, AxisTable]
) -> None:
    pieces = len(next(iter(tables.values())).weights)
    widths = [table.weights.shape[1] for table in tables.values()]
    joined = torch.zeros(len(weight), sum(widths))
    start = 0
    for axis, table in tables.items():
        part = F.normalize(table.weights, dim=1)
        joined[:pieces, start : start + part.shape[1]] = part
        rows: dict[str, list[np.ndarray]] = {}
        for code, vector in zip(table.prototypes.codes, table.prototypes.vectors, strict=True):
            rows.setdefault(code, []).append(vector)
        for code, vectors in rows.items():
            row = tokenizer.convert_tokens_to_ids(code_token(code, axis))
            joined[row, start : start + part.shape[1]] = F.normalize(torch.tensor(np.mean(vectors, 0)), dim=0)
        start += part.shape[1]
    if joined.shape[1] > weight.shape[1]:
        # The main directions of the joined table; dot products between rows are nearly kept.
        _, _, right = torch.linalg.svd(joined, full_matrices=False)
        joined = joined @ right[: weight.shape[1]].T
    scale = 0.02 * math.sqrt(weight.shape[1])  # the spread of the default initialisation
    known = joined.norm(dim=1) > 0
    weight[known] = 0.0
    weight[known, : joined.shape[1]] = joined[known] * scale


@dataclass(frozen=True)
class Batch:
    """`ids` (b, t) right-padded text pieces, `lengths` (b,), `labels` (b, questions): the answer's token id,
    or -100 where the answer is not known."""

    ids: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor


def question_states(model: PreTrainedModel, batch: Batch, question_ids: torch.Tensor) -> torch.Tensor:
    """Hidden states (b, questions, width) at all questions about each text, in one pass."""
    b, t = batch.ids.shape
    q = len(question_ids)
    device = batch.ids.device
    ids = torch.cat([batch.ids, question_ids.to(device).expand(b, q)], 1)
    columns = torch.arange(t, device=device)
    positions = torch.cat([columns.expand(b, t), batch.lengths[:, None].expand(b, q)], 1)
    text = columns[None] < batch.lengths[:, None]
    seen = torch.zeros(b, t + q, t + q, dtype=torch.bool, device=device)
    seen[:, :t, :t] = (columns[None] <= columns[:, None])[None] & text[:, None]
    seen[:, t:, :t] = text[:, None]
    seen |= torch.eye(t + q, dtype=torch.bool, device=device)
    mask = torch.zeros(seen.shape, device=device).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    hidden = model.get_decoder()(
        input_ids=ids,
        attention_mask=mask.to(next(model.parameters()).dtype),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state
    return hidden[:, t:]


def train(
    model: PreTrainedModel,
    question_ids: torch.Tensor,
    batches: Iterable[Batch],
    steps: int,
    *,
    warm_up: int = 100,
    report: Callable[[int, float], None] = lambda step, loss: None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 250,
) -> None:
    """Train on a stream of batches, which lie on the model's device; fp32 weights and, where the hardware has
    it, bf16 compute; linear decay to zero. With `checkpoint` the state is kept in that safetensors file, and a stopped run goes on from there to the same weights."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=2e-3, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, max(0.0, (steps - step) / steps))
    )
    model.train()
    device = trained[0].device
    bf16 = device.type != "cpu" or computes_bf16()
    first = resume_state(checkpoint, trained, optimiser, schedule) if checkpoint is not None else 0
    # What an earlier run has seen is passed over, so that the rest is what it would have seen.
    for step, batch in zip(range(first, steps), islice(batches, first, None), strict=False):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            states = question_states(model, batch, question_ids)
            known = batch.labels != IGNORED
            logits = model.get_output_embeddings()(states[known])
        loss = F.cross_entropy(logits.float(), batch.labels[known])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        report(step, float(loss.detach()))
        if checkpoint is not None and (step + 1) % checkpoint_every == 0:
            keep_state(checkpoint, trained, optimiser, step + 1)
    model.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)


def save_model(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model in bf16 with its tokeniser and its prompt style."""
    folder.mkdir(parents=True, exist_ok=True)
    model.bfloat16().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    _COMPACT.save(folder)
