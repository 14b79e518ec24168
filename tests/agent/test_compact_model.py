"""The embedded model on NumPy says what transformers says, and what is wrong with a damaged folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agent.models.base import Question
from agent.models.compact import CompactModel
from agent.models.compact_network import is_compact
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.resources import EMBEDDED_ADAPTER, EMBEDDED_MODEL, EMBEDDED_WITH_CANDIDATES
from index.errors import ModelError
from index.io.tensors import read_tensors
from index.records import AXES, CodeSystem

TEXTS = [
    "Mammakarzinom",
    "",
    "Zustand nach Teilresektion eines mäßig differenzierten Adenokarzinoms des Colon sigmoideum " * 9,
    "M. Hodgkin <|icd10gm|>",
    "日本 Ä\ud800",
]
CODES = {
    CodeSystem.ICD10GM: ("C50.9", "C18.7", "D05.9", None),
    CodeSystem.TOPOGRAPHY: ("C50.9", "C18.7", None),
    CodeSystem.MORPHOLOGY: ("8140/3", "8500/3", None),
}


def asked(prompts: Prompts, text: str) -> list[Question]:
    axes = [
        Question(prompts.question(text, axis), tuple(prompts.answer(code, axis) for code in CODES[axis]))
        for axis in AXES
    ]
    return [*axes, Question(prompts.tumour_question(text), ("<|tumour:ja|>", "<|tumour:nein|>"))]


@pytest.mark.parametrize("adapter", [None, EMBEDDED_ADAPTER])
def test_it_scores_as_transformers_does(adapter: Path | None) -> None:
    prompts = Prompts.of(EMBEDDED_MODEL)
    batch = [asked(prompts, text) for text in TEXTS]
    # Answers that this vocabulary writes with more than one token, one of which begins the other.
    batch.append(
        [Question("Mammakarzinom<|icd10gm|>", ("<|icd10gm:C50.9|>", "Mamma", "Mammakarzinom links"))]
    )
    expected = LocalModel.load(EMBEDDED_MODEL, adapter, device="cpu").score(batch)
    found = CompactModel.load(EMBEDDED_MODEL, adapter).score(batch)
    for of_text, others in zip(found, expected, strict=True):
        for values, theirs in zip(of_text, others, strict=True):
            np.testing.assert_allclose(values, theirs, atol=2e-4)


def test_it_reads_candidates_as_transformers_does() -> None:
    prompts = Prompts.of(EMBEDDED_MODEL, EMBEDDED_WITH_CANDIDATES)
    shown = [("C50.9", "Mamma"), ("C50.4", "oben außen")]
    question = prompts.question("Mammakarzinom", CodeSystem.ICD10GM, shown)
    batch = [[Question(question, ("<|icd10gm:C50.9|>", "<|icd10gm:C50.4|>"))]]
    [[expected]] = LocalModel.load(EMBEDDED_MODEL, EMBEDDED_WITH_CANDIDATES, device="cpu").score(batch)
    [[found]] = CompactModel.load(EMBEDDED_MODEL, EMBEDDED_WITH_CANDIDATES).score(batch)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_batch_says_what_each_text_says_alone() -> None:
    model, prompts = CompactModel.load(EMBEDDED_MODEL, EMBEDDED_ADAPTER), Prompts.of(EMBEDDED_MODEL)
    batch = [asked(prompts, text) for text in TEXTS]
    for of_text, questions in zip(model.score(batch), batch, strict=True):
        [alone] = model.score([questions])
        for values, others in zip(of_text, alone, strict=True):
            np.testing.assert_allclose(values, others, atol=1e-4)


def test_nothing_is_asked_of_no_text() -> None:
    model = CompactModel.load(EMBEDDED_MODEL)
    assert model.score([]) == [] and model.score([[]]) == [[]]


def test_the_likeliest_answer() -> None:
    model = CompactModel.load(EMBEDDED_MODEL, EMBEDDED_ADAPTER)
    allowed = ("<|icd10gm:C50.9|>", "<|icd10gm:C61|>")
    assert model.generate(["Prostatakarzinom<|icd10gm|>"], [allowed]) == ["<|icd10gm:C61|>"]
    with pytest.raises(ValueError, match="at least one"):
        model.generate(["Prostatakarzinom<|icd10gm|>"], [()])


def _changed(folder: Path, change: Callable[[dict[str, np.ndarray]], None], name: str) -> None:
    tensors = read_tensors(folder / name)
    change(tensors)
    save_file(tensors, folder / name)


def _without(tensors: dict[str, np.ndarray]) -> None:
    del tensors["model.layers.1.mlp.up_proj.weight"]


def _no_number(tensors: dict[str, np.ndarray]) -> None:
    tensors["model.norm.weight"][0] = np.nan


def _of_other_shape(tensors: dict[str, np.ndarray]) -> None:
    tensors["model.layers.1.self_attn.q_proj.weight"] = np.zeros((8, 256), np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without, r"model\.safetensors: .*up_proj.* is missing"),
        (_no_number, r"model\.safetensors: the tensor model\.norm\.weight holds values that are no numbers"),
        (_of_other_shape, r"model\.safetensors: the weights do not fit"),
    ],
)
def test_a_damaged_model_is_named(
    tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None], said: str
) -> None:
    folder = shutil.copytree(EMBEDDED_MODEL, tmp_path / "model")
    _changed(folder, change, "model.safetensors")
    with pytest.raises(ModelError, match=said):
        CompactModel.load(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(EMBEDDED_MODEL, tmp_path / "model")
    (folder / name).write_bytes(b"\x00{")
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        CompactModel.load(folder)


def test_an_adapter_that_lacks_a_tensor_or_has_one_too_many(tmp_path: Path) -> None:
    adapter = shutil.copytree(EMBEDDED_ADAPTER, tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_B" in name)
    save_file({k: v for k, v in tensors.items() if k != name}, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: .*lora_B.* is missing"):
        CompactModel.load(EMBEDDED_MODEL, adapter)
    save_file(tensors | {"base_model.model.other": tensors[name]}, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="belongs to no layer"):
        CompactModel.load(EMBEDDED_MODEL, adapter)


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {"model_type": "llama"}),
        ("config.json", {"tie_word_embeddings": False}),
        ("adapter_config.json", {"use_dora": True}),
        ("adapter_config.json", {"modules_to_save": ["lm_head"]}),
    ],
)
def test_what_computes_something_else_is_left_to_the_libraries(
    tmp_path: Path, file: str, settings: dict[str, object]
) -> None:
    model = shutil.copytree(EMBEDDED_MODEL, tmp_path / "model")
    adapter = shutil.copytree(EMBEDDED_ADAPTER, tmp_path / "adapter")
    assert is_compact(model, adapter)
    path = (model if file == "config.json" else adapter) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    assert not is_compact(model, adapter)
