"""The reader: a network with its tokenizer that labels every piece of a document.

    tagger = Tagger.load(folder)
    labels = tagger.label("Die PE ergab ein Adenokarzinom des Sigmas.")
    labels.offsets, labels.tags, labels.moves, labels.links

Each piece brings its own embedding and what the retrieval encoder knows of its word. Three heads: the role of a piece,
the move of its sentence, and a vector that is near that of other pieces that speak of the same tumour. Long documents
are read in overlapping windows, so that time is linear in their length.

A folder holds `config.json`, `model.safetensors` and `tokenizer.json`; of a reader on a language model its heads
and an adapter, and the name of the model, which is loaded from where it lies.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from agent.reading.calibration import Calibration
from agent.reading.labels import LINK, MOVES, TAGS, HasLink, Labels
from agent.reading.network import WINDOW, Network, own_encoder, pretrained_encoder
from agent.reading.pieces import Lexicon, pieces_of
from index.errors import ModelError
from index.io.atomic import new_file, write_whole
from index.io.weights import LOADING_ERRORS, check_numbers
from index.search.encoder import Encoder

WEIGHTS = Path(__file__).parent / "weights"
OVERLAP = 128  # pieces that two windows share
_REMEDY = "install onkokode again, or train it with `onkokode train reader`"


class Tagger:
    """A network with its tokenizer, ready to label texts."""

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        lexicon: Lexicon,
        base: str | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """`base` is the language model whose layers the network has; None: it is our own."""
        self.network, self.tokenizer, self.lexicon, self.base = network.eval(), tokenizer, lexicon, base
        self.calibration = calibration or Calibration()
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def new(cls, base: str, layers: int, rank: int, lexicon: Lexicon) -> Tagger:
        """An untrained reader on so many layers of a language model, with an adapter of a rank in all of them. A model in
        a file or folder is found again by its whole path."""
        from peft import LoraConfig, get_peft_model

        encoder, tokenizer = pretrained_encoder(base, layers)
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        with warnings.catch_warnings():
            # As in `load_network`: PEFT 0.21 asks transformers for a deprecated name.
            warnings.simplefilter("ignore")
            adapted = get_peft_model(encoder, settings)
        network = Network(adapted, lexicon.width, pretrained=True)
        return cls(network, tokenizer, lexicon, str(Path(base).resolve()) if Path(base).exists() else base)

    @classmethod
    def load(cls, encoder: Encoder, folder: Path = WEIGHTS, *, trainable: bool = False) -> Tagger:
        """A reader for the encoder that it was trained with; `trainable` goes on with its training. Raises `ModelError` for a folder that holds no reader, one
        for another encoder, or weights that are incomplete or no numbers."""
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if settings["tags"] != list(TAGS) or settings["moves"] != list(MOVES):
                raise ModelError(f"{folder}: was trained for other labels; {_REMEDY}")
            if settings["encoder"] != encoder.fingerprint:
                raise ModelError(f"{folder}: was trained for another encoder; {_REMEDY}")
            lexicon = Lexicon(encoder)
            base = settings.get("base")
            weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
            if base is None:
                own = own_encoder(settings["pieces"], width=settings["width"], layers=settings["layers"])
                network, tokenizer = (
                    Network(own, lexicon.width),
                    Tokenizer.from_file(str(folder / "tokenizer.json")),
                )
            else:
                body, tokenizer = pretrained_encoder(base, settings["layers"], folder, trainable=trainable)
                network = Network(body, lexicon.width, pretrained=True)
                weights |= {f"encoder.{k}": v for k, v in body.state_dict().items()}
            network.load_state_dict(weights)
        except ModelError:
            raise
        except (*LOADING_ERRORS, Exception) as error:  # tokenizers raises bare Exceptions
            raise ModelError(f"{folder}: holds no reader ({error}); {_REMEDY}") from None
        check_numbers(network, folder)
        calibration = Calibration(**{k: tuple(v) for k, v in settings.get("calibration", {}).items()})
        return cls(network, tokenizer, lexicon, base, calibration)

    def save(self, folder: Path, encoder: str) -> None:
        """Weights in half precision, settings and tokenizer; `encoder` is the fingerprint of the lexicon's. Of a language
        model only the adapter is kept, which a reader has that is new or was loaded to be trained."""
        from safetensors.torch import save_file

        config, network = self.network.encoder.config, self.network
        settings: dict[str, Any] = {
            "pieces": config.vocab_size, "width": config.hidden_size, "layers": config.num_hidden_layers,
            "tags": list(TAGS), "moves": list(MOVES), "encoder": encoder,
            "calibration": asdict(self.calibration),
        }  # fmt: skip
        own = self.base is None
        weights = {
            name: values.half().cpu().contiguous()
            for name, values in network.state_dict().items()
            if own or not name.startswith("encoder.")
        }
        folder.mkdir(parents=True, exist_ok=True)
        if not own:
            if not hasattr(network.encoder, "peft_config"):
                raise ModelError(f"{folder}: the adapter is merged; load the reader to be trained on")
            settings["base"] = self.base
            network.encoder.save_pretrained(folder)
        with new_file(folder / "model.safetensors") as half:
            save_file(weights, half)
        if own:
            # Merges dropped while training are no part of the tokenizer.
            dropped, self.tokenizer.model.dropout = self.tokenizer.model.dropout, None
            write_whole(folder / "tokenizer.json", self.tokenizer.to_str(pretty=True))
            self.tokenizer.model.dropout = dropped
        write_whole(folder / "config.json", json.dumps(settings, indent=2) + "\n")

    def save_calibration(self, folder: Path) -> None:
        """The calibration alone, into the settings of a folder that holds this reader."""
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings["calibration"] = asdict(self.calibration)
        write_whole(folder / "config.json", json.dumps(settings, indent=2) + "\n")

    @torch.inference_mode()
    def label(self, text: str) -> Labels:
        """The labels of a text, piece by piece."""
        pieces = pieces_of(text, self.tokenizer, self.lexicon)
        ids = torch.from_numpy(pieces.ids)
        vectors = torch.from_numpy(pieces.vectors)[torch.from_numpy(pieces.words)]
        found = [np.zeros((0, width), np.float32) for width in (len(TAGS), len(MOVES), LINK)]
        parts: list[list[np.ndarray]] = [[], [], []]
        for start, first, last in windows(len(ids)):
            window = ids[start : start + WINDOW][None].to(self.network.device)
            known = vectors[start : start + WINDOW][None].to(self.network.device)
            tags, moves, links = self.network(window, torch.ones_like(window), known)
            labels = (tags.log_softmax(-1), moves.log_softmax(-1), links)
            for part, values in zip(parts, labels, strict=True):
                part.append(values[0, first - start : last - start].float().cpu().numpy())
        if parts[0]:
            found = [np.concatenate(part) for part in parts]
        return Labels(pieces.offsets, pieces.words, *found)

    def same_tumour(self, mentions: Sequence[HasLink]) -> np.ndarray:
        """The log-odds (n, n) that two of n mentions speak of one tumour."""
        links = np.stack([one.link for one in mentions])
        return links @ links.T / LINK**0.5 + float(self.network.link_offset.detach())


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
