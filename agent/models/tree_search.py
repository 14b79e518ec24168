"""Which answers of a question are worth reading on, after what is known of their beginnings.

    search = Search(answers, within=9.0)
    while len(nodes := search.next()):            # -1 is the prompt's end, the others inner nodes of the answers
        search.values[search.edges(nodes)] = ...  # log-probabilities of the tokens that follow these nodes
    answers.totals(search.values)

The log-probability of an answer's beginning bounds its own from above. What is `within` so many nats of the likeliest
answer is read to its end, and its score is exact; every other answer keeps the bound, which is lower than that. So one
finds the likeliest of a thousand codes by reading a few dozen tokens, and it is the likeliest: this is no beam.
"""

from __future__ import annotations

import numpy as np

from agent.models.prefix_tree import AnswerTokens

# Levels of the tree that the first pass of the network reads; what is promising there is read to its end.
_LEVELS = 2


class Search:
    """The state of one question's reading; `values` holds the log-probability of each edge, 0 where it is not known."""

    def __init__(self, answers: AnswerTokens, within: float | None) -> None:
        """`within` None reads everything at once."""
        self.answers = answers
        self.values = np.zeros(len(answers.edge_token))
        self._within = within
        self._depth, self._end = np.array(answers.depth, np.int64), np.array(answers.end, np.int64)
        self._edge_node = answers.parents[answers.edge_parent]
        # The last place, reached as -1, is the prompt's end.
        self._known = np.zeros(len(answers.tokens) + 1, dtype=bool)

    def next(self) -> np.ndarray:
        """The nodes to be read next, ascending; empty where nothing is left to be found out."""
        if not self.answers.count:
            return np.zeros(0, np.int64)
        if not self._known[-1]:
            near = self._depth < _LEVELS if self._within is not None else np.ones(len(self._depth), bool)
            nodes = np.concatenate([[-1], np.flatnonzero(near)])
        else:
            nodes = self._promising()
        self._known[nodes] = True
        return nodes

    def edges(self, nodes: np.ndarray) -> np.ndarray:
        """The numbers of the edges below nodes, ascending."""
        chosen = np.zeros_like(self._known)
        chosen[nodes] = True
        return np.flatnonzero(chosen[self._edge_node])

    def parents(self, edges: np.ndarray) -> np.ndarray:
        """The node above each edge."""
        return self._edge_node[edges]

    def _promising(self) -> np.ndarray:
        waiting = ~self._known[:-1]
        if self._within is None or not waiting.any():
            return np.zeros(0, np.int64)
        answers = self.answers
        # An answer that is not read to its end is bounded by its beginning: the edges that are not known count 0.
        least = answers.totals(self.values).max() - self._within
        first = np.flatnonzero(waiting & self._known[answers.node_parent])
        chosen = first[self._reached(first) >= least]
        return np.concatenate(
            [np.arange(node, self._end[node]) for node in chosen] or [np.zeros(0, np.int64)]
        )

    def _reached(self, nodes: np.ndarray) -> np.ndarray:
        """The log-probability of the way to each node."""
        answers, total, at = self.answers, np.zeros(len(nodes)), nodes.copy()
        while (inside := at >= 0).any():
            total[inside] += self.values[answers.node_edge[at[inside]]]
            at[inside] = answers.node_parent[at[inside]]
        return total
