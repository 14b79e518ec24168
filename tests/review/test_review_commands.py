"""`onkokode review`: from a file to the list and out again, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from openpyxl import Workbook

from agent.apps.cli import cli
from agent.apps.review import commands
from agent.apps.review.decision import Action, decide
from agent.apps.review.store import Store
from tests.review.review_helpers import coding


class Coder:
    """Codes every text alike and remembers how often it was asked; `stop_after` texts it is interrupted."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def code_many(self, texts: Iterable[str]) -> Iterator[Any]:
        for text in texts:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(text)
            of = coding(span=(0, len(text)))
            if ";" in text:
                of["further"] = [coding(("C61", "C61.9", "8140/3"), span=(text.index(";") + 1, len(text)))]
            yield SimpleNamespace(to_dict=lambda of=of: of)


@pytest.fixture
def coder(monkeypatch: pytest.MonkeyPatch) -> Coder:
    made = Coder()
    monkeypatch.setattr(commands, "load_agent", lambda **options: made)
    return made


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["review", *arguments])


def _items(database: str = "review.sqlite") -> list[tuple[str, int, str]]:
    with Store.open(Path(database), create=False) as store:
        return sorted((item.reference, item.part, item.text) for item in store.page("all", "", 1000))


def test_lines_become_entries_one_per_diagnosis(coder: Coder) -> None:
    Path("d.txt").write_bytes(
        "\ufeffMamma-Ca\n\nMamma-Ca; Prostata-Ca\r\nmit\rWagenrücklauf\u2028und Zeile\n".encode()
    )
    result = _run("add", "d.txt")
    assert result.exit_code == 0, result.output
    assert "3 texts added, 4 entries" in result.output and "1 blank" in result.output
    assert _items() == [
        ("1", 1, "Mamma-Ca"),
        ("3", 1, "Mamma-Ca; Prostata-Ca"),
        ("3", 2, "Mamma-Ca; Prostata-Ca"),
        ("4", 1, "mit\rWagenrücklauf\u2028und Zeile"),
    ]


def test_interrupted_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("d.txt").write_text("".join(f"Text {n}\n" for n in range(200)), encoding="utf-8")
    first = Coder(stop_after=150)
    monkeypatch.setattr(commands, "load_agent", lambda **options: first)
    assert _run("add", "d.txt").exit_code == 130
    with Store.open(Path("review.sqlite")) as store:
        kept = store.status().total
        item = store.page("open", "", 1)[0]
        store.decide(item.id, decide(item.coding, Action.ACCEPT, by="A"), seen=0)
    assert kept == 128
    second = Coder()
    monkeypatch.setattr(commands, "load_agent", lambda **options: second)
    result = _run("add", "d.txt")
    assert result.exit_code == 0 and f"{kept} were on the list already" in result.output
    assert len(second.asked) == 200 - kept
    assert len(_items()) == 200
    assert "1 of 200 decided" in _run("status").output


def test_a_table_with_its_own_references(coder: Coder) -> None:
    Path("f.csv").write_text('Fall;Diagnose\n4711;"Mamma-Ca; ""links"""\n;Ca\n', encoding="utf-8-sig")
    result = _run("add", "f.csv", "--text-column", "Diagnose", "--id-column", "Fall", "--source", "KIS")
    assert result.exit_code == 0, result.output
    assert [(reference, text) for reference, part, text in _items() if part == 1] == [
        ("2", "Ca"),
        ("4711", 'Mamma-Ca; "links"'),
    ]


@pytest.mark.parametrize("name", ["f.tsv", "f.xlsx", "f.parquet"])
def test_tables_are_read_as_code_file_reads_them(coder: Coder, name: str) -> None:
    """Every format, the text column found, and a header told from data."""
    rows = [
        {"Fall": "4711", "Diagnosetext": "Mamma-Ca links"},
        {"Fall": "4712", "Diagnosetext": "Prostata-Ca"},
    ]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), name)
    elif name.endswith(".xlsx"):
        book = Workbook()
        for row in (rows[0], *(one.values() for one in rows)):
            book.active.append(list(row))
        book.save(name)
    else:  # without a header, in the encoding of Windows
        text = "".join(
            "\t".join(one.values()) + "\n" for one in [*rows, {"a": "4713", "b": "Gebärmutter-Ca"}]
        )
        Path(name).write_bytes(text.encode("cp1252"))
    result = _run("add", name, "--id-column", "1" if name == "f.tsv" else "Fall")
    assert result.exit_code == 0, result.output
    expected = [("4711", 1, "Mamma-Ca links"), ("4712", 1, "Prostata-Ca"), ("4713", 1, "Gebärmutter-Ca")]
    assert _items() == (expected if name == "f.tsv" else expected[:2])


def test_codings_made_before_are_not_made_again(coder: Coder) -> None:
    Path("d.txt").write_text("Mamma-Ca\nCa\n", encoding="utf-8")
    lines = [json.dumps(coding(span=(0, 2), confidence=share)) for share in (0.2, 0.9)]
    Path("codes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = _run("add", "d.txt", "--coded", "codes.jsonl")
    assert result.exit_code == 0, result.output
    assert coder.asked == []
    with Store.open(Path("review.sqlite")) as store:
        assert [item.uncertainty for item in store.page("all", "")] == [0.8, 0.1]


@pytest.mark.parametrize(
    ("name", "content", "arguments", "said"),
    [
        ("f.csv", "a;b\n1;2\n", (), "no column 'text'"),
        ("f.jsonl", '{"text": 3}\n', (), "line 1 has no text"),
        ("f.jsonl", "{geheim\n", (), "line 1 is no JSON object"),
        ("f.jsonl", json.dumps(coding()) + "\n", (), "--coded"),
        ("f.txt", "geheim\nzwei\n", ("--coded", "one.jsonl"), "not as many codings"),
        ("f.txt", "g\n", ("--coded", "one.jsonl"), "not the coding of its text"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_text(
    coder: Coder, name: str, content: str, arguments: tuple[str, ...], said: str
) -> None:
    Path(name).write_text(content, encoding="utf-8")
    Path("one.jsonl").write_text(json.dumps(coding(span=(0, 6))) + "\n", encoding="utf-8")
    result = _run("add", name, *arguments)
    assert result.exit_code == 2
    assert said in result.output and "geheim" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_another_text_under_the_same_reference_is_told(coder: Coder) -> None:
    Path("d.txt").write_text("alt\n", encoding="utf-8")
    _run("add", "d.txt")
    Path("d.txt").write_text("neu\n", encoding="utf-8")
    result = _run("add", "d.txt")
    assert "Error: 1 have the same source and reference" in result.output and result.exit_code == 1
    assert _items() == [("1", 1, "alt")]


def test_of_several_files_each_is_added(coder: Coder) -> None:
    for folder, text in (("a", "Mamma-Ca\n"), ("b", "Prostata-Ca\n")):
        Path(folder).mkdir()
        Path(folder, "brief.txt").write_text(text, encoding="utf-8")
    Path("c.txt").write_text("Melanom\n", encoding="utf-8")
    result = _run("add", "a/brief.txt", "c.txt", "b/brief.txt")
    assert result.exit_code == 0 and "3 texts added" in result.output
    with Store.open(Path("review.sqlite")) as store:
        sources = {item.source for item in store.page("open", "", 9)}
    assert sources == {"brief.txt", "b/brief.txt", "c.txt"}
    again = _run("add", "b/brief.txt", "a/brief.txt")
    assert again.exit_code == 0 and "2 were on the list already" in again.output
    Path("a").rename("anderswo")
    assert "1 were on the list already" in _run("add", "anderswo/brief.txt").output


def test_a_file_that_cannot_be_read_stops_no_other(coder: Coder) -> None:
    Path("a.jsonl").write_text("{", encoding="utf-8")
    Path("b.txt").write_text("Mamma-Ca\n", encoding="utf-8")
    result = _run("add", "a.jsonl", "b.txt")
    assert result.exit_code == 1 and "a.jsonl" in result.output and "1 texts added" in result.output


def test_status_list_and_export(coder: Coder) -> None:
    Path("d.txt").write_text("Mamma-Ca\nCa \x1b[31m\nOffen\n", encoding="utf-8")
    _run("add", "d.txt")
    with Store.open(Path("review.sqlite")) as store:
        for item in store.page("open", "", 2):
            store.decide(item.id, decide(item.coding, Action.ACCEPT, by="M. Ernst"), seen=0)
    assert json.loads(_run("status", "--json").output)["by"] == {"M. Ernst": 2}
    listed = _run("list", "--show", "all")
    assert len(listed.output.splitlines()) == 3 and "Mamma" not in listed.output
    shown = _run("list", "--show", "all", "--texts").output
    assert "Mamma-Ca" in shown and "\x1b" not in shown
    result = _run("export", "--csv", "out.csv", "--pairs", "pairs")
    assert result.exit_code == 0, result.output
    assert "2 decisions" in result.output
    assert Path("pairs/card.json").is_file()


@pytest.mark.parametrize("command", ["status", "list", "export"])
def test_a_missing_list_is_one_line(command: str) -> None:
    result = _run(command, "--db", "none.sqlite", *(["--csv", "x.csv"] if command == "export" else []))
    assert result.exit_code == 2
    assert "review add" in result.output and not Path("none.sqlite").exists()


def test_export_asks_what_to_write() -> None:
    assert "--csv FILE" in _run("export").output


@pytest.mark.parametrize("command", [(), ("add",), ("export",), ("status",), ("list",)])
def test_help_teaches(command: tuple[str, ...]) -> None:
    said = _run(*command, "--help").output
    assert "onkokode review" in said or command in (("status",), ("list",))
