"""Prefix trees of token sequences, laid out in preorder: what prompts and answers share is held once.

    codes = AnswerTokens.of([[17, 4], [17, 9], [23]])      # three answers, one inner node (17)
    codes.totals(edge_log_probabilities)                   # one value per answer

In preorder a node's descendants follow it in one block, so "i is an ancestor of j" is `i <= j < end[i]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


class Preorder:
    """A prefix tree under construction. Sequences must be visited in lexicographic order.

    Node i holds `tokens[i]` at `depth[i]` (from 0); its descendants are the nodes i+1 to `end[i]`-1.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.depth: list[int] = []
        self.end: list[int] = []
        self.path: list[int] = []
        self._at: tuple[int, ...] = ()

    def visit(self, sequence: tuple[int, ...]) -> list[int]:
        """Adds a sequence; returns the nodes on its way, root first."""
        shared = common_prefix(self._at, sequence)
        self._close(shared)
        start = len(self.tokens)
        new = range(start, start + len(sequence) - shared)
        self.tokens.extend(sequence[shared:])
        self.depth.extend(range(shared, len(sequence)))
        self.end.extend(new)
        self.path.extend(new)
        self._at = sequence
        return list(self.path)

    def graft(self, answers: AnswerTokens) -> int:
        """Hangs the inner nodes of an answer set below the current node; returns the first one's index."""
        start, level = len(self.tokens), len(self.path)
        self.tokens.extend(answers.tokens)
        self.depth.extend(level + depth for depth in answers.depth)
        self.end.extend(start + end for end in answers.end)
        return start

    def finish(self) -> None:
        self._close(0)

    def _close(self, keep: int) -> None:
        for node in self.path[keep:]:
            self.end[node] = len(self.tokens)
        del self.path[keep:]


@dataclass(frozen=True, eq=False)
class AnswerTokens:
    """A set of tokenised answers, prepared for scoring; build it once and use it for every text.

    `tokens`, `depth` and `end` are the inner nodes of the answers' prefix tree in preorder (empty where all
    answers are single tokens). `parents` are the nodes whose next-token distribution is needed (-1: the
    prompt's last token), an *edge* is a (parent, token) pair, in ascending order, and `step_edge`, `step_answer`
    say which edges each answer walks. `node_parent` and `node_edge` are the node above each inner node, and the edge
    between them.
    """

    count: int
    tokens: list[int]
    depth: list[int]
    end: list[int]
    parents: np.ndarray
    edge_parent: np.ndarray
    edge_token: np.ndarray
    step_edge: np.ndarray
    step_answer: np.ndarray
    node_parent: np.ndarray
    node_edge: np.ndarray

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]]) -> AnswerTokens:
        """Prepares token sequences. Duplicates are allowed.

        Raises:
            ValueError: an answer has no token.
        """
        if not all(len(answer) for answer in answers):
            raise ValueError("an answer without a token has no probability")
        tree = Preorder()
        nodes = {}
        for answer in sorted({tuple(answer) for answer in answers}):
            nodes[answer] = [-1, *tree.visit(answer[:-1])]
        tree.finish()
        edges = sorted({step for answer, path in nodes.items() for step in zip(path, answer, strict=True)})
        number = {edge: index for index, edge in enumerate(edges)}
        walked = [
            (number[step], row)
            for row, answer in enumerate(answers)
            for step in zip(nodes[tuple(answer)], answer, strict=True)
        ]
        above, path = [], [-1]
        for node, depth in enumerate(tree.depth):
            path = [*path[: depth + 1], node]
            above.append(path[-2])
        edge_array = np.array(edges, dtype=np.int64).reshape(-1, 2)
        parents, edge_parent = np.unique(edge_array[:, 0], return_inverse=True)
        step_edge, step_answer = np.array(walked, dtype=np.int64).reshape(-1, 2).T
        return cls(
            len(answers),
            tree.tokens,
            tree.depth,
            tree.end,
            parents,
            edge_parent.reshape(-1),
            edge_array[:, 1],
            step_edge,
            step_answer,
            np.array(above, dtype=np.int64),
            np.array([number[step] for step in zip(above, tree.tokens, strict=True)], dtype=np.int64),
        )

    @property
    def single_tokens(self) -> np.ndarray:
        """The token of each answer, where all are single tokens."""
        return self.edge_token[self.step_edge]

    def branches(self) -> list[tuple[list[int], np.ndarray]]:
        """Per node whose next tokens are needed: the tokens that lead to it from the prompt's end, and the numbers
        of its edges."""
        path: list[int] = []
        ways: dict[int, list[int]] = {-1: []}
        for node, (token, depth) in enumerate(zip(self.tokens, self.depth, strict=True)):
            path = [*path[:depth], token]
            ways[node] = path
        return [
            (ways[node], np.flatnonzero(self.edge_parent == number))
            for number, node in enumerate(self.parents.tolist())
        ]

    def totals(self, edge_values: np.ndarray) -> np.ndarray:
        """Sums the edges' log-probabilities over each answer's way; float64, one value per answer."""
        if not self.count:
            return np.empty(0)
        return np.bincount(self.step_answer, weights=edge_values[self.step_edge], minlength=self.count)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(left), len(right))
    if left[:length] == right[:length]:
        return length
    return next(i for i in range(length) if left[i] != right[i])
