"""Encoders tuned with sentence-transformers' losses: from small saved models to an `Encoder.load`."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile
from index.errors import ModelError
from index.records import CatalogueLine, Code, CodeSystem
from index.search.encoder import Encoder
from training.fit import Material
from training.plan import TuningPlan
from training.split import Split
from training.tuning.encoder import nearest_codes, tune_encoder
from training.tuning.query_pairs import (
    OneLinePerCode,
    composed_queries,
    known_lines,
    mine_negatives,
    query_pairs,
)

ICD, TOPOGRAPHY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY
_SITES = {
    "C50.9": "Brust", "C61": "Prostata", "C34.9": "Lunge", "C25.9": "Pankreas", "C22.0": "Leber", "C16.9": "Magen",
    "C73": "Schilddrüse", "C53.9": "Zervix",
}  # fmt: skip
_FORMS = (
    "{}krebs", "Karzinom: {}", "Bösartiger Tumor der Region {}", "{}-Malignom", "Malignom, {}", "Maligne {}geschwulst",
    "{}karzinom, primär", "Primärtumor {}",
)  # fmt: skip
PLAN = TuningPlan(
    axes=("icd10gm",), epochs=2, batch=6, dimension=16, save_steps=4, partners=1, noisy_copies=1
)


def tiny_material() -> Material:
    """Eight codes with eight lines each; the last line of a code is held out or developed on."""
    texts = [(code, form.format(site)) for code, site in _SITES.items() for form in _FORMS]
    lines = tuple(
        CatalogueLine(f"m:{n}", code, text, "synonym", ICD, "m", "m.txt")
        for n, (code, text) in enumerate(texts)
    )
    sites = tuple(
        CatalogueLine(f"t:{code}:{n}", code, form.format(site), "synonym", TOPOGRAPHY, "m", "m.txt")
        for code, site in _SITES.items()
        for n, form in enumerate(("{}", "Organ {}", "{}region"))
    )
    codes = tuple(
        Code(code, code, system, "m", terminal=True) for code in _SITES for system in (ICD, TOPOGRAPHY)
    )
    file = CatalogueFile(Path("m.txt"), "0" * 64, "made", ICD, "m", codes, (*lines, *sites))
    catalogue = Catalogue.from_files([file], lexicon=False)
    last = [line for line in lines if line.text.startswith("Primärtumor")]
    return Material(catalogue, Split(tuple(last[:4]), tuple(last[4:])), {"m.txt": "0" * 64})


def save_tiny_bert(folder: Path) -> Path:
    """A random BERT of two layers over single letters, as transformers saves it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = ["[PAD]", "[UNK]", *"abcdefghijklmnopqrstuvwxyzäöüß -,:"]
    backend = Tokenizer(models.WordLevel({letter: n for n, letter in enumerate(letters)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(letters), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("loss", ["mnrl", "cached-mnrl"])
def test_any_model_is_tuned_measured_and_loads_in_the_agents_encoder(
    loss: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "training")
    model, out = save_tiny_bert(tmp_path / "bert"), tmp_path / "out"
    plan = replace(PLAN, loss=loss, learning_rate=3e-3, mini_batch=4)
    results = tune_encoder(tiny_material(), out, plan, model=model)
    assert [result.epoch for result in results] == [0, 1, 2]
    assert results[0].axes["icd10gm"][0] == 4
    encoder, before = Encoder.load(out), Encoder.load(model)
    vectors = encoder.encode(["Brustkrebs"], ICD)
    assert vectors.shape == (1, 32) and abs(vectors - before.encode(["Brustkrebs"], ICD)).max() > 0.01
    assert encoder.scale == plan.scale and len(encoder.fingerprint) == 16
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| 0 | icd10gm | 4 |" in card and "kept" in card and str(model) in card
    assert {path.suffix for path in out.rglob("*") if path.is_file()} <= {
        ".json",
        ".safetensors",
        ".md",
        ".txt",
    }
    assert not any(
        form.format(site) in line for line in caplog.messages for site in _SITES.values() for form in _FORMS
    )


def test_from_scratch_learns_a_route_per_axis(tmp_path: Path) -> None:
    plan = replace(PLAN, axes=("icd10gm", "icdo_topography"), epochs=6)
    results = tune_encoder(tiny_material(), tmp_path / "out", plan)
    assert results[-1].axes["icd10gm"][1] == 1.0
    encoder = Encoder.load(tmp_path / "out")
    icd, topography = (encoder.encode(["Brustkrebs"], axis) for axis in (ICD, TOPOGRAPHY))
    assert icd.shape == topography.shape == (1, 16) and abs(icd - topography).max() > 0.01


def _labels(rows: int, codes: int, negatives: int) -> list[list[int]]:
    """Some codes have many rows and most have few; a negative is never of the row's own code."""
    rng = np.random.default_rng(5)
    answers = (codes * rng.random(rows) ** 3).astype(int)
    return [
        [int(code), *((int(code) + rng.integers(1, codes, negatives)) % codes).tolist()] for code in answers
    ]


@pytest.mark.parametrize("negatives", [0, 2])
def test_a_batch_holds_a_code_once_and_no_answer_as_a_negative(negatives: int) -> None:
    from datasets import Dataset

    labels = _labels(2000, 80, negatives)
    sampler = OneLinePerCode(Dataset.from_dict({"label": labels}), 32, seed=3)
    seen: set[int] = set()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) > 10
        drawn = [row for batch in batches for row in batch]
        assert len(drawn) == len(set(drawn)) and (negatives or len(drawn) == 32 * len(sampler))
        for batch in batches:
            answers = [labels[row][0] for row in batch]
            assert len(set(answers)) == len(answers) > 0
            assert set(answers).isdisjoint(code for row in batch for code in labels[row][1:])
        seen.update(drawn)
        assert list(sampler) == batches
    assert len(seen) > len(drawn)


def test_fewer_codes_than_a_batch_holds_make_smaller_batches() -> None:
    from datasets import Dataset

    sampler = OneLinePerCode(Dataset.from_dict({"label": [[0], [1], [1], [0]]}), 32)
    assert [len(batch) for batch in sampler] == [2, 2]


def test_no_hard_negative_has_the_querys_code_or_words() -> None:
    given = tiny_material()
    lines, _ = known_lines(given, ICD)
    twin = replace(lines[0], code="C61", line_id="twin")
    lines.append(twin)
    vectors = np.random.default_rng(1).normal(size=(len(lines), 8)).astype(np.float32)
    near = mine_negatives(vectors, lines)
    for row, found in enumerate(near):
        assert all(
            lines[n].code != lines[row].code and lines[n].text != lines[row].text for n in found if n >= 0
        )
    # The nearest of all other lines is among them.
    allowed = [n for n, line in enumerate(lines) if line.code != lines[5].code and line.text != twin.text]
    assert max(allowed, key=lambda n: vectors[n] @ vectors[5]) in near[5]
    pairs = query_pairs(lines, near, [("Ca Brust", "C50.9")], given.split, replace(PLAN, hard_negatives=2))
    code_of = {line.text: line.code for line in lines if line is not twin}
    names = sorted(_SITES)
    for anchor, positive, codes, *wrong in zip(
        pairs.anchors, pairs.positives, pairs.codes, *pairs.negatives, strict=True
    ):
        assert codes[0] not in codes[1:]
        assert anchor != positive
        assert [code_of[text] for text in wrong] == [names[code] for code in codes[1:]]
        assert twin.text not in wrong
    assert "Ca Brust" in pairs.anchors


def test_nothing_of_the_split_is_trained_on() -> None:
    given = tiny_material()
    lines, development = known_lines(given, ICD)
    assert len(development) == 4 and len(lines) == 8 * 7
    pairs = query_pairs(lines, None, (), given.split, replace(PLAN, hard_negatives=0, noisy_copies=5))
    assert not any(given.split.bans(text) for text in (*pairs.anchors, *pairs.positives))


def test_composed_texts_are_queries_of_the_axes_that_they_determine(tmp_path: Path) -> None:
    rows = [
        {"text": "Mamma-Ca", "icd10": "C50.9", "topography": None, "morphology": "8010/3", "kind": "x"},
        {"text": "Primärtumor Brust", "icd10": "C50.9", "topography": None, "morphology": None, "kind": "x"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "composed.parquet")
    queries = composed_queries(tmp_path / "composed.parquet", tiny_material().split, 10, 13)
    assert [code for _, code in queries[ICD]] == ["C50.9"] and not queries[TOPOGRAPHY]
    (tmp_path / "other.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(ModelError, match="train compose"):
        composed_queries(tmp_path / "other.parquet", tiny_material().split, 10, 13)


def test_codes_are_ranked_by_their_nearest_line() -> None:
    from tests.index.tiny_encoder import TableEncoder

    encoder = TableEncoder({"a": (1.0, 0.0), "b": (0.6, 0.8), "c": (0.0, 1.0), "x": (0.9, 0.1)})
    assert nearest_codes(encoder, ICD, [("c", "C61"), ("a", "C50.9"), ("b", "C61")], ["x"]) == [
        ["C50.9", "C61"]
    ]


class _Stopped(Exception):
    pass


def _stop_after_the_first_epoch(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith("epoch 1"):
        raise _Stopped
    return True


@pytest.mark.parametrize("scratch", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_to_the_same_weights(
    scratch: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Between two checkpoints, with hard negatives and dropout. That a kill leaves no half files is `runs`' part."""
    model = None if scratch else str(save_tiny_bert(tmp_path / "bert"))
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    caplog.set_level(logging.INFO, "training")
    with pytest.raises(_Stopped), caplog.filtering(_stop_after_the_first_epoch):
        tune_encoder(tiny_material(), stopped, PLAN, model=model)
    [*_, last] = sorted(stopped.glob("checkpoints/checkpoint-*/trainer_state.json"))
    assert 0 < json.loads(last.read_text())["epoch"] < 1 and not (stopped / "README.md").is_file()
    caplog.clear()
    tune_encoder(tiny_material(), stopped, PLAN, model=model)
    assert any(line.startswith("goes on from") for line in caplog.messages)
    tune_encoder(tiny_material(), whole, PLAN, model=model)
    assert (stopped / "epochs.json").read_text() == (whole / "epochs.json").read_text()
    files = sorted(path.relative_to(whole) for path in whole.rglob("*.safetensors"))
    assert files
    for file in files:
        one, other = load_file(stopped / file), load_file(whole / file)
        for name in one:
            torch.testing.assert_close(one[name], other[name], atol=1e-6, rtol=1e-5)
    caplog.clear()
    tune_encoder(tiny_material(), whole, PLAN, model=model)
    assert caplog.messages == [f"{whole}: trained already"]


def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    given = tiny_material()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="safetensors"):
        tune_encoder(given, tmp_path / "a", PLAN, model=tmp_path / "empty")
    with pytest.raises(ModelError, match="not a sentence-transformers model"):
        tune_encoder(given, tmp_path / "b", PLAN, model=str(tmp_path / "nowhere"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text(json.dumps({"model": "x"}), encoding="utf-8")
    with pytest.raises(ModelError, match="leave out --loss"):
        tune_encoder(given, tmp_path / "d", replace(PLAN, loss="cached-mnrl"))
    with pytest.raises(ModelError, match="another folder"):
        tune_encoder(given, tmp_path / "c", PLAN)
