"""What stands around a tumour and says nothing of it, and how a text is written, leave its core as it is."""

from __future__ import annotations

import pytest

from agent.prepare import Segment, prepare
from agent.prepare.casing import recased, recased_formula


def tumour_of(text: str) -> Segment:
    """The diagnosis that holds the word Karzinom (or the last one)."""
    found = prepare(text).diagnoses
    return next((one for one in found if "karzinom" in one.core.lower()), found[-1])


@pytest.mark.parametrize(
    "before",
    [
        "Wir berichten über die Vorstellung in unserer Sprechstunde bei ",
        "Attest ausgestellt wegen ",
        "Patient kommt in Begleitung der Tochter zur Besprechung bei ",
        "Gespräch im Beisein der Angehörigen über die Diagnose ",
        "Ruhiger Nachtdienst, Zimmer 7, Fensterplatz: ",
        "Vorhofflimmern unter Marcumar sowie ",
        "KHK mit zwei Stents, COPD, ferner ",
        "Infekt der oberen Atemwege, ",
        "Es handelt sich um ein ",
        "Arbeitsunfähig durch ",
        "Einweisungsgrund: ",
        "Hypertonie\n",
        "Struma nodosa\n",
        "1. Leistenhernie\n2. ",
        "Die Angehörigen sollen nichts erfahren: ",
        "Eltern bringen den Befund mit, ",
        "Anerkannte Gesundheitsstörung ",
        "Impfung gut vertragen! ",
        "** Altdaten ** ",
    ],
)
def test_what_leads_in_is_no_part(before: str) -> None:
    found = tumour_of(f"{before}Bronchialkarzinom Oberlappen links")
    assert (found.core, found.side, found.certainty, found.family) == (
        "Bronchialkarzinom Oberlappen", "links", "gesichert", False
    )  # fmt: skip


@pytest.mark.parametrize(
    "after",
    [
        ", Hausärztin informiert", "; Hypothyreose, Gicht", ". Wir bitten um Kontrolle des Blutbilds.", " und Diabetes",
        " sowie chronische Herzinsuffizienz", ", im KIS eingetragen", " / KHK / pAVK", ". Die Tochter ist informiert.", "\nHüft-TEP",
        ", Vorsorgevollmacht liegt vor", ", laut Vorbrief", "\nBeinödeme", ".. Der Verlauf war gut.",
        ", lebt allein, Tochter in Übersee", " (Sohn = Betreuer)", "\nlebt allein in eigener Wohnung, Pflegegrad 2", "\nlatente Hyperthyreose",
        " ##Ende Freitext##", "! Termin steht",
    ],
)  # fmt: skip
def test_what_follows_is_no_part(after: str) -> None:
    found = tumour_of(f"Bronchialkarzinom Oberlappen links{after}")
    assert (found.core, found.side, found.certainty, found.family) == (
        "Bronchialkarzinom Oberlappen", "links", "gesichert", False
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Mutter: Mammakarzinom", "Mammakarzinom, Mutter", "Mammakarzinom (Mutter)", "Mutter und Tante: Mammakarzinom",
        "Tante mütterlicherseits, Mammakarzinom", "Mutter mit 40 J., Mammakarzinom", "Mutter früh verstorben, Mammakarzinom",
        "ältere Schwester der Patientin, Mammakarzinom", "Mammakarzinom, Schwester ebenfalls erkrankt",
    ],
)  # fmt: skip
def test_a_relative_who_has_the_tumour_keeps_it(text: str) -> None:
    assert [one.family for one in prepare(text).diagnoses if "karzinom" in one.core] == [True]


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("Mammakarzinom\nlinks oben außen", "Mammakarzinom oberer äußerer Quadrant"),
        ("Glioblastom\nlinks temporal", "Glioblastom temporal"),
        ("Bronchialkarzinom Oberlappen\nneuroendokrin differenziert", "Bronchialkarzinom Oberlappen neuroendokrin differenziert"),
        ("Falx: Meningeom", "Falx: Meningeom"),
        ("Oberes und mittleres Ösophagusdrittel, Adenokarzinom", "Oberes und mittleres Ösophagusdrittel, Adenokarzinom"),
        ("Klein- und großzelliges Karzinom", "Klein- und großzelliges Karzinom"),
        ("Barrett mit hochgradiger intraepithelialer Neoplasie", "Barrett mit hochgradiger intraepithelialer Neoplasie"),
        ("M. Paget mit invasivem duktalem Karzinom", "Morbus Paget mit invasivem duktalem Karzinom"),
    ],
)  # fmt: skip
def test_what_may_belong_to_the_tumour_stays(text: str, core: str) -> None:
    assert [one.core for one in prepare(text).diagnoses] == [core]


def test_doubt_and_kin_before_a_tumour_count() -> None:
    assert tumour_of("Vorstellung wegen V.a. Bronchialkarzinom").certainty == "Verdacht"
    assert tumour_of("Vorsorge, da die Mutter an einem Mammakarzinom verstarb").family
    assert prepare("MRT passend zu Glioblastom").diagnoses[-1].certainty == "Verdacht"


def test_an_operation_in_the_lead_in_tells_the_organ() -> None:
    assert tumour_of("Mastektomie wegen Karzinom").core == "Karzinom, Mamma"


def test_recognition_hears_no_remarks() -> None:
    found = tumour_of("Bronchialkarzinom, Vorsorgevollmacht liegt vor, Port-Anlage geplant")
    assert found.wording == "Bronchialkarzinom"


@pytest.mark.parametrize(
    ("text", "as_written"),
    [
        ("pca, gleason 4+5=9", "PCa, Gleason 4+5=9"),
        ("MAMMA-CA LI., PT2 PN1 (2/14) M0, G2", "Mamma-Ca li., pT2 pN1 (2/14) M0, G2"),
        ("ileum-net mit lebermetastasen", "Ileum-NET mit Lebermetastasen"),
        ("NSCLC", "NSCLC"),
        ("Mamma-Ca links", "Mamma-Ca links"),
        ("straße und fuß", "Straße und Fuß"),
    ],
)
def test_capitals_and_small_letters(text: str, as_written: str) -> None:
    assert recased(text) == as_written
    assert len(recased(text.upper())) == len(text.upper())


def test_formulae_are_written_alike() -> None:
    assert [recased_formula(one) for one in ("PTA", "pta", "CT2 CN0", "PTIS", "r0")] == [
        "pTa",
        "pTa",
        "cT2 cN0",
        "pTis",
        "R0",
    ]


def test_a_place_with_a_t_category_has_a_tumour() -> None:
    assert prepare("Blase: pTaG1\nHämorrhoiden").diagnoses[0].core == "Blase Tumor"
    assert "Tumor" not in prepare("Verletzung des Rückenmarks, T10").diagnoses[0].core


def test_a_narrow_field_is_read_as_one_line() -> None:
    wrapped = "Invasives duktales\nMammakarzinom oben außen\nlinks, Sonographie ohne\nBefund"
    assert prepare(wrapped).diagnoses[0].core == prepare(wrapped.replace("\n", " ")).diagnoses[0].core
    listed = prepare("Mammakarzinom links\nArterielle Hypertonie\nDiabetes")
    assert listed.diagnoses[0].core == "Mammakarzinom"
