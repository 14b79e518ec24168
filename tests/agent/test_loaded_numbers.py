"""Weights, settings and fitted numbers that load and mean nothing: always one error that names file or tensor, and
never a code."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from agent import CodingAgent
from agent.decide.ngrams import BUCKETS
from agent.decide.recognise import Recogniser
from agent.decide.records import WEIGHTS, Weights
from agent.models.base import Question
from agent.models.local import LocalModel
from agent.models.prompts import STYLE_FILE, Prompts
from agent.models.self_check import CODES, TEXT, check_encoder, check_model, check_recogniser
from agent.resources import EMBEDDED_ADAPTER, EMBEDDED_MODEL
from index.errors import ModelError, OnkokodeError
from index.records import AXES, CodeSystem
from index.search.encoder import CONFIG, EMBEDDED, PROTOTYPES, Encoder, Prototypes, save_prototypes
from tests.agent.tiny_agent import ScriptedModel, embedded_agent, resources_with
from tests.agent.tiny_models import save_tiny_folders
from tests.index.tiny_encoder import save_static_model

NUMBERS = (float("nan"), float("inf"), -float("inf"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("weights")
    return {
        **save_tiny_folders(root),
        "static": save_static_model(root / "static"),
    }


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def with_value(folder: Path, file: str, name: str, value: float) -> None:
    tensors = load_file(folder / file)
    tensors[name].view(-1)[tensors[name].numel() // 2] = value
    save_file(tensors, folder / file, metadata={"format": "pt"})


@pytest.mark.parametrize("value", NUMBERS)
def test_weights_that_are_no_numbers(folders: dict[str, Path], tmp_path: Path, value: float) -> None:
    chance = random.Random(16)
    for kind, file, load in (
        ("model", "model.safetensors", lambda path: LocalModel.load(path, device="cpu")),
        (
            "adapter",
            "adapter_model.safetensors",
            lambda path: LocalModel.load(folders["model"], path, device="cpu"),
        ),
        ("bert", "model.safetensors", lambda path: Encoder.load(path, device="cpu")),
    ):
        tensors = [name for name in load_file(folders[kind] / file) if "pooler" not in name]
        name = chance.choice(tensors)
        folder = copied(folders[kind], tmp_path / kind)
        with_value(folder, file, name, value)
        last = ".".join(name.split(".")[-2:])
        with pytest.raises(ModelError, match=rf"{kind}.*{last}.*no numbers"):
            load(folder)


def test_settings_that_spoil_the_numbers(folders: dict[str, Path], tmp_path: Path) -> None:
    for number, (kind, file, change, load) in enumerate(
        (
            ("model", "config.json", {"rms_norm_eps": float("nan")}, LocalModel.load),
            ("adapter", "adapter_config.json", {"lora_alpha": float("nan")}, lambda p, device: LocalModel.load(folders["model"], p, device=device)),
            ("adapter", "adapter_config.json", {"lora_alpha": "x"}, lambda p, device: LocalModel.load(folders["model"], p, device=device)),
            ("bert", "config.json", {"layer_norm_eps": float("nan")}, Encoder.load),
        )
    ):  # fmt: skip
        folder = copied(folders[kind], tmp_path / f"{kind}{number}")
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(ModelError, match=kind):
            load(folder, device="cpu")  # type: ignore[operator]


def test_a_model_for_which_everything_is_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["model"], tmp_path / "zeros")
    tensors = {
        name: torch.zeros_like(tensor) for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="every text alike"):
        LocalModel.load(folder, device="cpu")


def test_adapters_that_lack_a_tensor_or_have_another(folders: dict[str, Path], tmp_path: Path) -> None:
    names = sorted(load_file(folders["adapter"] / "adapter_model.safetensors"))
    chance = random.Random(15)
    for number, name in enumerate(chance.sample(names, 4)):
        folder = copied(folders["adapter"], tmp_path / f"{number}")
        tensors = load_file(folder / "adapter_model.safetensors")
        tensor = tensors.pop(name)
        if number % 2:
            tensors[name.replace("layers.", "layers.9")] = tensor
        save_file(tensors, folder / "adapter_model.safetensors")
        with pytest.raises(
            ModelError, match=rf"{number}/adapter_model\.safetensors: the tensor {name} is missing"
        ):
            LocalModel.load(folders["model"], folder, device="cpu")
    folder = copied(folders["adapter"], tmp_path / "more")
    tensors = load_file(folder / "adapter_model.safetensors")
    more = names[0].replace("layers.0", "layers.7").replace("layers.1", "layers.7")
    save_file(tensors | {more: tensors[names[0]].clone()}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=rf"the tensor {more} belongs to no layer"):
        LocalModel.load(folders["model"], folder, device="cpu")


def test_an_encoder_that_lacks_a_tensor(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["bert"], tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"bert: .*incomplete.*layer\.1\.output\.dense\.weight"):
        Encoder.load(folder, device="cpu")


@pytest.mark.parametrize(
    "scale", ["NaN", "Infinity", "1e9", "0", "-15", "0.001", '"15"', "true", "null", "[]", "1e400"]
)
def test_a_scale_without_sense(folders: dict[str, Path], tmp_path: Path, scale: str) -> None:
    folder = copied(folders["static"], tmp_path / "static")
    (folder / CONFIG).write_text(f'{{"scale": {scale}, "fingerprint": "x"}}')
    with pytest.raises(ModelError, match=rf"{CONFIG}.*scale"):
        Encoder.load(folder, device="cpu")


def test_prototypes_that_stand_for_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["static"], tmp_path / "static")
    rows = np.eye(2, 8, dtype=np.float32)

    def written(vectors: np.ndarray, codes: Any, system: str = "icd10gm") -> None:
        save_arrays({system: vectors}, folder / PROTOTYPES, metadata={system: json.dumps(codes)})

    attacks: list[Callable[[], Any]] = [
        lambda: written(np.full_like(rows, np.nan), ["C61", "C64"]),
        lambda: written(np.zeros_like(rows), ["C61", "C64"]),
        lambda: written(rows, ["C61"]),
        lambda: written(rows, ["C61", 7]),
        lambda: written(rows, 7),
        lambda: written(rows[0], ["C61"]),
        lambda: written(rows, ["C61", "C64"], "icd11"),
        lambda: written(np.eye(2, 5, dtype=np.float32), ["C61", "C64"]),
        lambda: save_arrays({"icd10gm": rows}, folder / PROTOTYPES),
        lambda: (folder / PROTOTYPES).write_bytes(b"x" * 100),
    ]
    save_prototypes(folder, {CodeSystem.ICD10GM: Prototypes(("C61", "C64"), rows)}, {"scale": 15.0})
    assert Encoder.load(folder, device="cpu").prototypes(CodeSystem.ICD10GM) is not None
    for number, attack in enumerate(attacks):
        attack()
        with pytest.raises(ModelError, match=r"prototypes"):
            Encoder.load(folder, device="cpu")
            raise AssertionError(number)


def test_a_recogniser_that_is_none(tmp_path: Path) -> None:
    sound = {"weights": np.zeros(BUCKETS, np.float16), "offset": np.zeros(1, np.float32)}
    path = tmp_path / "recogniser.safetensors"
    save_arrays(sound, path)
    assert Recogniser.load(path).log_odds(["x"]) == 0
    for name, value in (
        ("weights", np.full(BUCKETS, np.nan, np.float16)),
        ("weights", np.full(BUCKETS, np.inf, np.float16)),
        ("weights", np.zeros(BUCKETS - 1, np.float16)),
        ("weights", np.zeros((BUCKETS, 1), np.float16)),
        ("weights", np.zeros(BUCKETS, np.int32)),
        ("offset", np.array([np.nan], np.float32)),
        ("offset", np.zeros(0, np.float32)),
        ("offset", None),
    ):
        tensors = sound | {name: value} if value is not None else {"weights": sound["weights"]}
        save_arrays(tensors, path)
        with pytest.raises(ModelError, match=rf"recogniser\.safetensors: the tensor {name}"):
            Recogniser.load(path)
    path.write_bytes(b"x" * 50)
    with pytest.raises(ModelError, match=r"recogniser\.safetensors: cannot be read"):
        Recogniser.load(path)


def test_fitted_weights_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    sound = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    path.write_text(json.dumps(sound))
    assert Weights.load(path) == Weights.load()
    chance = random.Random(14)
    for part in sound:
        for name in chance.sample(sorted(sound[part]), 3):
            for value in (None, "x", [], {}, True, float("nan"), float("inf"), 1e9):
                path.write_text(json.dumps(sound | {part: sound[part] | {name: value}}))
                with pytest.raises(ModelError, match=r"decision\.json"):
                    Weights.load(path)
    icd = sound["icd10gm"]
    for changed in (
        icd | {"confidence": icd["confidence"] | {"near": float("nan")}},
        icd | {"retrieval": -0.5},
        icd | {"retrieval": 0, "model": 0},
        icd | {"abstain_below": 1.5},
        icd | {"more": 1},
        {},
        7,
    ):
        path.write_text(json.dumps(sound | {"icd10gm": changed}))
        with pytest.raises(ModelError, match=r"decision\.json"):
            Weights.load(path)
    for content in ("", "[]", "7", "[" * 20000):
        path.write_text(content)
        with pytest.raises(ModelError, match=r"decision\.json"):
            Weights.load(path)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"style": "x"}', '{"style": 7}', '{"candidates": "x"}', '{"candidates": -1}', '{"candidates": 1e9}']
)  # fmt: skip
def test_prompt_settings_that_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / STYLE_FILE).write_text(content)
    with pytest.raises(ModelError, match=STYLE_FILE):
        Prompts.of(tmp_path)


# One known text.


def test_the_embedded_models_know_a_text() -> None:
    agent = embedded_agent()
    coded = agent.code(TEXT)
    assert {axis: coded.coding(axis).code for axis in AXES} == CODES
    assert agent.resources.model is not None
    check_encoder(agent.retriever.encoder)
    check_model(agent.resources.model, agent.resources.prompts)
    check_recogniser(agent.resources.recogniser)


def test_weights_of_something_else_are_noticed(tmp_path: Path) -> None:
    """Finite numbers of the right shapes, in another order."""
    encoder = copied(EMBEDDED, tmp_path / "encoder")
    file = encoder / "icd10gm_0_StaticEmbedding" / "model.safetensors"
    tensors = load_file(file)
    order = torch.randperm(len(tensors["embedding.weight"]), generator=torch.manual_seed(0))
    save_file({"embedding.weight": tensors["embedding.weight"][order].contiguous()}, file)
    with pytest.raises(ModelError, match=r"known text"):
        check_encoder(Encoder.load(encoder, device="cpu"))
    adapter = copied(EMBEDDED_ADAPTER, tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 30 * tensor for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"known text"):
        check_model(LocalModel.load(EMBEDDED_MODEL, adapter, device="cpu"), Prompts.of(EMBEDDED_MODEL))
    with pytest.raises(ModelError, match=r"known tumour"):
        check_recogniser(Recogniser(np.zeros(BUCKETS), 0.0))


# Numbers that are lost while it runs.


class NoNumbers(ScriptedModel):
    def score(self, batch: Any) -> Any:
        return [[np.full(len(question.answers), self.value) for question in questions] for questions in batch]

    def __init__(self, value: float, axes_only: bool) -> None:
        super().__init__()
        self.value = value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_numbers_give_no_code(value: float) -> None:
    agent = CodingAgent(resources_with(NoNumbers(value, True)))
    with pytest.raises(OnkokodeError, match="no numbers"):
        agent.code("Mammakarzinom links")


def test_vectors_that_are_no_numbers_give_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    context = resources_with()
    encoder = context.retriever.encoder
    broken = [np.full((1, 128), np.nan, np.float32)] * 3
    monkeypatch.setattr(encoder.model, "vectors", lambda texts, routes: broken)
    with pytest.raises(OnkokodeError, match="no numbers"):
        CodingAgent(context).code("Mammakarzinom links")


def test_a_model_that_turns_to_no_numbers(folders: dict[str, Path]) -> None:
    model = LocalModel.load(folders["model"], device="cpu")
    with torch.no_grad():
        next(iter(model.model.parameters())).fill_(float("nan"))
    with pytest.raises(ModelError, match=r"qwen3.*no numbers"):
        model.score([[Question("Mammakarzinom", ("C50.9", "C61"))]])
