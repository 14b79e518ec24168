"""A file that changes while it is coded: an error, and never another row's code."""

from __future__ import annotations

import csv
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from agent.apps.files import code_file
from agent.apps.files.formats import open_table
from agent.apps.files.run import LocalEngine
from agent.apps.files.table import CHUNK_ROWS, TableFileError
from tests.files.stub_agent import StubAgent, code_of, stub

MARK = "Brunnenkresse"  # in every text, so that it is seen wherever a text remains
ROWS = [(str(i), f"{MARK} {i * 7919 % 2100:04d}") for i in range(2 * CHUNK_ROWS + 50)]


def _csv(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("\n".join(map(";".join, [("Nr", "Diagnose"), *rows])) + "\n", encoding="utf-8")


def _jsonl(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("".join(json.dumps({"Nr": n, "Diagnose": t}) + "\n" for n, t in rows), encoding="utf-8")


def _parquet(path: Path, rows: list[tuple[str, str]]) -> None:
    numbers, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"Nr": numbers, "Diagnose": texts}), path)


def _xlsx(path: Path, rows: list[tuple[str, str]]) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in [("Nr", "Diagnose"), *rows]:
        sheet.append(row)
    book.save(path)


WRITERS: dict[str, Callable[[Path, list[tuple[str, str]]], None]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "xlsx": _xlsx,
}
CHANGES: dict[str, Callable[[list[tuple[str, str]]], list[tuple[str, str]]]] = {
    "reversed": lambda rows: rows[::-1],
    "shorter": lambda rows: rows[:-60],
    "shorter by a chunk": lambda rows: rows[:CHUNK_ROWS],
    "longer": lambda rows: [*rows, ("x", MARK)],
    "longer by a chunk": lambda rows: [*rows, *rows[:CHUNK_ROWS]],
    "two swapped": lambda rows: [*rows[:-2], rows[-1], rows[-2]],
    "another number": lambda rows: [*rows[:-1], ("x", rows[-1][1])],
}


def _assert_nothing_left(target: Path) -> None:
    assert not target.exists()
    left = [
        path for path in target.parent.rglob("*") if path.is_file() and path.name != "in." + path.suffix[1:]
    ]
    for path in left:
        assert MARK.encode() not in path.read_bytes(), path
        assert path.suffix != ".part"


@pytest.mark.parametrize(
    ("format_", "call", "change"),
    [
        *(("csv", call, change) for call in (0, 1, 2) for change in CHANGES),
        *((format_, 2, change) for format_ in ("jsonl", "parquet") for change in CHANGES),
        ("xlsx", 2, "reversed"),  # reading Excel takes its time
        ("xlsx", 2, "shorter"),
    ],
)
def test_a_changed_file_is_an_error(tmp_path: Path, format_: str, call: int, change: str) -> None:
    source, target = tmp_path / f"in.{format_}", tmp_path / "out.csv"
    WRITERS[format_](source, ROWS)

    def swap(calls: int) -> None:
        if calls == call:
            other = tmp_path / f"new.{format_}"
            WRITERS[format_](other, CHANGES[change](ROWS))
            other.replace(source)

    with pytest.raises(TableFileError, match="verändert") as raised:
        code_file(stub(swap), source, target)
    assert MARK not in str(raised.value) and "--restart" in str(raised.value)
    _assert_nothing_left(target)


@pytest.mark.parametrize("header", ["Diagnose;Nr\n", "Nr;Diagnosen\n"])
def test_a_changed_header_is_an_error(tmp_path: Path, header: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    _csv(source, ROWS)
    content = source.read_text(encoding="utf-8").replace("Nr;Diagnose\n", header)
    with pytest.raises(TableFileError, match="verändert"):
        code_file(stub(lambda calls: source.write_text(content, encoding="utf-8")), source, target)
    _assert_nothing_left(target)


def test_a_file_that_changes_back_is_an_error_too(tmp_path: Path) -> None:
    """Coded in another order than it was before and after."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    _csv(source, ROWS)

    class Reordered(LocalEngine):
        def code(self, *arguments: Any) -> Any:
            _csv(source, CHANGES["two swapped"](ROWS))
            coded = list(super().code(*arguments))
            _csv(source, ROWS)
            yield from coded

    with pytest.raises(TableFileError, match="verändert"):
        code_file(stub(), source, target, engine=Reordered(stub()))
    _assert_nothing_left(target)


def test_a_stopped_run_goes_on_with_the_same_file_only(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    _csv(source, ROWS)

    def stop(calls: int) -> None:
        if calls == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        code_file(stub(stop), source, target)
    _assert_nothing_left(target)
    _csv(source, CHANGES["reversed"](ROWS))
    with pytest.raises(TableFileError, match="anderen Lauf"):
        code_file(stub(), source, target)
    _csv(source, ROWS)
    again = StubAgent()
    run = code_file(again, source, target)  # type: ignore[arg-type]
    assert run.done_before == CHUNK_ROWS and len(again.asked) == 2
    with target.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter=";"):
            assert row["onkokode_icd10gm"] == code_of(row["Diagnose"])


@pytest.mark.parametrize("damage", [b"", b"{", b"[]\n[]\n", b'"x"\n', b"\xff\n"])
def test_a_damaged_part_is_coded_again(tmp_path: Path, damage: bytes) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    _csv(source, ROWS)

    def spoil(calls: int) -> None:
        if calls == 2:
            (tmp_path / "out.csv.onkokode" / "00000001.jsonl").write_bytes(damage)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        code_file(stub(spoil), source, target)
    assert code_file(stub(), source, target).done_before == CHUNK_ROWS


def test_unfinished_files_are_for_their_owner_only(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    _csv(source, ROWS)
    modes: dict[str, int] = {}

    def look(calls: int) -> None:
        for path in (tmp_path / "out.csv.onkokode", *(tmp_path / "out.csv.onkokode").iterdir()):
            modes[path.name] = stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0o022)
    try:
        code_file(stub(look), source, target)
    finally:
        os.umask(before)
    assert modes.pop("out.csv.onkokode") == 0o700
    assert len(modes) >= 3 and not {mode & 0o077 for mode in modes.values()} - {0}
    assert stat.S_IMODE(target.stat().st_mode) == 0o644, "the finished file is like any other"


@pytest.mark.parametrize("format_", WRITERS)
def test_another_process_reads_the_same_digests(tmp_path: Path, format_: str) -> None:
    """Ray's workers get the table by pickle and read it themselves."""
    source = tmp_path / f"in.{format_}"
    WRITERS[format_](source, [*ROWS[:20], ("", "")])
    if format_ == "jsonl":
        source.write_text(source.read_text(encoding="utf-8") + '{"Nr": {"a": 1.10}}\n[1]\n', encoding="utf-8")
    table = open_table(source)
    table.salt = b"salt"
    here = [chunk.digest(table.salt) for chunk in table.chunks()]
    program = (
        "import pickle, sys; table = pickle.load(sys.stdin.buffer); "
        "print(*(chunk.digest(table.salt) for chunk in table.chunks()))"
    )
    there = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(table), capture_output=True)
    assert there.stdout.decode().split() == here, there.stderr.decode()


_KILLED = """
import os, signal, sys
from pathlib import Path
from agent.apps.files import code_file, run
from agent.apps.files.table import TableWriter
from tests.files.stub_agent import stub

kind = sys.argv[1]
replace = run._must_be_same
def kill(table, digests, number, digest):
    replace(table, digests, number, digest)
    if kill.seen == len(digests) + 2:  # all are coded, the first two are written
        os.kill(os.getpid(), signal.SIGKILL)
    kill.seen += 1
kill.seen = 0
run._must_be_same = kill
code_file(stub(), Path("in.csv"), Path("out." + kind))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_killed_while_writing_no_text_is_left_by_name_or_for_ever(tmp_path: Path, kind: str) -> None:
    _csv(tmp_path / "in.csv", ROWS)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _KILLED, kind]
    assert subprocess.run(command, cwd=tmp_path, env=environment).returncode == -signal.SIGKILL
    assert not (tmp_path / f"out.{kind}").exists() and not list((tmp_path / "tmp").iterdir())
    half = list(tmp_path.glob("*.part"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in half] == [0o600]
    again = [sys.executable, "-c", _KILLED.replace("signal.SIGKILL", "0"), kind]
    subprocess.run(again, cwd=tmp_path, env=environment, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", f"out.{kind}", "tmp"]
