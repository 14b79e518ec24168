"""The embedded encoder on NumPy gives the vectors of sentence-transformers, and says what is wrong with a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from index.errors import ModelError
from index.io.tensors import read_tensors
from index.records import AXES
from index.search.encoder import EMBEDDED, Encoder, sentence_model
from index.search.static import StaticModel, is_static

TEXTS = ["Mammakarzinom links", "", "???", "Adenokarzinom des Sigmas, " * 200, "日本 Ä"]


def test_the_vectors_are_those_of_sentence_transformers() -> None:
    encoder, model = Encoder.load(), sentence_model(EMBEDDED)
    assert isinstance(encoder.model, StaticModel)
    for axis, found in zip(AXES, encoder.encode_for(TEXTS, AXES), strict=True):
        expected = np.asarray(model.encode(TEXTS, task=axis.value))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_array_equal(found, encoder.encode(TEXTS, axis))
    assert not found[1].any()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED, tmp_path / "encoder")


def test_a_table_of_another_size_is_named(folder: Path) -> None:
    path = folder / "icd10gm_0_StaticEmbedding" / "model.safetensors"
    save_file({"embedding.weight": read_tensors(path)["embedding.weight"][:-1]}, path)
    with pytest.raises(ModelError, match=r"icd10gm.*model\.safetensors.*one row per token"):
        Encoder.load(folder)


def test_routes_with_tokenizers_of_their_own_are_refused(folder: Path) -> None:
    path = folder / "icdo_morphology_0_StaticEmbedding" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    path.write_text(json.dumps(tokenizer | {"version": "1.0"}, indent=1))
    with pytest.raises(ModelError, match="another tokenizer"):
        Encoder.load(folder)


def test_a_folder_without_its_table(folder: Path) -> None:
    (folder / "icd10gm_0_StaticEmbedding" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"icd10gm_0_StaticEmbedding"):
        Encoder.load(folder)


def test_other_modules_are_left_to_the_library(folder: Path) -> None:
    assert is_static(folder)
    path = folder / "router_config.json"
    settings = json.loads(path.read_text())
    settings["structure"]["icd10gm"].append("icd10gm_1_Normalize")
    path.write_text(json.dumps(settings))
    assert not is_static(folder) and not is_static(folder / "nowhere")
