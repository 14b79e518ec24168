"""What a model folder can do to make a library unpickle: always one error that names the file."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from agent.models.local import LocalModel
from index.errors import ModelError
from index.io.weights import only_safetensors
from index.search.encoder import Encoder
from tests.agent.tiny_models import save_tiny_folders


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "unpickled"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_tiny_folders(tmp_path_factory.mktemp("weights"))


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def as_pickle(weights: Path, mark: Path, *, trap: bool) -> Path:
    """The weights beside a safetensors file as torch would pickle them, or a trap; the file itself goes."""
    file = weights.with_name("pytorch_model.bin")
    if trap:
        file.write_bytes(pickle.dumps({"x": Trap(mark)}))
    else:
        torch.save(load_file(weights), file)
    weights.unlink()
    return file


def list_of_shards(folder: Path, name: str, file: str = "model.safetensors") -> None:
    tensors = load_file(folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(tensors, name)}
    (folder / f"{file}.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("trap", [True, False], ids=["trap", "plain pickle"])
def test_a_list_of_shards_that_leads_to_a_pickle(
    folders: dict[str, Path], tmp_path: Path, mark: Path, trap: bool
) -> None:
    def misled(name: str) -> Path:
        folder = copied(folders[name], tmp_path / name)
        list_of_shards(folder, "pytorch_model.bin")
        as_pickle(folder / "model.safetensors", mark, trap=trap)
        save_file({"x": torch.zeros(1)}, folder / "model-00002-of-00002.safetensors")
        return folder

    with pytest.raises(ModelError, match=r"index\.json.*pytorch_model\.bin.*pickle"):
        LocalModel.load(misled("model"), device="cpu")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*pickle"):
        Encoder.load(misled("bert"), device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/tmp/outside.safetensors", 7, None, "gone.safetensors"]
)
def test_a_list_of_shards_that_leads_nowhere(folders: dict[str, Path], tmp_path: Path, name: Any) -> None:
    folder = copied(folders["model"], tmp_path / "model")
    list_of_shards(folder, name)
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    save_file({"x": torch.zeros(1)}, folder / "model-00002-of-00002.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json|gone\.safetensors"):
        LocalModel.load(folder, device="cpu")


@pytest.mark.parametrize("content", ["", "[]", "7", '{"weight_map": 7}', "[" * 20000])
def test_a_list_of_shards_that_is_none(folders: dict[str, Path], tmp_path: Path, content: str) -> None:
    folder = copied(folders["model"], tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json"):
        LocalModel.load(folder, device="cpu")


@pytest.mark.parametrize("trap", [True, False], ids=["trap", "plain pickle"])
def test_other_ways_to_a_pickle(folders: dict[str, Path], tmp_path: Path, mark: Path, trap: bool) -> None:
    # PEFT takes adapter_model.bin where adapter_model.safetensors itself is not there.
    adapter = copied(folders["adapter"], tmp_path / "adapter")
    weights = adapter / "adapter_model.safetensors"
    shutil.copy(weights, adapter / "adapter_model_old.safetensors")
    as_pickle(weights, mark, trap=trap).rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model"):
        LocalModel.load(folders["model"], adapter, device="cpu")
    # transformers attaches an adapter that lies beside the model.
    both = copied(folders["model"], tmp_path / "both")
    for file in ("adapter_config.json", "adapter_model.bin"):
        shutil.copy(adapter / file, both / file)
    with pytest.raises(ModelError, match="both: holds an adapter beside the model"):
        LocalModel.load(both, device="cpu")
    # A module of sentence-transformers takes pytorch_model.bin where model.safetensors itself is not there.
    encoder = copied(folders["bert"], tmp_path / "bert")
    dense = next(encoder.glob("*_Dense"))
    shutil.copy(dense / "model.safetensors", dense / "other.safetensors")
    as_pickle(dense / "model.safetensors", mark, trap=trap)
    with pytest.raises(ModelError, match=r"_Dense/pytorch_model\.bin.*pickle"):
        Encoder.load(encoder, device="cpu")
    assert not mark.exists()


def test_settings_that_ask_for_the_pickle(folders: dict[str, Path], tmp_path: Path, mark: Path) -> None:
    encoder = copied(folders["bert"], tmp_path / "bert")
    shutil.copy(encoder / "model.safetensors", tmp_path / "kept")
    as_pickle(encoder / "model.safetensors", mark, trap=False)
    shutil.copy(tmp_path / "kept", encoder / "model.safetensors")
    config = encoder / "sentence_bert_config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"model_args": {"use_safetensors": False}}))
    unpickled: list[Any] = []
    load = torch.load
    torch.load = lambda *a, **k: unpickled.append(a) or load(*a, **k)  # type: ignore[assignment,func-returns-value]
    try:
        Encoder.load(encoder, device="cpu")
    except ModelError:
        pass
    finally:
        torch.load = load
    assert not unpickled


def test_the_guard_gives_torch_back() -> None:
    load = torch.load
    with pytest.raises(ModelError, match=r"x\.bin"), only_safetensors("a"), only_safetensors("b"):
        torch.load("x.bin")
    assert torch.load is load


@pytest.mark.slow
def test_a_hub_name_that_is_stored_here(folders: dict[str, Path], tmp_path: Path, mark: Path) -> None:
    for kind, name in (("model", "some/model"), ("bert", "some/encoder")):
        root = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        folder = copied(folders[kind], root / "snapshots" / ("a" * 40))
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text("a" * 40)
        list_of_shards(folder, "pytorch_model.bin")
        as_pickle(folder / "model.safetensors", mark, trap=False)
        save_file({"x": torch.zeros(1)}, folder / "model-00002-of-00002.safetensors")
    program = (
        "from agent.models.local import LocalModel; from index.search.encoder import Encoder; from index.errors import ModelError\n"
        "for load, name in ((LocalModel.load, 'some/model'), (Encoder.load, 'some/encoder')):\n"
        "    try: load(name, device='cpu'); print('loaded')\n"
        "    except ModelError as error: print('refused', error)\n"
    )
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("refused") and "pickle" in line for line in lines), (
        done.stdout
    )
