"""Instruction pairs from catalogues: question and answer for every line, task and form of asking.

    summary = write_pairs(catalogue, guard, held_out_codes, out, seed=13)
    summary["rows"]["train"]["icd10gm"]

Four tasks: the three axes, and whether a text is a tumour diagnosis at all (other diagnoses and procedures
are the negatives). A training line is asked in every form of `tables/questions.tsv` and in the agent's own;
lines that measure are asked in the agent's form only. One Parquet file per part, written as it is made.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agent.prompts import TUMOUR, Prompts, fenced
from index.catalogue import Catalogue
from index.records import AXES, CatalogueLine, CodeSystem
from training.corpus import is_tumour_diagnosis, speaks_for_axis
from training.hashing import SPAN, hash64
from training.leak import PARTS, TEST_CODE, TRAIN, LeakGuard

_QUESTIONS = Path(__file__).parent / "tables" / "questions.tsv"
_INSTRUCT = Prompts("instruct")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("task", "prompt", "completion", "text", "code", "line", "edition")]
    + [("form", pa.int8())]
)
_CHUNK = 20_000
_REPORT_EVERY = 5_000
# Recognition sees every negative line once, so every positive line thrice keeps the two in proportion.
_POSITIVE_FORMS = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer. `form` 0 is the agent's own prompt, n the n-th form of the table."""

    task: str
    prompt: str
    completion: str
    text: str
    code: str
    line: str
    edition: str
    form: int


@cache
def question_forms() -> Mapping[str, tuple[str, ...]]:
    """Per task its forms of asking, with `{text}` for the diagnosis text."""
    forms: dict[str, list[str]] = {}
    with _QUESTIONS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            forms.setdefault(row["task"], []).append(row["form"].replace("\\n", "\n"))
    return {task: tuple(values) for task, values in forms.items()}


def held_out_codes(catalogue: Catalogue, share: float, seed: int) -> frozenset[tuple[CodeSystem, str]]:
    """Codes of each axis of which no line may be learnt; the hash decides, whatever the catalogue holds."""
    return frozenset(
        (axis, code)
        for axis in AXES
        for code in catalogue.codable_codes(axis)
        if hash64(f"{seed}:{axis}:{code}") < share * SPAN
    )


def pairs_of(line: CatalogueLine, part: str, seed: int) -> Iterator[Pair]:
    """All pairs of a catalogue line; none where the line says nothing for any task."""
    tumour = line.system is CodeSystem.MORPHOLOGY or is_tumour_diagnosis(line)
    if speaks_for_axis(line):
        yield from _asked(line, line.system.value, line.code, part, seed)
    if line.system is not CodeSystem.TOPOGRAPHY and part != TEST_CODE:
        answer = _INSTRUCT.tumour_answer(tumour)
        yield from _asked(line, TUMOUR, answer, part, seed, _POSITIVE_FORMS if tumour else 1)


def _asked(
    line: CatalogueLine, task: str, answer: str, part: str, seed: int, limit: int | None = None
) -> Iterator[Pair]:
    forms = question_forms()[task]
    chosen: Sequence[int] = range(len(forms) + 1)
    if part != TRAIN:
        chosen = (0,)
    elif limit is not None:
        # Seeded by the line, so that a pair does not depend on what else was read.
        chosen = random.Random(f"{seed}:{line.line_id}:{task}").sample(chosen, limit)
    for form in chosen:
        if form:
            prompt = forms[form - 1].replace("{text}", fenced(line.text))
        elif task == TUMOUR:
            prompt = _INSTRUCT.tumour_question(line.text)
        else:
            prompt = _INSTRUCT.question(line.text, line.system)
        yield Pair(task, prompt, answer, line.text, line.code, line.line_id, line.edition, form)


def write_pairs(
    catalogue: Catalogue,
    guard: LeakGuard,
    codes: frozenset[tuple[CodeSystem, str]],
    out: Path,
    *,
    seed: int,
    files: Mapping[str, str],
    excluded: frozenset[str] = frozenset(),
    progress: Callable[[int], None] = lambda lines: None,
) -> dict[str, Any]:
    """Write `train`, `development`, `test_term` and `test_code` as Parquet, and the data card.

    `excluded` are line ids that the audit advises against. Returns what the card says. Half-written files
    carry the ending `.part`, so a killed run leaves nothing that looks complete.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    seen: dict[str, set[str]] = {axis.value: set() for axis in AXES}
    left_out: Counter[str] = Counter()
    digests = {part: hashlib.sha256() for part in PARTS}
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(pq.ParquetWriter(out / f"{part}.part", _SCHEMA, compression="zstd"))
            for part in PARTS
        }
        waiting: dict[str, list[Pair]] = {part: [] for part in PARTS}

        def flush(part: str) -> None:
            made = waiting[part]
            for pair in made:
                digests[part].update(f"{pair.task}\0{pair.prompt}\0{pair.completion}\n".encode())
            columns = {name: [getattr(pair, name) for pair in made] for name in _SCHEMA.names}
            writers[part].write_table(pa.table(columns, schema=_SCHEMA))
            waiting[part] = []

        for number, line in enumerate(catalogue.searchable_lines):
            if number % _REPORT_EVERY == 0 and number:
                progress(_REPORT_EVERY)
            if line.line_id in excluded:
                left_out["excluded by the audit's list"] += 1
                continue
            part = guard.part(line.text)
            if part is None:
                left_out["says what a test set says"] += 1
                continue
            of_held_out_code = (line.system, line.code) in codes
            if of_held_out_code and part == TRAIN:
                part = TEST_CODE
            if part == TEST_CODE and not of_held_out_code:
                left_out["says what a line of a held-out code says"] += 1
                continue
            for pair in pairs_of(line, part, seed):
                rows[part][pair.task] += 1
                waiting[part].append(pair)
                if part == TRAIN and pair.task in seen:
                    seen[pair.task].add(pair.code)
            if len(waiting[part]) >= _CHUNK:
                flush(part)
        for part in PARTS:
            flush(part)
    for part in PARTS:
        (out / f"{part}.part").replace(out / f"{part}.parquet")
    summary = {
        "pairs": sum(sum(counts.values()) for counts in rows.values()),
        "rows": {part: dict(counts) for part, counts in rows.items()},
        "forms": {task: len(forms) + 1 for task, forms in question_forms().items()},
        "codes": {axis.value: [len(seen[axis.value]), len(catalogue.codable_codes(axis))] for axis in AXES},
        "left_out": dict(left_out),
        "sha256": {part: digest.hexdigest() for part, digest in digests.items()},
        "editions": sorted(catalogue.editions),
        "files": dict(files),
        "seed": seed,
    }
    (out / "card.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_card(summary), encoding="utf-8")
    return {**summary, "seconds": time.monotonic() - started}


def _card(summary: Mapping[str, Any]) -> str:
    tasks = list(summary["forms"])
    lines = [
        "# Instruction pairs from German tumour catalogues",
        "",
        f"{summary['pairs']:,} pairs, seed {summary['seed']}.",
        "",
        "| part | " + " | ".join(tasks) + " | SHA-256 of the rows |",
        "|---" * (len(tasks) + 2) + "|",
    ]
    for part, counts in summary["rows"].items():
        cells = " | ".join(f"{counts.get(task, 0):,}" for task in tasks)
        lines.append(f"| {part} | {cells} | `{summary['sha256'][part][:16]}` |")
    forms = ", ".join(f"{task} {count}" for task, count in summary["forms"].items())
    lines += ["", f"Forms of asking: {forms}.", "", "| axis | codes with a training pair | codable codes |"]
    lines += [
        "|---|---|---|",
        *(f"| {axis} | {n:,} | {of:,} |" for axis, (n, of) in summary["codes"].items()),
    ]
    lines += [
        "",
        "Left out: " + (", ".join(f"{why}: {n:,}" for why, n in summary["left_out"].items()) or "nothing"),
    ]
    lines += ["", "Editions: " + ", ".join(summary["editions"]), "", "| file | SHA-256 |", "|---|---|"]
    lines += [f"| `{name}` | `{sha256[:16]}` |" for name, sha256 in sorted(summary["files"].items())]
    lines += [
        "",
        "Die Erstellung erfolgt unter Verwendung der maschinenlesbaren Fassung des Bundesinstituts für "
        "Arzneimittel und Medizinprodukte (BfArM).",
        "",
        "`development`, `test_term` and `test_code` hold terms, or codes, of which nothing stands in `train`, "
        "in whichever order, inflection or spelling.",
    ]
    return "\n".join(lines) + "\n"
