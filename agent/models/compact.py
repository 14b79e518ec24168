"""The embedded model on NumPy: what `local.LocalModel` does for any network, for this one in a third of the time.

    model = CompactModel.load(EMBEDDED_MODEL, EMBEDDED_ADAPTER)
    [[scores]] = model.score([[Question("Mammakarzinom<|icd10gm|>", ("<|icd10gm:C50.9|>", "<|icd10gm:D05.9|>"))]])

Neither torch nor transformers is imported. All questions of a text are leaves of one tree, so the text is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from agent.models.base import Question
from agent.models.compact_network import CompactNetwork
from agent.models.prefix_tree import AnswerTokens
from agent.models.tokens import PromptEncoder
from agent.models.tree_rows import Asked, Place, Row, ScoreRequest, Tree, batches
from agent.models.tree_search import Search
from index.errors import ModelError
from index.io.tensors import read_settings

# Tokens of a forward pass, padding counted.
_BATCH = 16384
_REMEDY = "fetch or save the model again"


class CompactModel:
    """The embedded model, with or without an adapter. Safe for several threads."""

    def __init__(self, network: CompactNetwork, encoder: PromptEncoder, name: str) -> None:
        self.encoder = encoder
        self.name = name
        self._network = network
        # The same thousands of codes are asked for every text; preparing them must cost nothing.
        self._prepared = lru_cache(maxsize=512)(self._prepare)

    @classmethod
    def load(cls, folder: Path, adapter: Path | None = None) -> CompactModel:
        """Loads folders of which `is_compact` holds. Raises `ModelError` where one is incomplete or damaged."""
        network = CompactNetwork.load(folder, adapter)
        name = folder.name if adapter is None else f"{folder.name}+{adapter.name}"
        return cls(network, PromptEncoder(CompactTokenizer.load(folder)), name)

    def single_token_answers(self, answers: Sequence[str]) -> bool:
        return not self._prepared(tuple(answers)).tokens

    def score(self, batch: Sequence[Sequence[Question]]) -> list[list[np.ndarray]]:
        prompts = iter(self.encoder.prompts([question.prompt for text in batch for question in text]))
        asked = [
            [(tuple(next(prompts)), self._prepared(question.answers)) for question in text] for text in batch
        ]
        scores: list[list[np.ndarray]] = [[] for _ in batch]
        leaves = [number for number, questions in enumerate(asked) if questions and _are_leaves(questions)]
        for together in batches([_leaf_row(number, asked[number]) for number in leaves], _BATCH):
            logits, normaliser = self._logits(together, np.concatenate(_columns(together)))
            number = 0
            for row in together:
                text = row.places[0].question
                for _, answers in asked[text]:
                    values = logits[number, answers.single_tokens] - normaliser[number]
                    scores[text].append(values.astype(np.float64))
                    number += 1
        others = sorted(set(range(len(batch))) - set(leaves))
        for number, found in zip(others, self._read_trees([asked[n] for n in others]), strict=True):
            scores[number] = found
        if any(np.isnan(values).any() for text in scores for values in text):
            raise ModelError(f"{self.name}: gives scores that are no numbers; load it again")
        return scores

    def generate(self, prompts: Sequence[str], allowed: Sequence[Sequence[str]]) -> list[str]:
        if not all(allowed):
            raise ValueError("the likeliest answer needs at least one allowed answer")
        asked = [[Question(prompt, tuple(answers))] for prompt, answers in zip(prompts, allowed, strict=True)]
        return [
            answers[int(np.argmax(scores))]
            for answers, [scores] in zip(allowed, self.score(asked), strict=True)
        ]

    def _read_trees(self, asked: Sequence[ScoreRequest]) -> list[list[np.ndarray]]:
        """Questions of any kind: answers of several tokens, prompts that differ in more than their last."""
        questions = [(tuple(prompt), answers) for text in asked for prompt, answers in text]
        searches = [Search(answers, None) for _, answers in questions]
        numbers = iter(range(len(questions)))
        trees = [Tree([next(numbers) for _ in text], questions) for text in asked if text]
        rows = [row for tree in trees if len((row := tree.row(searches)).tokens)]
        for together in batches(rows, _BATCH):
            self._read(together, searches)
        totals = iter([search.answers.totals(search.values) for search in searches])
        return [[next(totals) for _ in text] for text in asked]

    def _read(self, batch: Sequence[Row], searches: Sequence[Search]) -> None:
        asked = Asked(batch, _starts(batch), searches)
        logits, normaliser = self._logits(batch, asked.where)
        asked.tell(logits[asked.edge_row, asked.edge_token] - normaliser[asked.edge_row])

    def _logits(self, batch: Sequence[Row], where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the columns `where` (n,): (n, vocabulary), and the logarithm of the sum of their exponentials, (n,)."""
        ids, depth, order, end = (
            [np.asarray(values) for values in column]
            for column in zip(*((row.tokens, row.depth, row.order, row.end) for row in batch), strict=True)
        )
        logits = self._network.logits(self._network.states(ids, depth, order, end, where))
        highest = logits.max(1, keepdims=True)
        return logits, highest[:, 0] + np.log(np.exp(logits - highest).sum(1))

    def _prepare(self, answers: tuple[str, ...]) -> AnswerTokens:
        return AnswerTokens.of(self.encoder.scored_answers(answers))


def _are_leaves(questions: ScoreRequest) -> bool:
    """Whether the prompts of a text differ in their last token alone, and each answer is one token: what the agent
    asks of the embedded model."""
    body = questions[0][0][:-1]
    return all(prompt[:-1] == body and answers.count and not answers.tokens for prompt, answers in questions)


def _leaf_row(number: int, questions: ScoreRequest) -> Row:
    """The text with number `number`, and behind it its questions, which do not see each other."""
    body, size = questions[0][0][:-1], len(questions)
    length = len(body)
    columns = np.arange(length, length + size)
    end = np.concatenate([np.full(length, length + size), columns + 1])
    return Row(
        np.array([*body, *(prompt[-1] for prompt, _ in questions)], np.int64),
        np.concatenate([np.arange(length), np.full(size, length)]),
        np.arange(length + size),
        end,
        places=[Place(number, np.full(size, -1), columns)],
    )


def _starts(batch: Sequence[Row]) -> list[int]:
    """The number of each row's first column among those of the batch."""
    starts: list[int] = np.cumsum([0, *(len(row.tokens) for row in batch)])[:-1].tolist()
    return starts


def _columns(batch: Sequence[Row]) -> list[np.ndarray]:
    """The columns of the rows' questions, as numbers among those of the batch."""
    return [start + row.places[0].columns for start, row in zip(_starts(batch), batch, strict=True)]


@dataclass(frozen=True)
class _Encoded:
    input_ids: list[list[int]]


class CompactTokenizer:
    """What `PromptEncoder` asks of a tokenizer of transformers, by the library below it."""

    chat_template: str | None = None
    bos_token_id: int | None = None

    def __init__(self, tokenizer: Tokenizer, name: str, *, end: int, unknown: int | None) -> None:
        self.name_or_path = name
        self.eos_token_id, self.unk_token_id = end, unknown
        self.added_tokens_decoder: dict[int, Any] = tokenizer.get_added_tokens_decoder()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> CompactTokenizer:
        """Raises `ModelError` where the folder holds no tokenizer, or one without an end token."""
        path = folder / "tokenizer.json"
        settings = read_settings(folder / "tokenizer_config.json")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # whatever the library raises: it has no class of its own
            raise ModelError(f"{path}: holds no tokenizer ({error}); {_REMEDY}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        end = tokenizer.token_to_id(str(settings.get("eos_token")))
        if end is None:
            raise ModelError(f"{path}: names no end token; {_REMEDY}")
        return cls(
            tokenizer, folder.name, end=end, unknown=tokenizer.token_to_id(str(settings.get("unk_token")))
        )

    def __call__(self, texts: list[str], *, add_special_tokens: bool = False) -> _Encoded:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        return _Encoded([one.ids for one in encoded])
