"""How fast the system is, and whether FAISS finds what brute force finds.

    section = measure_speed(CodingAgent.load(), shared)
    section = measure_faiss(index.spaces["icd10gm"], encoder)

New processes are measured from outside, with everything that a user waits for; the index build is measured in a
process of its own, so that its peak memory is its own. Query texts are lexicon terms with clinical noise.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.report.section import Reading, Section, Share, tracked
from eval.run.environment import ROOT, peak_bytes
from eval.run.testsets import catalogue_files
from index.catalogue.lexicon import read_lexicon
from index.errors import OnkokodeError
from index.records import CodeSystem
from training.texts.noise import perturb

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from index.search.encoder import Encoder
    from index.search.index import Space

SEED = 13
_COMMAND = (sys.executable, "-c", "from agent.apps.cli import main; main()")
_PROBE = (
    "import sys; from eval.bench.speed import print_build_probe; print_build_probe(sys.argv[1], sys.argv[2])"
)
# The sides and remarks that a clinical text has beside its term.
_BEFORE = ("", "", "", "V.a. ", "Z.n. ", "bek. ")
_AFTER = ("", "", "", " links", " rechts", ", G2", " pT2 pN1 cM0", ", ED 2021")
_CHUNK = 500
# Float32 sums of products in another order differ by this much at most.
_EQUAL = 2e-6


def query_texts(count: int, seed: int = SEED) -> list[str]:
    """Distinct texts as a clinic might write them: lexicon terms with noise, a side, a remark."""
    terms = sorted({line.text for line in read_lexicon().lines if line.system is CodeSystem.ICD10GM})
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text = rng.choice(_BEFORE) + perturb(rng.choice(terms), rng) + rng.choice(_AFTER)
        found.setdefault(text)
    return list(found)


def measure_speed(
    agent: CodingAgent,
    shared: Path | None,
    *,
    texts: int = 3000,
    warm: int = 100,
    starts: int = 5,
    batches: int = 3,
    builds: int = 3,
) -> Section:
    """Every figure of speed. `shared` is None where there are no catalogue files to build an index from; new
    processes run with the environment of this one."""
    section = Section("speed", "Speed", "onkokode eval speed")
    helped = [_process(*_COMMAND, "--help") for _ in tracked(range(starts), "--help")]
    first = [_process(*_COMMAND, "code", "Mammakarzinom") for _ in tracked(range(starts), "first answer")]
    queries = query_texts(texts)
    for text in queries[:10]:
        agent.code(text)
    # The last texts, which the warm-up above has not seen.
    last = tracked(queries[-warm:], "single texts")
    singles = [1000 * _seconds(partial(agent.code, text)) for text in last]
    whole = [_seconds(lambda: sum(1 for _ in agent.code_many(queries))) for _ in range(batches)]
    rates = [texts / seconds for seconds in whole]
    section.readings += [
        reading_of("onkokode --help", "s", helped, asked=0.5),
        reading_of("first answer of a new process", "s", first, asked=12.0),
        reading_of("warm single text, three axes", "ms", singles, asked=80.0),
        reading_of(f"code_many over {texts:,} texts", "texts/s", rates, asked=150.0, at_least=True),
    ]
    if shared is not None:
        probes = [_build_probe(shared) for _ in tracked(range(builds), "index builds")]
        section.details["index_build"] = probes
        seconds, peaks = ([probe[name] for probe in probes] for name in ("seconds", "peak_mb"))
        section.readings += [
            reading_of("index of all catalogue files: build", "s", seconds, asked=180.0),
            reading_of("index of all catalogue files: peak memory", "MB", peaks, asked=3000.0),
        ]
        one = probes[-1]
        section.notes.append(
            f"Index build: {one['files']} files with {one['read']:,} lines, of which {one['indexed']:,} are "
            "indexed after duplicates are merged; reading the files, encoding and saving are all counted."
        )
    section.notes += [
        "Query texts: lexicon terms with typos, abbreviations, sides and remarks, all distinct, fixed seed.",
        "Other work on the machine slows these figures; lowest and highest show how much.",
    ]
    return section


def measure_faiss(
    space: Space, encoder: Encoder, *, queries: int = 10_000, k: int = 20, texts: Sequence[str] | None = None
) -> Section:
    """Whether FAISS returns the k nearest lines that NumPy finds by computing every cosine.

    `texts` (default: noisy lexicon terms) are the queries. Rows of equal cosine may stand for one another.
    """
    from index.search.retriever import search

    section = Section("faiss", f"FAISS against NumPy, space {space.name}", "onkokode eval faiss")
    asked = list(texts) if texts is not None else query_texts(queries)
    same_rows, same_up_to_ties, same_codes = [], [], []
    for start in tracked(range(0, len(asked), _CHUNK), "queries"):
        vectors = encoder.encode(asked[start : start + _CHUNK], CodeSystem(space.name))
        _, found = search(space, vectors, k)
        similarity = np.ascontiguousarray(vectors, dtype=np.float32) @ np.asarray(space.vectors, np.float32).T
        best = np.argpartition(-similarity, min(k, similarity.shape[1]) - 1, axis=1)[:, :k]
        for all_cosines, ours, theirs in zip(similarity, best, found, strict=True):
            rows, expected = set(theirs.tolist()), set(ours.tolist())
            same_rows.append(rows == expected)
            # The worst row kept is no worse than the worst that brute force keeps: any exchange was a tie.
            ties = len(rows) == len(expected) and -1 not in rows
            ties = ties and all_cosines[theirs].min() >= all_cosines[ours].min() - _EQUAL
            same_up_to_ties.append(bool(ties))
            same_codes.append(
                {space.code_of[row] for row in rows if row >= 0} == {space.code_of[row] for row in expected}
            )
    section.shares += [
        Share.of(f"same {k} nearest lines, ties by equal cosine allowed", same_up_to_ties, asked=1.0),
        Share.of(f"same {k} nearest lines, row by row", same_rows),
        Share.of(f"same codes among the {k} nearest lines", same_codes),
    ]
    lines, codes, dimensions = len(space.lines), len(space.codes), int(space.vectors.shape[1])
    section.details |= {"lines": lines, "codes": codes, "dimensions": dimensions}
    section.notes.append(f"A tie: cosines that differ by at most {_EQUAL:g}, the rounding of float32 sums.")
    return section


def print_build_probe(shared: str, folder: str) -> None:
    """What the measured process runs: the index of all catalogue files, built and saved; seconds and peak memory
    since its start as one line of JSON."""
    from index.catalogue.catalogue import Catalogue
    from index.search.encoder import Encoder
    from index.search.index import Index

    start = time.perf_counter()
    files = catalogue_files(Path(shared))
    catalogue = Catalogue.from_files(files)
    parsed = time.perf_counter()
    index = Index.build(catalogue, Encoder.load())
    built = time.perf_counter()
    index.save(Path(folder) / "index")
    end = time.perf_counter()
    probe = {
        "files": len(files),
        "read": catalogue.report["read"],
        "indexed": len(catalogue.searchable_lines),
        "seconds": round(end - start, 2),
        "seconds_reading": round(parsed - start, 2),
        "seconds_encoding": round(built - parsed, 2),
        "seconds_saving": round(end - built, 2),
        "peak_mb": round(peak_bytes() / 1e6, 1),
    }
    print(json.dumps(probe))


def _build_probe(shared: Path) -> dict[str, Any]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        output = _run(sys.executable, "-c", _PROBE, str(shared), folder)
    # Libraries may print before.
    return json.loads(output.strip().splitlines()[-1])


def _process(*command: str) -> float:
    return _seconds(lambda: _run(*command))


def _run(*command: str) -> str:
    """A new process' standard output. The working folder's packages are found from the checkout, too."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OnkokodeError(f"a measured process ended with {done.returncode}: {last}")
    return done.stdout


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def reading_of(
    name: str, unit: str, values: Sequence[float], *, asked: float | None = None, at_least: bool = False
) -> Reading:
    return Reading(name, median(values), unit, len(values), min(values), max(values), asked, at_least)
