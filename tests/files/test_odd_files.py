"""Files that are not what they should be: one line before any work, or a row with its reason, and no text leaks."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from agent.apps.files import code_file
from agent.apps.files.answer import COLUMNS as ADDED
from agent.apps.files.formats import open_table
from agent.apps.files.header import is_header
from agent.apps.files.table import TableFileError, TableOptions
from tests.files.stub_agent import StubAgent, code_of, stub


def _refused(source: Path, target: Path, options: TableOptions | None = None, **more: bool) -> str:
    """The message; nothing was coded, and nothing but the input is there."""
    agent = StubAgent()
    with pytest.raises(TableFileError) as raised:
        code_file(agent, source, target, options=options, **more)  # type: ignore[arg-type]
    assert not agent.asked
    return str(raised.value)


HEADERLESS = [
    "Mammakarzinom links\nProstatakarzinom\n",
    "4711;Mammakarzinom links;m\n4712;Prostatakarzinom;m\n",
    "Z.n. Prostata-Ca\nNephrolithiasis\n",
    "1;Meier, Anna;Sonographie\n2;Müller, Eva;Mammakarzinom\n",
    "C50.9;Mamma\nC61;Prostata\n",
    "Abszess;1\nKarzinom;2\n",
]
HEADERS = [
    "Diagnose\nMammakarzinom\n",
    "Fall_ID;Befundtext;m/w\n1;Mammakarzinom;m\n",
    "Patienten-ID;ICD-10-GM Code;Diagnose (Text)\n1;C50.9;Mammakarzinom\n",
    "nr;Diagnose;2019;2020\n1;Mammakarzinom;5;6\n",
    "Laufend;Freitext\n1;Mammakarzinom\n",
    "DiagnoseText;Sonstiges\nMammakarzinom;x\n",
    "Datum der Diagnose,Name\n01.02.2024,Meier\n",
]


@pytest.mark.parametrize("content", HEADERLESS)
def test_a_first_row_that_is_data_is_coded(tmp_path: Path, content: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(content, encoding="utf-8")
    seen: list[str] = []

    def look(calls: int) -> None:
        seen.append((tmp_path / "out.csv.onkokode" / "run.json").read_text(encoding="utf-8"))

    lines = content.splitlines()
    column = "1" if ";" not in content or content[0] in "AC" else "spalte_2"
    run = code_file(stub(look), source, target, column=column)
    assert run.rows == len(lines) and "Kopfzeile" in run.notes[0]
    header, *body = list(csv.reader(target.open(encoding="utf-8"), delimiter=";"))
    assert header[0] == "spalte_1" and [";".join(row[: lines[0].count(";") + 1]) for row in body] == lines
    for cell in lines[0].split(";"):
        assert len(cell) < 2 or cell not in seen[0] + " ".join(run.notes)


@pytest.mark.parametrize("content", HEADERS)
def test_a_header_is_seen(tmp_path: Path, content: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text(content, encoding="utf-8")
    table = open_table(source)
    assert table.header and table.rows == 1 and not table.notes


@pytest.mark.parametrize("first", ["Sonographie", "Unklar", "Meier", "A;B"])
def test_what_may_be_either_is_asked_for(tmp_path: Path, first: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"{first}\nMammakarzinom;x\nProstatakarzinom;y\n", encoding="utf-8")
    message = _refused(source, target)
    assert "--no-header" in message and first not in message
    assert open_table(source, TableOptions(header=True)).rows == 2
    assert open_table(source, TableOptions(header=False)).rows == 3
    assert open_table(source, TableOptions(column=first.split(";")[0].lower())).rows == 2


def test_a_header_takes_its_time_from_no_cell() -> None:
    begin = time.monotonic()
    for unit in ("1", "_a", "ca ", "1.", "aB", "T1", "Z", " "):
        is_header([unit * 100_000, "Diagnose"], [[unit * 100_000, "x"]])
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
def test_no_message_quotes_a_text_that_stands_for_a_name(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / f"in.{kind}", tmp_path / "out.csv"
    first = ["Mammakarzinom links", "Z.n. Prostata-Ca", "4711"]
    if kind == "csv":
        source.write_text(";".join(first) + "\nHodenkarzinom;Hodentumor;3\n", encoding="utf-8")
    elif kind == "jsonl":
        source.write_text(json.dumps(dict.fromkeys(first, "Magenkarzinom")), encoding="utf-8")
    elif kind == "parquet":
        pq.write_table(pa.table({name: ["Magenkarzinom"] for name in first}), source)
    else:
        book = Workbook()
        book.active.append(first)
        book.active.append(["Hodenkarzinom", "Hodentumor", "3"])
        book.save(source)
    with pytest.raises(TableFileError, match="palte") as raised:
        code_file(stub(), source, target, column="Befund")
    assert not {word for name in first for word in name.split() if word in str(raised.value)}
    assert code_file(stub(), source, target, column="2").rows in (1, 2)


def test_a_headerless_sheet_loses_no_row(tmp_path: Path) -> None:
    source, target = tmp_path / "in.xlsx", tmp_path / "out.csv"
    book = Workbook()
    book.active.append([4711, "Mammakarzinom links"])
    book.active.append([4712, "Prostatakarzinom"])
    book.save(source)
    assert code_file(stub(), source, target).rows == 2
    assert code_of("Mammakarzinom links") in target.read_text(encoding="utf-8")


def test_blank_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n;;\r\n \nNr;Diagnose\n1;Karzinom\n\n2;Sarkom\n", encoding="utf-8")
    assert code_file(stub(), source, target).rows == 3
    table = open_table(source)
    assert table.columns == ("Nr", "Diagnose")
    assert [row.number for chunk in table.chunks() for row in chunk.rows] == [5, 6, 7]


def _damaged_parquet(path: Path) -> None:
    pq.write_table(pa.table({"Diagnose": [f"Karzinom {i}" for i in range(5000)]}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)


def _flipped_parquet(path: Path) -> None:
    """A letter of a text turned round: only the page's checksum tells."""
    table = pa.table({"Diagnose": ["Karzinom Brunnenkresse"]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True,
                   write_statistics=False)  # fmt: skip
    path.write_bytes(path.read_bytes().replace(b"Brunnenkresse", b"Brunnenfresse", 1))


def test_damaged_pages_are_found_before_the_work(tmp_path: Path) -> None:
    for number, damage in enumerate((_damaged_parquet, _flipped_parquet)):
        source = tmp_path / f"in{number}.parquet"
        damage(source)
        assert "beschädigt" in _refused(source, tmp_path / "out.csv")
    assert len(list(tmp_path.iterdir())) == 2, "no work folder is left"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("in.csv", b"\n\n;;\n", None, "leer"),
        ("in.jsonl", b"{}\n{}\n", None, "Objekt"),
        ("in.csv", b"Nr;Diagnose\n1;x\n", TableOptions(delimiter='"'), "trennen"),
        ("in.csv", b"Nr;Diagnose\n1;x\n", TableOptions(delimiter="\n"), "trennen"),
        ("in.csv", b"Nr;Diagnose\n" + b"1;x;" * 5_000_000, None, "mehr als"),
        ("in.csv", b";".join(b"s_%d" % i for i in range(100_000)) + b"\n" + b";" * 99_999, None, "Spalten"),
        ("in.jsonl", b"\n".join(b'{"s%d": 1}' % i for i in range(20_000)), None, "Schlüssel"),
    ],
)  # fmt: skip
def test_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, options: TableOptions | None, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    begin = time.monotonic()
    assert message in _refused(tmp_path / name, tmp_path / "out.csv", options)
    assert time.monotonic() - begin < 10


def test_a_parquet_file_without_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({}), tmp_path / "in.parquet")
    assert "keine Spalten" in _refused(tmp_path / "in.parquet", tmp_path / "out.csv")


def test_many_columns_take_seconds(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    names = ["Diagnose", *(f"spalte_{i}" for i in range(16_000))]
    source.write_text("\n".join([";".join(names), *["Karzinom" + ";x" * 16_000] * 20]), encoding="utf-8")
    begin = time.monotonic()
    code_file(stub(), source, target)
    assert time.monotonic() - begin < 20


def test_a_long_line_is_one_row(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [f'{{"Diagnose": "Karzinom", "x": "{"y" * size}"}}' for size in (1, 15_000_000, 17_000_000, 2)]
    source.write_text("\n".join(lines), encoding="utf-8")
    run = code_file(stub(), source, target)
    assert run.rows == 4 and run.counts["kodiert"] == 3
    records = [json.loads(line) for line in target.open(encoding="utf-8")]
    assert len(records[1]["x"]) == 15_000_000
    assert records[2]["onkokode_hinweis"] == "Zeile zu lang (17 MB, höchstens 16), nicht übernommen"


def test_json_goes_through_letter_by_letter(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        '{"Diagnose": "Karzinom", "a": 1e400, "b":1.10,"c" : -0, "d": [1.10, {"e": 1E5}], "f": "\\u00e4\\/"}',
        '{"Diagnose": "Karzinom", "lang": ' + "9" * 5000 + ', "u": "\\ud800", "n": NaN}',
        '{"a": 1, "a": 2, "Diagnose": "Sarkom"  }',
        '{"Diagnose": {"b": 1.0, "b": 2}}',
        '{"Diagnose":"ä"}',
        "{}",
    ]
    source.write_text("\n".join(lines), encoding="utf-8")
    code_file(stub(), source, target)
    for before, after in zip(lines, target.read_text(encoding="utf-8").splitlines(), strict=True):
        assert after.startswith(before.rstrip(" }")) and after.endswith("}")
        added = json.loads("{" + after[len(before[:-1].rstrip()) :].lstrip(", "))
        assert len(added) == len(ADDED)
    assert "mehrmals" in target.read_text(encoding="utf-8").splitlines()[2]
    assert code_of('{"b": 1.0, "b": 2}') in target.read_text(encoding="utf-8").splitlines()[3]


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"salt": 5}', b'{"salt": "zz"}', b'{"salt": "00"}',
               b"[" * 100_000, b'{"salt": "' + b"00" * 32 + b'"}'],
)  # fmt: skip
def test_a_broken_record_of_a_run_is_one_line(tmp_path: Path, record: bytes) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("Nr;Diagnose\n1;Karzinom\n", encoding="utf-8")
    work = tmp_path / "out.csv.onkokode"
    work.mkdir()
    (work / "run.json").write_bytes(record)
    assert "--restart" in _refused(source, target)
    assert code_file(stub(), source, target, restart=True).rows == 1 and not work.exists()


def test_what_lies_in_the_way_of_the_output(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Nr;Diagnose\n1;Karzinom\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    assert "Ordner" in _refused(source, tmp_path / "folder", restart=True)
    (tmp_path / "out.csv.onkokode").write_text("x")
    assert "umbenennen" in _refused(source, tmp_path / "out.csv")


def test_two_runs_at_once(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("Nr;Diagnose\n1;Karzinom\n", encoding="utf-8")
    messages: list[str] = []

    def second(calls: int) -> None:
        messages.extend(_refused(source, target, restart=restart) for restart in (False, True))

    code_file(stub(second), source, target)
    assert len(messages) == 2 and all("anderer Lauf" in message for message in messages)
    assert target.exists() and not (tmp_path / "out.csv.onkokode").exists()


def _hang(source: Path, target: Path) -> None:
    code_file(stub(lambda calls: time.sleep(60)), source, target)


def test_the_lock_of_a_killed_run_does_not_block(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("Nr;Diagnose\n1;Karzinom\n", encoding="utf-8")
    process = multiprocessing.get_context("fork").Process(target=_hang, args=(source, target))
    process.start()
    while not (tmp_path / "out.csv.onkokode" / "run.json").exists():
        time.sleep(0.01)
    assert "anderer Lauf" in _refused(source, target)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert code_file(stub(), source, target).rows == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    reading, writing = os.pipe()
    try:
        for source in (tmp_path / "pipe.csv", Path(f"/dev/fd/{reading}"), Path("/dev/null")):
            for restart in (False, True):
                with pytest.raises(
                    TableFileError, match=re.escape(f"{source} ist eine Pipe oder ein Gerät; ")
                ):
                    code_file(stub(), source, tmp_path / "out.csv", restart=restart)
    finally:
        os.close(reading)
        os.close(writing)
    assert os.listdir(tmp_path) == ["pipe.csv"]


@pytest.mark.parametrize(
    "first", ["Diagnosetext", "Klinische Diagnose", "Mammakarzinom links", '"Diagnosetext"', " \nDiagnose"]
)
def test_in_a_table_of_one_column_nothing_separates(tmp_path: Path, first: str) -> None:
    texts = ["Z.n. Mamma-Ca; jetzt Prostata-Ca; G2", "Melanom, Arm | G1\tlinks", 'C50; "a" b', "Sigma-Ca"]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n".join([first, texts[0], f'"{texts[1]}"', *texts[2:], ""]), encoding="utf-8")
    agent = StubAgent()
    run = code_file(agent, source, target)  # type: ignore[arg-type]
    header, *body = list(csv.reader(target.open(encoding="utf-8"), delimiter=";"))
    assert len(header) == 1 + len(ADDED) and [row[0] for row in body][-4:] == texts == agent.asked[0][-4:]
    assert not any(row[-1] for row in body) and run.rows == 4 + (first[0] == "M")
    assert open_table(source, TableOptions(delimiter=";")).facts()["delimiter"] == ";"
