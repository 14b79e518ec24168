"""How prompts and answers lie in the rows of a batch: as one prefix tree, or as plain sequences.

    row = tree_row([0, 1], questions)                # two questions of a text share what their prompts share
    rows = list(chain_rows(0, *questions[0]))        # the same without branches, for models that know none
    for batch in batches(rows, 16384): ...

A place says which nodes of its row a question's answers are read from. A row's tokens are in preorder: a node's
descendants follow it in one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.models.prefix_tree import AnswerTokens, Preorder

# Cells of an attention mask, or of logits, that exist at one time (256 MiB in fp32).
MAX_CELLS = 1 << 26

Questions = Sequence[tuple[tuple[int, ...], AnswerTokens]]


@dataclass(frozen=True, eq=False)
class Place:
    """Where a question's edges are read: node positions in a row, and which of the edges hang on them."""

    question: int
    positions: np.ndarray
    edge_position: np.ndarray
    edge_token: np.ndarray
    edges: np.ndarray | None = None


@dataclass(eq=False)
class Row:
    """One row of a batch: a linear tree, the places where questions are read, and how many tokens of a kept prefix
    stand before it. Depths count from the end of that prefix."""

    tokens: Sequence[int]
    depth: Sequence[int]
    end: Sequence[int]
    prefix: int = 0
    places: list[Place] = field(default_factory=list)

    @property
    def masked(self) -> bool:
        """Whether it needs a mask of ours: a plain sequence is what the model masks by itself."""
        return self.prefix > 0 or min(self.end) < len(self.tokens)


def tree_row(group: Sequence[int], questions: Questions, prefix: int = 0) -> Row:
    """The questions of a group as one tree, without the first `prefix` tokens, which all their prompts share."""
    tree = Preorder()
    row = Row(tree.tokens, tree.depth, tree.end, prefix)
    for q in sorted(group, key=lambda q: questions[q][0]):
        prompt, answers = questions[q]
        root = tree.visit(prompt[prefix:])[-1]
        start = tree.graft(answers)
        positions = np.where(answers.parents < 0, root, answers.parents + start)
        row.places.append(Place(q, positions, answers.edge_parent, answers.edge_token))
    tree.finish()
    return row


def chain_rows(q: int, prompt: tuple[int, ...], answers: AnswerTokens) -> Iterator[Row]:
    """A question as plain sequences, one per answer prefix that no other continues."""
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
        row = Row(tokens, range(len(tokens)), [len(tokens)] * len(tokens))
        row.places.append(Place(q, positions, edge_position, answers.edge_token[edges], edges))
        yield row


def batches(rows: Sequence[Row], batch_tokens: int, *, single: bool = False) -> Iterator[list[Row]]:
    """Rows of like length together; chains and trees apart, since chains need no mask of ours."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.masked, len(row.tokens))):
        if batch:
            length, size = len(row.tokens), len(batch) + 1
            cells = size * length * (row.prefix + length) if row.masked else 0
            full = size * length > batch_tokens or cells > MAX_CELLS
            # A batch that already fills the processor is closed before padding costs more than another pass.
            wasteful = length > 1.2 * len(batch[0].tokens) and len(batch) * length > batch_tokens / 16
            if single or full or wasteful or batch[0].masked != row.masked:
                yield batch
                batch = []
        batch.append(row)
    if batch:
        yield batch
