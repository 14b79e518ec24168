"""Reading in a process of its own: the same answers as in this one, and no text that stops the program."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.prepare import prepare, worker
from agent.prepare.worker import Reader
from index.errors import OnkokodeError
from tests.agent.tiny_agent import embedded_agent
from tests.conftest import ROOT

# A pattern without an end: what the limit is for. "Hänger" hangs, "Absturz" ends the process, "Fehler" raises.
_HANGS = """
import agent.prepare.pipeline, agent.prepare.worker, os, re
read = agent.prepare.pipeline.prepare
def prepare(text):
    if "Hänger" in text: re.match("(a|a)*b", "a" * 100)
    if "Absturz" in text: os._exit(9)
    if "Fehler" in text: raise ValueError(text)
    return read(text)
agent.prepare.pipeline.prepare = prepare
agent.prepare.worker.main({seconds})
"""
TEXTS = [
    "V.a. Mamma-Ca li., pT2 pN1 (3/14) M0, ED 03/2019; Z.n. Prostata-Ca 2011",
    "",
    " \n ",
    "C50.9",
    "Lebermetastasen bei Kolonkarzinom, kein Anhalt für Bronchial-Ca",
    "Ü\ud800ber\x00 \u2028Karzinom\n\x85😀",
    "Kolonkarzinom " * 3000,
]


@pytest.fixture
def hanging() -> Iterator[Reader]:
    reader = Reader(0.5, _HANGS)
    yield reader
    reader.close()


def test_the_same_diagnoses_as_in_this_process() -> None:
    assert worker.read(TEXTS) == [prepare(text) for text in TEXTS]


def test_a_text_over_the_limit_gets_its_reason_and_the_others_their_diagnoses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "_PATIENCE", 100)  # a busy machine must not end it by the clock
    reader = Reader(0.5, _HANGS)
    began = time.monotonic()
    before, hung, failed, crashed, after = reader.read(
        ["Mamma-Ca", "Hänger", "Fehler", "Absturz", "Prostata-Ca"]
    )
    reader.close()
    assert (before, after) == (prepare("Mamma-Ca"), prepare("Prostata-Ca"))
    assert [found.flags for found in (hung, failed, crashed)] == [
        ("time_limit",),
        ("unreadable",),
        ("unreadable",),
    ]
    assert hung.text == "Hänger" and not hung.diagnoses and not hung.empty
    assert time.monotonic() - began < 40


def test_what_ends_the_process_from_outside_costs_no_text(hanging: Reader) -> None:
    for signal_number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        hanging.read(["Mamma-Ca"])
        [process] = [one for one in psutil.Process().children() if "Hänger" in " ".join(one.cmdline())]
        os.kill(process.pid, signal_number)
        assert hanging.read(["Prostata-Ca"]) == [prepare("Prostata-Ca")]


def test_a_process_that_is_stopped_is_ended_and_the_text_read_again(hanging: Reader) -> None:
    hanging.read(["Mamma-Ca"])
    [process] = [one for one in psutil.Process().children() if "Hänger" in " ".join(one.cmdline())]
    process.send_signal(signal.SIGSTOP)
    assert hanging.read(["Prostata-Ca"]) == [prepare("Prostata-Ca")]


def test_a_pause_of_the_whole_program_costs_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z in the middle of a long text: its time by the clock says nothing."""
    monkeypatch.setattr(worker, "_PATIENCE", 100)
    slow = _HANGS.replace('re.match("(a|a)*b", "a" * 100)', "__import__('time').sleep(1)")
    reader = Reader(0.5, slow)
    assert reader.read(["Hänger"]) == [prepare("Hänger")]
    reader.close()


def test_a_start_that_takes_longer_than_a_text_may_costs_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine: the time of a text begins when the process is there."""
    monkeypatch.setattr(worker, "_PATIENCE", 2)
    late = Reader(0.5, "import time; time.sleep(2); " + worker._MAIN)
    assert late.read(["Mamma-Ca"]) == [prepare("Mamma-Ca")]
    late.close()


def test_the_longest_texts_pass_the_smallest_pipe() -> None:
    texts = ["\ud800" * 20_000, "Mamma-Ca", "Kolonkarzinom\n" * 1400]
    reader = Reader()
    reader.start()
    assert reader._process is not None
    for stream in (reader._process.stdin, reader._process.stdout):
        fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, 4096)  # type: ignore[arg-type]
    assert reader.read(texts) == [prepare(text) for text in texts]
    reader.close()


def test_nothing_of_the_folder_in_which_it_is_called_is_run(tmp_path: Path) -> None:
    for name in ("json", "agent", "re", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')", encoding="utf-8")
    read = f"""import sys; sys.path[:0] = [{str(ROOT)!r}, b"x"]
from agent.prepare import worker; print(worker.read(["Mamma-Ca"])[0].diagnoses[0].core)"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", read], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, list(tmp_path.glob("run"))) == ("Mammakarzinom\n", [])


def test_what_start_up_modules_print_is_no_answer() -> None:
    chatty = Reader(5, "print('Guten Tag'); from agent.prepare.worker import main; main({seconds})")
    assert chatty.read(["Mamma-Ca"]) == [prepare("Mamma-Ca")]
    chatty.close()


def test_several_threads_get_their_own_answers() -> None:
    wrong: list[str] = []

    def read(number: int) -> None:
        texts = [f"Mammakarzinom {number} {turn}" for turn in range(20)]
        wrong.extend(found.text for found, text in zip(worker.read(texts), texts, strict=True)
                     if found != prepare(text))  # fmt: skip

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_reads_by_itself() -> None:
    worker.read(["Mamma-Ca"])
    if (pid := os.fork()) == 0:
        right = worker.read(["Prostata-Ca"]) == [prepare("Prostata-Ca")]
        worker._READER.close()
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert worker.read(["Rektum-Ca"]) == [prepare("Rektum-Ca")]


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OnkokodeError, match="cannot be started"):
        Reader(1, "import no_such_module").read(["Mamma-Ca"])
    for executable in ("", "/no/such/python"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(OnkokodeError, match="cannot be started"):
            Reader().read(["Mamma-Ca"])


def test_the_row_says_why_and_claims_nothing(hanging: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "read", hanging.read)
    before, hung, after = embedded_agent().code_many(["Prostata-Ca", "Hänger", "Prostata-Ca"])
    assert before.icd10gm.code == after.icd10gm.code == "C61"
    assert hung.problem and hung.icd10gm.reason == hung.problem == hung.to_dict()["problem"]
    assert hung.icd10gm.code is None and hung.tumour_probability == 0.5
