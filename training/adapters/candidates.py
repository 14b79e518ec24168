"""What the retriever shows for a catalogue line that it has never seen: candidates for training prompts.

    found = cross_fitted(catalogue, part_of, folder, k=10, seed=13)
    found["alphabet-2023:17"]            # (('C50.9', 'Brustkrebs'), ('C50.4', …), …), best first

A line that is in the index finds itself, and a line that the encoder was trained on is found too easily: a
model that learns from such prompts learns to copy (RECIPES.md, point 5). So the training lines fall into
folds, near-duplicates together, and each fold is asked of an encoder and an index made from the others. The
lines that measure are asked of one made from all training lines, which is what the agent will have.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agent.decide.scores import shown
from agent.models.prompts import PromptCandidates
from agent.prepare import core_of
from index.catalogue.catalogue import Catalogue
from index.records import AXES, CatalogueLine, CodeSystem
from index.search.retriever import Retriever
from training.corpus import speaks_for_axis
from training.leak import TRAIN, near_groups, near_keys
from training.runs import log, parquet_writer
from training.split import hash64
from training.texts.noise import perturb

SPARE = 2  # found beyond those that a prompt shows, to take the place of a right code that is taken out
_BATCH = 256
_NOISY = 0.6
_SCHEMA = pa.schema(
    [("line", pa.string()), ("codes", pa.list_(pa.string())), ("lines", pa.list_(pa.string()))]
)


def cross_fitted(
    catalogue: Catalogue,
    part_of: Callable[[CatalogueLine], str | None],
    folder: Path,
    *,
    k: int,
    seed: int,
    folds: int = 3,
    steps: int = 400,
) -> Mapping[str, PromptCandidates]:
    """The k + `SPARE` best candidates of every line that speaks for an axis and has a part, by line id.

    A fold's encoder and finds are kept in `folder` while the others are made, so a killed run goes on; the
    finds stay there as `candidates.parquet`. `part_of` says which part of the split a line is in (None: none).
    """
    path = folder / "candidates.parquet"
    settings = json.dumps({"k": k, "seed": seed, "folds": folds, "steps": steps, "lines": _digest(catalogue)})
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file() and pq.read_metadata(path).metadata.get(b"onkokode") == settings.encode():
        return _read(path)
    spoken = catalogue.filtered(speaks_for_axis)
    parts = {line.line_id: part_of(line) for line in spoken.searchable_lines}
    place = folds_of([line for line in spoken.searchable_lines if parts[line.line_id] == TRAIN], folds)
    # The lines that measure make a last fold, which no encoder learns from.
    place |= {line: folds for line, part in parts.items() if part not in (TRAIN, None)}
    made_by = f"encoder-{hash64(settings):016x}"
    with parquet_writer(path, _SCHEMA.with_metadata({"onkokode": settings})) as out:
        for fold in range(folds + 1):
            others = {line for line, n in place.items() if n not in (fold, folds)}
            seen = spoken.filtered(lambda line, others=others: line.line_id in others)  # type: ignore[misc]
            asked = [line for line in spoken.searchable_lines if place.get(line.line_id) == fold]
            if not asked:
                continue
            log.info(
                f"candidates {fold + 1}/{folds + 1}: {len(asked):,} lines, from {len(seen.searchable_lines):,} others"
            )
            for rows in _found(seen, asked, folder / f"{made_by}-{fold}", k=k, seed=seed, steps=steps):
                out.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
    for encoder in folder.glob("encoder-*"):
        shutil.rmtree(encoder)
    return _read(path)


def _read(path: Path) -> Mapping[str, PromptCandidates]:
    table = pq.read_table(path)
    return {
        line: tuple(zip(codes, lines, strict=True))
        for line, codes, lines in zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True)
    }


def folds_of(lines: Sequence[CatalogueLine], folds: int) -> dict[str, int]:
    """The fold of each line by its id; whatever says the same, in any chain of spellings, shares a fold."""
    groups = near_groups([line.text for line in lines]).tolist()
    # A group goes by its smallest key, so that its fold does not depend on the order of the lines.
    smallest: dict[int, str] = {}
    for group, line in zip(groups, lines, strict=True):
        smallest[group] = min(smallest.get(group, "\U0010ffff"), near_keys(line.text)[1])
    return {
        line.line_id: hash64(f"fold:{smallest[group]}") % folds
        for group, line in zip(groups, lines, strict=True)
    }


def _found(
    seen: Catalogue, asked: Sequence[CatalogueLine], encoder_folder: Path, *, k: int, seed: int, steps: int
) -> list[list[dict[str, object]]]:
    from index.search.encoder import Encoder

    if not (encoder_folder / "onkokode.json").is_file():
        train_on_lines(seen, encoder_folder, steps=steps, seed=seed)
    encoder = Encoder.load(encoder_folder)
    retriever = Retriever.over(seen, encoder)
    chunks: list[list[dict[str, object]]] = []
    for axis in AXES:
        lines = [line for line in asked if line.system is axis]
        found = candidates_of(retriever, [core_of(line.text) for line in lines], axis, k + SPARE)
        chunks.append(
            [
                {"line": line.line_id, "codes": [c for c, _ in seen_as], "lines": [t for _, t in seen_as]}
                for line, seen_as in zip(lines, found, strict=True)
            ]
        )
    return chunks


def candidates_of(
    retriever: Retriever, texts: Sequence[str], axis: CodeSystem, k: int
) -> Iterator[PromptCandidates]:
    """The k best candidates of each text as a prompt shows them, in order."""
    for start in range(0, len(texts), _BATCH):
        for candidates in retriever.retrieve(texts[start : start + _BATCH], axis, k):
            yield shown(candidates)


def train_on_lines(catalogue: Catalogue, folder: Path, *, steps: int, seed: int) -> None:
    """An encoder of all three axes on a catalogue's lines, plain and with noise, and on nothing else."""
    from training.compact.encoder import Settings, save_encoder, train_axis, train_tokenizer

    tokenizer = train_tokenizer(core_of(line.text) for line in catalogue.searchable_lines)
    settings = Settings(steps=steps, seed=seed)
    tables = {}
    for axis in AXES:
        codes = catalogue.codable_codes(axis)
        known = set(codes)
        bank = [(line.text, line.code) for line in catalogue.searchable_lines
                if line.system is axis and line.code in known]  # fmt: skip

        def queries(
            rng: random.Random, n: int, bank: Sequence[tuple[str, str]] = bank
        ) -> list[tuple[str, str, int]]:
            drawn = []
            for row in (rng.randrange(len(bank)) for _ in range(n)):
                text, code = bank[row]
                drawn.append((perturb(text, rng) if rng.random() < _NOISY else text, code, row))
            return drawn

        tables[axis] = train_axis(bank, queries, codes, tokenizer, settings)
    save_encoder(folder, tokenizer, tables, settings, fingerprint=f"{hash64(str(folder)):016x}")


def _digest(catalogue: Catalogue) -> str:
    return f"{hash64(chr(10).join(line.line_id for line in catalogue.searchable_lines)):016x}"
