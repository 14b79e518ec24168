"""The whole recipe at a tiny size: corpus, encoder, model, adapter, recogniser, fit, and coding with it."""

from __future__ import annotations

import random
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agent.agent import CodingAgent
from agent.decide.confidence import confidence_of
from agent.decide.records import Weights
from agent.models.prompts import Prompts
from agent.resources import Resources
from index.catalogue.catalogue import Catalogue
from index.errors import ModelError
from index.records import AXES, CatalogueLine, CodeSystem
from index.text import normalise
from tests.agent.tiny_models import save_random_adapter, save_tiny_model
from training.adapters.statements import statement_rows
from training.corpus import is_measured, read_rows
from training.fit import Material, fit_model, fit_signals, trained_context
from training.plan import Plan
from training.recipe import train_all, train_encoder

TINY = Plan(
    composed=500,
    held_out=140,
    copies=0,
    contexts=200,
    annotated=20,
    encoder_steps=20,
    dimensions={"icd10gm": 32, "icdo_topography": 16, "icdo_morphology": 16},
    model_steps=8,
    adapter_texts=60,
    adapter_measured=20,
    adapter_epochs=1,
    candidates=5,
    candidate_folds=2,
    candidate_steps=10,
    batch=64,
)


@dataclass(frozen=True)
class FewLines:
    """A split of a handful of lexicon lines; what it bans must be in no row."""

    development: tuple[CatalogueLine, ...]

    def bans(self, text: str) -> bool:
        return normalise(text) in {normalise(line.text) for line in self.development}

    def catalogue_without(self, catalogue: Catalogue) -> Catalogue:
        return catalogue.filtered(lambda line: not self.bans(line.text))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, Path]:
    # One line in twenty: the pipeline is under test, not what comes out of it.
    full = Catalogue.builtin().filtered(
        lambda line: line.code in ("C34.1", "D24") or crc32(line.text.encode()) % 20 == 0
    )
    split = FewLines(
        tuple(full.lines_of(CodeSystem.ICD10GM, "C34.1") + full.lines_of(CodeSystem.ICD10GM, "D24"))[:12]
    )
    given = Material(split.catalogue_without(full), split, {})
    out = tmp_path_factory.mktemp("models")
    train_all(given, out, TINY)
    return given, out


def test_the_same_corpus_gives_the_same_encoder(trained: tuple[Material, Path], tmp_path: Path) -> None:
    given, out = trained
    shutil.copytree(out / "corpus", tmp_path / "corpus")
    again = train_encoder(given, tmp_path, TINY)
    for path in (out / "encoder").rglob("*.safetensors"):
        tensors, others = load_file(path), load_file(again / path.relative_to(out / "encoder"))
        assert all(np.array_equal(tensor, others[name]) for name, tensor in tensors.items()), path.name


def test_every_part_is_there(trained: tuple[Material, Path]) -> None:
    _, out = trained
    for name in (
        "encoder/onkokode.json",
        "encoder/prototypes.safetensors",
        "model/model.safetensors",
        "adapter/adapter_model.safetensors",
        "adapter-with-candidates/adapter_model.safetensors",
        "recogniser.safetensors",
        "decision.json",
        "plan.json",
    ):
        assert (out / name).is_file(), name
    assert not [p for p in out.rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]


def test_the_adapter_with_candidates_learns_the_same_texts_with_candidates(
    trained: tuple[Material, Path],
) -> None:
    _, out = trained
    plain, shown = (
        pq.read_table(out / folder / "train.parquet").to_pylist()
        for folder in ("clinical-pairs", "clinical-pairs-with-candidates")
    )
    assert [(p["task"], p["text"], p["code"]) for p in plain] == [
        (p["task"], p["text"], p["code"]) for p in shown
    ]
    assert not any(pair["candidates"] for pair in plain)
    asked = [pair for pair in shown if pair["task"] in {axis.value for axis in AXES}]
    with_candidates = [pair for pair in asked if pair["candidates"]]
    assert len(with_candidates) > 0.9 * len(asked)
    assert all(len(pair["candidates"]) <= TINY.candidates for pair in with_candidates)
    assert Prompts.of(out / "model", out / "adapter-with-candidates").candidates == TINY.candidates


def test_nothing_held_out_gets_in(trained: tuple[Material, Path]) -> None:
    given, out = trained
    parts = ("catalogue", "composed_1", "composed_2")
    rows = [row for part in parts for row in read_rows(out / "corpus" / f"{part}.parquet")]
    assert rows
    assert not [row for row in rows if given.split.bans(row.raw) or given.split.bans(row.core)]


def test_composed_pairs_are_held_out(trained: tuple[Material, Path]) -> None:
    _, out = trained
    seen = {row.codes[1:] for row in read_rows(out / "corpus" / "composed_1.parquet")}
    kept = {row.codes[1:] for row in read_rows(out / "corpus" / "composed_heldout.parquet")}
    assert kept and not seen & {pair for pair in kept if "-" not in pair}


@pytest.mark.slow
def test_a_model_of_ones_own_is_fitted_and_the_fit_is_used(
    trained: tuple[Material, Path], tmp_path: Path
) -> None:
    given, out = trained
    model = save_tiny_model("qwen3", tmp_path / "model")
    adapter = save_random_adapter(model, tmp_path / "adapter")
    Prompts("short").save(adapter)
    unfitted = Weights.beside(adapter)
    assert unfitted == Weights() and unfitted.axes[CodeSystem.ICD10GM].none_above == 1.0
    kept = fit_model(given, str(model), str(adapter), out / "corpus", texts=30)
    assert kept == adapter / "decision.json"
    loaded = Resources.load(model, adapter, catalogue=given.catalogue)
    assert loaded.weights == Weights.load(kept) != Weights()
    assert loaded.prompts.style == "short"
    # The numbers belong to this adapter and to the embedded encoder.
    assert Weights.beside(model) == Weights()


def test_what_cannot_be_fitted_says_so(trained: tuple[Material, Path], tmp_path: Path) -> None:
    given, out = trained
    model = save_tiny_model("qwen3", tmp_path / "model")
    with pytest.raises(ModelError, match="too few for a fit; give more with --texts"):
        fit_model(given, str(model), None, out / "corpus", texts=2)
    with pytest.raises(ModelError, match="give --keep"):
        fit_model(given, "somebody/on-the-hub", None, out / "corpus", texts=30)
    assert not (model / "decision.json").exists()


def test_a_corpus_without_a_part_is_named_before_anything_is_scored(
    trained: tuple[Material, Path], tmp_path: Path
) -> None:
    given, out = trained
    for part in ("composed_heldout", "other"):
        shutil.copy(out / "corpus" / f"{part}.parquet", tmp_path)
    model = save_tiny_model("qwen3", tmp_path / "model")
    with pytest.raises(ModelError, match=r"lacks around; .*--only around"):
        fit_model(given, str(model), None, tmp_path, texts=50)


def test_statements_are_drawn_as_written_and_some_stand_in_notes(trained: tuple[Material, Path]) -> None:
    given, out = trained
    rows = statement_rows(given, out, texts=400, measured=20, seed=3)
    assert rows == statement_rows(given, out, texts=400, measured=20, seed=3)
    train = rows["train"]
    assert {row.tumour for row in train} == {0, 1} or {row.tumour for row in train} == {-1, 0, 1}
    written = {
        row.raw for name in ("composed_1", "composed_2") for row in read_rows(out / f"corpus/{name}.parquet")
    }
    composed = [row for row in train if row.origin == "composed"]
    in_notes = [row for row in composed if row.raw not in written]
    assert 0.02 < len(in_notes) / len(composed) < 0.3
    unseen = {row.raw for row in read_rows(out / "corpus/composed_heldout.parquet")}
    assert not unseen & {row.raw for row in train}
    assert not [row for row in train if is_measured(row) or given.split.bans(row.raw)]


def test_trained_parts_code_a_text(trained: tuple[Material, Path]) -> None:
    given, out = trained
    agent = CodingAgent(trained_context(given, out))
    coded = agent.code("Fibroadenom der Mamma links")
    for axis in AXES:
        code = coded.coding(axis).code
        assert code is None or given.catalogue.is_codable(axis, code)


def test_a_second_run_does_nothing(trained: tuple[Material, Path]) -> None:
    given, out = trained
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    train_all(given, out, TINY)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == before


def test_weights_are_finite(trained: tuple[Material, Path]) -> None:
    _, out = trained
    weights = Weights.load(out / "decision.json")
    for axis in AXES:
        fitted = asdict(weights.axes[axis])
        confidence = fitted.pop("confidence")
        assert all(np.isfinite(value) for value in (*fitted.values(), *confidence.values()))
        # Fitted, and on all that is known of an answer.
        assert {"offset", "fused", "near", "failed"} <= set(confidence)


def test_measured_rows_are_negatives_only(trained: tuple[Material, Path]) -> None:
    _, out = trained
    rows = read_rows(out / "corpus" / "other.parquet")
    share = sum(map(is_measured, rows)) / len(rows)
    assert 0.01 < share < 0.12
    assert not is_measured(replace(rows[0], tumour=1))


def test_texts_around_are_tumours_and_others_and_no_held_out_line(trained: tuple[Material, Path]) -> None:
    given, out = trained
    rows = read_rows(out / "corpus" / "around.parquet")
    assert {row.tumour for row in rows} == {0, 1}
    assert not any(given.split.bans(row.raw) or given.split.bans(row.core) for row in rows)


def test_fitted_signals_tell_right_from_wrong() -> None:
    rng = random.Random(7)
    told = []
    for _ in range(2000):
        near = rng.random()
        told.append(({"near": near, "noise": rng.random()}, rng.random() < near))
    coefficients = fit_signals([told])
    assert coefficients["near"] > 3 > abs(coefficients["noise"])
    # As true as the odds that made the answers.
    for near in (0.2, 0.5, 0.8):
        assert confidence_of({"near": near, "noise": 0.5}, coefficients) == pytest.approx(near, abs=0.07)
    # A part with few answers counts as much as one with many.
    few = [({"near": 0.5, "noise": 0.5}, False)] * 10
    assert confidence_of({"near": 0.5, "noise": 0.5}, fit_signals([told, few])) < 0.4
    # What a model says that never learnt to say it is the same to the last digits.
    silent = [(signals | {"none": 1e-14 * rng.random()}, right) for signals, right in told]
    assert fit_signals([silent]) == coefficients | {"none": 0.0}
