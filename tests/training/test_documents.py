"""Composed documents: authors' rows that cannot be used are named, and what is said is what the gold holds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from agent.reading.tagger import Lexicon
from index.catalogue.crosswalk import Crosswalk, shipped_rules
from index.search.encoder import Encoder
from training.documents.compose import compose_documents
from training.documents.reader import example, noisy, strangers_of, train_tokenizer
from training.documents.skeletons import COLUMNS, SkeletonError, faults_of, load_voice, load_voices
from training.documents.writer import ComposedDocument
from training.texts.wrappers import declined

HEADER = "\t".join(COLUMNS)


@pytest.fixture(scope="module")
def documents() -> list[ComposedDocument]:
    return list(islice(compose_documents(shipped_rules(), seed=5), 150))


def voice(tmp_path: Path, *rows: str, name: str = "letter-test") -> Path:
    path = tmp_path / f"{name}.tsv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def test_the_voices_are_many_and_all_usable() -> None:
    voices = load_voices()
    assert len({one.kind for one in voices}) == 9
    assert sum(len(one.skeletons) for one in voices) >= 5000
    assert all(one.frames or one.documents for one in voices)
    assert sum(len(one.documents) for one in voices) >= 200


@pytest.mark.parametrize(
    "row, remedy",
    [
        ("loesion\t\t\tHerd {S:im}", "'loesion' is no move"),
        ("lesion\tC3\t\tHerd {S:im}", "'C3' is no organ"),
        ("lesion\t\tadeno\tHerd {S:im}", "'adeno' is no beginning of a histology"),
        ("lesion\t\t\tHerd {S:in}", "{S:in} is no slot with that form"),
        ("lesion\t\t\tHerd, {H}", "{H} is no slot of the move lesion"),
        ("lesion\t\t\tHerd {S", "a brace that belongs to no slot"),
        ("diagnosis\t\t\t{H}", "has to name {S} or {O} too"),
        ("metastasis\t\t\tFiliae", "has to name {M} or {MS}"),
        ("suspicion\t\t\tUnklar {S:im}", "has to name {T} or {H}"),
        ("paragraph\t\t\t[lesion] Herd {S:im}.", "two or more sentences"),
        ("frame:now\t\t\t<lesoin>\\n<further>", "<lesoin> names no move"),
        ("lesion\t\t\t", "0 characters"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_remedy(tmp_path: Path, row: str, remedy: str) -> None:
    path = voice(tmp_path, "lesion\t\t\tHerd {S:im}", row)
    with pytest.raises(SkeletonError) as caught:
        load_voice(path)
    assert "row 3" in str(caught.value) and remedy in str(caught.value)
    assert remedy in faults_of(path)[0][0]


def test_a_file_says_its_kind(tmp_path: Path) -> None:
    with pytest.raises(SkeletonError, match=r"KIND-NAME\.tsv"):
        load_voice(voice(tmp_path, name="brief-test"))


def test_the_same_seed_composes_the_same(documents: list[ComposedDocument]) -> None:
    again = list(islice(compose_documents(shipped_rules(), seed=5), 20))
    assert again == documents[:20]


def test_mentions_and_sentences_stand_where_they_say(documents: list[ComposedDocument]) -> None:
    for document in documents:
        last = 0
        for said in document.sentences:
            assert last <= said.start < said.end <= len(document.text)
            last = said.end
        for mention in document.mentions:
            words = document.text[mention.start : mention.end]
            assert words and words == words.strip()
            inside = [s for s in document.sentences if s.start <= mention.start and mention.end <= s.end]
            assert [s.move for s in inside] == [mention.move]


def test_no_slot_is_left_open(documents: list[ComposedDocument]) -> None:
    assert all("{S" not in d.text and "{T" not in d.text and "{H" not in d.text for d in documents)


def test_the_gold_is_what_the_crosswalk_makes_of_what_was_said(documents: list[ComposedDocument]) -> None:
    crosswalk = Crosswalk(shipped_rules())
    known = 0
    for document in documents:
        for number, tumour in enumerate(document.tumours):
            assert any(m.tumour == number and m.role == "name" for m in document.mentions)
            code = tumour.icdo_topography and crosswalk.icd10(tumour.icdo_topography, tumour.icdo_morphology)
            known += code == tumour.icd10gm
    # Overrides and diagnoses that their name codes are the rest.
    assert known / sum(len(d.tumours) for d in documents) > 0.8


def test_a_third_of_the_documents_has_no_tumour(documents: list[ComposedDocument]) -> None:
    without = [d for d in documents if not d.tumours]
    assert 0.2 < len(without) / len(documents) < 0.5
    assert all(m.tumour is None for d in without for m in d.mentions)
    assert any(m.role == "other" for d in without for m in d.mentions)


def test_metastases_are_those_that_the_document_tells(documents: list[ComposedDocument]) -> None:
    told = [d for d in documents if any(t.metastases for t in d.tumours)]
    assert told
    for document in told:
        roles = {m.role for m in document.mentions}
        moves = {s.move for s in document.sentences}
        assert roles & {"metastasis", "metastasis_place", "formula", "nodes"} or "nodes" in moves


def test_noise_keeps_places(documents: list[ComposedDocument]) -> None:
    import random

    rng = random.Random(3)
    strangers = strangers_of(d.text for d in documents)
    assert all(len(noisy(d.text, rng, strangers)) == len(d.text) for d in documents)


def test_a_mention_labels_its_pieces(documents: list[ComposedDocument]) -> None:
    import json

    tokenizer, lexicon = train_tokenizer((d.text for d in documents), 2000), Lexicon(Encoder.load())
    for document in documents[:30]:
        row = json.loads(document.to_json())
        made = example(row, tokenizer, lexicon)
        assert (made.tags % 2 == 1).sum() == len([m for m in document.mentions if m.end > m.start])
        assert set(made.tumours) - {-1} <= set(range(len(document.tumours)))


@pytest.mark.parametrize(
    "form, neuter, masculine, feminine",
    [
        ("ein", "ein invasives Karzinom", "ein maligner Tumor", "eine maligne Neubildung"),
        ("einen", "ein invasives Karzinom", "einen malignen Tumor", "eine maligne Neubildung"),
        ("einem", "einem invasiven Karzinom", "einem malignen Tumor", "einer malignen Neubildung"),
        ("eines", "eines invasiven Karzinoms", "eines malignen Tumors", "einer malignen Neubildung"),
        ("das", "das invasive Karzinom", "der maligne Tumor", "die maligne Neubildung"),
        ("den", "das invasive Karzinom", "den malignen Tumor", "die maligne Neubildung"),
        ("dem", "dem invasiven Karzinom", "dem malignen Tumor", "der malignen Neubildung"),
        ("des", "des invasiven Karzinoms", "des malignen Tumors", "der malignen Neubildung"),
        ("dat", "invasivem Karzinom", "malignem Tumor", "maligner Neubildung"),
    ],
)
def test_names_take_their_article(form: str, neuter: str, masculine: str, feminine: str) -> None:
    assert declined("invasives Karzinom", "n", form) == neuter
    assert declined("maligner Tumor", "m", form) == masculine
    assert declined("maligne Neubildung", "f", form) == feminine
