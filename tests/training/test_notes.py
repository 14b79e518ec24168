"""Notes around a composed diagnosis: the diagnosis stays whole, is found again, and the phrases name no tumour."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.prepare import core_of, prepare
from agent.prepare.context import METASTASIS
from index.catalogue.overrides import TableError
from training.corpus import _read_in
from training.texts.notes import PLACES, _phrases, bystander, noted

DIAGNOSIS = "Urothelkarzinom der Harnblase, pT1"


def test_the_diagnosis_stands_in_the_note_as_it_was() -> None:
    rng = random.Random(1)
    for _ in range(300):
        note = noted(rng, DIAGNOSIS, "C67.9")
        assert note.text[note.start : note.end] == DIAGNOSIS
        assert "  " not in note.text


def test_preparation_finds_the_diagnosis_again() -> None:
    rng = random.Random(2)
    core = core_of(DIAGNOSIS)
    read = [_read_in(noted(rng, DIAGNOSIS, "C67.9"), core) for _ in range(300)]
    found = [core for _, core in filter(None, read) if "Urothelkarzinom" in core]
    assert len(found) > 0.95 * len(read)
    # Most of what stands around is set aside.
    assert sum(len(core) < 60 for core in found) > 0.8 * len(found)


def test_the_same_seed_gives_the_same_notes() -> None:
    assert [noted(random.Random(3), DIAGNOSIS, None) for _ in range(5)] == [
        noted(random.Random(3), DIAGNOSIS, None) for _ in range(5)
    ]


def test_no_phrase_speaks_of_metastases_and_every_place_has_phrases_for_any_site() -> None:
    phrases = _phrases()
    assert set(phrases) == set(PLACES)
    for place, by_site in phrases.items():
        assert len(by_site["*"]) >= 20, place
        for texts in by_site.values():
            assert not [text for text in texts if METASTASIS.search(text) and "kein" not in text.lower()]


def test_bystanders_are_texts_without_the_diagnosis() -> None:
    rng = random.Random(4)
    assert all(prepare(bystander(rng)).diagnoses for _ in range(100))


def test_an_unknown_place_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "notes.tsv"
    path.write_text("place\torgan\ttext\nbefor\t*\tDg.:\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"row 2: the place is befor, which is none of before"):
        _phrases(path)
