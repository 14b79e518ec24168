"""The words that the built-in lexicon knows: nouns of places ("Falx", "Klivus"), and any word of a tumour's name.

names_known_place("Lobus medius pulmonis")      # True
names_known_word("im KIS eingetragen")          # False

The tables of `rules` hold the words that behaviours hang on; these only say that a phrase may belong to a tumour.
"""

from __future__ import annotations

import re
from functools import cache

from index.catalogue.lexicon import COLUMNS, FOLDER
from index.catalogue.overrides import table_rows

_PLACES = "topography.tsv"
_TABLES = (_PLACES, "morphology.tsv", "icd10gm_c00_c44.tsv", "icd10gm_c45_c97.tsv", "icd10gm_d00_d48.tsv")
_NOUN = re.compile(r"(?<![\w-])[A-ZÄÖÜ][a-zäöüß]{3,40}")
_WORD = re.compile(r"[^\W\d_]{3,40}")
# Nouns of place names that mean anything elsewhere, and words that any sentence has.
_NO_PLACES = frozenset(("frau", "vater", "innere", "station", "stationen", "seite", "lage", "ende", "linie", "zentrum", "angabe",
                        "blutbild", "biopsie", "stanze", "material", "präparat", "situation", "höhe", "bereich", "teil"))  # fmt: skip
_OF_ANY_SENTENCE = _NO_PLACES | frozenset((
    "der", "die", "das", "des", "dem", "den", "ein", "eine", "eines", "einer", "einem", "und", "oder", "mit", "ohne", "bei", "von", "vom", "zum", "zur",
    "nach", "nicht", "als", "auf", "aus", "für", "durch", "über", "unter", "vor", "sich", "ist", "sowie", "auch", "nur", "noch", "alle", "alter", "art",
))  # fmt: skip


@cache
def _places() -> frozenset[str]:
    return frozenset(noun.lower() for text in _texts(_PLACES) for noun in _NOUN.findall(text)) - _NO_PLACES


@cache
def _words() -> frozenset[str]:
    found = (word.lower() for table in _TABLES for text in _texts(table) for word in _WORD.findall(text))
    return frozenset(found) - _OF_ANY_SENTENCE


@cache
def _texts(table: str) -> tuple[str, ...]:
    return tuple(row["text"] for _, row in table_rows(FOLDER / table, COLUMNS))


def lexicon_texts() -> list[str]:
    """The lines of the lexicon that name tumours and places."""
    return [text for table in _TABLES for text in _texts(table)]


def known_place(word: str) -> bool:
    """Whether a word with its capital stands in the name of a place."""
    return word[0].isupper() and word.lower() in _places()


def names_known_place(text: str) -> bool:
    """Whether a noun of the text stands in the name of a place."""
    return any(noun.lower() in _places() for noun in _NOUN.findall(text))


def names_known_word(text: str) -> bool:
    """Whether a word of the text stands in the name of a tumour or of a place."""
    return any(word.lower() in _words() for word in _WORD.findall(text))
