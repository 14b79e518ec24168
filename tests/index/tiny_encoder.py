"""Encoders without training, and a catalogue of a few lines, for the tests of retrieval.

encoder = TableEncoder({"Brustkrebs": (1.0, 0.0)})        # the vectors that the test wrote down
folder = save_static_model(tmp_path / "foreign")            # a sentence-transformers model with random weights
folder = save_bert_model(tmp_path / "bert")                 # another: a transformer, pooling and a dense layer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile
from index.records import CatalogueLine, CodeSystem
from index.search.encoder import Encoder, Prototypes


class TableEncoder(Encoder):
    """Looks vectors up; a text that is not in the table is the zero vector."""

    def __init__(
        self,
        table: Mapping[str, tuple[float, ...]],
        *,
        scale: float = 2.0,
        fingerprint: str = "table",
        prototypes: Mapping[CodeSystem, Prototypes] | None = None,
    ) -> None:
        self._table = table
        self._width = len(next(iter(table.values())))
        self._own = prototypes or {}
        self.name = self.fingerprint = fingerprint
        self.scale = scale

    def encode(self, texts: Sequence[str], system: CodeSystem, *, progress: bool = False) -> np.ndarray:
        rows = [self._table.get(text, (0.0,) * self._width) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self._width)

    def dimension(self, system: CodeSystem) -> int:
        return self._width

    def prototypes(self, system: CodeSystem) -> Prototypes | None:
        return self._own.get(system)


def catalogue_of(*lines: tuple[str, str], system: CodeSystem = CodeSystem.ICD10GM) -> Catalogue:
    """A catalogue of (code, text) lines of one system and nothing else."""
    made = tuple(
        CatalogueLine(f"made-1:{n}", code, text, "synonym", system, "made-1", "made.txt")
        for n, (code, text) in enumerate(lines)
    )
    file = CatalogueFile(Path("made.txt"), "0" * 64, "made", system, "made-1", (), made)
    return Catalogue.from_files([file], lexicon=False)


def save_static_model(
    folder: Path, words: Sequence[str] = ("[none]", "brust", "krebs", "niere"), width: int = 8
) -> Path:
    """A sentence-transformers model with random word vectors; it has no vector for other words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[none]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    weights = torch.randn(len(words), width)
    weights[words.index("[none]")] = 0
    SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights.numpy())], device="cpu"
    ).save(str(folder))
    return folder


def save_bert_model(folder: Path) -> Path:
    """A sentence-transformers model of a random two-layer BERT and a dense layer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "mamma", "##karzinom", "arterielle", "hypertonie"]
    (folder / "vocab.txt").write_text("\n".join(words))
    plain = folder / "plain"
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(plain)
    torch.manual_seed(0)
    settings = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(settings).save_pretrained(plain)
    transformer = Transformer(str(plain))
    modules = [transformer, Pooling(16), Dense(16, 8)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "saved"))
    return folder / "saved"
