"""What an encoder is tuned on: pairs of a query and a line of its code, near lines of other codes, batches.

    lines, development = known_lines(material(catalogues), CodeSystem.ICD10GM)
    near = mine_negatives(encoder.encode([line.text for line in lines], CodeSystem.ICD10GM), lines)
    pairs = query_pairs(lines, near, composed, split, plan)

Nothing of a held-out or development line gets in: `training.corpus.tumour_lines` leaves the split's terms out,
and noisy copies and composed texts pass `Split.bans` again.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers.base.sampler import DefaultBatchSampler

from agent.prepare import core_of
from index.errors import ModelError
from index.records import AXES, CatalogueLine, CodeSystem
from training.corpus import Bans, tumour_lines
from training.leak import DEVELOPMENT, LeakGuard, near_keys
from training.plan import TuningPlan
from training.texts.noise import perturb

if TYPE_CHECKING:
    from datasets import Dataset

    from training.fit import Material

ComposedQueries = Sequence[tuple[str, str]]  # (text, code)
# As many near lines of other codes as a line draws its hard negatives from.
_POOL = 10
_CHUNK = 512


@dataclass(frozen=True)
class QueryPairs:
    """Row i asks `anchors[i]`, answered by `positives[i]` and not by `negatives[0][i]`, `negatives[1][i]` …;
    `codes[i]` numbers the code of the answer and then those of the negatives."""

    anchors: list[str]
    positives: list[str]
    negatives: list[list[str]]
    codes: list[list[int]]


class OneLinePerCode(DefaultBatchSampler):
    """Batches in which no code is the answer twice, and none is both an answer and a hard negative.

    The column `label` holds a row's code number and then those of its hard negatives. Codes are drawn in
    proportion to the rows that they have left. An epoch has as many batches as can be full: rows of codes with
    more rows than batches wait for another epoch, so the largest codes do not dominate.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        drop_last: bool = False,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> None:
        labels = np.array(dataset.with_format(None)["label"], dtype=np.int64).reshape(len(dataset), -1)
        counts = np.unique(labels[:, 0], return_counts=True)[1]
        batch_size = min(batch_size, len(counts))
        super().__init__(dataset, batch_size, drop_last, valid_label_columns, generator, seed)
        self._labels = labels
        # The mean number of different codes that n batches can hold only falls with n.
        self._batches = 1
        while np.minimum(counts, self._batches + 1).sum() >= batch_size * (self._batches + 1):
            self._batches += 1

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        shuffled = rng.permutation(len(self._labels))
        codes, start = np.unique(self._labels[shuffled, 0], return_inverse=True)
        queues = np.split(
            shuffled[np.argsort(start, kind="stable")],
            np.cumsum(np.bincount(start, minlength=len(codes)))[:-1],
        )
        left = np.array([len(queue) for queue in queues])
        for rest in range(self._batches, 0, -1):
            # Gumbel noise on the logarithm draws without replacement, in proportion to what is left.
            with np.errstate(divide="ignore"):
                drawn = np.log(left) + rng.gumbel(size=len(left))
            # A code with a row for every batch that is left goes into each, or the last ones could not be full.
            order = np.argsort(-np.where(left >= rest, np.inf, drawn), kind="stable")
            batch: list[int] = []
            answers: set[int] = set()
            negatives: set[int] = set()
            for place in order:
                if len(batch) == self.batch_size or not left[place]:
                    break
                row = int(queues[place][left[place] - 1])
                code, *wrong = self._labels[row].tolist()
                if code in negatives or not answers.isdisjoint(wrong):
                    continue
                batch.append(row)
                answers.add(code)
                negatives.update(wrong)
                left[place] -= 1
            yield batch


def known_lines(
    given: Material, axis: CodeSystem, limit: int | None = None, seed: int = 13
) -> tuple[list[CatalogueLine], list[CatalogueLine]]:
    """The lines of an axis that may be learnt, and those to develop on.

    The study's split knows ICD-10-GM only; on the other axes the development share of the leak guard is
    taken out. `limit` keeps that many lines, drawn by the seed.
    """
    lines = [line for line in tumour_lines(given.catalogue, given.split) if line.system is axis]
    development = list(given.split.development)
    if axis is not CodeSystem.ICD10GM:
        guard = LeakGuard.of(given.split)
        development = [line for line in lines if guard.part(line.text) == DEVELOPMENT]
        lines = [line for line in lines if guard.part(line.text) != DEVELOPMENT]
    if not lines:
        raise ModelError(f"no catalogue line to train {axis.value} on")
    if limit is not None and limit < len(lines):
        lines = random.Random(seed).sample(lines, limit)
    return lines, development


def mine_negatives(vectors: np.ndarray, lines: Sequence[CatalogueLine]) -> np.ndarray:
    """Per line the numbers of the ten nearest lines with another code and other words, int32 (n, 10).

    Own code, not the library's `mine_hard_negatives`: that one knows which texts are positives, but not which
    lines share a code, and would name a code's own lines as its negatives. -1 where there are fewer.
    """
    code = np.unique([line.code for line in lines], return_inverse=True)[1]
    words = np.unique([near_keys(line.text)[1] for line in lines], return_inverse=True)[1]
    # What stands under several codes is nobody's negative: it would be right for one of them.
    pairs = np.unique(np.stack([words, code]), axis=1)
    ambiguous = np.bincount(pairs[0])[words] > 1
    k = min(_POOL, len(lines))
    found = np.full((len(lines), k), -1, dtype=np.int32)
    for start in range(0, len(lines), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(lines)))
        similarity = vectors[rows] @ vectors.T
        similarity[(code[rows, None] == code) | (words[rows, None] == words) | ambiguous] = -np.inf
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        found[rows] = np.where(np.isneginf(np.take_along_axis(similarity, near, axis=1)), -1, near)
    return found


def composed_queries(
    path: Path, banned: Bans, count: int, seed: int
) -> dict[CodeSystem, list[tuple[str, str]]]:
    """Texts of a file that `onkokode train compose` wrote, by axis, as the agent would read them."""
    try:
        table = pq.read_table(path, columns=["text", "icd10", "topography", "morphology"])
    except (OSError, pa.ArrowInvalid) as error:
        raise ModelError(f"{path}: not a file that `onkokode train compose` wrote") from error
    chosen = random.Random(seed).sample(range(table.num_rows), min(count, table.num_rows))
    queries: dict[CodeSystem, list[tuple[str, str]]] = {axis: [] for axis in AXES}
    for row in table.take(sorted(chosen)).to_pylist():
        core = core_of(row["text"])
        if banned.bans(row["text"]) or banned.bans(core):
            continue
        for axis, name in zip(AXES, ("icd10", "topography", "morphology"), strict=True):
            if row[name] is not None:
                queries[axis].append((core, row[name]))
    return queries


def query_pairs(
    lines: Sequence[CatalogueLine],
    near: np.ndarray | None,
    composed: ComposedQueries,
    banned: Bans,
    plan: TuningPlan,
) -> QueryPairs:
    """All pairs of an axis; `near` as `mine_negatives` gives it."""
    rng = random.Random(plan.seed)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        rows_of[line.code].append(row)
    # text, line that answers it, line whose neighbours are its negatives
    drawn: list[tuple[str, int, int]] = []
    for row, line in enumerate(lines):
        partners = [other for other in rows_of[line.code] if lines[other].text != line.text]
        drawn += [
            (line.text, other, row) for other in rng.sample(partners, min(plan.partners, len(partners)))
        ]
        for _ in range(plan.noisy_copies):
            noisy = perturb(line.text, rng)
            core = core_of(noisy)
            if core != line.text and not (banned.bans(noisy) or banned.bans(core)):
                drawn.append((core, rng.choice(rows_of[line.code]), row))
    for text, code in composed:
        if code in rows_of:
            answer = rng.choice(rows_of[code])
            drawn.append((text, answer, answer))
    number = {code: n for n, code in enumerate(sorted(rows_of))}
    pairs = QueryPairs([], [], [[] for _ in range(plan.hard_negatives)], [])
    for text, answer, row in drawn:
        pool = [int(n) for n in near[row] if n >= 0] if near is not None else []
        if len(pool) < plan.hard_negatives:
            continue
        wrong = rng.sample(pool, plan.hard_negatives)
        pairs.anchors.append(text)
        pairs.positives.append(lines[answer].text)
        for texts, n in zip(pairs.negatives, wrong, strict=True):
            texts.append(lines[n].text)
        pairs.codes.append([number[lines[n].code] for n in (answer, *wrong)])
    if not pairs.anchors:
        raise ModelError(
            "no pair to train on: every code has one line, and there are no copies or composed texts"
        )
    return pairs
