"""What a run of messages leaves on the disk when it is killed or the disk is full, and what it then claims."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from tests.conftest import ROOT
from tests.registry.messages import NAME, Case, adt

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits, modes and signals of POSIX")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a disk with room for files of `size` bytes each."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _messages(folder: Path, more: int = 0) -> Path:
    """Three messages, of which that in the middle is `more` bytes longer, behind its last code."""
    folder.mkdir()
    for name, pad in (("a", 0), ("b", more), ("c", 0)):
        (folder / f"{name}.xml").write_text(adt(Case()) + " " * pad, "utf-8")
    return folder


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_copy_that_does_not_fit_counts_for_nothing(kind: str, tmp_path: Path) -> None:
    """The copy fails at its end, when all its codes have been filled and reported."""
    messages, out, report = _messages(tmp_path / "in", 60_000), tmp_path / "out", tmp_path / f"r.{kind}"
    with largest_file(40_000):
        result = CliRunner().invoke(
            cli,
            [
                "registry",
                str(messages),
                "--write",
                str(out),
                "--report",
                str(report),
                "--min-confidence",
                "0",
            ],
        )
    assert result.exit_code == 1, result.output
    assert sorted(path.name for path in out.iterdir()) == ["a.xml", "c.xml"]
    assert "8 Codes gefüllt, 2 Kopien geschrieben" in result.output.replace("\n", " ")
    assert "3 Dateien, davon 1 abgelehnt; 2 Meldungen, 2 Tumoren" in result.output
    assert "die Kopie ist nicht geschrieben" in result.output
    text = report.read_text("utf-8-sig")
    if kind == "json":
        content = json.loads(text)
        rows, sums = content["zeilen"], content["summen"]
        of_b = [row for row in rows if row["Datei"].endswith("b.xml")]
        assert [row["Urteil"] for row in of_b] == ["abgelehnt"] and not of_b[0]["Gefuellt"]
        assert sum(row["Gefuellt"] for row in rows) == sums["gefüllte Codes"] == 8
        assert sums["geschriebene Kopien"] == 2 and sums["je Achse"]["Datei"] == {"abgelehnt": 1}
    else:
        of_b = [line for line in text.splitlines() if "b.xml" in line]
        assert len(of_b) == 1 and ";abgelehnt;" in of_b[0]
        assert text.count(";ja;") == 8 and text.startswith("Datei;") and text.endswith(";1\n")
    assert not list(tmp_path.rglob(".*"))


def test_no_copy_is_not_called_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages, out = _messages(tmp_path / "in"), tmp_path / "out"
    monkeypatch.setattr("agent.apps.options.check_folder", lambda path: None)  # the disk gets full later
    with largest_file(500):
        result = CliRunner().invoke(cli, ["registry", str(messages), "--write", str(out)])
    assert result.exit_code == 1 and "0 Codes gefüllt, keine Kopie geschrieben" in result.output
    assert not list(out.iterdir())


def test_a_report_that_does_not_fit_is_one_line_and_no_fault_of_a_message(tmp_path: Path) -> None:
    messages = tmp_path / "in"
    messages.mkdir()
    (messages / "a.xml").write_text(adt(*[Case(meldung=f"M{n}", tumour=str(n)) for n in range(60)]), "utf-8")
    for kind in ("csv", "json"):
        report = tmp_path / f"r.{kind}"
        report.write_text("old")
        with largest_file(10_000):
            result = CliRunner().invoke(cli, ["registry", str(messages), "--report", str(report)])
        assert (
            result.exit_code == 2
            and f"--report {report}: die Datei wird größer als hier erlaubt" in result.output
        )
        assert "Dateien" not in result.output and report.read_text() == "old"
    assert not list(tmp_path.rglob(".*"))


def _begun(messages: Path, out: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """The real command, stopped in the middle of a copy, and its half-written file."""
    command = [sys.executable, "-m", "agent", "registry", str(messages), "--write", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        for path in out.glob(".*"):
            if path.stat().st_size > 0:
                return process, path
        time.sleep(0.02)
    process.kill()
    raise AssertionError("no half-written copy seen")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_nothing_and_a_killed_one_until_the_next(number: int, tmp_path: Path) -> None:
    messages, out = tmp_path / "in", tmp_path / "out"
    messages.mkdir()
    cases = [Case(meldung=f"M{n}", tumour=str(n), diagnosis=f"Bronchialkarzinom {n}") for n in range(3000)]
    (messages / "a.xml").write_text(adt(*cases), "utf-8")
    process, half = _begun(messages, out)
    try:
        assert stat.S_IMODE(half.stat().st_mode) == 0o600
        process.send_signal(number)
        assert process.wait(60) not in (0, 1)
    finally:
        process.kill()
    if number != signal.SIGKILL:
        assert not list(out.iterdir())
        return
    assert list(out.iterdir()) == [half] and NAME in half.read_text("utf-8")
    (messages / "a.xml").write_text(adt(Case()), "utf-8")
    command = [sys.executable, "-m", "agent", "registry", str(messages / "a.xml"), "--write", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert [path.name for path in out.iterdir()] == ["a.xml"]
