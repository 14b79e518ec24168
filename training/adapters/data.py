"""Instruction pairs as a model is asked them, streamed from Parquet: which rows, which prompt, which answer.

    pairs = PairFolder.open(Path("runs/pairs"), style="compact", vocabulary=tokenizer.get_vocab())
    for chunk in pairs.read("train", tasks=("icd10gm",), limit=50_000, seed=13):
        chunk[0].prompt, chunk[0].answer

A model of style `instruct` gets the columns `prompt` and `completion`. The other styles have their own prompts,
built from the columns `task`, `text`, `code` and `candidates`; forms of asking mean nothing to them, so pairs that
differ only in their form are one pair. Only a chunk of rows is in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agent.models.prompts import TUMOUR, YES, Prompts, Style, code_token
from agent.prepare import core_of
from index.errors import ModelError
from index.records import CodeSystem
from training.runs import log
from training.split import hash64

_CHUNK = 5_000
# The same text is asked for several axes, on rows next to each other.
_core = lru_cache(maxsize=50_000)(core_of)


@dataclass(frozen=True, slots=True)
class Example:
    """A pair as a model is asked it. `row` is its number in the file, `code` what the answer means; pairs of one
    `group` are questions about one text, whose prompts begin alike."""

    row: int
    task: str
    prompt: str
    answer: str
    code: str
    group: str


@dataclass
class PairFolder:
    """A folder that `onkokode train pairs` wrote, as a model with these prompts reads it.

    `left_out` counts, per part, the pairs whose answer the model has no token for (compact models only).
    """

    folder: Path
    prompts: Prompts
    sha256: str
    vocabulary: Container[str] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, style: Style = "instruct", vocabulary: Container[str] = ()) -> PairFolder:
        """Raises `ModelError` where the folder holds no data card."""
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            digest = str(card["sha256"]["train"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{folder}: no data card; write the pairs with `onkokode train pairs`"
            ) from error
        return cls(folder, Prompts(style, int(card.get("candidates") or 0)), digest, vocabulary)

    def read(
        self, part: str, tasks: tuple[str, ...], limit: int | None, seed: int
    ) -> Iterator[list[Example]]:
        """The pairs of a part, in the file's order, in chunks; a `limit` draws that many by the seed.

        Raises:
            ModelError: the file or one of its columns is missing, or no pair is left.
        """
        chosen = self._chosen(part, tasks, limit, seed)
        own = self.prompts.style != "instruct"
        columns = ["task", "completion", *(("text", "code") if own else ("prompt",))]
        seen: set[int] = set()
        start = 0
        for batch in self._batches(
            part, columns, optional=("line", "candidates", "candidate_lines") if own else ("line", "form")
        ):
            mask = chosen[start : start + len(batch)]
            rows = np.flatnonzero(mask) + start
            start += len(batch)
            if not len(rows):
                continue
            entries = batch.filter(pa.array(mask)).to_pylist()
            asked = [self._asked(int(row), entry) for row, entry in zip(rows, entries, strict=True)]
            if own:
                # Different texts can have the same core.
                asked = [pair for pair in asked if _new(f"{pair.prompt}\0{pair.answer}", seen)]
            yield asked

    def count(self, part: str) -> int:
        """Rows of a part's file, whatever their task."""
        return int(self._file(part).metadata.num_rows)

    def _chosen(self, part: str, tasks: tuple[str, ...], limit: int | None, seed: int) -> np.ndarray:
        """Per row of the file whether it is read: its task, its answer's token, no pair twice, and the draw, which takes
        all questions about a text or none."""
        compact, own = self.prompts.style == "compact", self.prompts.style != "instruct"
        keep: list[np.ndarray] = []
        seen: set[int] = set()
        groups: list[int] = []
        unknown = 0
        columns = ("task", "text", "code", "completion") if own else ("task",)
        for batch in self._batches(
            part, columns, optional=("line", "form", *(("candidates",) if own else ()))
        ):
            if limit is not None:
                groups += (
                    hash64(_group(len(groups) + i, entry)) for i, entry in enumerate(batch.to_pylist())
                )
            kept = np.ones(len(batch), dtype=bool)
            if tasks:
                kept = np.isin(np.array(batch["task"].to_pylist(), dtype=object), tasks)
            if own:
                entries = batch.to_pylist()
                for i in np.flatnonzero(kept):
                    entry = entries[i]
                    answer = self._answer(entry)
                    candidates = "\1".join(entry.get("candidates") or ())
                    if compact and answer not in self.vocabulary:
                        unknown += 1
                        kept[i] = False
                    elif not _new(f"{entry['task']}\0{entry['text']}\0{answer}\0{candidates}", seen):
                        kept[i] = False
            keep.append(kept)
        chosen = np.concatenate(keep) if keep else np.zeros(0, dtype=bool)
        self.left_out[part] = unknown
        if unknown:
            log.info(f"{part}: {unknown:,} pairs left out, the model has no token for their code")
        rows = np.flatnonzero(chosen)
        if not len(rows):
            raise ModelError(
                f"{self.folder / part}.parquet: no pair of the tasks {', '.join(tasks) or '(any)'} that this model "
                "can be asked"
            )
        if limit is not None and limit < len(rows):
            _, group = np.unique(np.array(groups, dtype=np.uint64)[rows], return_inverse=True)
            place = np.random.default_rng(seed).permutation(group.max() + 1)[group]
            taken = np.argsort(place, kind="stable")[:limit]
            chosen[:] = False
            chosen[rows[taken]] = True
        return chosen

    def _asked(self, row: int, entry: dict[str, Any]) -> Example:
        task, answer = entry["task"], self._answer(entry)
        group = _group(row, entry)
        if self.prompts.style == "instruct":
            return Example(row, task, entry["prompt"], answer, answer, group)
        compact = self.prompts.style == "compact"
        text = _core(entry["text"]) if compact else entry["text"]
        if task == TUMOUR:
            return Example(row, task, self.prompts.tumour_question(text), answer, entry["completion"], group)
        system = CodeSystem(task)
        shown = [
            (code, line)
            for code, line in zip(
                entry.get("candidates") or (), entry.get("candidate_lines") or (), strict=True
            )
            if not compact or code_token(code, system) in self.vocabulary
        ]
        code = entry["code"] if compact else entry["completion"]
        return Example(row, task, self.prompts.question(text, system, shown), answer, code, group)

    def _answer(self, entry: dict[str, Any]) -> str:
        """An answer in the style's words; a pair's own are those of `instruct`, as are those of `short`."""
        if self.prompts.style != "compact":
            return str(entry["completion"])
        if entry["task"] == TUMOUR:
            return self.prompts.tumour_answer(entry["completion"] == YES)
        return self.prompts.answer(entry["code"], CodeSystem(entry["task"]))

    def _file(self, part: str) -> pq.ParquetFile:
        path = self.folder / f"{part}.parquet"
        if not path.is_file():
            raise ModelError(f"{path} is missing; write it with `onkokode train pairs`")
        return pq.ParquetFile(path)

    def _batches(
        self, part: str, columns: Iterable[str], optional: tuple[str, ...]
    ) -> Iterator[pa.RecordBatch]:
        with self._file(part) as file:
            names = set(file.schema_arrow.names)
            missing = [name for name in columns if name not in names]
            if missing:
                raise ModelError(
                    f"{self.folder / part}.parquet has no column {missing[0]}; write the pairs again with "
                    "`onkokode train pairs`"
                )
            wanted = [*columns, *(name for name in optional if name in names)]
            yield from file.iter_batches(batch_size=_CHUNK, columns=wanted)


def _group(row: int, entry: Mapping[str, Any]) -> str:
    """What pairs about one text, asked in one form, have in common; a file without these columns has none."""
    return f"{entry.get('line', row)}\0{entry.get('form', '')}"


def _new(key: str, seen: set[int]) -> bool:
    number = hash64(key)
    if number in seen:
        return False
    seen.add(number)
    return True
