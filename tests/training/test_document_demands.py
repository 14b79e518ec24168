"""What an author's fixed words say of the patient into whose document they are put."""

from __future__ import annotations

import pytest

from index.catalogue.overrides import table_rows
from training.documents.demands import COLUMNS, Demand, demand_of, sex_of, sex_of_kin
from training.documents.skeletons import HERE

ROWS = [row for _, row in table_rows(HERE / "demands.tsv", COLUMNS)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["example"])
def test_each_row_demands_its_own_of_its_example(row: dict[str, str]) -> None:
    found = demand_of(row["example"])
    if row["sex"]:
        assert found.sex == row["sex"] and not found.contradicts
    assert set(found.organs) >= {organ for organ in row["organs"].split(",") if organ not in ("", "-")}
    assert found.no_tumour == (row["organs"] == "-")


@pytest.mark.parametrize(
    "text",
    [
        "Sehr geehrte Frau Kollegin,",
        "An Herrn Dr. med. W.",
        "Der Pathologe beschreibt {H}",
        "Frau Dr. S. hat {X} ausgeschlossen",
    ],
)
def test_who_writes_says_nothing_of_who_is_ill(text: str) -> None:
    assert demand_of(text) == Demand()


def test_a_sentence_of_a_man_or_of_a_treatment_is_not_said_of_everybody() -> None:
    salvage = demand_of("PSA in 7 Wochen, dann Entscheidung über Salvage-Bestrahlung")
    assert (
        salvage.fits("m", ("C61.9",))
        and not salvage.fits("m", ("C18.7",))
        and not salvage.fits("f", ("C54.1",))
    )
    board = demand_of("Vorstellung im Tumorboard")
    assert board.fits("f", ("C18.7",)) and not board.fits("f", ())
    assert not demand_of("Die Patientin wurde an der Prostata operiert").fits("m", ()), "of nobody"


@pytest.mark.parametrize(
    ("text", "sex"),
    [("Mutter mit {X}", "f"), ("Schwester und Bruder", "f"), ("Der Opa: {X}", "m"), ("Familie: {X}", None)],
)
def test_a_relative_has_a_sex(text: str, sex: str | None) -> None:
    assert sex_of_kin(text) == sex


def test_organs_of_one_sex() -> None:
    assert [sex_of(code) for code in ("C54.1", "C61.9", "C50.4")] == ["f", "m", None]
