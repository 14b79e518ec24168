"""A row that tells one tumour in several columns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.files import code_file
from agent.apps.files.columns import RowFields
from agent.apps.files.formats import open_table
from agent.apps.files.table import TableFileError
from agent.prepare import Case
from tests.agent.tiny_agent import embedded_agent

FIELDS = {"site": "Lokalisation", "histology": "Histologie", "side": "Seite", "behaviour": "Dignität"}
TABLE = """\
Fall;Diagnose;Lokalisation;Histologie;Seite;Dignität
1;Mamma-Ca;oben außen;NST;L;3
2;;Oberlappen der Lunge;"Adenokarzinom; mäßig differenziert";R;3
3;;Prostata;;;3
4;;;;L;3
5;Malignes Melanom;Schulter;nodulär;xx;7
"""


def written(folder: Path, text: str = TABLE) -> Path:
    path = folder / "register.csv"
    path.write_text(text, "utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


def test_the_columns_of_a_row_tell_one_tumour(tmp_path: Path) -> None:
    target = tmp_path / "kodiert.csv"
    run = code_file(embedded_agent(), written(tmp_path), target, fields=FIELDS, tumour=True)
    rows = rows_of(target)
    assert [row["onkokode_icd10gm"] for row in rows] == ["C50.4", "C34.1", "C61", "", "C43.6"]
    assert [row["onkokode_morphologie"] for row in rows[:2]] == ["8500/3", "8140/3"]
    assert [row["onkokode_seite"] for row in rows] == ["links", "rechts", "", "", ""]
    assert not any(row["onkokode_weitere"] for row in rows), "a semicolon in a field parts no tumour"
    assert rows[3]["onkokode_hinweis"] == "kein Diagnosetext", "a side alone is of nothing"
    assert "Seite nicht verstanden" in rows[4]["onkokode_hinweis"]
    assert "Dignität nicht verstanden" in rows[4]["onkokode_hinweis"]
    assert "xx" not in rows[4]["onkokode_hinweis"], "a message holds nothing of a cell"
    assert run.read.startswith("utf-8, Trennzeichen ;, Kopfzeile in Zeile 1; eine Zeile ist ein Tumor: ")
    assert "Diagnose aus Diagnose, Sitz aus Lokalisation, Histologie aus Histologie" in run.read


def test_without_being_told_a_site_alone_is_no_tumour(tmp_path: Path) -> None:
    target = tmp_path / "kodiert.csv"
    code_file(embedded_agent(), written(tmp_path, "Lokalisation;Histologie\nProstata;\n"), target,
              fields={"site": "Lokalisation", "histology": "2"})  # fmt: skip
    assert rows_of(target)[0]["onkokode_icd10gm"] == ""


def test_one_column_is_asked_as_a_text_and_several_as_a_case(tmp_path: Path) -> None:
    table = open_table(written(tmp_path))
    row = ("1", "Mamma-Ca", "oben außen", None, "L", "3")
    assert RowFields.find(table, None, {}).question(row) == ("Mamma-Ca", None)
    assert RowFields.find(table, None, {}, tumour=True).question(row) == (Case("Mamma-Ca", tumour=True), None)
    both = RowFields.find(table, None, {"site": "lokalisation"})
    assert both.question(row) == (Case("Mamma-Ca", "oben außen"), None)
    assert both.picked().question(both.pick(row)) == both.question(row), (
        "what Ray's workers are sent says the same"
    )


@pytest.mark.parametrize(
    ("column", "fields", "said"),
    [
        (None, {"site": "Ort"}, "keine Spalte Ort; vorhanden: Fall, Diagnose"),
        ("Diagnose", {"site": "2"}, "für zwei Angaben"),
        (None, {"site": "Lokalisation", "histology": "Lokalisation"}, "für zwei Angaben"),
    ],
)
def test_columns_that_cannot_be_are_named(
    tmp_path: Path, column: str | None, fields: dict[str, str | None], said: str
) -> None:
    with pytest.raises(TableFileError, match=said):
        RowFields.find(open_table(written(tmp_path)), column, fields)


def test_the_command_takes_the_columns(tmp_path: Path) -> None:
    source, target = written(tmp_path), tmp_path / "kodiert.csv"
    command = ["code-file", str(source), str(target), "--site", "Lokalisation", "--histology", "Histologie"]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 0, shown.output
    assert "Sitz aus Lokalisation" in shown.stderr
    assert [row["onkokode_icd10gm"] for row in rows_of(target)][:2] == ["C50.4", "C34.1"]
