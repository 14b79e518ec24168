"""What the first row of a table is: German headers as they occur, and first rows of tables without one."""

from __future__ import annotations

import pytest

from agent.apps.files.header import is_header

TEXTS = ["Mammakarzinom links, Z.n. Ablatio", "Rektumkarzinom", "Morbus Hodgkin"]
HEADERS = [
    "Diagnose", "Diagnosetext", "Klinische Diagnose", "Histologische Diagnose", "Pathologische Diagnose",
    "Gesicherte Diagnose", "Onkologische Diagnose", "Diagnose laut Arztbrief", "Verdachtsdiagnose", "Hauptdiagnosen",
    "Diagnose (Klartext)", "Pathologischer Befund", "DIAGNOSEN", "Diagnose-Text", "primaertumor_diagnosetext",
    "Fall;Klinische Diagnose", "Nr;Primärtumor;Metastasen;Rezidiv", "Fall-Nr.;ED-Datum;Diagnose", "Patient;Diagnose;Rezidiv",
    "Fallnummer;Verdacht;Klinische Diagnose", "ID;Sarkom-Typ;Grading;Befund", "Pat.-ID;Geburtsdatum;Diagnosetext;TNM",
    "PatientenID;Erstdiagnose;Seite", "lfd. Nr.;Diagnose;ICD-10", "Fall;Diagnosetext;Datum der Diagnose",
    "Fall;Histologischer Befund;Metastasen", "Nr;Fernmetastasen;Diagnose", "Fall;Alle Diagnosen",
    "Aufnahme;Entlassung;Onkologische Diagnosen",
    "Klin. Diagnose",
    "Maligne Diagnose",
]  # fmt: skip
OVER_FIGURES = [
    ("Alter;Klinische Diagnose;Metastasen", ["63;Mammakarzinom;0", "71;Rektumkarzinom;1"]),
    ("Mammakarzinom;Prostatakarzinom;Diagnose", ["0;1;Z.n. Ca", "1;0;Melanom"]),
    ("Patient;Anämie;Thrombose;Diagnose", ["4711;ja;nein;Melanom", "4712;nein;nein;CLL"]),
]
ROWS = [
    "Mammakarzinom links", "Z.n. Mamma-Ca; jetzt Prostata-Ca", "V.a. Melanom", "Metastasen", "Rezidiv", "Verdacht",
    "Lebermetastasen", "Arthrose", "Sarkoidose", "Metastasierende Erkrankung", "Pathologische Erkrankung", "Sonographie", "Pathologische Fraktur",
    "Bronchialkarzinom, histologisch gesichert", "AML", "Diagnose: Mammakarzinom", "4711;Mammakarzinom links",
    "4711;Melanom;Klinik Nord", "Müller;Rektumkarzinom", "1;Tumor", "1;Lokalrezidiv;m", "C50.9;Mammakarzinom",
    "Station;Mammakarzinom",
]  # fmt: skip


def _under(row: str) -> list[list[str]]:
    if ";" not in row or "; " in row:
        return [[text] for text in TEXTS]
    return [
        [f"{5000 + n}", *[f"{text} {place}" for place in range(row.count(";"))]]
        for n, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("row", HEADERS)
def test_a_header_is_a_header(row: str) -> None:
    assert is_header(row.split(";"), _under(row)) is True
    assert is_header(row.split(";"), []) is True


@pytest.mark.parametrize(("row", "below"), OVER_FIGURES)
def test_a_disease_over_figures_is_a_name(row: str, below: list[str]) -> None:
    assert is_header(row.split(";"), [line.split(";") for line in below]) is True


@pytest.mark.parametrize("row", ROWS)
def test_a_patient_is_no_header(row: str) -> None:
    cells = [row] if "; " in row else row.split(";")
    assert not is_header(cells, _under(row))
    assert not is_header(cells, [])
