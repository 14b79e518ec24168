"""Composed texts: the same for the same seed, labels as the crosswalk has them, held-out pairs never seen."""

from __future__ import annotations

import random
import re
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from index.crosswalk import Crosswalk
from index.records import CrosswalkRule
from training.compose import (
    NEGATIVE_FRAMES,
    PROCEDURES,
    ComposedText,
    Holdout,
    compose,
    distinct_texts,
    non_tumour_contexts,
    write_texts,
)
from training.tables import TableError, load_diagnoses, load_morphologies, load_sites

CARCINOMAS = ((8000, 8719), (8800, 9045), (9060, 9139), (9150, 9589), (8720, 8790))
RULES = [
    *(
        CrosswalkRule(rf"{topography[:3]}\.{topography[4]}", CARCINOMAS, "3", topography, True)
        for topography in ("C18.7", "C34.1", "C50.4", "C50.9", "C53.9", "C22.0")
    ),
    CrosswalkRule(r"C44\.3", ((8720, 8790),), "3", "C43.3", True),
    CrosswalkRule(r"C44\.3", ((8000, 8719),), "3", "C44.3", True),
    CrosswalkRule(r"C44\.5", ((8000, 8719),), "3", "C44.5", True),
    CrosswalkRule(r"C41\.3", ((8800, 9589),), "3", "C41.3", True),
    CrosswalkRule(r"C18\.7", ((8000, 8719),), "0", "D12.5", True),
    CrosswalkRule(r"C50\.4", ((8500, 8503),), "2", "D05.1", True),
    CrosswalkRule(r"C80\.9", CARCINOMAS, "3", "C80.9", True),
]
CODE_IN_TEXT = re.compile(r"\b[A-D]\d\d(?:\.\d+)?\b|\b\d{4}/\d\b")


@pytest.fixture(scope="module")
def texts() -> list[ComposedText]:
    return list(compose(RULES, seed=5, count=20_000))


def test_same_seed_same_texts(texts: list[ComposedText]) -> None:
    assert list(islice(compose(RULES, seed=5, count=300), 300)) == texts[:300]
    assert list(compose(RULES, seed=6, count=300)) != texts[:300]


def test_labels_follow_the_rules(texts: list[ComposedText]) -> None:
    crosswalk = Crosswalk(RULES)
    composed = [text for text in texts if text.kind == "composed"]
    assert {text.icd10 for text in composed} >= {"C18.7", "C43.3", "C44.3", "D12.5", "D05.1", "C80.0"}
    for text in composed:
        assert text.topography and text.morphology
        if text.topography not in ("C80.9", "C41.3", "C44.5"):
            assert text.icd10 == crosswalk.icd10(text.topography, text.morphology)


def test_words_decide_codes_that_icd10_splits(texts: list[ComposedText]) -> None:
    ribs = [text for text in texts if text.topography == "C41.3" and text.kind == "composed"]
    assert {"C41.30", "C41.31", "C41.32"} <= {text.icd10 for text in ribs}
    assert all(text.icd10 == "C41.31" for text in ribs if "sternum" in text.text.lower())
    trunk = {text.icd10 for text in texts if text.topography == "C44.5" and text.kind == "composed"}
    assert trunk <= {"C44.50", "C44.59"}


def test_what_the_text_does_not_say_has_no_label(texts: list[ComposedText]) -> None:
    for text in texts:
        if text.kind == "site":
            assert text.icd10 is None and text.morphology is None and text.topography
        if text.kind == "morphology":
            assert text.topography is None or text.icd10
        if text.kind == "metastasis":
            assert text.icd10 and text.icd10[:3] in ("C77", "C78", "C79") and text.morphology.endswith("/6")


def test_held_out_pairs_never_appear() -> None:
    holdout = Holdout(fraction=0.2)
    for text in compose(RULES, seed=1, count=20_000, holdout=holdout):
        if text.topography and text.morphology:
            assert not holdout.holds(text.topography, text.morphology), text
    for text in compose(RULES, seed=1, count=2_000, holdout=holdout, only_holdout=True):
        assert text.topography and text.morphology and holdout.holds(text.topography, text.morphology), text


def test_only_holdout_needs_a_holdout() -> None:
    with pytest.raises(ValueError, match="holdout"):
        next(compose(RULES, seed=1, count=1, only_holdout=True))


def test_no_codes_and_no_template_marks_in_texts(texts: list[ComposedText]) -> None:
    for text in texts:
        assert text.text.strip() and not set("{}@|") & set(text.text), text
        # codes; a name such as "CD30" has two letters and is none
        assert not CODE_IN_TEXT.search(text.text), text


def test_texts_are_distinct(texts: list[ComposedText]) -> None:
    assert len({text.text for text in texts}) > 0.75 * len(texts)


def test_hard_negatives_name_no_present_tumour() -> None:
    rng = random.Random(2)
    made = {non_tumour_contexts(rng, "V.a. NSCLC") for _ in range(2_000)}
    assert "kein Anhalt für NSCLC" in made and "Koloskopie ohne Befund" in made
    assert not any("V.a. NSCLC" in text and "V.a. NSCLC, Histologie: kein" not in text for text in made)
    assert len(set(NEGATIVE_FRAMES)) == len(NEGATIVE_FRAMES) and len(set(PROCEDURES)) == len(PROCEDURES)


def test_tables_load_and_agree() -> None:
    sites = {site.topography for site in load_sites()}
    assert len(sites) > 300
    for morphology in load_morphologies():
        assert any(morphology.plausibility(site) for site in sites), morphology.code
    assert len(load_diagnoses()) > 100


def test_a_bad_row_names_file_and_row(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "morphologies.tsv"
    path.write_text(
        "morphology\tweight\tgender\tnouns\tsuffixes\tabbreviations\tsites\n8140\t1\tn\tX\t\t\t*\n"
    )
    with pytest.raises(TableError, match=r"morphologies\.tsv, row 2: '8140'"):
        load_morphologies(path)
    path.write_text("morphology\tweight\n")
    with pytest.raises(TableError, match="header"):
        load_morphologies(path)


def test_the_stream_of_distinct_texts_repeats_nothing_and_is_the_same_again(tmp_path: Path) -> None:
    first, again = (
        write_texts(distinct_texts(RULES, 3, allowed=lambda text: True), 3000, tmp_path / name)
        for name in ("a.parquet", "b.parquet")
    )
    texts = pq.read_table(tmp_path / "a.parquet")["text"].to_pylist()
    assert first == again
    assert len(set(texts)) == 3000
