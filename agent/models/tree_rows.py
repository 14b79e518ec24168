"""How prompts and answers lie in the rows of a batch: as one prefix tree, or as plain sequences.

    row = Tree([0, 1], questions).row(searches)         # two questions of a text share what their prompts share
    rows = list(chain_rows(0, *questions[0], nodes))    # the same without branches, for models that know none
    for batch in batches(rows, 16384): ...

A tree is read in as many passes as its questions' searches need; a row is what one pass reads of it. A row's columns
are in preorder: a node's descendants follow it in one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.models.prefix_tree import AnswerTokens, Preorder
from agent.models.tree_search import Search

# Cells of an attention mask, or of logits, that exist at one time (256 MiB in fp32).
MAX_CELLS = 1 << 26
# So many times dearer than what any pass costs is one that fills the processor (Gemma 3 270M: 1.6 s and 0.05 s).
_PASS = 32

Questions = Sequence[tuple[tuple[int, ...], AnswerTokens]]
# The questions of one text: prompts, usually with a long shared prefix, each with its set of answers.
ScoreRequest = Sequence[tuple[Sequence[int], AnswerTokens]]


@dataclass(frozen=True, eq=False)
class Place:
    """Which nodes of a question's answers a row reads (ascending, -1 is the prompt's end), and in which columns."""

    question: int
    nodes: np.ndarray
    columns: np.ndarray


@dataclass(eq=False)
class Row:
    """One row of a batch: its columns' tokens, their depth in the text and their place in preorder, where their
    descendants end there, and how many tokens of a kept prefix stand before them all. Depths count from the end of
    that prefix. `tree` is what it is a part of."""

    tokens: Sequence[int] | np.ndarray
    depth: Sequence[int] | np.ndarray
    order: Sequence[int] | np.ndarray
    end: Sequence[int] | np.ndarray
    prefix: int = 0
    places: list[Place] = field(default_factory=list)
    tree: Tree | None = None

    @property
    def masked(self) -> bool:
        """Whether it needs a mask of ours: a plain sequence is what the model masks by itself."""
        return self.prefix > 0 or min(self.end) <= self.order[-1]


class Tree:
    """The questions of a group as one tree, without the first `prefix` tokens, which all their prompts share."""

    def __init__(self, group: Sequence[int], questions: Questions, prefix: int = 0) -> None:
        tree = Preorder()
        blocks = []
        for q in sorted(group, key=lambda q: questions[q][0]):
            prompt, answers = questions[q]
            root = tree.visit(prompt[prefix:])[-1]
            blocks.append((q, root, tree.graft(answers), len(answers.tokens)))
        tree.finish()
        self._prefix = prefix
        self._places = [(q, root, start) for q, root, start, _ in blocks]
        self._tokens, self._depth, self._end = map(np.array, (tree.tokens, tree.depth, tree.end))
        self._prompts = np.ones(len(tree.tokens), dtype=bool)
        for _, _, start, size in blocks:
            self._prompts[start : start + size] = False

    def row(self, searches: Sequence[Search]) -> Row:
        """What is to be read next: the prompts, if they are not read yet, and what the searches ask for. Without
        columns where they ask for nothing."""
        asked = [(q, searches[q].next(), root, start) for q, root, start in self._places]
        chosen = np.zeros(len(self._tokens), dtype=bool)
        if any(len(nodes) for _, nodes, _, _ in asked):
            chosen |= self._prompts
            self._prompts = np.zeros_like(self._prompts)
        for _, nodes, _, start in asked:
            chosen[nodes[nodes >= 0] + start] = True
        order = np.flatnonzero(chosen)
        places = [
            Place(q, nodes, np.searchsorted(order, np.where(nodes < 0, root, nodes + start)))
            for q, nodes, root, start in asked
            if len(nodes)
        ]
        return Row(
            self._tokens[order], self._depth[order], order, self._end[order], self._prefix, places, self
        )


class Asked:
    """What a batch's searches want to know: the tokens that follow some of its columns.

    `where` (n,) are these columns, as numbers among all of the batch, of which row i has its first at `starts[i]`;
    `edge_row`, ascending, and `edge_token` are the pairs of one of them and a token whose log-probabilities are wanted.
    """

    def __init__(self, batch: Sequence[Row], starts: Sequence[int], searches: Sequence[Search]) -> None:
        places = [(start, place) for start, row in zip(starts, batch, strict=True) for place in row.places]
        self._searches = [searches[place.question] for _, place in places]
        self._edges = [
            search.edges(place.nodes) for search, (_, place) in zip(self._searches, places, strict=True)
        ]
        first = np.cumsum([0, *(len(place.nodes) for _, place in places)])[:-1]
        known = list(zip(self._searches, self._edges, strict=True))
        self.where = np.concatenate([start + place.columns for start, place in places])
        self.edge_row = np.concatenate(
            [
                start + np.searchsorted(place.nodes, search.parents(some))
                for start, (_, place), (search, some) in zip(first, places, known, strict=True)
            ]
        )
        self.edge_token = np.concatenate([search.answers.edge_token[some] for search, some in known])

    def tell(self, values: np.ndarray) -> None:
        """Gives the searches the log-probability of each edge."""
        parts = np.split(values, np.cumsum([len(some) for some in self._edges])[:-1])
        for search, some, part in zip(self._searches, self._edges, parts, strict=True):
            search.values[some] = part


def chain_rows(q: int, prompt: tuple[int, ...], answers: AnswerTokens, nodes: np.ndarray) -> Iterator[Row]:
    """Nodes of a question's answers in plain sequences, one for each node that no other one continues."""
    above = {int(answers.node_parent[node]) for node in nodes if node >= 0}
    done: set[int] = set()
    for last in nodes.tolist():
        if last in above:
            continue
        way, node = [], last
        while node >= 0:
            way.append(node)
            node = int(answers.node_parent[node])
        way.reverse()
        tokens = [*prompt, *(answers.tokens[node] for node in way)]
        new = [node for node in (-1, *way) if node not in done and node in nodes]
        done.update(new)
        column = {-1: len(prompt) - 1} | {node: len(prompt) + depth for depth, node in enumerate(way)}
        place = Place(q, np.array(new, np.int64), np.array([column[node] for node in new], np.int64))
        ends = [len(tokens)] * len(tokens)
        yield Row(tokens, range(len(tokens)), range(len(tokens)), ends, places=[place])


def batches(rows: Sequence[Row], batch_tokens: int, *, single: bool = False) -> Iterator[list[Row]]:
    """Rows of like length together; chains and trees apart, since chains need no mask of ours."""
    batch: list[Row] = []
    held = 0
    for row in sorted(rows, key=lambda row: (row.masked, len(row.tokens))):
        if batch:
            length, size = len(row.tokens), len(batch) + 1
            cells = size * length * (row.prefix + length) if row.masked else 0
            full = size * length > batch_tokens or cells > MAX_CELLS
            # Closed before padding costs more than another pass does.
            wasteful = size * length - held - length > batch_tokens / _PASS
            if single or full or wasteful or batch[0].masked != row.masked:
                yield batch
                batch, held = [], 0
        batch.append(row)
        held += len(row.tokens)
    if batch:
        yield batch
