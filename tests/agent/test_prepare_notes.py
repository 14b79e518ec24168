"""Notes of several clauses: stems with a stop, abbreviations by context, lines behind slashes, clauses set aside."""

from __future__ import annotations

import pytest

from agent.prepare import prepare
from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL, speaks
from agent.prepare.context import names_tumour
from agent.prepare.truncated import full_word, is_truncated


def cores(text: str) -> list[str]:
    return [diagnosis.core for diagnosis in prepare(text).diagnoses]


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("kleinzell.", "kleinzellig"),
        ("Retroperit.", "Retroperitoneal"),
        ("dist.", "distal"),
        ("temporo-occ.", "temporo-okzipital"),
        ("bekannt.", None),
        ("nod.-skl.", "nodulär-sklerosierend"),
        ("Cholangiocell.", "Cholangiozellulär"),
        ("niedrig.", None),
        ("distal.", None),
        ("Befund.", None),
        ("kleinzell", None),
    ],
)
def test_a_stem_with_a_stop_is_its_adjective(token: str, word: str | None) -> None:
    assert full_word(token) == word


def test_a_stem_ends_no_sentence_and_a_whole_word_does() -> None:
    assert is_truncated("ein kleinzell")
    assert is_truncated("lokal fortgeschr")
    assert not is_truncated("Zysto unauffällig")
    assert cores("Kleinzell. Karzinom der Lunge. Patient lehnt ab.")[0] == "Kleinzelliges Karzinom der Lunge"


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("HB-Tumor, Urothel-Ca", "Harnblasentumor, Urothelkarzinom"),
        ("Bronchial-Ca HB re.", "Bronchialkarzinom Hauptbronchus"),
        ("Melanom US li.", "Melanom Unterschenkel"),
        ("AML M4", "akute myeloische Leukämie M4"),
        ("AML der Niere", "Angiomyolipom der Niere"),
        ("NPC", "Nasopharynxkarzinom"),
        ("UTUC Nierenbecken re.", "Urothelkarzinom Nierenbecken"),
        ("UTUC", "Urothelkarzinom des oberen Harntrakts"),
        ("Rektum CA 8 cm ab ano", "Rektumkarzinom"),
        ("Collum-Ca", "Zervixkarzinom"),
        ("PCA-ED 2018", "Prostatakarzinom"),
        ("TUR-B Blasenhals: Invertiertes Papillom", "Invertiertes Papillom, Blasenhals"),
        ("TUR-B Vorderwand: Urothelkarzinom", "Urothelkarzinom, Vorderwand, Harnblase"),
    ],
)
def test_the_other_words_decide_what_an_abbreviation_means(text: str, core: str) -> None:
    assert cores(text) == [core]


def test_every_reading_that_needs_a_context_comes_before_one_that_does_not() -> None:
    assert not set(ABBREVIATIONS) & set(CONTEXTUAL)
    for short, readings in CONTEXTUAL.items():
        assert all(reading.when != "always" for reading in readings[:-1]), short
        assert all(reading.expansion.strip() for reading in readings), short
    assert speaks("always", "") and speaks("lung", "Bronchialkarzinom") and not speaks("lung|niere", "Blase")


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("Ovarialkarzinom, Port-Anlage geplant, Pat. wünscht Zweitmeinung", "Ovarialkarzinom"),
        ("Magenkarzinom, Antrum, PEG abgelehnt", "Magenkarzinom, Antrum"),
        ("Blaseninfiltration durch Zervixkarzinom", "Zervixkarzinom"),
        ("Rektumkarzinom mit Scheidenfistel", "Rektumkarzinom"),
        ("Ovarialkarzinom, mehrere Bereiche übergreifend", "Ovarialkarzinom, mehrere Bereiche übergreifend"),
        ("Mammakarzinom, lobulär, 3 Zyklen EC", "Mammakarzinom, lobulär"),
        ("Endometriumkarzinom, Strahlenproktitis", "Endometriumkarzinom"),
        ("Mammakarzinom links, jetzt ossär u. hepatisch", "Mammakarzinom"),
        ("Plattenepithelkarzinom, pulmonal", "Plattenepithelkarzinom, pulmonal"),
        ("Mammakarzinom (ED 2012, Metastasierung 2020 LWS)", "Mammakarzinom"),
        ("gemischter Keimzelltumor (Teratom 60 %, Seminom 40 %)", "gemischter Keimzelltumor"),
        ("Harnstau durch Kompression des Ureters durch Prostatakarzinom", "Prostatakarzinom"),
        ("Hypertonie, Port gespült, 3 Tage Fieber", "Hypertonie, Port gespült, 3 Tage Fieber"),
    ],
)  # fmt: skip
def test_clauses_that_tell_nothing_of_the_tumour_are_set_aside(text: str, core: str) -> None:
    assert cores(text) == [core]


def test_what_is_set_aside_is_not_lost() -> None:
    text = "Ovarialkarzinom, Port-Anlage geplant"
    (diagnosis,) = prepare(text).diagnoses
    assert diagnosis.set_aside["remarks"] == ("Port-Anlage", "geplant")
    assert text[slice(*diagnosis.span)] == text


def test_blood_and_lymph_keep_what_they_reach() -> None:
    assert "Milz" in cores("Marginalzonenlymphom mit Befall der Milz")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Diagnosen: Magenkarzinom, pT2 / Hypothyreose unter Thyroxin / Gicht seit Jahren", 3),
        ("Onko-Ambulanz / Dg: Magenkarzinom", 2),
        ("Karzinom Kolon / Rektum", 1),
        ("IC/BPS", 1),
    ],
)
def test_slashes_between_the_lines_of_a_list(text: str, expected: int) -> None:
    found = prepare(text).diagnoses
    assert len(found) == expected
    assert all(text[slice(*diagnosis.span)].strip(" /") for diagnosis in found)


@pytest.mark.parametrize(
    ("text", "certainties"),
    [
        ("Sigmakarzinom, kein Rezidiv", ["gesichert"]),
        ("Melanom der Schulter ohne Metastasen", ["gesichert", "ausgeschlossen"]),
        ("Kein Rezidiv bei Mamma-Ca", ["ausgeschlossen", "gesichert"]),
        ("Kein Mamma-Ca", ["ausgeschlossen"]),
        ("Polyp, kein Karzinom", ["ausgeschlossen"]),
    ],
)
def test_what_a_tumour_has_not_led_to_does_not_deny_it(text: str, certainties: list[str]) -> None:
    assert [diagnosis.certainty for diagnosis in prepare(text).diagnoses] == certainties


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("BPH, PV 90 ml", "findings", "PV 90 ml"),
        ("PCa Gl. 3+4=7a", "grade", "Gl. 3+4=7a"),
        ("PCa GS 4+5, Abirateron", "grade", "GS 4+5"),
        ("Blasenkarzinom (pTa LG)", "tnm", "pTa LG"),
        ("Pankreaskarzinom metast. HEP+PER", "spread", "HEP+PER"),
    ],
)
def test_short_forms_are_set_aside_as_what_they_are(text: str, kind: str, value: str) -> None:
    aside = [diagnosis.set_aside.get(kind, ()) for diagnosis in prepare(text).diagnoses]
    assert any(value in found for values in aside for found in values)


def test_what_points_back_takes_a_suspicion_back_and_nothing_else() -> None:
    [only] = prepare("V.a. Ovarialkarzinom. Dieser konnte ausgeschlossen werden.").diagnoses
    assert only.negated and only.core == "Ovarialkarzinom"
    secured, other = prepare("Ovarialkarzinom. V.a. Lebermetastasen, diese nicht bestätigt.").diagnoses
    assert not secured.negated and other.negated


def test_the_tumour_that_was_treated_is_another_one() -> None:
    bladder, prostate = prepare(
        "Urothelkarzinom der Harnblase bei Z.n. Bestrahlung eines Prostatakarzinoms"
    ).diagnoses
    assert (bladder.core, bladder.certainty) == ("Urothelkarzinom der Harnblase", "gesichert")
    assert (prostate.core, prostate.certainty) == ("Prostatakarzinoms", "Zustand nach")


def test_low_grades_of_intraepithelial_neoplasia_name_no_tumour() -> None:
    assert names_tumour("CIN III") and names_tumour("high-grade PIN")
    assert not names_tumour("CIN I, HPV negativ") and not names_tumour("VIN 2")
