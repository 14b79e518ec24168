"""How likely a language model finds each answer: many prompts and answers in few forward passes, exactly.

    codes = AnswerTokens.of([[17, 4], [17, 9], [23]])             # prepared once, used for every text
    request = [(icd_prompt_ids, codes), (topography_prompt_ids, sites)]   # the questions of one text
    [[icd_scores, site_scores]] = score_answers(model, [request], pad_id=0)

The prompts of a text and the answers form one prefix tree, so what they share is computed once. The tree is
laid out in preorder: a node's descendants follow it in one block, and "a node sees its ancestors and itself"
is the comparison of two indices. An answer's last token never enters the tree, since its probability is read
off its parent; where every answer is one token (the embedded model), the tree is the prompts alone and
thousands of codes are one gather. The result equals scoring each answer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import torch

from agent.models.prefix_tree import AnswerTokens, Preorder, common_prefix

# Decoders whose source was read (transformers 5.23): plain causal attention with rotary positions, a 4-D mask
# handed through as it is, and a head that is one matrix product. Others are scored without trees.
TREE_MODEL_TYPES = frozenset(
    {"llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "mixtral", "ministral", "gemma", "olmo2", "phi3", "smollm3"}
)  # fmt: skip
# Cells of the attention mask and of the logits that exist at one time (256 MiB in fp32).
_MAX_CELLS = 1 << 26
# A prefix shared by all texts of a call (an instruction) is worth one wider tree from this length on.
_SHARED_PREFIX = 24
_FOREST_NODES = 512


# The questions of one text: prompts, usually with a long shared prefix, each with its set of answers.
ScoreRequest = Sequence[tuple[Sequence[int], AnswerTokens]]


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a question's edges are read: node positions in a row, and which of the edges hang on them."""

    question: int
    positions: np.ndarray
    edge_position: np.ndarray
    edge_token: np.ndarray
    edges: np.ndarray | None = None


@dataclass(eq=False)
class _Row:
    """One row of a batch: a linear tree, and the places where questions are read."""

    tokens: Sequence[int]
    depth: Sequence[int]
    end: Sequence[int]
    places: list[_Place] = field(default_factory=list)

    @property
    def branches(self) -> bool:
        return min(self.end) < len(self.tokens)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a model allows. `head` is None where logits must come from the model's own forward."""

    model: Any
    decoder: Callable[..., Any]
    head: Callable[[torch.Tensor], torch.Tensor] | None
    window: int | None

    @classmethod
    def of(cls, model: Any) -> _Plan:
        if hasattr(model, "peft_config"):
            if model.active_peft_config.is_prompt_learning:
                raise ValueError(
                    "adapters that learn a prompt cannot be scored as a tree; use a LoRA adapter"
                )
            # LoRA layers sit inside the base model, so calling it applies them.
            model = model.get_base_model()
        config = model.config
        known = config.model_type in TREE_MODEL_TYPES
        head = model.get_output_embeddings() if known else None
        return cls(model, model.get_decoder(), head, getattr(config, "sliding_window", None))


@torch.inference_mode()
def score_answers(
    model: Any, requests: Sequence[ScoreRequest], *, batch_tokens: int = 16384, pad_id: int
) -> list[list[np.ndarray]]:
    """Log-probability of every answer after its prompt, under the full vocabulary.

    Args:
        model: a `transformers` causal language model or a `PeftModel` around one, in eval mode.
        requests: per text its questions, (prompt ids, answers) pairs.
        batch_tokens: upper bound of rows x padded length per forward pass (a longer single row runs alone).
        pad_id: fills the rows on the right; no token sees it.

    Returns:
        Per request and question a float64 array, one value per answer: the sum of its tokens' log-probabilities.

    Raises:
        ValueError: a prompt is empty, or the adapter learns a prompt.
    """
    plan = _Plan.of(model)
    questions = [(tuple(prompt), answers) for request in requests for prompt, answers in request]
    if not all(prompt for prompt, _ in questions):
        raise ValueError("a prompt needs at least one token")
    rows: list[_Row] = []
    for group in _groups(requests, questions):
        deepest = max(
            (len(questions[q][0]) + max(questions[q][1].depth, default=-1) + 1 for q in group), default=0
        )
        if plan.head is None or (plan.window is not None and deepest > plan.window):
            # Distances in a tree still are distances in the text, but the model's own window counts columns.
            rows.extend(row for q in group for row in _chains(q, *questions[q]))
        elif group:
            rows.append(_tree(group, questions))
    edge_values = [np.zeros(len(answers.edge_token)) for _, answers in questions]
    with _maskable(plan.model, any(row.branches for row in rows)):
        for batch in _batches(rows, batch_tokens, single=plan.head is None):
            _score_batch(plan, batch, pad_id, edge_values)
    totals = iter(
        [answers.totals(values) for (_, answers), values in zip(questions, edge_values, strict=True)]
    )
    return [[next(totals) for _ in request] for request in requests]


def _groups(
    requests: Sequence[ScoreRequest], questions: Sequence[tuple[tuple[int, ...], Any]]
) -> list[list[int]]:
    """Which questions share a row: those of one text, or of several texts under one long instruction."""
    groups, start = [], 0
    for request in requests:
        groups.append(list(range(start, start + len(request))))
        start += len(request)
    if len(requests) < 2 or not questions:
        return groups
    prompts = [prompt for prompt, _ in questions]
    shared = common_prefix(min(prompts), max(prompts))
    if shared < _SHARED_PREFIX:
        return groups
    forests: list[list[int]] = []
    room = 0
    for group in groups:
        size = sum(len(questions[q][0]) - shared + len(questions[q][1].tokens) for q in group)
        if not forests or size > room:
            forests.append([])
            room = _FOREST_NODES
        forests[-1].extend(group)
        room -= size
    return forests


def _tree(group: Sequence[int], questions: Sequence[tuple[tuple[int, ...], AnswerTokens]]) -> _Row:
    tree = Preorder()
    row = _Row(tree.tokens, tree.depth, tree.end)
    for q in sorted(group, key=lambda q: questions[q][0]):
        prompt, answers = questions[q]
        root = tree.visit(prompt)[-1]
        start = tree.graft(answers)
        positions = np.where(answers.parents < 0, root, answers.parents + start)
        row.places.append(_Place(q, positions, answers.edge_parent, answers.edge_token))
    tree.finish()
    return row


def _chains(q: int, prompt: tuple[int, ...], answers: AnswerTokens) -> Iterator[_Row]:
    """The same question as plain sequences, one per answer prefix that no other continues."""
    ways: list[list[int]] = []
    path: list[int] = []
    for node, depth in enumerate(answers.depth):
        path = [*path[:depth], node]
        if answers.end[node] == node + 1:
            ways.append(path)
    done: set[int] = set()
    for way in ways or [[]]:
        place = {-1: len(prompt) - 1} | {node: len(prompt) + depth for depth, node in enumerate(way)}
        chosen = [k for k, node in enumerate(answers.parents.tolist()) if node in place and node not in done]
        done.update(place)
        edges = np.flatnonzero(np.isin(answers.edge_parent, chosen))
        tokens = [*prompt, *(answers.tokens[node] for node in way)]
        positions = np.array([place[int(answers.parents[k])] for k in chosen], dtype=np.int64)
        edge_position = np.searchsorted(np.array(chosen, dtype=np.int64), answers.edge_parent[edges])
        row = _Row(tokens, range(len(tokens)), [len(tokens)] * len(tokens))
        row.places.append(_Place(q, positions, edge_position, answers.edge_token[edges], edges))
        yield row


def _batches(rows: Sequence[_Row], batch_tokens: int, *, single: bool) -> Iterator[list[_Row]]:
    """Rows of like length together; chains and trees apart, since chains need no mask of ours."""
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: (row.branches, len(row.tokens))):
        if batch:
            length, size = len(row.tokens), len(batch) + 1
            full = size * length > batch_tokens or (row.branches and size * length * length > _MAX_CELLS)
            # A batch that already fills the processor is closed before padding costs more than another pass.
            wasteful = length > 1.2 * len(batch[0].tokens) and len(batch) * length > batch_tokens / 16
            if single or full or wasteful or batch[0].branches != row.branches:
                yield batch
                batch = []
        batch.append(row)
    if batch:
        yield batch


def _score_batch(plan: _Plan, batch: Sequence[_Row], pad_id: int, edge_values: list[np.ndarray]) -> None:
    """Runs one batch and writes the edges' log-probabilities."""
    length = max(len(row.tokens) for row in batch)
    places = [(number, place) for number, row in enumerate(batch) for place in row.places]
    if not any(len(place.edge_token) for _, place in places):
        return
    device = next(plan.model.parameters()).device
    positions = np.concatenate([number * length + place.positions for number, place in places])
    starts = np.cumsum([0, *(len(place.positions) for _, place in places)])
    edge_row = np.concatenate([starts[i] + place.edge_position for i, (_, place) in enumerate(places)])
    edge_token = np.concatenate([place.edge_token for _, place in places])
    where = torch.from_numpy(positions).to(device)

    ids = np.full((len(batch), length), pad_id, dtype=np.int64)
    for number, row in enumerate(batch):
        ids[number, : len(row.tokens)] = row.tokens
    inputs: dict[str, Any] = {"input_ids": torch.from_numpy(ids).to(device), "use_cache": False}
    if plan.head is None:
        selects = "logits_to_keep" in signature(plan.model.forward).parameters
        logits = plan.model(**inputs, **({"logits_to_keep": where} if selects else {})).logits[0]
        logits = logits if selects else logits[where]
        values = _edge_log_probabilities(logits, lambda rows: rows, edge_row, edge_token)
    else:
        if batch[0].branches:
            inputs |= _tree_inputs(batch, length, plan.model.dtype, device)
        states = plan.decoder(**inputs).last_hidden_state
        states = states.reshape(-1, states.shape[-1])[where]
        values = _edge_log_probabilities(states, plan.head, edge_row, edge_token)

    ends = np.cumsum([len(place.edge_token) for _, place in places])
    for (_, place), part in zip(places, np.split(values, ends[:-1]), strict=True):
        edge_values[place.question][slice(None) if place.edges is None else place.edges] = part


def _tree_inputs(
    batch: Sequence[_Row], length: int, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Position ids, and the additive mask (rows, 1, length, length) in which a node sees its ancestors."""
    depth = np.zeros((len(batch), length), dtype=np.int64)
    # Padding sees itself and nothing else: a row without any visible column would be undefined.
    end = np.tile(np.arange(1, length + 1), (len(batch), 1))
    for number, row in enumerate(batch):
        depth[number, : len(row.tokens)] = row.depth
        end[number, : len(row.tokens)] = row.end
    index = torch.arange(length, device=device)
    ends = torch.from_numpy(end).to(device)
    visible = (index[None, None, :] <= index[None, :, None]) & (index[None, :, None] < ends[:, None, :])
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    return {"attention_mask": mask[:, None], "position_ids": torch.from_numpy(depth).to(device)}


def _edge_log_probabilities(
    states: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    edge_row: np.ndarray,
    edge_token: np.ndarray,
) -> np.ndarray:
    """Log-softmax over the vocabulary at each state, gathered at the edges. `edge_row` is ascending."""
    values = np.empty(len(edge_row))
    step = 0
    start = 0
    while start < len(states):
        # The first row tells how wide the vocabulary is; after it, as many rows as the bound allows.
        stop = min(start + max(1, step), len(states))
        logits = head(states[start:stop]).float()
        step = max(1, _MAX_CELLS // logits.shape[-1])
        low, high = np.searchsorted(edge_row, [start, stop])
        rows = torch.from_numpy(edge_row[low:high] - start).to(logits.device)
        tokens = torch.from_numpy(edge_token[low:high]).to(logits.device)
        chosen = logits[rows, tokens] - torch.logsumexp(logits, dim=-1)[rows]
        values[low:high] = chosen.double().cpu().numpy()
        start = stop
    return values


@contextmanager
def _maskable(model: Any, needed: bool) -> Iterator[None]:
    """Flash attention takes no mask of ours; for the time of a tree pass the model runs on SDPA."""
    before = model.config._attn_implementation
    if not needed or before in ("sdpa", "eager"):
        yield
        return
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
