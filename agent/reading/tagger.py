"""The reader's network: a small transformer that labels every piece of a document.

    tagger = Tagger.load(folder)
    labels = tagger.label("Die PE ergab ein Adenokarzinom des Sigmas.")
    labels.offsets, labels.tags, labels.moves, labels.links

Each piece brings its own embedding and what the retrieval encoder knows of its word on the three axes, so that a word
that only catalogues hold is known too. The encoder is transformers' ModernBERT (rotary positions; every other layer
looks at its neighbourhood only), from scratch. Three heads: the role of a piece, the move of its sentence, and a vector
that is near that of other pieces that speak of the same tumour. Long documents are read in overlapping windows, so that
time is linear in their length.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import ModernBertConfig, ModernBertModel

from agent.reading.labels import LINK, MOVES, TAGS, HasLink, Labels
from index.errors import ModelError
from index.io.weights import LOADING_ERRORS, check_numbers
from index.records import AXES
from index.search.encoder import Encoder

WEIGHTS = Path(__file__).parent / "weights"
WINDOW, OVERLAP = 512, 128  # pieces
_MOST_WORDS = 200_000  # kept by a lexicon
PADDING = 0
_REMEDY = "install onkokode again, or train it with `onkokode train reader`"


class Lexicon:
    """What an encoder knows of words: their vectors on the axes, side by side; each word is asked for once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}
        self.width = sum(encoder.dimension(axis) for axis in AXES)

    def vectors(self, words: Sequence[str]) -> np.ndarray:
        """float32 (n, width)."""
        new = list(dict.fromkeys(word for word in words if word not in self._vectors))
        if len(self._vectors) + len(new) > _MOST_WORDS:
            self._vectors.clear()
            new = list(dict.fromkeys(words))
        if new:
            found = np.concatenate([self._encoder.encode(new, axis) for axis in AXES], axis=1)
            self._vectors.update(zip(new, found, strict=True))
        if not words:
            return np.zeros((0, self.width), np.float32)
        return np.stack([self._vectors[word] for word in words])


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces: `ids` (n,), `offsets` (n, 2), the number of each piece's word (n,), and the words' `vectors`
    (words, width)."""

    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray
    vectors: np.ndarray


def pieces_of(text: str, tokenizer: Tokenizer, lexicon: Lexicon) -> Pieces:
    """The pieces of a text with what is known of their words."""
    # Tokenizers refuse lone surrogates, which broken encodings leave behind; places stay.
    text = text.encode("utf-8", "replace").decode("utf-8")
    encoded = tokenizer.encode(text, add_special_tokens=False)
    offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
    words = np.array(encoded.word_ids, dtype=np.int64)
    firsts = np.flatnonzero(np.diff(words, prepend=-1))
    lasts = np.append(firsts[1:], len(words))[: len(firsts)] - 1
    spelt = [text[offsets[a, 0] : offsets[b, 1]] for a, b in zip(firsts, lasts, strict=True)]
    numbers = np.repeat(np.arange(len(firsts)), lasts - firsts + 1)
    return Pieces(np.array(encoded.ids, dtype=np.int64), offsets, numbers, lexicon.vectors(spelt))


class Network(nn.Module):
    """Encoder and heads: ids (b, n), mask (b, n) and vectors of words (b, n, v) in, the scores of tags, moves and links
    out."""

    def __init__(self, config: ModernBertConfig, vectors: int) -> None:
        super().__init__()
        self.encoder = ModernBertModel(config)
        width = config.hidden_size
        self.known = nn.Linear(vectors, width)
        self.tags = nn.Linear(width, len(TAGS))
        self.moves = nn.Linear(width, len(MOVES))
        self.links = nn.Linear(width, LINK)
        self.link_offset = nn.Parameter(torch.zeros(()))

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, vectors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        inputs = self.encoder.get_input_embeddings()(ids) + self.known(vectors)
        states = self.encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
        return self.tags(states), self.moves(states), self.links(states)


def config_of(pieces: int, *, width: int = 256, layers: int = 4) -> ModernBertConfig:
    """The shape of the network for a vocabulary of so many pieces."""
    kinds = ["full_attention" if layer % 2 == 0 else "sliding_attention" for layer in range(layers)]
    return ModernBertConfig(
        vocab_size=pieces, hidden_size=width, intermediate_size=width * 3 // 2, num_hidden_layers=layers,
        num_attention_heads=4, local_attention=128, layer_types=kinds, max_position_embeddings=WINDOW,
        pad_token_id=PADDING, bos_token_id=None, eos_token_id=None, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip


class Tagger:
    """A network with its tokenizer, ready to label texts."""

    def __init__(self, network: Network, tokenizer: Tokenizer, lexicon: Lexicon) -> None:
        self.network, self.tokenizer, self.lexicon = network.eval(), tokenizer, lexicon
        self._link_offset = float(network.link_offset.detach())
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def load(cls, encoder: Encoder, folder: Path = WEIGHTS) -> Tagger:
        """A reader for the encoder that it was trained with. Raises `ModelError` for a folder that holds no reader, one
        for another encoder, or weights that are incomplete or no numbers."""
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if settings["tags"] != list(TAGS) or settings["moves"] != list(MOVES):
                raise ModelError(f"{folder}: was trained for other labels; {_REMEDY}")
            if settings["encoder"] != encoder.fingerprint:
                raise ModelError(f"{folder}: was trained for another encoder; {_REMEDY}")
            config = config_of(settings["pieces"], width=settings["width"], layers=settings["layers"])
            lexicon = Lexicon(encoder)
            network = Network(config, lexicon.width)
            network.load_state_dict(
                {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
            )
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except ModelError:
            raise
        except (*LOADING_ERRORS, Exception) as error:  # tokenizers raises bare Exceptions
            raise ModelError(f"{folder}: holds no reader ({error}); {_REMEDY}") from None
        check_numbers(network, folder)
        return cls(network, tokenizer, lexicon)

    def save(self, folder: Path, encoder: str) -> None:
        """Weights in half precision, settings and tokenizer; `encoder` is the fingerprint of the lexicon's."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        config = self.network.encoder.config
        settings: dict[str, Any] = {
            "pieces": config.vocab_size, "width": config.hidden_size, "layers": config.num_hidden_layers,
            "tags": list(TAGS), "moves": list(MOVES), "encoder": encoder,
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        save_file(
            {k: v.half().contiguous() for k, v in self.network.state_dict().items()},
            folder / "model.safetensors",
        )
        self.tokenizer.save(str(folder / "tokenizer.json"))

    @torch.inference_mode()
    def label(self, text: str) -> Labels:
        """The labels of a text, piece by piece."""
        pieces = pieces_of(text, self.tokenizer, self.lexicon)
        ids = torch.from_numpy(pieces.ids)
        vectors = torch.from_numpy(pieces.vectors)[torch.from_numpy(pieces.words)]
        found = [np.zeros((0, width), np.float32) for width in (len(TAGS), len(MOVES), LINK)]
        parts: list[list[np.ndarray]] = [[], [], []]
        for start, first, last in windows(len(ids)):
            window = ids[start : start + WINDOW][None]
            known = vectors[start : start + WINDOW][None]
            tags, moves, links = self.network(window, torch.ones_like(window), known)
            labels = (tags.log_softmax(-1), moves.log_softmax(-1), links)
            for part, values in zip(parts, labels, strict=True):
                part.append(values[0, first - start : last - start].float().numpy())
        if parts[0]:
            found = [np.concatenate(part) for part in parts]
        return Labels(pieces.offsets, pieces.words, *found)

    def same_tumour(self, mentions: Sequence[HasLink]) -> np.ndarray:
        """The log-odds (n, n) that two of n mentions speak of one tumour."""
        links = np.stack([one.link for one in mentions])
        return links @ links.T / LINK**0.5 + self._link_offset


def windows(count: int) -> list[tuple[int, int, int]]:
    """(start of the window, first and last piece that are taken from it) for so many pieces."""
    if count <= WINDOW:
        return [(0, 0, count)] if count else []
    found = []
    start, done = 0, 0
    while done < count:
        end = min(start + WINDOW, count)
        last = count if end == count else end - OVERLAP // 2
        found.append((start, done, last))
        done, start = last, last - OVERLAP // 2
    return found
