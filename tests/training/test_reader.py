"""The reader of documents is trained, kept and loaded: our own network, and a language model's layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import Tokenizer

from agent.apps.cli import cli
from agent.prepare.normalise import normalise
from agent.reading.calibration import Calibration
from agent.reading.mentions import Mention
from agent.reading.pieces import Lexicon, by_words, pieces_of
from agent.reading.tagger import Tagger
from agent.reading.tumours import TumourFacts
from agent.results import Coding
from index.catalogue.crosswalk import shipped_rules
from index.errors import ModelError
from index.search.encoder import Encoder
from tests.agent.tiny_gguf import save_tiny_gguf
from training.documents import calibration as calibration_of
from training.documents.annotated import load_annotated
from training.documents.compose import compose_documents
from training.documents.reader import train_reader, train_tokenizer
from training.plan import ReaderPlan

TEXT = "Histologie:\nAdenokarzinom des Sigmas (G2),  pT3 pN1.\nVater:  Melanom."


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents.jsonl"
    rows = islice(compose_documents(shipped_rules(), seed=5), 12)
    path.write_text("".join(row.to_json() + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def gemma(tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, and beside it `reader`, which was trained on its layers."""
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    model = tmp_path / "tiny.gguf"
    save_tiny_gguf("gemma3", model)
    train_reader(documents, tmp_path / "reader", plan(model=str(model), rank=2))
    return model


def plan(**changes: object) -> ReaderPlan:
    settings = {"epochs": 1, "annotated": 0, "held_out": 2, "width": 32, "layers": 1, "pieces": 2048}
    return ReaderPlan(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_reader_is_trained_kept_and_gone_on_with(
    tmp_path: Path, documents: Path, encoder: Encoder, pretrained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    model = tmp_path / "tiny.gguf"
    if pretrained:
        save_tiny_gguf("gemma3", model)
    chosen = plan(model=str(model) if pretrained else None, rank=2)
    train_reader(documents, tmp_path / "reader", chosen)
    found = Tagger.load(encoder, tmp_path / "reader").label(TEXT)
    words = {TEXT[start:end] for start, end in found.offsets}
    assert not any(word.startswith(" ") for word in words) and "\n" in words
    assert np.isfinite(found.tags).all() and len(found.tags) == len(found.offsets)

    train_reader(documents, tmp_path / "further", chosen, tmp_path / "reader")
    further = Tagger.load(encoder, tmp_path / "further").label(TEXT)
    assert further.tags.shape == found.tags.shape and abs(further.tags - found.tags).max() > 1e-4
    assert (tmp_path / "reader" / "tokenizer.json").exists() != pretrained
    files = sum(path.stat().st_size for path in (tmp_path / "reader").iterdir())
    assert not pretrained or files < model.stat().st_size, "the model's own weights are not kept again"

    text = tmp_path / "brief.txt"
    text.write_text(TEXT, encoding="utf-8")
    shown = CliRunner().invoke(cli, ["read", "--json", "--reader", str(tmp_path / "reader"), str(text)])
    assert shown.exit_code == 0, shown.output


class Killed(Exception):
    pass


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_killed_run_goes_on(
    tmp_path: Path, documents: Path, pretrained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the weights of a run that was not killed. Our own tokenizer alone differs: its training breaks ties, and its
    merges are dropped, by a chance that cannot be seeded."""
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("training.documents.reader._PIECE_DROPOUT", None)
    pieces = train_tokenizer(documents.read_text(encoding="utf-8").splitlines(), 1000)
    monkeypatch.setattr("training.documents.reader.train_tokenizer", lambda texts: pieces)
    model = tmp_path / "tiny.gguf"
    if pretrained:
        save_tiny_gguf("gemma3", model)
    chosen = plan(model=str(model) if pretrained else None, rank=2, epochs=2, save_steps=1, pieces=1024)
    train_reader(documents, tmp_path / "whole", chosen)

    taken, learn = 0, torch.optim.AdamW.step

    def step(*given: Any, **named: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == 4:
            raise Killed
        return learn(*given, **named)

    monkeypatch.setattr("torch.optim.AdamW.step", step)
    killed = tmp_path / "killed"
    with pytest.raises(Killed):
        train_reader(documents, killed, chosen)
    assert (killed / "checkpoint.safetensors").is_file()
    with pytest.raises(ModelError, match="another model, data or plan"):
        train_reader(documents, killed, replace(chosen, epochs=3))
    taken = 4
    train_reader(documents, killed, chosen)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    for name, values in one.items():
        torch.testing.assert_close(values, other[name])
    assert not (killed / "checkpoint.safetensors").exists()
    steps = taken
    train_reader(documents, killed, chosen)
    assert taken == steps, "trained already"


def test_a_mean_of_before_and_after(tmp_path: Path, documents: Path) -> None:
    train_reader(documents, tmp_path / "first", plan())
    ends = {}
    for keep in (0.0, 0.5, 0.75):
        train_reader(documents, tmp_path / f"{keep}", plan(keep=keep), tmp_path / "first")
        ends[keep] = load_file(tmp_path / f"{keep}" / "model.safetensors")["tags.weight"].float()
    before = load_file(tmp_path / "first" / "model.safetensors")["tags.weight"].float()
    moved = (ends[0.0] - before).norm()
    assert 0.3 < (ends[0.5] - before).norm() / moved < 0.7
    assert (ends[0.75] - before).norm() < (ends[0.5] - before).norm() < moved
    alone = ["train", "reader", "--documents", str(documents), "--out", str(tmp_path / "x"), "--keep", "0.5"]
    refused = CliRunner().invoke(cli, alone)
    assert refused.exit_code == 2 and "--start" in refused.output


def test_the_calibration_is_fitted_by_itself(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_reader(documents, tmp_path / "reader", plan())
    weights = (tmp_path / "reader" / "model.safetensors").read_bytes()
    fitted = Calibration((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))
    asked: list[int] = []

    def fit(tagger: Tagger, rows: list[Any]) -> Calibration:
        asked.append(len(rows))
        return fitted

    monkeypatch.setattr("training.documents.calibration.fit_calibration", fit)
    done = CliRunner().invoke(cli, ["train", "fit-reader", str(tmp_path / "reader")])
    assert done.exit_code == 0, done.output
    assert 100 < asked[0] < len(load_annotated()) / 5, "only those that no reader learns"
    assert Tagger.load(Encoder.load(), tmp_path / "reader").calibration == fitted
    assert (tmp_path / "reader" / "model.safetensors").read_bytes() == weights


def test_a_language_model_sees_what_stands_behind(tmp_path: Path, gemma: Path, encoder: Encoder) -> None:
    reader = Tagger.load(encoder, tmp_path / "reader")
    one, other = reader.label("Kein Karzinom gefunden"), reader.label("Kein Karzinom operiert")
    assert abs(one.tags[0] - other.tags[0]).max() > 1e-6


def test_a_reader_whose_model_is_gone_says_so(
    tmp_path: Path, gemma: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    gemma.unlink()
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "other"))
    with pytest.raises(ModelError, match=r"tiny\.gguf"):
        Tagger.load(encoder, tmp_path / "reader")


def test_bytes_are_divided_at_words_too(tmp_path: Path, encoder: Encoder) -> None:
    save_tiny_gguf("llama", tmp_path / "tiny.gguf")
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    tokenizer = by_words(Tokenizer.from_str(loaded.backend_tokenizer.to_str()))
    text = "Ösophagus – Ca"
    pieces = pieces_of(text, tokenizer, Lexicon(encoder))
    found = {text[a:b] for a, b in pieces.offsets}
    assert "–" in found and not any(word.startswith(" ") for word in found)
    own = loaded(text, add_special_tokens=False)["input_ids"]
    assert list(pieces.ids) == own, "the pieces that the model learnt"


def test_tumours_and_codes_are_calibrated_on_the_places_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose normal form is longer, tumours of the patient and of others, codes that the author's marks have too
    and codes that they have not."""
    name = {"start": 13, "end": 37, "role": "name", "move": "histology", "tumour": 0}
    document = {"text": "Größe ½ cm … Adenokarzinom des Sigmas.", "mentions": [name]}
    other = {"text": "Vater: Melanom.", "mentions": []}
    unclear = {"text": "Größe ½ cm … Adenokarzinom des Sigmas?", "mentions": [name]}
    sure = {"Sigmas.": 0.9, "Melanom": 0.2, "Sigmas?": 0.6}

    def tumours(state: dict[str, Any], resources: object) -> dict[str, Any]:
        (clean,) = state["clean"]
        (end,) = (words for words in sure if words in clean.text)
        start = clean.text.index("Melanom" if end == "Melanom" else "Adenokarzinom")
        one = Mention(start, start + 7, "name", "histology", 1.0, sure[end])
        return {"tumours": [[TumourFacts((), "gesichert", None, (), (), (one,))]]}

    def coded(facts: TumourFacts, coded: object, resources: object) -> SimpleNamespace:
        was_read = facts.mentions[0].presence < 1
        code = "C18.0" if was_read and facts.mentions[0].presence == 0.6 else "C18.7"
        return SimpleNamespace(coding=lambda axis: Coding(axis, code, None, 0.95))

    monkeypatch.setattr(
        calibration_of,
        "label",
        lambda state, resources: state | {"clean": [normalise(state["documents"][0])]},
    )
    monkeypatch.setattr(calibration_of, "join", tumours)
    monkeypatch.setattr(calibration_of, "code", lambda state, resources: {"coded": {}})
    monkeypatch.setattr(calibration_of, "coded_tumour", coded)
    monkeypatch.setattr(calibration_of, "agreeing", lambda coding, facts, coded: 1.0)
    tagger: Any = SimpleNamespace(calibration=None)
    fitted = calibration_of.fit_calibration(tagger, [document, other, unclear] * 12)
    likely, unlikely, doubtful = ([Mention(0, 5, "name", "histology", 1.0, p)] for p in (0.9, 0.2, 0.6))
    assert fitted.presence(likely) > 0.7 > 0.3 > fitted.presence(unlikely)
    assert fitted.code(0.95, likely, 1.0) > 0.7 > 0.4 > fitted.code(0.95, doubtful, 1.0)
    assert calibration_of.fit_calibration(tagger, [document] * 3) == Calibration(), "too few"


def test_a_reader_with_a_merged_adapter_is_not_kept(tmp_path: Path, gemma: Path, encoder: Encoder) -> None:
    with pytest.raises(ModelError, match="merged"):
        Tagger.load(encoder, tmp_path / "reader").save(tmp_path / "again", encoder.fingerprint)


def test_a_folder_that_holds_no_reader_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "brief.txt").write_text(TEXT, encoding="utf-8")
    shown = CliRunner().invoke(cli, ["read", "--reader", str(tmp_path), str(tmp_path / "brief.txt")])
    assert shown.exit_code != 0 and "holds no reader" in shown.output


def test_a_blank_belongs_to_no_piece(tmp_path: Path, encoder: Encoder) -> None:
    save_tiny_gguf("gemma3", tmp_path / "tiny.gguf")
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    tokenizer = by_words(Tokenizer.from_str(loaded.backend_tokenizer.to_str()))
    pieces = pieces_of(TEXT, tokenizer, Lexicon(encoder))
    first = {
        int(word): int(place)
        for word, place in reversed(list(zip(pieces.words, pieces.offsets[:, 0], strict=True)))
    }
    starts = [TEXT[place] for place in first.values()]
    assert " " not in starts and len(first) == len(pieces.vectors)
