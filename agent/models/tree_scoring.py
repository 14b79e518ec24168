"""How likely a language model finds each answer: many prompts and answers in few forward passes, exactly.

    codes = AnswerTokens.of([[17, 4], [17, 9], [23]])             # prepared once, used for every text
    scorer = AnswerScorer(model, measured_method(model), pad_id=0)
    request = [(icd_prompt_ids, codes), (topography_prompt_ids, sites)]   # the questions of one text
    [[icd_scores, site_scores]] = scorer.score([request])

The prompts of a text and the answers form one prefix tree, so what they share is computed once. The tree is
laid out in preorder: a node's descendants follow it in one block, and "a node sees its ancestors and itself"
is the comparison of two indices. An answer's last token never enters the tree, since its probability is read
off its parent; where every answer is one token (the embedded model), the tree is the prompts alone and
thousands of codes are one gather. The result equals scoring each answer alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch

from agent.models.base import PREFIX_TREE
from agent.models.prefix_tree import common_prefix
from agent.models.prompt_cache import SHORTEST, PromptCache, cache_of_rows, empty_cache
from agent.models.token_head import TokenHead, edge_log_probabilities
from agent.models.tree_mask import tree_mask
from agent.models.tree_rows import Asked, Questions, Row, ScoreRequest, Tree, batches, chain_rows
from agent.models.tree_search import Search

_FOREST_NODES = 512
# The place in preorder of what fills a row: behind every tree.
_NOWHERE = 1 << 40
# Settings by which configurations say how far a token sees.
_REACHES = (
    "sliding_window",
    "attention_chunk_size",
    "window_size",
    "attention_window_size",
    "local_attention",
)


@dataclass(frozen=True, slots=True)
class Method:
    """How a model may be scored so that the result is exact; `mask_probe` finds out. By default each sequence alone,
    by the model's own forward."""

    tree: bool = False
    """It obeys a mask of shape (rows, 1, queries, keys) and position ids."""
    own_head: bool = False
    """Its logits are its output embeddings times its decoder's states, nothing else."""
    windows: bool = False
    """Where layers have a sliding window, a mask by depth does what the model's own does by column."""
    by_layer: bool = False
    """It takes a mask for each type of layer."""
    cached: bool = False
    """A tree may continue a cache of keys and values."""

    @property
    def description(self) -> str:
        return PREFIX_TREE if self.tree else "each answer alone"


class AnswerScorer:
    """Scores answers by one network. Safe for several threads, but for a network under flash attention.

    Args:
        model: a `transformers` causal language model or a `PeftModel` around one, in eval mode.
        method: what the model was found to allow.
        pad_id: fills the rows on the right; no token sees it.
        batch_tokens: upper bound of rows x padded length per forward pass (a longer single row runs alone).
        keep: how many prefixes of prompts are kept with their keys and values from call to call.

    Raises:
        ValueError: the adapter learns a prompt.
    """

    def __init__(
        self, model: Any, method: Method, *, pad_id: int, batch_tokens: int = 16384, keep: int = 2
    ) -> None:
        if hasattr(model, "peft_config"):
            if model.active_peft_config.is_prompt_learning:
                raise ValueError(
                    "adapters that learn a prompt cannot be scored as a tree; use a LoRA adapter"
                )
            # LoRA layers sit inside the base model, so calling it applies them.
            model = model.get_base_model()
        self.method = method
        self._model = model
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens
        self._decoder = model.get_decoder() if method.tree or method.own_head else None
        self._config = text_settings(model)
        self._head = TokenHead(model.get_output_embeddings()) if method.own_head else None
        self._selects = "logits_to_keep" in signature(model.forward).parameters
        self._prompts = PromptCache(self._decoder, keep) if method.cached and keep else None

    @torch.inference_mode()
    def score(
        self,
        requests: Sequence[ScoreRequest],
        *,
        vocabulary: np.ndarray | None = None,
        within: float | None = None,
    ) -> list[list[np.ndarray]]:
        """Log-probability of every answer after its prompt.

        Args:
            requests: per text its questions, (prompt ids, answers) pairs.
            vocabulary: ascending token ids; each step's probability is that among these tokens. None is the full
                vocabulary. Only a model that was trained so should be asked so.
            within: answers that are more than so many nats less likely than the likeliest one of their question need
                not be exact: they may get an upper bound, which is more than `within` below it too. That saves reading
                them to their end. None reads all.

        Returns:
            Per request and question a float64 array, one value per answer: the sum of its tokens' log-probabilities.

        Raises:
            ValueError: a prompt is empty, or an answer has a token outside of `vocabulary`.
        """
        questions = [(tuple(prompt), answers) for request in requests for prompt, answers in request]
        if not all(prompt for prompt, _ in questions):
            raise ValueError("a prompt needs at least one token")
        if vocabulary is not None and not all(
            np.isin(answers.edge_token, vocabulary).all() for _, answers in questions
        ):
            raise ValueError("an answer has a token outside of the vocabulary that it is compared over")
        prefix = None
        if self._prompts is not None and questions:
            prefix = self._prompts.prefix_of([prompt for prompt, _ in questions], texts=len(requests))
        if self.method.tree and not self.method.cached:
            # A tree that cannot be continued is read in one pass.
            within = None
        searches = [Search(answers, within) for _, answers in questions]
        trees, alone = self._divided(requests, questions, len(prefix) if prefix is not None else 0)
        rows = [row for tree in trees if len((row := tree.row(searches)).tokens)]
        with _maskable(self._model, within is not None or any(row.masked for row in rows)):
            for batch in batches(rows, self._batch_tokens, single=self._head is None):
                further = within is not None
                cache = empty_cache() if further else None
                if batch[0].prefix and prefix is not None:
                    cache = prefix.for_rows(len(batch))
                self._read_trees(
                    batch, cache, _Columns.none(len(batch)), vocabulary, searches, further=further
                )
        while rows := [
            row
            for q in alone
            if len(nodes := searches[q].next())
            for row in chain_rows(q, *questions[q], nodes)
        ]:
            for batch in batches(rows, self._batch_tokens, single=self._head is None):
                self._read(batch, {}, vocabulary, searches)
        totals = iter([search.answers.totals(search.values) for search in searches])
        return [[next(totals) for _ in request] for request in requests]

    def _divided(
        self, requests: Sequence[ScoreRequest], questions: Questions, prefix: int
    ) -> tuple[list[Tree], list[int]]:
        """The questions that are read as trees, and those of which each answer is read alone."""
        reach = self.reach if self.method.tree else 0
        trees: list[Tree] = []
        alone: list[int] = []
        for group in _groups(requests, questions, prefix):
            deepest = max(
                (len(questions[q][0]) + max(questions[q][1].depth, default=-1) + 1 for q in group), default=0
            )
            if not self.method.tree or (reach is not None and deepest > reach):
                alone += group
            elif group:
                trees.append(Tree(group, questions, prefix))
        return trees, alone

    @property
    def reach(self) -> int | None:
        """How many tokens a tree may be deep; None is any. Beyond it, a model that limits what a token sees would do
        so by columns, and distances in a tree are no distances between columns."""
        limits = [getattr(self._config, name, None) for name in _REACHES[self.method.windows :]]
        return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)

    def _read_trees(
        self,
        batch: Sequence[Row],
        cache: Any,
        before: _Columns,
        vocabulary: np.ndarray | None,
        searches: Sequence[Search],
        *,
        further: bool,
    ) -> None:
        """Reads a batch of trees behind the columns that were read before, and then, where it is to go `further`, what
        the searches ask for next."""
        columns = before.with_rows(batch)
        inputs: dict[str, Any] = {}
        if cache is not None:
            inputs = {"past_key_values": cache, "use_cache": further}
        if batch[0].masked or before.width:
            inputs |= self._tree_inputs(columns, before.width, batch[0].prefix)
        self._read(batch, inputs, vocabulary, searches)
        if not further:
            return
        rows = [row for row in (row.tree.row(searches) for row in batch if row.tree) if len(row.tokens)]
        number = {row.tree: place for place, row in enumerate(batch)}
        for part in batches(rows, self._batch_tokens, single=self._head is None):
            chosen = [number[row.tree] for row in part]
            kept = cache_of_rows(cache, torch.tensor(chosen, device=self._device))
            self._read_trees(part, kept, columns.of_rows(chosen), vocabulary, searches, further=True)

    def _read(
        self,
        batch: Sequence[Row],
        inputs: dict[str, Any],
        vocabulary: np.ndarray | None,
        searches: Sequence[Search],
    ) -> None:
        """Runs one batch and tells the searches the log-probabilities of their edges."""
        length = max(len(row.tokens) for row in batch)
        asked = Asked(batch, range(0, len(batch) * length, length), searches)
        edge_row, edge_token = asked.edge_row, asked.edge_token
        where = torch.from_numpy(asked.where).to(self._device)
        ids = np.full((len(batch), length), self._pad_id, dtype=np.int64)
        for number, row in enumerate(batch):
            ids[number, : len(row.tokens)] = row.tokens
        inputs = {"use_cache": False} | inputs | {"input_ids": torch.from_numpy(ids).to(self._device)}
        if self._head is None:
            values = self._by_own_forward(inputs, where, edge_row, edge_token, vocabulary)
        else:
            assert self._decoder is not None
            states = self._decoder(**inputs).last_hidden_state
            states = states.reshape(-1, states.shape[-1])[where]
            values = self._head.log_probabilities(states, edge_row, edge_token, vocabulary)
        asked.tell(values)

    def _by_own_forward(
        self,
        inputs: dict[str, Any],
        where: torch.Tensor,
        edge_row: np.ndarray,
        edge_token: np.ndarray,
        vocabulary: np.ndarray | None,
    ) -> np.ndarray:
        """A single row whose logits the model makes itself (capped, scaled, by a head of its own kind)."""
        kept = {"logits_to_keep": where} if self._selects else {}
        logits = self._model(**inputs, **kept).logits[0]
        logits = logits if self._selects else logits[where]
        if vocabulary is not None:
            logits = logits[:, torch.from_numpy(vocabulary).to(logits.device)]
            edge_token = np.searchsorted(vocabulary, edge_token)
        return edge_log_probabilities(logits, lambda rows: rows, edge_row, edge_token)

    def _tree_inputs(self, columns: _Columns, read: int, before: int) -> dict[str, Any]:
        """Position ids of the new columns, and the mask in which a node sees the prefix, its ancestors and itself."""
        order, end, depth = (
            torch.from_numpy(values).to(self._device)
            for values in (columns.order, columns.end, columns.depth)
        )
        mask = tree_mask(
            end, depth + before, dtype=self._model.dtype, order=order, read=read, before=before,
            window=self._config.sliding_window if self.method.windows else None, by_layer=self.method.by_layer,
        )  # fmt: skip
        return {"position_ids": depth[:, read:] + before, "attention_mask": mask}

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self._model.parameters()).device
        return device


@dataclass(frozen=True, eq=False)
class _Columns:
    """The columns of a batch, of all its passes so far: each (rows, columns). What fills a row sees its like only."""

    order: np.ndarray
    end: np.ndarray
    depth: np.ndarray

    @classmethod
    def none(cls, rows: int) -> _Columns:
        empty = np.zeros((rows, 0), np.int64)
        return cls(empty, empty, empty)

    @property
    def width(self) -> int:
        return self.order.shape[1]

    def of_rows(self, rows: Sequence[int]) -> _Columns:
        return _Columns(self.order[rows], self.end[rows], self.depth[rows])

    def with_rows(self, batch: Sequence[Row]) -> _Columns:
        shape = len(batch), max(len(row.tokens) for row in batch)
        order, end, depth = np.full(shape, _NOWHERE), np.full(shape, _NOWHERE + 1), np.zeros(shape, np.int64)
        for number, row in enumerate(batch):
            size = len(row.tokens)
            order[number, :size], end[number, :size], depth[number, :size] = row.order, row.end, row.depth
        pairs = ((self.order, order), (self.end, end), (self.depth, depth))
        return _Columns(*(np.concatenate(pair, axis=1) for pair in pairs))


def text_settings(model: Any) -> Any:
    """The settings of the part that reads text."""
    return model.config.get_text_config(decoder=True)


def _groups(requests: Sequence[ScoreRequest], questions: Questions, prefix: int) -> list[list[int]]:
    """Which questions share a row: those of one text, or of several texts under one long instruction, unless its keys
    and values (`prefix` tokens) are kept."""
    groups, start = [], 0
    for request in requests:
        groups.append(list(range(start, start + len(request))))
        start += len(request)
    if len(requests) < 2 or not questions:
        return groups
    prompts = [prompt for prompt, _ in questions]
    shared = common_prefix(min(prompts), max(prompts))
    if shared - prefix < SHORTEST:
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
