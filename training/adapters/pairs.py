"""Instruction pairs from catalogues: question and answer for every line, task and form of asking.

    summary = write_pairs(catalogue, Partition(guard, held_out_codes), out, seed=13)
    summary["rows"]["train"]["icd10gm"]

Four tasks: the three axes, and whether a text is a tumour diagnosis at all (other diagnoses and procedures
are the negatives). A training line is asked in every form of `tables/questions.tsv` and in the agent's own;
lines that measure are asked in the agent's form only. One Parquet file per part, written as it is made.

With the candidates of `training.adapters.candidates` a prompt shows candidates, as the agent's does: for training a varying
number in random order and in about a tenth of the prompts without the right code, so that the model learns to
weigh them instead of copying; for measuring what the retriever found, as it found it.
"""

from __future__ import annotations

import csv
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa

from agent.models.prompts import TUMOUR, PromptCandidates, Prompts, candidate_lines, fenced
from index.catalogue.catalogue import Catalogue
from index.io.markdown import markdown_table
from index.records import AXES, CatalogueLine, CodeSystem
from training.corpus import NONE, UNKNOWN, Row, is_tumour_diagnosis, speaks_for_axis
from training.leak import PARTS, TEST_CODE, TRAIN, LeakGuard
from training.runs import parquet_writer, write_json
from training.split import SPAN, hash64

_CARD = Path(__file__).parents[1] / "cards" / "pairs.md"
_QUESTIONS = Path(__file__).parents[1] / "texts" / "tables" / "questions.tsv"
_INSTRUCT = Prompts("instruct")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("task", "prompt", "completion", "text", "code", "line", "edition")]
    + [("form", pa.int8()), ("candidates", pa.list_(pa.string())), ("candidate_lines", pa.list_(pa.string()))]
)
_CHUNK = 20_000
_REPORT_EVERY = 5_000
# Recognition sees every negative line once, so every positive line thrice keeps the two in proportion.
_POSITIVE_FORMS = 3
_FEWEST_SHOWN = 3
# This share of the training prompts is to lack the right code; what the retriever misses by itself counts.
_MISSING = 0.10


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer. `form` 0 is the agent's own prompt, n the n-th form of the table;
    `candidates` are the codes that the prompt shows, with `candidate_lines`."""

    task: str
    prompt: str
    completion: str
    text: str
    code: str
    line: str
    edition: str
    form: int
    candidates: tuple[str, ...] = ()
    candidate_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class CandidateSource:
    """What the retriever found for each asked text, by its key (`training.adapters.candidates`), of which a prompt
    shows up to k. From the share `taken_out` of the training prompts the right code is taken out."""

    k: int
    found: Mapping[str, PromptCandidates]
    taken_out: float = 0.0

    @classmethod
    def of(
        cls, k: int, found: Mapping[str, PromptCandidates], train: Iterable[tuple[str, str]]
    ) -> CandidateSource:
        """With as much taken out as a tenth needs, going by what was found for the training texts, given as
        (key, right code)."""
        places = []
        for key, code in train:
            if key in found:
                codes = [candidate for candidate, _ in found[key]]
                places.append(codes.index(code) if code in codes else k)
        sizes = range(min(_FEWEST_SHOWN, k), k + 1)
        missed = sum(place >= size for place in places for size in sizes) / max(1, len(places) * len(sizes))
        return cls(k, found, max(0.0, (_MISSING - missed) / (1 - missed)) if missed < 1 else 0.0)

    def drawn(self, key: str, code: str, part: str, seed: str) -> PromptCandidates:
        """The candidates of one prompt whose right answer is `code`; `seed` seeds the draw."""
        found = self.found.get(key, ())
        if part != TRAIN:
            return found[: self.k]
        rng = random.Random(seed)
        kept = [c for c in found if c[0] != code] if rng.random() < self.taken_out else list(found)
        kept = kept[: rng.randint(min(_FEWEST_SHOWN, self.k), self.k)]
        rng.shuffle(kept)
        return tuple(kept)


@dataclass(frozen=True)
class Partition:
    """Which part each line is in. No line of a held-out code may be learnt; `excluded` are line ids that the
    audit advises against."""

    guard: LeakGuard
    held_out_codes: frozenset[tuple[CodeSystem, str]]
    excluded: frozenset[str] = frozenset()

    def part_of(self, line: CatalogueLine) -> str | None:
        """The part, None where the line is in none."""
        return self.place(line)[0]

    def place(self, line: CatalogueLine) -> tuple[str | None, str]:
        """The part, or None and why."""
        if line.line_id in self.excluded:
            return None, "excluded by the audit's list"
        part = self.guard.part(line.text)
        if part is None:
            return None, "says what a test set says"
        of_held_out_code = (line.system, line.code) in self.held_out_codes
        if of_held_out_code and part == TRAIN:
            return TEST_CODE, ""
        if part == TEST_CODE and not of_held_out_code:
            return None, "says what a line of a held-out code says"
        return part, ""


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


def pairs_of(
    line: CatalogueLine, part: str, seed: int, source: CandidateSource | None = None
) -> Iterator[Pair]:
    """All pairs of a catalogue line; none where the line says nothing for any task."""
    tumour = line.system is CodeSystem.MORPHOLOGY or is_tumour_diagnosis(line)
    if speaks_for_axis(line):
        yield from _asked(line, line.system.value, line.code, part, seed, source)
    if line.system is not CodeSystem.TOPOGRAPHY and part != TEST_CODE:
        answer = _INSTRUCT.tumour_answer(tumour)
        yield from _asked(line, TUMOUR, answer, part, seed, None, _POSITIVE_FORMS if tumour else 1)


def _asked(
    line: CatalogueLine,
    task: str,
    answer: str,
    part: str,
    seed: int,
    source: CandidateSource | None,
    limit: int | None = None,
) -> Iterator[Pair]:
    forms = question_forms()[task]
    chosen: Sequence[int] = range(len(forms) + 1)
    if part != TRAIN:
        chosen = (0,)
    elif limit is not None:
        # Seeded by the line, so that a pair does not depend on what else was read.
        chosen = random.Random(f"{seed}:{line.line_id}:{task}").sample(chosen, limit)
    for form in chosen:
        seed_of_form = f"{seed}:{line.line_id}:{form}"
        seen = source.drawn(line.line_id, line.code, part, seed_of_form) if source else ()
        if form:
            prompt = candidate_lines(seen) + forms[form - 1].replace("{text}", fenced(line.text))
        elif task == TUMOUR:
            prompt = _INSTRUCT.tumour_question(line.text)
        else:
            prompt = Prompts("instruct", len(seen)).question(line.text, line.system, seen)
        codes, lines = zip(*seen, strict=True) if seen else ((), ())
        yield Pair(task, prompt, answer, line.text, line.code, line.line_id, line.edition, form, codes, lines)


def write_pairs(
    catalogue: Catalogue,
    places: Partition,
    out: Path,
    *,
    seed: int,
    files: Mapping[str, str],
    source: CandidateSource | None = None,
    progress: Callable[[int], None] = lambda lines: None,
) -> dict[str, Any]:
    """Write `train`, `development`, `test_term` and `test_code` as Parquet, and the data card.

    Returns what the card says. A killed run leaves nothing that looks complete.
    """
    started = time.monotonic()
    rows: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    seen: dict[str, set[str]] = {axis.value: set() for axis in AXES}
    left_out: Counter[str] = Counter()
    shown: Counter[bool] = Counter()  # training prompts with candidates: with and without the right code
    digests = {part: hashlib.sha256() for part in PARTS}
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(parquet_writer(out / f"{part}.parquet", _SCHEMA)) for part in PARTS
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
            part, why = places.place(line)
            if part is None:
                left_out[why] += 1
                continue
            for pair in pairs_of(line, part, seed, source):
                rows[part][pair.task] += 1
                waiting[part].append(pair)
                if part == TRAIN and pair.task in seen:
                    seen[pair.task].add(pair.code)
                if part == TRAIN and pair.candidates:
                    shown[pair.code in pair.candidates] += 1
            if len(waiting[part]) >= _CHUNK:
                flush(part)
        for part in PARTS:
            flush(part)
    summary = {
        "pairs": sum(sum(counts.values()) for counts in rows.values()),
        "rows": {part: dict(counts) for part, counts in rows.items()},
        "forms": {task: len(forms) + 1 for task, forms in question_forms().items()},
        "codes": {axis.value: [len(seen[axis.value]), len(catalogue.codable_codes(axis))] for axis in AXES},
        "left_out": dict(left_out),
        "candidates": source.k if source else 0,
        "without_the_right_code": round(shown[False] / shown.total(), 4) if shown else None,
        "sha256": {part: digest.hexdigest() for part, digest in digests.items()},
        "editions": sorted(catalogue.editions),
        "files": dict(files),
        "seed": seed,
    }
    write_json(out / "card.json", summary)
    (out / "README.md").write_text(_card(summary), encoding="utf-8")
    return {**summary, "seconds": time.monotonic() - started}


def write_text_pairs(
    folder: Path, parts: Mapping[str, Sequence[Row]], source: CandidateSource | None = None
) -> None:
    """Pairs from texts with labels on several axes instead of catalogue lines, asked in the agent's form, with
    candidates where `source` holds some under `text_key`."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for part, rows in parts.items():
        digest = hashlib.sha256()
        pairs = (pair for number, row in enumerate(rows) for pair in _of_text(row, part, number, source))
        with parquet_writer(folder / f"{part}.parquet", _SCHEMA) as writer:
            while chunk := list(islice(pairs, _CHUNK)):
                for pair in chunk:
                    digest.update(f"{pair.prompt}\0{pair.completion}\n".encode())
                writer.write_table(pa.Table.from_pylist([asdict(pair) for pair in chunk], schema=_SCHEMA))
        digests[part] = digest.hexdigest()
    write_json(folder / "card.json", {"sha256": digests, "candidates": source.k if source else 0})


def text_key(part: str, number: int, axis: CodeSystem) -> str:
    """The key of a text's candidates: row `number` of a part, on an axis."""
    return f"{part}:{number}:{axis.value}"


def _of_text(row: Row, part: str, number: int, source: CandidateSource | None) -> Iterator[Pair]:
    at = f"{part}:{number}"
    for axis, code in zip(AXES, row.codes, strict=True):
        # That no code fits is learnt, but it is no code that could be measured.
        if code == UNKNOWN or (code == NONE and part != TRAIN):
            continue
        code = _INSTRUCT.answer(None if code == NONE else code, axis)
        key = text_key(part, number, axis)
        seen = source.drawn(key, code, part, key) if source else ()
        codes, lines = zip(*seen, strict=True) if seen else ((), ())
        prompt = Prompts("instruct", len(seen)).question(row.raw, axis, seen)
        yield Pair(axis.value, prompt, code, row.raw, code, at, row.origin, 0, codes, lines)
    if row.tumour >= 0:
        answer = _INSTRUCT.tumour_answer(row.tumour == 1)
        yield Pair(TUMOUR, _INSTRUCT.tumour_question(row.raw), answer, row.raw, "", at, row.origin, 0)


def _card(summary: Mapping[str, Any]) -> str:
    tasks = list(summary["forms"])
    parts = [
        (part, *(f"{counts.get(task, 0):,}" for task in tasks), f"`{summary['sha256'][part][:16]}`")
        for part, counts in summary["rows"].items()
    ]
    codes = [(axis, f"{n:,}", f"{of:,}") for axis, (n, of) in summary["codes"].items()]
    files = [(f"`{name}`", f"`{sha256[:16]}`") for name, sha256 in sorted(summary["files"].items())]
    candidates = ""
    if summary["candidates"]:
        candidates = (
            f"Prompts show up to {summary['candidates']} candidates, cross-fitted; in "
            f"{summary['without_the_right_code']:.1%} of the training prompts the right code is not among them.\n\n"
        )
    return Template(_CARD.read_text(encoding="utf-8")).substitute(
        pairs=f"{summary['pairs']:,}",
        seed=summary["seed"],
        parts=markdown_table(("part", *tasks, "SHA-256 of the rows"), parts),
        forms=", ".join(f"{task} {count}" for task, count in summary["forms"].items()),
        codes=markdown_table(("axis", "codes with a training pair", "codable codes"), codes),
        left_out=", ".join(f"{why}: {n:,}" for why, n in summary["left_out"].items()) or "nothing",
        candidates=candidates,
        editions=", ".join(summary["editions"]),
        files=markdown_table(("file", "SHA-256"), files),
    )
