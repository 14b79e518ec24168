"""Files in, coded files out: every format, damaged rows, stopped runs."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from openpyxl import load_workbook

from agent.apps.cli import cli
from agent.apps.files import code_file
from agent.apps.files.answer import COLUMNS as ADDED
from agent.apps.files.formats import open_table
from agent.apps.files.table import CHUNK_ROWS, TableFileError, TableOptions
from tests.agent.tiny_agent import embedded_agent
from tests.files import tables
from tests.files.tables import COLUMNS, CountingAgent, rows

CODES = ["C50.4", "", "", "C61", "C25.0", "C50.4"]


def read_csv(path: Path, encoding: str = "utf-8", delimiter: str = ";") -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8", ";"), ("cp1252", ";"), ("utf-8-sig", ","), ("utf-8", "\t"), ("utf-16", "|")],
)
def test_a_text_table_keeps_its_columns_order_and_dialect(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    source = tables.write_csv(tmp_path / "in.csv", encoding, delimiter)
    target = tmp_path / "out.csv"
    run = code_file(embedded_agent(), source, target)
    header, *body = read_csv(target, encoding, delimiter)
    assert header == [*COLUMNS, *ADDED]
    assert [tuple(row[:4]) for row in body] == rows()
    assert [row[header.index("onkokode_icd10gm")] for row in body] == CODES
    confidence = body[0][header.index("onkokode_icd10gm_konfidenz")]
    assert ("," in confidence) == (delimiter == ";"), "decimals follow the table's own custom"
    assert body[2][header.index("onkokode_hinweis")] == "kein Diagnosetext"
    assert body[4][header.index("onkokode_diagnosesicherheit")] == "Verdacht"
    assert run.counts == {"kodiert": 4, "offen": 0, "kein Tumor": 1, "ohne Text": 1}
    assert not (tmp_path / "out.csv.onkokode").exists()


def test_excel_keeps_types_and_a_text_that_looks_like_a_formula(tmp_path: Path) -> None:
    source = tables.write_xlsx(tmp_path / "in.xlsx")
    book = load_workbook(source)
    book.active["B2"] = "+4"
    book.active["B3"].value, book.active["B3"].data_type = "=1+1", "s"
    book.save(source)
    target = tmp_path / "out.xlsx"
    code_file(embedded_agent(), source, target)
    sheet = load_workbook(target)["Tumoren"]
    header = [cell.value for cell in sheet[1]]
    assert header == [*COLUMNS, *ADDED]
    assert [sheet.cell(r, header.index("onkokode_icd10gm") + 1).value or "" for r in range(2, 8)] == CODES
    assert sheet["D2"].is_date
    assert (sheet["B3"].value, sheet["B3"].data_type) == ("=1+1", "s")
    assert isinstance(sheet.cell(2, header.index("onkokode_icd10gm_konfidenz") + 1).value, float)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    source = tables.write_parquet(tmp_path / "in.parquet")
    target = tmp_path / "out.parquet"
    code_file(embedded_agent(), source, target)
    before, after = pq.read_table(source), pq.read_table(target)
    assert after.select(before.column_names).equals(before)
    assert [code or "" for code in after.column("onkokode_icd10gm").to_pylist()] == CODES


def test_json_lines_keep_keys_and_what_is_no_object(tmp_path: Path) -> None:
    source = tables.write_jsonl(tmp_path / "in.jsonl")
    lines = source.read_text(encoding="utf-8").splitlines()
    lines[1:1] = [
        '{"Diagnosetext": "Prostatakarzinom", "mehr": [1, {"a": null}]}',
        '{"Diagnosetext": "Mamma',
        "[1]",
    ]
    source.write_text("\n".join(lines), encoding="utf-8")
    target = tmp_path / "out.jsonl"
    code_file(embedded_agent(), source, target)
    records = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert len(records) == len(lines)
    assert records[1]["mehr"] == [1, {"a": None}] and "Nr" not in records[1]
    assert records[1]["onkokode_icd10gm"] == "C61"
    assert (
        records[2]["onkokode_zeile"] == '{"Diagnosetext": "Mamma' and "JSON" in records[2]["onkokode_hinweis"]
    )
    assert records[3]["onkokode_hinweis"] == "kein JSON-Objekt"


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl"])
def test_the_output_has_the_format_of_its_ending(tmp_path: Path, ending: str) -> None:
    source = tables.write_parquet(tmp_path / "in.parquet")
    target = tmp_path / f"out{ending}"
    code_file(embedded_agent(), source, target)
    again = open_table(target)
    assert ending in again.endings
    assert again.columns == (*COLUMNS, "Zeit", *ADDED) and again.rows == len(CODES)


def test_ragged_rows_lose_nothing_and_say_so(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(
        "Nr;Diagnose\n1;Prostatakarzinom;mehr;noch mehr\n2\n\n3;Mammakarzinom\n", encoding="utf-8"
    )
    target = tmp_path / "out.csv"
    code_file(embedded_agent(), source, target)
    header, *body = read_csv(target)
    hint = header.index("onkokode_hinweis")
    assert body[0][-2:] == ["mehr", "noch mehr"] and "4 Felder statt 2" in body[0][hint]
    assert body[1][hint] == "1 Felder statt 2" and body[2][hint] == "leere Zeile"
    assert body[3][header.index("onkokode_icd10gm")] == "C50.9"


def test_bytes_that_no_encoding_knows_come_out_as_they_went_in(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes("Nr;Diagnose;Gr\xf6\xdfe\n1;Prostatakarzinom;".encode("cp1252") + b"\x81\x8d;\n")
    target = tmp_path / "out.csv"
    code_file(embedded_agent(), source, target)
    assert b"1;Prostatakarzinom;\x81\x8d;" in target.read_bytes()


def test_a_stopped_run_goes_on_to_the_same_output(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    many = [
        f"{i};{'Prostatakarzinom' if i % 3 else 'Mammakarzinom links'} {i % 7}"
        for i in range(2 * CHUNK_ROWS + 40)
    ]
    source.write_text("Nr;Diagnose\n" + "\n".join(many) + "\n", encoding="utf-8")
    code_file(CountingAgent(), source, tmp_path / "whole.csv")
    stopped = CountingAgent(limit=1)
    with pytest.raises(KeyboardInterrupt):
        code_file(stopped, source, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    again = CountingAgent()
    run = code_file(again, source, tmp_path / "out.csv")
    assert run.done_before == CHUNK_ROWS and len(again.asked) == 2
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_equal_texts_are_coded_once(tmp_path: Path) -> None:
    agent = CountingAgent()
    code_file(agent, tables.write_csv(tmp_path / "in.csv"), tmp_path / "out.csv")
    assert agent.asked == [4]


def test_a_folder_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    source = tables.write_csv(tmp_path / "in.csv")
    with pytest.raises(KeyboardInterrupt):
        code_file(CountingAgent(limit=0), source, tmp_path / "out.csv")
    source.write_text(source.read_text(encoding="utf-8") + "7;1;Hodenkarzinom;x\n", encoding="utf-8")
    with pytest.raises(TableFileError, match="anderen Lauf"):
        code_file(embedded_agent(), source, tmp_path / "out.csv")
    assert code_file(embedded_agent(), source, tmp_path / "out.csv", restart=True).rows == 7
    with pytest.raises(TableFileError, match="gibt es schon"):
        code_file(embedded_agent(), source, tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("leer.csv", b"  \n", "leer"),
        ("alt.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xlsx"),
        ("halb.xlsx", b"PK\x03\x04abc", "beschädigt"),
        ("halb.parquet", b"PAR1abc", "beschädigt"),
        ("doppelt.csv", b"Text;Text\n1;2\n", "mehrmals"),
        ("zwei.csv", b"Text_A;Text_B\nMammakarzinom;Prostatakarzinom\n", "--column"),
        ("offen.csv", b'Nr;Diagnose\n1;"' + b"x" * 2_100_000, "Zeile 2"),
        ("fertig.csv", b"Diagnose;onkokode_tumor\nx;ja\n", "schon kodiert"),
    ],
)
def test_files_that_cannot_be_coded(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableFileError, match=message) as raised:
        code_file(embedded_agent(), tmp_path / name, tmp_path / "out.csv")
    assert name in str(raised.value)
    assert "karzinom" not in str(raised.value)
    assert not (tmp_path / "out.csv").exists()


def test_the_text_column_is_found_by_its_words(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    lines = "".join(f"stationär;Karzinom der Mamma, Haus {'ABCDEFGH'[i]};A{i}\n" for i in range(8))
    source.write_text("Art;Bemerkung;Fall\n" + lines, encoding="utf-8")
    run = code_file(embedded_agent(), source, tmp_path / "out.csv")
    assert run.counts["kodiert"] == 8
    with pytest.raises(TableFileError, match="Bemerkung"):
        code_file(embedded_agent(), source, tmp_path / "other.csv", column="Diagnose")


def test_what_a_person_says_about_the_file_counts(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_bytes("a,b;Diagnose\nx,y;Prostatakarzinom\n".encode("utf-16-le"))
    table = open_table(source, TableOptions(encoding="utf-16-le", delimiter=";"))
    assert table.columns == ("a,b", "Diagnose")
    with pytest.raises(TableFileError, match="Zeichensatz"):
        open_table(source, TableOptions(encoding="ansi8"))


def test_the_command(tmp_path: Path) -> None:
    source = tables.write_csv(tmp_path / "in.csv", "cp1252")
    result = CliRunner().invoke(cli, ["code-file", str(source), str(tmp_path / "out.csv")])
    assert result.exit_code == 0, result.output
    assert "6 Zeilen (kodiert 4, offen 0, kein Tumor 1, ohne Text 1)" in result.output
    missing = CliRunner().invoke(cli, ["code-file", str(tmp_path / "nichts.csv"), str(tmp_path / "x.csv")])
    assert missing.exit_code == 2 and "gibt es nicht" in missing.output


@pytest.mark.slow
def test_killed_twice_the_output_is_that_of_an_unbroken_run(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    words = ("links", "rechts", "G2", "G3", "pT2", "metastasiert", "Rezidiv", "ED 2023")
    many = [f"{i};Mammakarzinom {words[i % 8]} {words[i // 8 % 8]} {i}" for i in range(6 * CHUNK_ROWS)]
    source.write_text("Nr;Diagnose\n" + "\n".join(many) + "\n", encoding="utf-8")
    whole, target = tmp_path / "whole.csv", tmp_path / "out.csv"
    command = [sys.executable, "-m", "agent", "code-file", str(source)]
    subprocess.run([*command, str(whole)], check=True)
    work = tmp_path / "out.csv.onkokode"
    for parts in (1, 3):
        process = subprocess.Popen([*command, str(target)])
        while len(list(work.glob("*.jsonl"))) < parts and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not target.exists()
    subprocess.run([*command, str(target)], check=True)
    assert target.read_bytes() == whole.read_bytes()
