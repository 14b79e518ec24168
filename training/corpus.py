"""Builds the training corpus: catalogue lines with noise, composed clinical texts, and what is no tumour.

    write_corpus(catalogue, split, Path("runs/models/corpus"), Plan())
    rows = read_rows(Path("runs/models/corpus/catalogue.parquet"))

Every text has gone through `agent.prepare`, so that models read in training what they will read in use.
Nothing of a held-out or development line gets in, from whichever catalogue, lexicon or composition: every
row passes `Split.bans` before and after noise.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from agent.prepare import core_of, prepare
from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.catalogue.lexicon import read_findings
from index.records import AXES, CatalogueLine, CodeSystem, CrosswalkRule
from training.documents.annotated import is_held_out, load_annotated
from training.documents.stretches import clauses, stretches
from training.plan import Plan
from training.runs import parquet_writer
from training.texts.compose import Holdout, compose
from training.texts.noise import perturb
from training.texts.notes import (
    Note,
    ailment,
    among_ailments,
    beside,
    bystander,
    no_tumour,
    noted,
    still_a_tumour,
)
from training.texts.tables import PHRASES
from training.texts.wrappers import one

UNKNOWN = ""  # the label is not known
NONE = "-"  # the text determines no code on this axis
_SCHEMA = pa.schema(
    [("raw", pa.string()), ("core", pa.string())]
    + [(axis.value, pa.string()) for axis in AXES]
    + [("tumour", pa.int8()), ("origin", pa.string()), ("line", pa.int32())]
)
_ROWS = 20_000
_AROUND = 60_000
_BESIDE_CLAUSES = 60_000
_NOTED = 0.3  # of the composed texts, so many stand in a note


class Bans(Protocol):
    """What may not be learnt; `training.split.Split` is one."""

    def bans(self, text: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One training text. `codes` follows AXES; `tumour` is 1, 0 or -1 (unknown); `line` numbers the
    catalogue line that the text was made from (-1: none), counted over `tumour_lines`."""

    raw: str
    core: str
    codes: tuple[str, str, str]
    tumour: int
    origin: str
    line: int = -1


def is_tumour_diagnosis(line: CatalogueLine) -> bool:
    """Whether a line stands in chapter II of ICD-10-GM, C00-D48."""
    return line.system is CodeSystem.ICD10GM and is_neoplasm(line.code)


def speaks_for_axis(line: CatalogueLine) -> bool:
    """Whether a line's code is an answer on one of the three axes."""
    return line.system in (CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY) or is_tumour_diagnosis(line)


def tumour_lines(catalogue: Catalogue, banned: Bans) -> list[CatalogueLine]:
    """The lines that speak for a code of an axis and may be learnt, in a stable order."""
    return [
        line for line in catalogue.searchable_lines if speaks_for_axis(line) and not banned.bans(line.text)
    ]


def other_lines(catalogue: Catalogue) -> list[CatalogueLine]:
    """Diagnoses that are no tumours, and procedures."""
    return [
        line
        for line in catalogue.searchable_lines
        if line.system is CodeSystem.OPS or (line.system is CodeSystem.ICD10GM and not is_neoplasm(line.code))
    ]


def _undivided_core(text: str) -> str | None:
    """The core of a text that holds one diagnosis; None where preparation cut off most of it, so that the
    text's labels would not be those of its first part."""
    cores = [segment.core for segment in prepare(text).diagnoses]
    longest = max(map(len, cores), default=0)
    return cores[0] if longest and len(cores[0]) > 0.6 * longest else None


def catalogue_rows(lines: Sequence[CatalogueLine], copies: int, banned: Bans, seed: int) -> Iterator[Row]:
    """Each line as it stands once, and `copies` times with clinical noise."""
    rng = random.Random(seed)
    for number, line in enumerate(lines):
        codes = [UNKNOWN] * 3
        codes[AXES.index(line.system)] = line.code
        tumour = -1 if line.system is CodeSystem.TOPOGRAPHY else 1
        for copy in range(copies + 1):
            text = perturb(line.text, rng) if copy else line.text
            if copy and banned.bans(text):
                continue
            yield Row(text, core_of(text), (codes[0], codes[1], codes[2]), tumour, "catalogue", number)


def composed_rows(
    rules: Sequence[CrosswalkRule], count: int, banned: Bans, seed: int, held_out: bool
) -> Iterator[Row]:
    """Composed clinical texts; `held_out` yields the site-and-morphology pairs kept from training."""
    rng = random.Random(seed + 100)
    for made in compose(rules, seed=seed, count=count, holdout=Holdout(), only_holdout=held_out):
        text, core = made.text, _undivided_core(made.text)
        if core is None or banned.bans(text) or banned.bans(core):
            continue
        if made.kind != "site" and rng.random() < _NOTED:
            note = noted(rng, text, made.topography)
            read = _read_in(note, core)
            if read is None:
                continue
            # What measures is a whole note; recognition learns from what preparation takes for the diagnosis.
            text, core = (note.text, read[1]) if held_out else read
        codes = (made.icd10 or NONE, made.topography or NONE, made.morphology or NONE)
        tumour = -1 if made.kind == "site" else 1
        yield Row(text, core, codes, tumour, "composed")


def _read_in(note: Note, core: str) -> tuple[str, str] | None:
    """The part of a note that preparation takes for the diagnosis with this core, as it stands and as its core; None
    where it is denied, or most of its words are somewhere else."""
    words = set(core.split())
    found = max(prepare(note.text).diagnoses, key=lambda segment: len(words & set(segment.core.split())))
    if found.denied or len(words & set(found.core.split())) < 0.6 * len(words):
        return None
    return note.text[slice(*found.span)], found.core


def _uncoded(text: str, tumour: int, origin: str) -> Row:
    return Row(text, core_of(text), (UNKNOWN, UNKNOWN, UNKNOWN), tumour, origin)


def other_rows(lines: Sequence[CatalogueLine], tumour_texts: Sequence[str], seed: int) -> Iterator[Row]:
    """What is no tumour: other catalogue lines, findings, and negatives built around tumour words."""
    rng = random.Random(seed)
    for line in lines:
        yield _uncoded(perturb(line.text, rng) if rng.random() < 0.6 else line.text, 0, "other")
    for finding in read_findings():
        for copy in range(8):
            yield _uncoded(perturb(finding, rng) if copy else finding, 0, "finding")
    for tumour_text in tumour_texts:
        yield _uncoded(no_tumour(rng, tumour_text), 0, "context")


def around_rows(lines: Sequence[CatalogueLine], tumour_texts: Sequence[str], seed: int) -> Iterator[Row]:
    """What recognition has to tell apart by the words around: other diagnoses with dates, sides and lists;
    tumours in a list of other ailments that prepares to one diagnosis, and beside what was done or ruled out."""
    rng = random.Random(seed)
    diagnoses = [line.text for line in lines if line.system is CodeSystem.ICD10GM and len(line.text) < 60]
    for text in rng.sample(diagnoses, k=min(len(diagnoses), _AROUND)):
        yield _uncoded(ailment(rng, perturb(text, rng) if rng.random() < 0.4 else text), 0, "around")
    for _ in range(2 * len(tumour_texts) // 3):
        yield _uncoded(bystander(rng), 0, "around")
    for tumour_text in rng.sample(tumour_texts, k=min(len(tumour_texts), _AROUND // 4)):
        text = among_ailments(
            rng, tumour_text, (rng.choice(diagnoses), one(rng, PHRASES["secondary diagnoses"]))
        )
        if len(prepare(text).diagnoses) == 1:
            yield _uncoded(text, 1, "around")
    for tumour_text in rng.sample(tumour_texts, k=min(len(tumour_texts), _AROUND // 5)):
        yield _uncoded(still_a_tumour(rng, tumour_text), 1, "around")


def annotated_rows(tumour_texts: Sequence[str], count: int, banned: Bans, seed: int) -> Iterator[Row]:
    """What recognition meets in the words of people: what the first `count` annotated documents tell, and tumours with clauses from them
    that say nothing of a tumour before and behind."""
    rng = random.Random(seed)
    documents = [one for one in load_annotated() if not is_held_out(one.text)][:count]
    for told in stretches(documents):
        if not banned.bans(told.core):
            yield Row(told.text, told.core, (UNKNOWN, UNKNOWN, UNKNOWN), int(told.tumour), "annotated")
    harmless = clauses(documents)
    for tumour_text in rng.sample(tumour_texts, k=min(len(tumour_texts), _BESIDE_CLAUSES)):
        text = beside(rng, perturb(tumour_text, rng), one(rng, harmless))
        words = set(core_of(tumour_text).split())
        found = max(prepare(text).diagnoses, key=lambda segment: len(words & set(segment.core.split())))
        if words & set(found.core.split()) and not found.denied:
            yield Row(found.wording, found.core, (UNKNOWN, UNKNOWN, UNKNOWN), 1, "annotated")


def is_measured(row: Row) -> bool:
    """Whether a row without a tumour is kept from training to fit and measure recognition: one in twenty, by
    the hash of its core, so that noisy copies of a text mostly fall on the same side."""
    digest = hashlib.blake2b(row.core.lower().encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return row.tumour == 0 and int.from_bytes(digest, "big") % 20 == 0


def kept_back(catalogue: Catalogue, count: int, seed: int = 13) -> tuple[list[str], list[str]]:
    """Up to `count` titles of procedures, and terms of diagnoses that are no tumours, that training never saw."""
    kept: dict[bool, set[str]] = {True: set(), False: set()}
    for line in other_lines(catalogue):
        if is_measured(_uncoded(line.text, 0, "other")):
            kept[line.system is CodeSystem.OPS].add(line.text)
    rng = random.Random(seed)
    procedures, diagnoses = (
        rng.sample(sorted(kept[ops]), k=min(count, len(kept[ops]))) for ops in (True, False)
    )
    return procedures, diagnoses


def write_rows(rows: Iterator[Row], path: Path) -> None:
    """Stream rows to Parquet."""
    with parquet_writer(path, _SCHEMA) as writer:
        while chunk := list(islice(rows, _ROWS)):
            columns = zip(
                *((r.raw, r.core, *r.codes, r.tumour, r.origin, r.line) for r in chunk), strict=True
            )
            writer.write_table(pa.table(dict(zip(_SCHEMA.names, columns, strict=True)), schema=_SCHEMA))


def read_rows(path: Path) -> list[Row]:
    table = pq.read_table(path)
    columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
    return [
        Row(raw, core, (icd10, topography, morphology), tumour, origin, line)
        for raw, core, icd10, topography, morphology, tumour, origin, line in zip(*columns, strict=True)
    ]


def write_corpus(
    catalogue: Catalogue, banned: Bans, folder: Path, plan: Plan, only: Collection[str] = ()
) -> dict[str, int]:
    """Write `catalogue`, `composed`, `composed_heldout`, `other`, `around` and `annotated` as Parquet into a folder, two
    processes at a time; parts that are there already are kept. `plan.contexts` tumour texts get words around them that make
    another thing of them, or leave them what they are. `only` names parts (all), which are the same with and
    without the others. Returns the rows of each part."""
    lines = tumour_lines(catalogue, banned)
    others = other_lines(catalogue)
    texts = [line.text for line in lines if line.system is CodeSystem.ICD10GM]
    seed, half = plan.seed, plan.composed // 2
    texts = random.Random(seed).sample(texts * 3, k=min(len(texts) * 3, plan.contexts))
    jobs: dict[str, tuple[Callable[..., Iterator[Row]], tuple[object, ...]]] = {
        "composed_1": (composed_rows, (catalogue.rules, half, banned, seed, False)),
        "composed_2": (composed_rows, (catalogue.rules, plan.composed - half, banned, seed + 1, False)),
        "catalogue": (catalogue_rows, (lines, plan.copies, banned, seed)),
        "other": (other_rows, (others, texts, seed)),
        "around": (around_rows, (others, texts, seed + 3)),
        "annotated": (annotated_rows, (texts, plan.annotated, banned, seed + 4)),
        "composed_heldout": (composed_rows, (catalogue.rules, plan.held_out, banned, seed + 2, True)),
    }
    if only:
        jobs = {name: jobs[name] for name in only}
    missing = {name: job for name, job in jobs.items() if not (folder / f"{name}.parquet").is_file()}
    # Fork: catalogue and generators are shared with the children instead of pickled.
    context = get_context("fork")
    running: list[ForkProcess] = []
    for name, (rows, arguments) in missing.items():
        process = context.Process(target=write_rows, args=(rows(*arguments), folder / f"{name}.parquet"))
        process.start()
        running.append(process)
        if len(running) == 2:
            _join(running.pop(0))
    for process in running:
        _join(process)
    return {name: pq.read_metadata(folder / f"{name}.parquet").num_rows for name in jobs}


def _join(process: ForkProcess) -> None:
    process.join()
    if process.exitcode:
        raise RuntimeError(f"a corpus process failed with exit code {process.exitcode}")
