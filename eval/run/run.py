"""The ablation: every variant answers every row of a test set, and leaves a folder that can be scored again.

    run_ablation(variants, load_testset("devsets", shared=shared), Models(), Path("runs/ablation"))

Rows are answered in chunks of a fixed size. After each, its answers and its cost are on the disk, so that a run
which was killed goes on where it stopped. No chunk depends on another one: the rows of a run that went on are,
byte by byte, those of a run that was never stopped (`eval.run.folder` says what lies where).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agent.agent import CodingAgent
from eval.run.answerers import Answerer, Reply, answerer_for, asked, example_prompts
from eval.run.environment import environment, peak_bytes
from eval.run.folder import FORMAT, AnsweredRow, Cost, RunWriter
from eval.run.models import Models, NotPossible, Parts
from eval.run.testsets import TestSet, row_name
from eval.run.variants import ADAPTERS, WITHOUT_MODEL, Variant
from eval.testset import Row
from index.io.progress import Pace
from index.records import AXES

Log = Callable[[str], None]  # gets the lines that a run says
CHUNK = 64  # rows that are answered together


def run_ablation(
    variants: Iterable[Variant],
    testset: TestSet,
    models: Models,
    out: Path,
    *,
    restart: bool = False,
    chunk: int = CHUNK,
    say: Log = print,
) -> list[Path]:
    """Run the variants on one test set, those of the same model one after another; the runs' folders.

    A variant that these models cannot run leaves a folder with the reason; the embedded ones must run all that are
    not for chat models. `restart` throws away what is there.

    Raises:
        RunError: a folder holds another run (other models, rows, prompts or packages).
        OnkokodeError: a model, an adapter or the encoder cannot be loaded.
    """
    # Before anything runs: what the package lacks is an error, what nobody named is left out below.
    for variant in (variants := tuple(variants)):
        with suppress(NotPossible):
            models.source(variant.adapter)
    parts = Parts.load(models, testset.catalogue)
    # What needs no model comes first, so that its peak memory is its own.
    ordered = sorted(
        variants, key=lambda v: (v.answer not in WITHOUT_MODEL, ADAPTERS.index(v.adapter), v.candidates or 0)
    )
    return [
        _run(variant, testset, parts, out / testset.name / variant.name, restart, chunk, say)
        for variant in ordered
    ]


def _run(
    variant: Variant, testset: TestSet, parts: Parts, folder: Path, restart: bool, chunk: int, say: Log
) -> Path:
    writer = RunWriter(folder, chunk)
    named = f"{testset.name}, {variant.name}"
    record: dict[str, Any] = {"finished": False, "skipped": None}
    try:
        if variant.answer != "agent" and any(row.expected for row in testset.rows):
            raise NotPossible("cannot be judged on traps: only the agent says what else a text holds")
        record |= _about(variant, testset, parts, chunk)
        done = 0 if restart else writer.resume(record)
        if done == len(testset.rows):
            say(f"{named}: is there already")
            return folder
        answerer = answerer_for(variant, parts)
        # A model of the hub has its commit only now that it is fetched.
        record["models"] = parts.models_of(variant)
    except NotPossible as reason:
        say(f"{named}: skipped: {reason}")
        if restart or not writer.answered:
            record |= {"format": FORMAT, "variant": asdict(variant), "testset": _of_testset(testset)}
            writer.start(record | {"skipped": str(reason)})
        return folder
    if done == 0:
        writer.start(record)
    else:
        say(f"{named}: goes on after {done:,} of {len(testset.rows):,} rows")
    _answer_rows(answerer, testset.rows, done, writer, lambda line: say(f"{named}: {line}"))
    writer.finish()
    return folder


def _answer_rows(answerer: Answerer, rows: Sequence[Row], done: int, writer: RunWriter, say: Log) -> None:
    # What is prepared once per model (thousands of codes, the first kernels) is no row's cost.
    answerer.answer(rows[:1])
    _forget_peak()
    pace = Pace(len(rows), "rows", say, done=done)
    seconds = 0.0
    for start in range(done, len(rows), writer.chunk):
        part = rows[start : start + writer.chunk]
        tokens, started = answerer.tokens, time.perf_counter()
        replies = answerer.answer(part)
        took = time.perf_counter() - started
        questions = sum(reply.questions for reply in replies)
        writer.append(
            [answered(row, reply) for row, reply in zip(part, replies, strict=True)],
            Cost(len(part), questions, round(took, 4), answerer.tokens - tokens, _peak_mb()),
        )
        seconds += took
        pace.step(len(part))
    say(f"{len(rows):,} rows, {1000 * seconds / (len(rows) - done):.1f} ms per text")


def answered(row: Row, reply: Reply) -> AnsweredRow:
    """What a run keeps of a row and its reply."""
    return AnsweredRow(
        row_name(row),
        {axis: row.gold(axis) or "" for axis in asked(row)},
        reply.answers,
        row.note,
        row.cluster,
        (row.tumour if row.tumour_stated else None, reply.tumour),
        reply.missed,
    )


def _about(variant: Variant, testset: TestSet, parts: Parts, chunk: int) -> dict[str, Any]:
    """What a run is of, and what it is measured with. Raises `NotPossible`."""
    models = parts.models_of(variant)
    measured_with = environment()
    weights, packages = measured_with.pop("weights"), measured_with.pop("packages")
    info = CodingAgent(parts.base).info()
    return {
        "format": FORMAT,
        "chunk": chunk,
        "variant": asdict(variant),
        "testset": _of_testset(testset),
        "models": models,
        "weights": weights,
        "catalogue": {name: info[name] for name in ("editions", "codes", "lines")},
        "prompts": example_prompts(
            parts.prompts(variant), [a for a in AXES if any(row.gold(a) for row in testset.rows)]
        ),
        "text": "each variant reads the diagnosis that agent.prepare finds in the text",
        "packages": packages,
        "measured_with": {
            **measured_with,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        },
    }


def _of_testset(testset: TestSet) -> dict[str, Any]:
    return {"name": testset.name, "n": len(testset.rows), "sha256": testset.sha256}


def _forget_peak() -> None:
    """Let the highest memory count from now on, where the system can (Linux); elsewhere it is the process'."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> float:
    """The highest memory since `_forget_peak`, a GPU's included."""
    on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return round((peak_bytes() + on_gpu) / 1e6, 1)
