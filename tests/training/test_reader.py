"""The reader of documents is trained, kept and loaded: our own network, and a language model's layers."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer

from agent.apps.cli import cli
from agent.reading.pieces import Lexicon, by_words, pieces_of
from agent.reading.tagger import Tagger
from index.catalogue.crosswalk import shipped_rules
from index.errors import ModelError
from index.search.encoder import Encoder
from tests.agent.tiny_gguf import save_tiny_gguf
from training.documents.compose import compose_documents
from training.documents.reader import train_reader
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


def test_a_language_model_sees_what_stands_behind(
    tmp_path: Path, documents: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    save_tiny_gguf("gemma3", tmp_path / "tiny.gguf")
    train_reader(documents, tmp_path / "reader", plan(model=str(tmp_path / "tiny.gguf"), rank=2))
    reader = Tagger.load(encoder, tmp_path / "reader")
    one, other = reader.label("Kein Karzinom gefunden"), reader.label("Kein Karzinom operiert")
    assert abs(one.tags[0] - other.tags[0]).max() > 1e-6


def test_a_reader_whose_model_is_gone_says_so(
    tmp_path: Path, documents: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    model = tmp_path / "tiny.gguf"
    save_tiny_gguf("gemma3", model)
    train_reader(documents, tmp_path / "reader", plan(model=str(model), rank=2))
    model.unlink()
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "other"))
    with pytest.raises(ModelError, match=r"tiny\.gguf"):
        Tagger.load(encoder, tmp_path / "reader")


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
