"""Composed texts: the same for the same seed, labels as the crosswalk has them, held-out pairs never seen."""

from __future__ import annotations

import random
import re
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from index.catalogue.crosswalk import Crosswalk
from index.catalogue.overrides import TableError, load_overrides
from index.records import CrosswalkRule
from training.texts.compose import ComposedText, Holdout, compose
from training.texts.notes import no_tumour
from training.texts.streams import distinct_texts, write_texts
from training.texts.tables import PHRASES, load_diagnoses, load_morphologies, load_sites
from training.texts.wrappers import accusative, dative, genitive

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
    CrosswalkRule(r"C55\.9", CARCINOMAS, "3", "C55", True),
    CrosswalkRule(r"C37\.9", CARCINOMAS, "3", "C37", True),
    CrosswalkRule(r"C67\.9", ((8000, 8719),), "0", "D30.3", True),
    CrosswalkRule(r"C44\.2", ((9120, 9161),), "0", "D18.01", True),
    CrosswalkRule(r"C44\.6", ((8000, 8719), (8800, 8820)), "0", "D23.6", True),
]
CODE_IN_TEXT = re.compile(r"\b[A-D]\d\d(?:\.\d+)?\b|\b\d{4}/\d\b")


@pytest.fixture(scope="module")
def texts() -> list[ComposedText]:
    return list(compose(RULES, seed=5, count=20_000))


def test_same_seed_same_texts(texts: list[ComposedText]) -> None:
    assert list(islice(compose(RULES, seed=5, count=300), 300)) == texts[:300]
    assert list(compose(RULES, seed=6, count=300)) != texts[:300]


def test_labels_follow_the_rules(texts: list[ComposedText]) -> None:
    crosswalk, overrides = Crosswalk(RULES), load_overrides()
    composed = [text for text in texts if text.kind == "composed"]
    assert {text.icd10 for text in composed} >= {"C18.7", "C43.3", "C44.3", "D12.5", "D05.1", "C80.0"}
    for text in composed:
        assert text.topography and text.morphology
        overridden = any(rule.covers(text.topography, text.morphology) for rule in overrides)
        if text.topography not in ("C80.9", "C41.3", "C44.5") and not overridden:
            assert text.icd10 == crosswalk.icd10(text.topography, text.morphology)


def test_the_alphabet_comes_before_the_crosswalk(texts: list[ComposedText]) -> None:
    made = [text for text in texts if text.kind == "composed"]
    liver = {text.icd10 for text in made if (text.topography, text.morphology) == ("C22.0", "8010/3")}
    bladder = {text.icd10 for text in made if (text.topography, text.morphology) == ("C67.9", "8120/0")}
    assert liver == {"C22.9"} and bladder == {"D41.4"}
    thymoma = [text for text in texts if text.morphology == "8580/3"]
    assert {text.icd10 for text in thymoma} == {"C37", "D15.0"}
    for text in thymoma:
        assert (text.icd10 == "C37") == bool(re.search("malig|invas|infil|mal\\.|inv\\.", text.text, re.I)), (
            text
        )
    ears = {text.icd10 for text in made if (text.topography, text.morphology) == ("C44.2", "9120/0")}
    assert "D18.05" in ears and ears <= {"D18.05", "D18.01"}


def test_a_name_that_says_an_organ_has_its_site(texts: list[ComposedText]) -> None:
    uterine = [text for text in texts if re.search("uterines? (?:k|c)ar[zc]inosar", text.text, re.I)]
    assert uterine
    for text in uterine:
        assert (text.icd10, text.topography) == ("C55", "C55.9") or (text.topography or "")[:3] == "C54", text


def test_a_name_that_says_no_organ_has_none(texts: list[ComposedText]) -> None:
    alone = [text for text in texts if text.kind == "morphology"]
    assert {text.topography for text in alone if text.morphology in ("8010/3", "8140/3")} == {None}
    assert {text.icd10 for text in alone if text.morphology == "8120/3"} <= {"C68.9", "C67.9"}
    # a metastasis is never given a site by the organ of its primary
    for text in texts:
        if text.kind == "metastasis" and text.topography == "C34.9":
            assert re.search("lung|pulm|bronch|PUL", text.text, re.IGNORECASE), text


def test_a_region_is_skin_only_where_the_text_says_so(texts: list[ComposedText]) -> None:
    generic = [t for t in texts if t.topography == "C44.6" and t.morphology in ("8000/0", "8810/0")]
    assert generic
    for text in generic:
        assert re.search("haut|kutan|derm", text.text, re.IGNORECASE), text


FORMULA = re.compile(r"[pcyr]*T(?:is|[0-4x])[\w ]*?[, ]+.*?M([01x])")
STAGE = re.compile(r"(?:UICC|Stadium|Std\.|Stad\.|FIGO|Figo)[- \w]*? (IV|III|II|I)[ABCabc]?\b")
DISTANT = re.compile("(?:Leber|Lungen|Knochen|Hirn|Fern)metastasen|hepatisch m|Filiae hep", re.IGNORECASE)


def test_stage_formula_and_metastases_do_not_contradict(texts: list[ComposedText]) -> None:
    formulas = stages = 0
    for text in texts:
        if text.kind != "composed" or not (text.morphology or "").endswith("/3"):
            continue
        formula, stage = FORMULA.search(text.text), STAGE.search(text.text)
        distant = DISTANT.search(text.text) is not None
        if formula:
            formulas += 1
            assert not (formula[1] == "0" and distant), text
        if formula and stage:
            stages += 1
            assert (formula[1] == "1") <= (stage[1] == "IV"), text
            assert not ("Tis" in formula[0] and stage), text
        if stage and stage[1] in ("I", "II"):
            assert not distant, text
    assert formulas > 500 and stages > 10


def test_no_formula_and_no_grade_where_there_is_none(texts: list[ComposedText]) -> None:
    for text in texts:
        if text.morphology and text.morphology[:3] == "872" and text.morphology[5] == "3":
            assert not re.search(r"\bG ?[123]\b", text.text), text
        if (text.topography or "")[:3] in ("C70", "C71", "C72", "C75", "C77", "C80"):
            assert not re.search(r"\b[pcyr]{1,3}T[0-4x]", text.text), text


@pytest.mark.parametrize(
    ("phrase", "gender", "in_dative", "in_genitive"),
    [
        ("invasiv-duktales Karzinom", "n", "invasiv-duktalem Karzinom", "eines invasiv-duktalen Karzinoms"),
        ("maligner Tumor der Hand", "m", "malignem Tumor der Hand", "eines malignen Tumors der Hand"),
        ("akute Leukämie", "f", "akuter Leukämie", "einer akuten Leukämie"),
        ("HIV-assoziiertes Kaposi-Sarkom", "n", "HIV-assoziiertem Kaposi-Sarkom", "eines HIV-assoziierten Kaposi-Sarkoms"),
        ("Adenokarzinom, Sigma", "n", "Adenokarzinom, Sigma", "eines Adenokarzinoms, Sigma"),
    ],
)  # fmt: skip
def test_cases(phrase: str, gender: str, in_dative: str, in_genitive: str) -> None:
    assert dative(phrase, gender) == in_dative
    assert genitive(phrase, gender) == in_genitive


def test_only_the_masculine_has_an_accusative() -> None:
    assert accusative("maligner Tumor", "m") == "malignen Tumor"
    assert accusative("malignes Melanom", "n") == "malignes Melanom"


def test_behind_bei_stands_a_dative(texts: list[ComposedText]) -> None:
    behind = [text.text for text in texts if re.match(r"(?:Z\.n\. OP|Vorstellung|Kontrolle) bei ", text.text)]
    assert len(behind) > 50
    for text in behind:
        assert not re.match(r".* bei [a-zäöü-]+(?:es|e) (?:Karz|Aden|Mela|Tum|Platt)", text), text


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
            assert (
                text.icd10
                and text.icd10[:3] in ("C77", "C78", "C79")
                and (text.morphology or "").endswith("/6")
            )


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
    made = {no_tumour(rng, "V.a. NSCLC") for _ in range(2_000)}
    assert "kein Anhalt für NSCLC" in made and "Koloskopie ohne Befund" in made and "Mutter: NSCLC" in made
    assert not any("V.a. NSCLC" in text and "V.a. NSCLC, Histologie: kein" not in text for text in made)
    assert all(len(set(PHRASES[use])) == len(PHRASES[use]) for use in ("no tumour", "procedures"))


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
    path.write_text("topography\tmorphology\twords\ticd10\twhy\nC22.0\t8010\t\tC22.9\tx\n")
    with pytest.raises(TableError, match="row 2: '8010' is no morphology"):
        load_overrides(path)
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
