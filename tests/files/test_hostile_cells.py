"""Letters, dates and numbers that an output format cannot hold: writing comes last and must never fail."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from encodings.aliases import aliases
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook, load_workbook

from agent.apps.files import code_file
from agent.apps.files.formats import open_table
from agent.apps.files.table import TableFileError, TableOptions, text_of
from tests.files.stub_agent import StubAgent, code_of, stub

HINT = "onkokode_hinweis"
ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")


def _parquet(path: Path) -> None:
    """Types that Python, JSON or Excel do not have, values out of their range, texts that are no UTF-8."""
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\x04\0\0\0\x08\0\0\0"), pa.py_buffer(b"Gr\xc3!gut!")]
    )
    columns: dict[str, Any] = {
        "Diagnose": ["Karzinom 1", "Karzinom 2"],
        "kaputt": broken,
        "Tag": pa.array([10_000_000, -1_000_000], pa.int32()).cast(pa.date32()),
        "alt": pa.array([dt.date(1750, 1, 1), dt.date(1900, 1, 1)]),
        "Mikro": pa.array([9 * 10**17, -9 * 10**17], pa.timestamp("us")),
        "Sekunde": pa.array([10**15, 0], pa.timestamp("s", tz="Europe/Berlin")),
        "nano": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns", tz="+05:00")),
        "zone": pa.array([0, 1], pa.timestamp("us", tz="Nirgends/Niemand")),
        "Dauer": pa.array([2**62, -5], pa.duration("s")),
        "Uhr": pa.array([dt.time(1, 2), None]),
        "gross": pa.array([2**63 - 1, -(2**63)], pa.int64()),
        "unendlich": pa.array([float("inf"), float("nan")]),
        "genau": pa.array([Decimal("1.10"), Decimal("-99999999999999999999.99")]),
        "bytes": pa.array([b"\x00\xff", None]),
        "Liste": pa.array([[1.5, float("nan")], None]),
        "Satz": pa.array([{"a": dt.date(2024, 1, 1), "b": b"\xff"}, None]),
        "Karte": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "leer": pa.nulls(2),
        "wahr": [True, False],
        "Art": pa.array(["a", "b"]).dictionary_encode(),
        "\x01\x02": ["\x00\x0b\ufffe", "=1+1"],
    }
    pq.write_table(pa.table(columns), path, store_schema=True)


def _xlsx(path: Path) -> None:
    book = Workbook()
    book.active.append(["Nr", "Diagnose", "Datum"])
    book.active.append([1, "Karzinom 1", dt.datetime(1900, 1, 1)])
    book.active.append([2.5, "Karzinom 2", dt.time(1, 2)])
    book.active.append([3, "Karzinom 3", 1e10])
    book.active["C4"].number_format = "yyyy-mm-dd"
    book.active.append([4, "Karzinom 4", dt.timedelta(hours=30)])
    book.save(path)


CSV = "Nr;Größe;Diagnose\n1;2;Karzinom 1\n".encode()
INPUTS: dict[str, tuple[str, bytes, bool]] = {  # name, content, whether a row has to say something
    "broken UTF-8": ("in.csv", CSV + "2;ä\udcc3;Kärzinom 2\n".encode("utf-8", "surrogateescape"), True),
    "broken UTF-8 in the text": ("in.csv", CSV + b"2;;K\xc3\xa4rz\xffinom\n", True),
    "latin-1": ("in.csv", CSV + "2;ö;Kärzinom 2\n".encode("latin-1"), True),
    "cp1252 lacks it": ("in.csv", CSV.decode().encode("cp1252") + b"2;\x81;Karz\x8dinom\xe4\n", True),
    "odd UTF-16": ("in.csv", CSV.decode().encode("utf-16") + b"x", True),
    "half a pair": (
        "in.csv",
        (CSV + b"2;x;Karzinom 2\n").decode().encode("utf-16-le") + b"\0\xd8",
        True,
    ),
    "odd UTF-32": ("in.csv", CSV.decode().encode("utf-32") + b"\xff\xff\xff\xff\1", True),
    "control characters": ("in.csv", CSV + b"2;\x00\x01\x1f;Karz\x0binom \xef\xbf\xbe\n", False),
    "long": ("in.csv", CSV + b"2;" + b"x" * 40_000 + b";Karzinom\n", False),
    "wide": ("in.csv", CSV + b"2;1;Karzinom" + b";x" * 20_000 + b"\n", True),
    "lone surrogate": (
        "in.jsonl",
        b'{"Diagnose": "Karz\\ud800inom", "x": ["\\udfff", {"\\ud801": 1}], "\\ud800": "\\udc00"}\n',
        True,
    ),
    "damaged JSON": (
        "in.jsonl",
        b'{"Diagnose": "Karzinom"}\n{"Diagnose": "Karz\xff\n[1]\n\n{"a": 1} 2\n',
        True,
    ),
    "JSON cp1252": ("in.jsonl", '{"Diagnose": "Kärzinom"}\n{"Diagnose": "x"}\n'.encode("cp1252"), False),
    "JSON numbers": (
        "in.jsonl",
        b'{"Diagnose": "Karzinom", "a": 1e400, "b": 1.10, "c": 1'
        + b"0" * 5000
        + b', "d": NaN, "e": [1.10]}\n',
        False,
    ),
}


@pytest.mark.parametrize("kind", [*INPUTS, "parquet", "xlsx"])
def test_every_input_can_be_written_in_every_format(tmp_path: Path, kind: str) -> None:
    name, content, says = INPUTS.get(kind, (f"in.{kind}", b"", False))
    source = tmp_path / name
    if kind == "parquet":
        _parquet(source)
    elif kind == "xlsx":
        _xlsx(source)
    else:
        source.write_bytes(content)
    options = TableOptions(encoding="utf-16-le") if kind == "half a pair" else None
    for ending in ENDINGS[:4] if kind == "wide" else ENDINGS:
        target = tmp_path / f"out{ending}"
        run = code_file(stub(), source, target, column="Diagnose", options=options)
        coded = open_table(
            target, options if source.suffix == ".csv" and ending in (".csv", ".tsv") else None
        )
        (chunk,) = coded.chunks()
        rows = [dict(zip(coded.columns, row.values, strict=True)) for row in chunk.rows]
        assert len(rows) == run.rows > 0
        assert any(row[HINT] not in ("", None) for row in rows) or not says
        assert rows[0]["onkokode_icd10gm"] == code_of(text_of(rows[0]["Diagnose"]))
        if ending == ".jsonl":  # what any other program can read
            for line in target.read_bytes().decode("utf-8").splitlines():
                json.loads(line, parse_int=str)
        if ending == ".parquet":
            pq.read_table(target).validate(full=kind != "parquet")
        if ending in (".csv", ".tsv") and b"Gr\xf6" not in content:
            target.read_bytes().decode(coded.facts()["encoding"])


def test_values_that_a_format_cannot_hold_are_written_out(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.xlsx"
    _parquet(source)
    code_file(stub(), source, target)
    header, *body = load_workbook(target).active.iter_rows(values_only=True)
    first, second = (dict(zip(header, row, strict=True)) for row in body)
    assert first["Tag"] == "29349-01-26" and second["Tag"] == "-0768-02-04"
    assert first["alt"] == "1750-01-01" and second["alt"] == dt.datetime(1900, 1, 1)
    assert first["gross"] == "9223372036854775807" and first["genau"] == "1.10"
    assert first["nano"].startswith("2023-11-15") and first["unendlich"] == "inf"
    assert first["Liste"] == "[1.5, null]" and second["bytes"] is None


def test_what_excel_cannot_hold_is_said_in_the_row(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.xlsx"
    source.write_bytes(CSV + b"2;" + b"x" * 40_000 + b";Karzinom\n3;\x01;Karzinom\n")
    code_file(stub(), source, target)
    _, plain, long, control = (row[-1] for row in load_workbook(target).active.iter_rows(values_only=True))
    assert plain is None and "gekürzt" in long and "Zeichen" in control


def test_too_much_for_excel_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, agent = tmp_path / "in.csv", StubAgent()
    source.write_text("Nr;Diagnose\n1;Karzinom\n2;Karzinom\n", encoding="utf-8")
    monkeypatch.setattr("agent.apps.files.writing._EXCEL_ROWS", 2)
    with pytest.raises(TableFileError, match="Excel"):
        code_file(agent, source, tmp_path / "out.xlsx")  # type: ignore[arg-type]
    assert not agent.asked and [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    "encoding",
    sorted(
        {
            *aliases.values(),
            "idna",
            "punycode",
            "undefined",
            "unicode_escape",
            "utf_8_sig",
            "nichts",
            "ä",
            "\0",
        }
    ),
)
def test_every_codec_is_used_or_refused_in_one_line(tmp_path: Path, encoding: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    try:
        source.write_bytes("Nr;Diagnose\n1;Karzinom\n".encode(encoding) + b"2;\xff\x81\x00\xd8;\n")
    except (LookupError, ValueError):
        source.write_bytes(CSV)
    try:
        code_file(stub(), source, target, options=TableOptions(encoding=encoding))
    except TableFileError as error:
        assert "Zeichensatz" in str(error) and "\n" not in str(error)
    else:
        assert target.exists()


def test_one_line_in_another_encoding_changes_no_other(tmp_path: Path) -> None:
    source, plain, target = tmp_path / "in.csv", tmp_path / "plain.csv", tmp_path / "out.csv"
    lines = [f"{i};Größe {i} µm – Nävus".encode() for i in range(2000)]
    plain.write_bytes(b"\n".join([b"Nr;Diagnose", *lines]) + b"\n")
    lines[700] = "700;Größe 700 µm – Nävus".encode("cp1252")
    source.write_bytes(b"\n".join([b"Nr;Diagnose", *lines]) + b"\n")
    run = code_file(stub(), source, target)
    code_file(stub(), plain, tmp_path / "right.csv")
    right = (tmp_path / "right.csv").read_text(encoding="utf-8").splitlines()
    ours = target.read_text(encoding="utf-8").splitlines()
    differing = [place for place, pair in enumerate(zip(right, ours, strict=True)) if len(set(pair)) > 1]
    assert differing == [701], "only the hint of that row"
    assert ours[701] == right[701] + "Zeile ist nicht UTF-8, als cp1252 gelesen"
    assert run.notes == ["Zeile ist nicht UTF-8, als cp1252 gelesen: 1 Zeile, Zeile 702"]


def test_a_file_of_cp1252_stays_one(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes("Nr;Diagnose\n1;Nävus\n2;Größe\n".encode("cp1252") + "3;Nävus ≥ 1\n".encode())
    run = code_file(stub(), source, target)
    written = target.read_bytes().decode("cp1252").splitlines()
    assert written[1].startswith("1;Nävus;") and written[3].startswith("3;Nävus ? 1;")
    assert "UTF-8" in written[3] and "stehen als ?" in written[3]
    assert run.counts["kodiert"] == 3 and len(run.notes) == 1
