"""Clinical statements as written, with the codes of all axes: what an adapter of a pretrained model learns from.

    rows = statement_rows(given, Path("runs/models"), texts=200_000, measured=600, seed=13)
    write_text_pairs(Path("runs/statements"), rows)

A pretrained model reads a text as it stands, with its abbreviations, dates and therapies, so nothing is prepared.
Drawn from the corpus of `onkokode train all`: catalogue lines with noise, composed texts, some of them in a whole
note, and what is no tumour.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from training.corpus import NONE, UNKNOWN, Row, is_measured
from training.fit import Material
from training.leak import TRAIN
from training.recipe import corpus_rows
from training.texts.notes import noted

_SHARES = (
    (0.25, ("catalogue",)),
    (0.55, ("composed_1", "composed_2")),
    (0.20, ("other", "around")),
)
_NOTED = 0.15  # of the composed texts, so many get a whole note around them


def statement_rows(
    given: Material, out: Path, *, texts: int, measured: int, seed: int
) -> dict[str, list[Row]]:
    """`train`, so many texts drawn from the corpus under `out`, and `development`: so many composed texts and a
    quarter as many negatives that no training saw, and the split's development lines."""
    rng = random.Random(seed)
    train: list[Row] = []
    for share, names in _SHARES:
        rows = [row for row in corpus_rows(out, *names) if not is_measured(row)]
        train += _in_notes(rng.sample(rows, k=min(len(rows), round(share * texts))), rng)
    rng.shuffle(train)
    held_out = corpus_rows(out, "composed_heldout")
    unseen = rng.sample(held_out, k=min(len(held_out), measured))
    unseen += [row for row in corpus_rows(out, "other") if is_measured(row)][: measured // 4]
    lines = [
        Row(x.text, x.text, (x.code, UNKNOWN, UNKNOWN), 1, "development") for x in given.split.development
    ]
    return {TRAIN: train, "development": [*lines, *unseen]}


def _in_notes(rows: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    for row in rows:
        topography = row.codes[1]
        whole = row.origin == "composed" and topography not in (NONE, UNKNOWN) and row.tumour == 1
        if whole and rng.random() < _NOTED:
            row = replace(row, raw=noted(rng, row.raw, topography).text)
        yield row
