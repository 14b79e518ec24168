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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from agent.models.answers import first_code, stem
from agent.models.local import LocalModel
from agent.models.prompts import TUMOUR, Prompts
from agent.models.tokens import PromptEncoder
from index.io.progress import Pace
from index.records import CodeSystem
from training.adapters.data import Asked, Pairs

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
class Measured:
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
        tasks = {}
        for task, score in self.tasks.items():
            tasks[task] = asdict(score) | {
                "exact_interval": score.interval(score.exact),
                "partial_interval": score.interval(score.partial),
            }
        return {
            "model": self.model,
            "adapter": self.adapter,
            "part": self.part,
            "data": self.data,
            "style": self.prompts.style,
            "candidates": self.prompts.candidates,
            "left_out": self.left_out,
            "seconds": round(self.seconds, 1),
            "tasks": tasks,
            "columns": ["row", "task", "exact", "partial", "malformed"],
            "rows": [[hit.row, hit.task, hit.exact, hit.partial, hit.malformed] for hit in self.hits],
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
    say: Callable[[str], None] = print,
) -> Measured:
    """Greedy answers to the pairs of a part, with the prompts of that folder, whatever the adapter was trained with.

    Raises:
        ModelError: model, adapter or pairs cannot be used.
    """
    started = time.monotonic()
    loaded = LocalModel.load(model, adapter)
    tokenizer = loaded.encoder.tokenizer
    given = Pairs.open(pairs, Prompts.of(model, adapter).style, tokenizer.get_vocab())
    asked = [pair for chunk in given.read(part, tasks, rows, seed) for pair in chunk]
    if given.left_out[part]:
        say(f"{part}: {given.left_out[part]:,} pairs left out, the model has no token for their code")
    hits = answered(loaded.model, loaded.encoder, given.prompts, asked, say=say)
    return Measured(
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


def answered(
    network: Any,
    encoder: PromptEncoder,
    prompts: Prompts,
    asked: Sequence[Asked],
    *,
    say: Callable[[str], None] = lambda line: None,
) -> list[Hit]:
    """Each pair's greedy answer, judged. Several processes share the pairs, and each returns all hits."""
    processes, rank = _processes()
    # All processes must run equally many batches: a sharded network computes only when all of them do.
    share = -(-len(asked) // processes)
    mine = [asked[i % len(asked)] for i in range(rank * share, (rank + 1) * share)]
    compact = prompts.style == "compact"
    ids = encoder.prompts([pair.prompt for pair in mine])
    order = sorted(range(len(mine)), key=lambda i: len(ids[i]))
    hits: list[Hit | None] = [None] * len(mine)
    pace = Pace(len(asked), "answers", say)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        written = greedy(
            network, encoder.tokenizer, [ids[i] for i in batch], 1 if compact else _LONGEST_ANSWER
        )
        for i, answer in zip(batch, written, strict=True):
            said = answer_text(answer, encoder.tokenizer, mine[i].task, prompts)
            hits[i] = judged(mine[i], said)
        pace.step(processes * len(batch))
    found = [hit for hit in hits if hit is not None]
    if processes > 1:
        from accelerate.utils import gather_object

        # In the order of the ranks; the last ones repeat pairs to be as many as the others.
        found = gather_object(found)[: len(asked)]
    return found


@torch.no_grad()
def greedy(
    network: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> list[list[int]]:
    """The likeliest next token, again and again, up to the end token (which is not returned) or the limit.

    `generate` would do the same, but it calls the inner network: one that is sharded over processes (FSDP2) has
    to be called from its outermost module, by all processes equally often.
    """
    end = tokenizer.eos_token_id
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    seen = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) :] = 1
    device = next(network.parameters()).device
    ids, seen = ids.to(device), seen.to(device)
    position = (seen.cumsum(1) - 1).clamp(min=0)
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    written: list[torch.Tensor] = []
    past: Any = None
    while True:
        output = network(
            input_ids=ids,
            attention_mask=seen,
            position_ids=position,
            past_key_values=past,
            use_cache=max_new_tokens > 1,
            logits_to_keep=1,
        )
        chosen = output.logits[:, -1].argmax(-1)
        written.append(chosen)
        finished |= chosen == end
        if len(written) == max_new_tokens or _all_finished(finished):
            break
        past = output.past_key_values
        ids = chosen[:, None]
        seen = torch.cat([seen, seen.new_ones(len(prompts), 1)], dim=1)
        position = position[:, -1:] + 1
    rows = torch.stack(written, dim=1).tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]


def answer_text(ids: Sequence[int], tokenizer: Any, task: str, prompts: Prompts) -> str:
    """The answer in words: `C50.9` for the compact model's token of that code, if it is one of this task."""
    if prompts.style == "instruct":
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    token = str(tokenizer.convert_ids_to_tokens(list(ids[:1]))[0]) if ids else ""
    inner = token.removeprefix(f"<|{task}:")
    return inner.removesuffix("|>") if inner != token else ""


def judged(pair: Asked, said: str) -> Hit:
    """What an answer is worth: the first code in it, or the first yes or no, against the pair's."""
    if pair.task == TUMOUR:
        word = _YES_NO.search(said.lower())
        right = word is not None and word[0] == pair.code
        return Hit(pair.row, pair.task, right, right, word is None)
    code = first_code(said, CodeSystem(pair.task))
    partial = code is not None and stem(code) == stem(pair.code)
    return Hit(pair.row, pair.task, code == pair.code, partial, code is None)


def _processes() -> tuple[int, int]:
    """How many processes run together, and which of them this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def _all_finished(finished: torch.Tensor) -> bool:
    """True where no process has an answer that is still being written."""
    left = (~finished).sum()
    if _processes()[0] > 1:
        torch.distributed.all_reduce(left)
    return int(left) == 0
