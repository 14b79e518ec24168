"""Notes of several clauses: stems with a stop, abbreviations by context, lines behind slashes, clauses set aside."""

from __future__ import annotations

import pytest

from agent.prepare import prepare
from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL, speaks
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
