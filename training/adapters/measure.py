"""How a language model answers pairs when nothing constrains it: greedy answers, right or wrong, per task.

    measured = measure_pairs("Qwen/Qwen3-8B", "runs/8b", Path("runs/pairs"), "test_term")
    measured.tasks["icd10gm"].exact / measured.tasks["icd10gm"].n

Training measures its epochs by the same code. Scoring is the study's (arXiv 2510.13624): the first code in the
answer counts; an answer without one is *malformed*, counts as wrong, and n stays whole. What is kept of a row is
its number and whether it was right, never its text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from agent.models.generate import answer_text, batches_by_length, first_code, greedy, processes, stem
from agent.models.local import LocalModel
from agent.models.prompts import TUMOUR, Prompts
from agent.models.store.names import model_folder
from agent.models.tokens import PromptEncoder
from index.io.progress import Pace
from index.records import CodeSystem
from training.adapters.data import Example, PairFolder
from training.runs import log

_BATCH = 32
_LONGEST_ANSWER = 24
_YES_NO = re.compile(r"\b(ja|nein)\b")


@dataclass(frozen=True, slots=True)
class Hit:
    """One answered pair: its row in the file, and what the answer was worth."""

    row: int
    task: str
    exact: bool
    partial: bool
    malformed: bool


@dataclass(frozen=True, slots=True)
class TaskScore:
    """Counts over the n pairs of a task."""

    n: int
    exact: int
    partial: int
    malformed: int

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> TaskScore:
        return cls(
            len(hits),
            sum(hit.exact for hit in hits),
            sum(hit.partial for hit in hits),
            sum(hit.malformed for hit in hits),
        )

    def interval(self, count: int) -> tuple[float, float]:
        """Wilson's 95 % interval of a share of these pairs."""
        from scipy.stats import binomtest

        found = binomtest(count, self.n).proportion_ci(confidence_level=0.95, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Measurement:
    """The greedy answers of a model to the pairs of a part."""

    model: str
    adapter: str | None
    part: str
    data: str
    prompts: Prompts
    left_out: int
    seconds: float
    hits: tuple[Hit, ...]
    tasks: dict[str, TaskScore] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file: no texts, and the rows as lists to keep it small."""
        about = {name: getattr(self, name) for name in ("model", "adapter", "part", "data", "left_out")}
        tasks = {
            task: asdict(score)
            | {
                "exact_interval": score.interval(score.exact),
                "partial_interval": score.interval(score.partial),
            }
            for task, score in self.tasks.items()
        }
        return {
            **about,
            "style": self.prompts.style,
            "candidates": self.prompts.candidates,
            "seconds": round(self.seconds, 1),
            "tasks": tasks,
            "columns": [column.name for column in fields(Hit)],
            "rows": [list(astuple(hit)) for hit in self.hits],
        }


def measure_pairs(
    model: str | Path,
    adapter: str | Path | None,
    pairs: Path,
    part: str = "development",
    *,
    tasks: tuple[str, ...] = (),
    rows: int | None = None,
    seed: int = 13,
) -> Measurement:
    """Greedy answers to the pairs of a part, with the prompts of that folder, whatever the adapter was trained with.

    Raises:
        ModelError: model, adapter or pairs cannot be used.
    """
    started = time.monotonic()
    loaded = LocalModel.load(model, adapter)
    tokenizer = loaded.encoder.tokenizer
    given = PairFolder.open(pairs, Prompts.of(model_folder(model), adapter).style, tokenizer.get_vocab())
    asked = [pair for chunk in given.read(part, tasks, rows, seed) for pair in chunk]
    hits = answer_pairs(loaded.model, loaded.encoder, given.prompts, asked)
    return Measurement(
        str(model),
        None if adapter is None else str(adapter),
        part,
        given.sha256,
        given.prompts,
        given.left_out[part],
        time.monotonic() - started,
        tuple(hits),
        by_task(hits),
    )


def by_task(hits: Sequence[Hit]) -> dict[str, TaskScore]:
    """The scores per task, in the order of the tasks' names."""
    return {
        task: TaskScore.of([hit for hit in hits if hit.task == task])
        for task in sorted({hit.task for hit in hits})
    }


def answer_pairs(
    network: Any, encoder: PromptEncoder, prompts: Prompts, asked: Sequence[Example]
) -> list[Hit]:
    """Each pair's greedy answer, judged. Several processes share the pairs, and each returns all hits."""
    count, rank = processes()
    # All processes must run equally many batches: a sharded network computes only when all of them do.
    share = -(-len(asked) // count)
    mine = [asked[i % len(asked)] for i in range(rank * share, (rank + 1) * share)]
    longest = 1 if prompts.style == "compact" else _LONGEST_ANSWER
    ids = encoder.prompts([pair.prompt for pair in mine])
    hits: list[Hit | None] = [None] * len(mine)
    pace = Pace(len(asked), "answers", log.info)
    for batch in batches_by_length(ids, _BATCH):
        written = greedy(network, encoder.tokenizer, [ids[i] for i in batch], longest)
        for i, answer in zip(batch, written, strict=True):
            hits[i] = judge(mine[i], answer_text(answer, encoder.tokenizer, mine[i].task, prompts))
        pace.step(count * len(batch))
    found = [hit for hit in hits if hit is not None]
    if count > 1:
        from accelerate.utils import gather_object

        # In the order of the ranks; the last ones repeat pairs to be as many as the others.
        found = gather_object(found)[: len(asked)]
    return found


def judge(pair: Example, said: str) -> Hit:
    """What an answer is worth: the first code in it, or the first yes or no, against the pair's."""
    if pair.task == TUMOUR:
        word = _YES_NO.search(said.lower())
        right = word is not None and word[0] == pair.code
        return Hit(pair.row, pair.task, right, right, word is None)
    code = first_code(said, CodeSystem(pair.task))
    partial = code is not None and stem(code) == stem(pair.code)
    return Hit(pair.row, pair.task, code == pair.code, partial, code is None)
