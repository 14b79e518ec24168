"""The study's held-out split: which alphabet lines are measured on, and keeping them out of everything else.

    split = Split.of(files)                             # parsed catalogue files, or their paths
    len(split.held_out), len(split.development)         # (1286, 643)
    split.bans("Karzinom des Pankreaskopfes")           # True where a line of the split says the same
    catalogue = split.catalogue_without(Catalogue.from_files(files))

Lines of the alphabet 2023 with a code of C00-D48 that is terminal in the systematic of 2024 are shuffled with
a fixed seed; the first tenth is held out, the next twentieth is for development. A text is banned by its
words, not by its line: the same term stands in several catalogues, often with its words in another order.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.catalogue.layouts import CatalogueFile, parse_all
from index.errors import OnkokodeError
from index.records import CatalogueLine, CodeSystem
from index.text import normalise, term_key

SPAN = 2**64
SEED = 13
HELD_OUT = 0.10
DEVELOPMENT = 0.05
ALPHABET = "alphabet-2023"
SYSTEMATIC = "icd10gm-2024"


def hash64(text: str) -> int:
    """A number from 0 to `SPAN` - 1, evenly spread and the same on every machine: which side of a split a text is
    on, and whether it was seen."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


@dataclass(frozen=True)
class Split:
    """Held-out lines (never in the index, the training or the tuning of a measured system) and development
    lines (kept from index and training, for fitting weights and thresholds), each in shuffled order."""

    held_out: tuple[CatalogueLine, ...]
    development: tuple[CatalogueLine, ...]

    @classmethod
    def of(cls, files: Iterable[CatalogueFile | Path]) -> Split:
        """The split of the study, from the alphabet 2023 and the systematic 2024 among `files`.

        Raises `OnkokodeError` where one of the two is missing; the edition decides, not the file's name.
        """
        parsed: list[CatalogueFile] = []
        for file in files:
            parsed += [file] if isinstance(file, CatalogueFile) else parse_all(file)
        alphabet = _edition(parsed, ALPHABET)
        terminal = {
            code.code
            for code in _edition(parsed, SYSTEMATIC).codes
            if code.terminal and code.system is CodeSystem.ICD10GM
        }
        lines = [line for line in alphabet.lines if is_neoplasm(line.code) and line.code in terminal]
        random.Random(SEED).shuffle(lines)
        held_out = int(len(lines) * HELD_OUT)
        development = held_out + int(len(lines) * DEVELOPMENT)
        return cls(tuple(lines[:held_out]), tuple(lines[held_out:development]))

    @cached_property
    def _banned(self) -> frozenset[str]:
        lines = (*self.held_out, *self.development)
        return frozenset(key(line.text) for line in lines for key in (_bag, term_key)) - {""}

    def bans(self, text: str) -> bool:
        """Whether a line of the split has the same normalised words, in whatever order, or differs from the
        text in blanks and hyphens only."""
        return _bag(text) in self._banned or term_key(text) in self._banned

    def catalogue_without(self, catalogue: Catalogue) -> Catalogue:
        """The catalogue without the split's terms, in whichever edition or lexicon they stand."""
        return catalogue.filtered(lambda line: not self.bans(line.text))


def _bag(text: str) -> str:
    """The sorted normalised words. Texts of equal normalised form have equal bags, so one set bans both."""
    return " ".join(sorted(normalise(text).split()))


def _edition(files: list[CatalogueFile], edition: str) -> CatalogueFile:
    for file in files:
        if file.edition == edition:
            return file
    there = ", ".join(dict.fromkeys(file.edition for file in files)) or "none"
    raise OnkokodeError(f"the split needs the catalogue file of the edition {edition} (here: {there})")
