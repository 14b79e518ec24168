"""BM25 on four-grams: finds what shares letters, survives what shares none, and comes back from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.search.lexical import Lexical, grams

LINES = ["Mammakarzinom", "Karzinom der Niere", "Kolonadenom", "Mycosis fungoides", "Nierenzellkarzinom"]


@pytest.fixture(scope="module")
def lexical() -> Lexical:
    return Lexical.build(LINES)


def test_grams_of_words_with_their_ends_marked() -> None:
    assert grams("Niere") == ["<nie", "nier", "iere", "ere>"]
    assert grams("Ca im Ohr") == ["<ca>", "<im>", "<ohr", "ohr>"]
    assert grams("Carcinom") == grams("Karzinom")
    assert grams(" -;\ud800") == []


def test_the_best_rows_come_first(lexical: Lexical) -> None:
    found = lexical.search(["Mycosis fungoides am Rücken", "Niere"], 3)
    assert found[0][0] == 3
    assert found[1][:2] == [1, 4]


def test_a_misspelt_word_is_found_by_what_is_left_of_it(lexical: Lexical) -> None:
    assert lexical.search(["Mykosis fungoidis"], 1) == [[3]]


def test_a_row_is_found_only_where_it_shares_a_gram(lexical: Lexical) -> None:
    assert lexical.search(["Xylophon"], 5) == [[]]
    assert lexical.search(["Kolonadenom"], 5)[0][0] == 2
    assert 3 not in lexical.search(["Kolonadenom"], 5)[0]


@pytest.mark.parametrize("text", ["", "  ", "-", "\x00", "\ud800", "😀"])
def test_texts_without_words_find_nothing_and_shift_no_row(lexical: Lexical, text: str) -> None:
    assert lexical.search([text], 2) == [[]]
    found = lexical.search([text, "Mycosis", text, "Kolonadenom"], 1)
    assert found == [[], [3], [], [2]]


def test_more_rows_than_there_are(lexical: Lexical) -> None:
    found = lexical.search(["Karzinom der Niere"], 1000)[0]
    assert sorted(found) == sorted(set(found)) and set(found) <= set(range(len(LINES)))
    assert lexical.search(["Niere"], 0) == [[]]
    assert lexical.search([], 3) == []


def test_lines_without_words_keep_their_number() -> None:
    assert Lexical.build(["-", "Niere", ""]).search(["Niere"], 3) == [[1]]


def test_saved_and_loaded_it_finds_the_same_without_pickle(lexical: Lexical, tmp_path: Path) -> None:
    lexical.save(tmp_path)
    loaded = Lexical.load(tmp_path, len(LINES))
    queries = ["Nierenkarzinom", "Kolon", "", "Xylophon", "Mammakarzinom links"]
    assert loaded.search(queries, 4) == lexical.search(queries, 4)
    for array in tmp_path.glob("*.npy"):
        np.load(array, allow_pickle=False)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".npy", ".json"}
