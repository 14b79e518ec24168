"""From catalogues to everything that ships: one readable pipeline.

    onkokode train all --catalogues ../shared/catalogues --out runs/models

Each step writes a folder or file under `out` and is skipped where that is there already, so a stopped run
goes on where it was. Steps: corpus, encoder, base model, adapter, adapter with candidates, recogniser, fit;
`publish` copies the result into the package with model cards.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.models.prompts import PromptCandidates
from index.catalogue.catalogue import Catalogue
from index.catalogue.store import files_below
from index.errors import ModelError
from index.io.progress import Pace
from index.records import AXES, CodeSystem
from training.adapters.pairs import CandidateSource, text_key, write_text_pairs
from training.corpus import UNKNOWN, Row, is_measured, read_rows, tumour_lines, write_corpus
from training.fit import Material, fit, trained_context
from training.leak import TRAIN
from training.plan import DEFAULT, LoraPlan, Plan
from training.runs import log, write_json
from training.split import Split

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from training.compact.encoder import AxisTable

# Parts of the corpus that recognition learns from.
_RECOGNISED = ("catalogue", "composed_1", "other", "around", "annotated")


def material(catalogues: Path) -> Material:
    """Read all catalogue files under a folder and keep the held-out lines out."""
    parsed = list(files_below([catalogues]))
    split = Split.of(parsed)
    catalogue = split.catalogue_without(Catalogue.from_files(parsed))
    return Material(catalogue, split, {file.path.name: file.sha256 for file in parsed})


def train_all(given: Material, out: Path, plan: Plan = DEFAULT) -> None:
    """Run every step that has not been run yet."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    counts = write_parts(given, out, plan)
    log.info(f"corpus: {counts} [{time.monotonic() - started:.0f} s]")
    write_json(out / "plan.json", {"plan": asdict(plan), "files": given.files, "rows": counts})
    train_encoder(given, out, plan)
    train_model(given, out, plan)
    train_adapter(given, out, plan)
    train_adapter_with_candidates(given, out, plan)
    train_recogniser(out)
    if not (out / "decision.json").is_file():
        fit(given, trained_context(given, out), out / "corpus").save(out / "decision.json")
    log.info(f"trained in {time.monotonic() - started:.0f} s")


def write_parts(
    given: Material, out: Path, plan: Plan = DEFAULT, only: Collection[str] = ()
) -> dict[str, int]:
    """The corpus, or one part of it; its rows by part."""
    return write_corpus(given.catalogue, given.split, out / "corpus", plan, only)


def corpus_rows(out: Path, *names: str) -> list[Row]:
    """Rows of the named parts of the corpus, one after another."""
    return [row for name in names for row in read_rows(out / "corpus" / f"{name}.parquet")]


def train_encoder(given: Material, out: Path, plan: Plan) -> Path:
    """The tokeniser and one table per axis."""
    from training.compact.encoder import Settings, save_encoder, train_axis, train_tokenizer

    folder = out / "encoder"
    if (folder / "onkokode.json").is_file():
        return folder
    lines = tumour_lines(given.catalogue, given.split)
    made = corpus_rows(out, "catalogue")
    composed = corpus_rows(out, "composed_1", "composed_2")
    sample = random.Random(plan.seed).sample(composed, k=min(len(composed), 60_000))
    tokenizer = train_tokenizer([row.core for row in made] + [row.core for row in sample])
    tables = {}
    settings = Settings()
    for axis in AXES:
        place = AXES.index(axis)
        codes = given.catalogue.codable_codes(axis)
        allowed = set(codes)
        bank = [(i, line) for i, line in enumerate(lines) if line.system is axis and line.code in allowed]
        bank_row = {i: n for n, (i, _) in enumerate(bank)}
        near = [row for row in made if row.line in bank_row]
        far = [row for row in composed if row.codes[place] in allowed]
        settings = Settings(dimension=plan.dimensions[axis.value], steps=plan.encoder_steps, seed=plan.seed)
        started = time.monotonic()
        tables[axis] = train_axis(
            [(line.text, line.code) for _, line in bank],
            alternating(near, far, bank_row, place),
            codes,
            tokenizer,
            settings,
            paced(f"encoder {axis.value}", settings.steps),
        )
        log.info(
            f"encoder {axis.value}: {len(bank)} lines, {len(far)} composed [{time.monotonic() - started:.0f} s]"
        )
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for table in tables.values():
        digest.update(table.weights.half().numpy().tobytes())
    save_encoder(folder, tokenizer, tables, settings, digest.hexdigest()[:16])
    return folder


def train_model(given: Material, out: Path, plan: Plan) -> Path:
    """The compact base model, from the encoder's tables."""
    from training.compact.batches import batches
    from training.compact.model import code_tokenizer, new_model, save_model, train

    folder = out / "model"
    if (folder / "model.safetensors").is_file():
        return folder
    pieces, tables = load_tables(out / "encoder")
    codes = {axis: given.catalogue.codable_codes(axis) for axis in AXES}
    tokenizer = code_tokenizer(pieces, codes)
    model = new_model(tokenizer, tables, seed=plan.seed)
    log.info(f"model: {model.num_parameters() / 1e6:.1f} M parameters")
    pools = {
        "catalogue": corpus_rows(out, "catalogue"),
        "composed": corpus_rows(out, "composed_1", "composed_2"),
        "other": [
            row for row in corpus_rows(out, "other", "around") if row.tumour == 0 and not is_measured(row)
        ],
    }
    shares = {"catalogue": 0.46, "composed": 0.42, "other": 0.12}
    train(
        model,
        question_ids(tokenizer),
        batches(pools, shares, tokenizer, plan.batch, plan.seed),
        plan.model_steps,
        report=paced("model", plan.model_steps),
        checkpoint=out / "model.checkpoint.safetensors",
    )
    save_model(model, tokenizer, folder)
    return folder


def train_adapter(given: Material, out: Path, plan: Plan) -> Path:
    """A LoRA adapter on the converged base, on composed clinical texts and noisy lines, by the same trainer
    as for open-weight models; its card holds the answers to unseen texts before and after each epoch."""
    pairs = out / "clinical-pairs"
    if not (pairs / "card.json").is_file():
        write_text_pairs(pairs, clinical_rows(given, out, plan))
    return _train_adapter(out, pairs, out / "adapter", plan, None)


def train_adapter_with_candidates(given: Material, out: Path, plan: Plan) -> Path:
    """The same adapter on the same texts, with retrieved candidates in the prompts: for the ablation."""
    pairs = out / "clinical-pairs-with-candidates"
    if not (pairs / "card.json").is_file():
        rows = clinical_rows(given, out, plan)
        found = candidates_of_rows(given, out, rows, plan)
        right = (
            (text_key(TRAIN, number, axis), code)
            for number, row in enumerate(rows[TRAIN])
            for axis, code in zip(AXES, row.codes, strict=True)
        )
        write_text_pairs(pairs, rows, CandidateSource.of(plan.candidates, found, right))
    folder = out / "adapter-with-candidates"
    return _train_adapter(out, pairs, folder, plan, plan.candidate_pairs)


def _train_adapter(out: Path, pairs: Path, folder: Path, plan: Plan, rows: int | None) -> Path:
    from training.adapters.lora import train_lora

    if not (folder / "README.md").is_file():
        lora = LoraPlan(
            rank=plan.adapter_rank, alpha=plan.adapter_alpha, epochs=plan.adapter_epochs, learning_rate=1e-3,
            batch=10, longest=256, rows=rows, development_rows=None,
            seed=plan.seed,
        )  # fmt: skip
        train_lora(out / "model", pairs, folder, lora)
    return folder


def clinical_rows(given: Material, out: Path, plan: Plan) -> dict[str, list[Row]]:
    """The adapters' texts, drawn from the corpus: `train`, and of texts that no training saw `development`."""
    rng = random.Random(plan.seed)
    shares = {"catalogue": ("catalogue",), "composed": ("composed_1", "composed_2"), "other": ("other",)}
    train: list[Row] = []
    for share, (pool, names) in zip((0.25, 0.55, 0.2), shares.items(), strict=True):
        rows = corpus_rows(out, *names)
        rows = [row for row in rows if not is_measured(row)] if pool == "other" else rows
        train += rng.sample(rows, k=min(len(rows), round(share * plan.adapter_texts)))
    rng.shuffle(train)
    held_out = corpus_rows(out, "composed_heldout")
    unseen = rng.sample(held_out, k=min(len(held_out), plan.adapter_measured))
    unseen += [row for row in corpus_rows(out, "other") if is_measured(row)][: plan.adapter_measured // 4]
    lines = [
        Row(x.text, x.text, (x.code, UNKNOWN, UNKNOWN), 1, "development") for x in given.split.development
    ]
    return {TRAIN: train, "development": [*lines, *unseen]}


def candidates_of_rows(
    given: Material, out: Path, parts: Mapping[str, Sequence[Row]], plan: Plan
) -> dict[str, PromptCandidates]:
    """What retrieval finds for each row on each axis that it has a code for, by `text_key`.

    A catalogue line is in the index and would find itself, so lines that are learnt have cross-fitted candidates
    (`training.adapters.candidates`); every other text is asked of the encoder under `out`, as the agent asks.
    """
    from index.search.encoder import Encoder
    from index.search.retriever import Retriever
    from training.adapters.candidates import SPARE, candidates_of, cross_fitted

    lines = tumour_lines(given.catalogue, given.split)
    learnt = {line.line_id for line in lines}
    of_line = cross_fitted(
        given.catalogue,
        lambda line: TRAIN if line.line_id in learnt else None,
        out / "candidates",
        k=plan.candidates,
        seed=plan.seed,
        folds=plan.candidate_folds,
        steps=plan.candidate_steps,
    )
    encoder = Encoder.load(out / "encoder")
    retriever = Retriever.over(given.catalogue, encoder)
    found: dict[str, PromptCandidates] = {}
    for part, rows in parts.items():
        for place, axis in enumerate(AXES):
            asked = {}
            for number, row in enumerate(rows):
                if row.codes[place] == UNKNOWN:
                    continue
                key = text_key(part, number, axis)
                if part == TRAIN and row.line >= 0:
                    found[key] = of_line.get(lines[row.line].line_id, ())
                else:
                    asked[key] = row.core
            log.info(f"candidates of {len(asked):,} texts: {part}, {axis.value}")
            found |= zip(
                asked,
                candidates_of(retriever, list(asked.values()), axis, plan.candidates + SPARE),
                strict=True,
            )
    return found


def train_recogniser(out: Path) -> Path:
    """The n-gram model that tells tumour diagnoses from everything else."""
    from sklearn.linear_model import SGDClassifier

    from agent.decide.ngrams import features
    from agent.decide.recognise import Recogniser

    path = out / "recogniser.safetensors"
    if path.is_file():
        return path
    rows = [row for row in corpus_rows(out, *_RECOGNISED) if row.tumour >= 0 and not is_measured(row)]
    random.Random(13).shuffle(rows)
    tumour = np.array([row.tumour for row in rows])
    model = SGDClassifier(
        loss="log_loss", alpha=1e-6, max_iter=12, tol=None, random_state=13, class_weight="balanced"
    )
    model.fit(features([row.raw for row in rows]), tumour)
    Recogniser(model.coef_[0], float(model.intercept_[0])).save(path)
    log.info(f"recogniser: {len(rows)} texts")
    return path


def question_ids(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Token ids of the questions, in the order of QUESTIONS."""
    import torch

    from training.compact.model import QUESTIONS

    ids = [tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in QUESTIONS]
    return torch.tensor(ids)


def load_tables(folder: Path) -> tuple[Tokenizer, dict[CodeSystem, AxisTable]]:
    """The encoder's tokeniser and tables, as training made them."""
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from index.search.encoder import Encoder, sentence_model
    from training.compact.encoder import AxisTable

    encoder = Encoder.load(folder)
    routes = next(module.sub_modules for module in sentence_model(folder) if isinstance(module, Router))
    tables = {}
    for axis in AXES:
        table = next(part for part in routes[axis.value].children() if isinstance(part, StaticEmbedding))
        prototypes = encoder.prototypes(axis)
        if prototypes is None:
            raise ModelError(f"{folder}: no prototypes for {axis.value}; train the encoder again")
        tables[axis] = AxisTable(table.embedding.weight.detach().float(), prototypes)
    # The axes share one tokeniser.
    return table.tokenizer, tables


def alternating(
    near: Sequence[Row], far: Sequence[Row], bank_row: Mapping[int, int], place: int
) -> Callable[[random.Random, int], list[tuple[str, str, int]]]:
    """Queries for `train_axis`, by turns from catalogue lines (`near`) and composed texts (`far`), or from those that
    there are; `bank_row` is the place of a catalogue line among those that are compared with."""

    def draw(rng: random.Random, n: int) -> list[tuple[str, str, int]]:
        drawn = []
        for k in range(n):
            rows = far if not near or (far and k % 2) else near
            row = rows[rng.randrange(len(rows))]
            drawn.append((row.core, row.codes[place], bank_row.get(row.line, -1)))
        return drawn

    return draw


def paced(name: str, steps: int) -> Callable[[int, float], None]:
    """A `report` for training: now and then says step, loss and the time left."""
    paces: list[Pace] = []

    def report(step: int, loss: float) -> None:
        if not paces:  # the first step of a run that goes on is not step 0
            paces.append(Pace(steps, "steps", lambda line: log.info(f"  {name}: {line}"), done=step))
        paces[0].step(note=lambda: f"loss {loss:.3f}")

    return report
