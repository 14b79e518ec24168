"""Training examples as prefix trees, several in a row: what prompts share is computed once, and nothing is padded.

    write_trees(chunks, encoder, path, longest=512, with_end=True)
    trees = Trees.open(path)
    rows = PackedRows(trees, longest=512, seed=13)         # a dataset; rows[0] are the trees of one row
    batch = Collator(rows=2, longest=512, pad_token_id=0)([rows[0], rows[1]])

The questions about one text begin alike, so they form a tree, as they do when the agent scores candidates
(`agent.models.tree_scoring`): a token sees its ancestors and itself. The loss is read at *edges*, a node and the
token that is to follow it; several edges can hang on one node. Every batch has the same number of rows and
columns: oneDNN builds its kernels anew for each shape, which costs more than the padding.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from agent.models.prefix_tree import Preorder
from agent.models.tokens import PromptEncoder
from index.io.atomic import new_file
from training.adapters.data import Example

IGNORED = -100
_SCHEMA = pa.schema(
    [(name, pa.list_(pa.int32())) for name in ("tokens", "depth", "end", "edge_node", "edge_token")]
)
_EDGES = 128  # a batch's edges are padded to a multiple
_BUFFER = 4096  # trees that may be neighbours in a row

Tree = Mapping[str, Sequence[int]]


def write_trees(
    chunks: Iterable[list[Example]],
    encoder: PromptEncoder,
    path: Path,
    *,
    longest: int,
    with_end: bool,
    grouped: bool = True,
) -> int:
    """Write the examples of each chunk as trees, one per group, or each alone; returns the number of examples.

    `with_end` puts the end token behind each answer: a compact answer is one token and needs none. A question stands
    at the end of its prompt: what is too long loses its start. A group that fills more than a row is divided.
    """
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    end = [encoder.tokenizer.eos_token_id] if with_end else []
    with new_file(path) as half, pa.OSFile(str(half), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as out:
        for chunk in chunks:
            if not chunk:
                continue
            groups: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
            prompts = encoder.prompts([pair.prompt for pair in chunk])
            answers = encoder.answers([pair.answer for pair in chunk])
            for pair, prompt, answer in zip(chunk, prompts, answers, strict=True):
                said = (*answer, *end)
                room = longest - len(said) + 1
                groups.setdefault(pair.group if grouped else f"{pair.row}", []).append(
                    (tuple(prompt[-room:]), said)
                )
            made = [tree for group in groups.values() for tree in _trees(group, longest)]
            out.write_batch(pa.RecordBatch.from_pylist(made, schema=_SCHEMA))
            count += len(chunk)
    return count


def _trees(group: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], longest: int) -> list[Tree]:
    """One tree of all (prompt, answer) pairs, or one of each where a row cannot hold it."""
    tree = tree_of(group)
    if len(tree["tokens"]) <= longest:
        return [tree]
    return [tree_of([pair]) for pair in group]


def tree_of(group: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Tree:
    """The prefix tree of (prompt, answer) pairs, each a tuple of token ids, with an edge for each answer token."""
    tree = Preorder()
    edges: list[tuple[int, int]] = []
    for prompt, answer in sorted(group, key=lambda pair: (*pair[0], *pair[1][:-1])):
        path = tree.visit((*prompt, *answer[:-1]))
        edges += zip(path[len(prompt) - 1 :], answer, strict=True)
    tree.finish()
    nodes, tokens = zip(*sorted(edges), strict=True)
    return {
        "tokens": tree.tokens,
        "depth": tree.depth,
        "end": tree.end,
        "edge_node": nodes,
        "edge_token": tokens,
    }


@dataclass(frozen=True, eq=False)
class Trees:
    """The trees of a file, memory-mapped."""

    table: pa.Table

    @classmethod
    def open(cls, path: Path) -> Trees:
        with pa.memory_map(str(path)) as source:
            return cls(pa.ipc.open_stream(source).read_all().combine_chunks())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Tree:
        return {name: self.table[name][index].values.to_numpy() for name in _SCHEMA.names}

    def sizes(self) -> np.ndarray:
        """Nodes of each tree, int64 (n,)."""
        return np.asarray(pc.list_value_length(self.table["tokens"]), dtype=np.int64)

    def answer_tokens(self) -> np.ndarray:
        """The tokens that answers are made of, ascending."""
        return np.unique(pc.list_flatten(self.table["edge_token"]))


class PackedRows(torch.utils.data.Dataset[list[Tree]]):
    """Rows of whole trees, up to `longest` nodes each. The seed mixes the trees before they are packed, so that
    neighbours in the file, which often say the same, seldom share a row. `longest` None puts each in a row alone."""

    def __init__(self, trees: Trees, longest: int | None, seed: int) -> None:
        self.trees = trees
        self.rows = (
            [[tree] for tree in range(len(trees))]
            if longest is None
            else _packed(trees.sizes(), longest, np.random.default_rng(seed))
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[Tree]:
        return [self.trees[tree] for tree in self.rows[index]]


def _packed(sizes: np.ndarray, capacity: int, rng: np.random.Generator) -> list[list[int]]:
    """Best fit, large ones first, within buffers of mixed trees: the trees of each row."""
    rows: list[list[int]] = []
    order = rng.permutation(len(sizes))
    for start in range(0, len(order), _BUFFER):
        part = order[start : start + _BUFFER]
        open_rows: list[tuple[int, int]] = []  # room left and number of each row, ascending
        for tree in part[np.argsort(-sizes[part], kind="stable")].tolist():
            size = int(sizes[tree])
            place = bisect_left(open_rows, (size, -1))
            if place == len(open_rows):
                rows.append([])
                room, row = capacity, len(rows) - 1
            else:
                room, row = open_rows.pop(place)
            rows[row].append(tree)
            if room > size:
                insort(open_rows, (room - size, row))
    return rows


@dataclass(frozen=True)
class Collator:
    """Up to `rows` rows of trees as the tensors of a batch: `input_ids`, `position_ids`, `ends`, (rows, longest) each,
    `edges` (n,), which number the cells of the flattened batch, and `labels` (n,), the tokens that follow."""

    rows: int
    longest: int
    pad_token_id: int

    def __call__(self, rows: Sequence[Sequence[Tree]]) -> dict[str, torch.Tensor]:
        shape = (self.rows, self.longest)
        ids = np.full(shape, self.pad_token_id, dtype=np.int64)
        depth = np.zeros(shape, dtype=np.int64)
        # Padding sees itself and nothing else: a row without any visible column would be undefined.
        ends = np.tile(np.arange(1, self.longest + 1), (self.rows, 1))
        edges: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for number, row in enumerate(rows):
            start = 0
            for tree in row:
                cells = slice(start, start + len(tree["tokens"]))
                ids[number, cells] = tree["tokens"]
                depth[number, cells] = tree["depth"]
                ends[number, cells] = np.asarray(tree["end"]) + start
                edges.append(np.asarray(tree["edge_node"]) + start + number * self.longest)
                labels.append(np.asarray(tree["edge_token"]))
                start = cells.stop
        count = sum(map(len, edges))
        rest = -count % _EDGES
        flat = np.concatenate([*edges, np.zeros(rest, dtype=np.int64)]).astype(np.int64)
        tokens = np.concatenate([*labels, np.full(rest, IGNORED)]).astype(np.int64)
        arrays = {"input_ids": ids, "position_ids": depth, "ends": ends, "edges": flat, "labels": tokens}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def real_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """How many tokens of a batch are no padding, as a tensor on its device (reading it waits for the device)."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum()
    width = batch["ends"].shape[1]
    lone = batch["ends"] == torch.arange(1, width + 1, device=batch["ends"].device)
    # Padding: at position 0, and seen by itself alone. A tree has a question, so its root has descendants.
    return (~(lone & (batch["position_ids"] == 0))).sum()
