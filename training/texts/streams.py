"""Composed texts as a stream without repeats, and as a file.

write_texts(distinct_texts(rules, 3, allowed=lambda text: True), 200_000, Path("composed.parquet"))
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from index.records import CrosswalkRule
from training.runs import parquet_writer
from training.split import hash64
from training.texts.compose import ComposedText, Holdout, compose
from training.texts.noise import perturb


def distinct_texts(
    rules: Sequence[CrosswalkRule], seed: int, allowed: Callable[[str], bool]
) -> Iterator[ComposedText]:
    """An endless stream of texts that are all different, half of them with clinical noise. Memory grows by a
    hash per text (about 100 bytes); everything else is constant."""
    rng = random.Random(f"noise:{seed}")
    seen: set[int] = set()
    for made in compose(rules, seed=seed, count=2**62, holdout=Holdout()):
        text = perturb(made.text, rng) if rng.random() < 0.5 else made.text
        number = hash64(text)
        if number not in seen and allowed(made.text):
            seen.add(number)
            yield replace(made, text=text)


def write_texts(
    texts: Iterator[ComposedText], count: int, path: Path, progress: Callable[[int], None] = lambda n: None
) -> str:
    """Stream `count` texts to a Parquet file; returns the SHA-256 of its rows."""
    names = ("text", "icd10", "topography", "morphology", "kind")
    schema = pa.schema([(name, pa.string()) for name in names])
    digest = hashlib.sha256()
    with parquet_writer(path, schema) as writer:
        while count > 0:
            chunk = list(islice(texts, min(count, 20_000)))
            columns = {name: [getattr(made, name) for made in chunk] for name in names}
            for row in zip(*columns.values(), strict=True):
                digest.update(repr(row).encode())
            writer.write_table(pa.table(columns, schema=schema))
            count -= len(chunk)
            progress(len(chunk))
    return digest.hexdigest()
