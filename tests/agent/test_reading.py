"""Reading in a process of its own: the same answers as in this one, and no text that stops the program."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from agent import reading
from agent.prepare import prepare
from agent.reading import Reader
from index.errors import OnkokodeError
from tests.agent.tiny_agent import embedded_agent

# A pattern without an end: what the limit is for. "Hänger" hangs, "Absturz" ends the process, "Fehler" raises.
_HANGS = """
import agent.reading, os, re
read = agent.reading.prepare
def prepare(text):
    if "Hänger" in text: re.match("(a|a)*b", "a" * 100)
    if "Absturz" in text: os._exit(9)
    if "Fehler" in text: raise ValueError(text)
    return read(text)
agent.reading.prepare = prepare
agent.reading.main({seconds})
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
    assert reading.read(TEXTS) == [prepare(text) for text in TEXTS]


def test_a_text_over_the_limit_gets_its_reason_and_the_others_their_diagnoses(hanging: Reader) -> None:
    began = time.monotonic()
    before, hung, failed, crashed, after = hanging.read(
        ["Mamma-Ca", "Hänger", "Fehler", "Absturz", "Prostata-Ca"]
    )
    assert (before, after) == (prepare("Mamma-Ca"), prepare("Prostata-Ca"))
    assert [found.flags for found in (hung, failed, crashed)] == [
        ("time_limit",),
        ("unreadable",),
        ("unreadable",),
    ]
    assert hung.text == "Hänger" and not hung.diagnoses and not hung.empty
    assert time.monotonic() - began < 10


def test_what_ends_the_process_from_outside_costs_no_text(hanging: Reader) -> None:
    for signal_number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        hanging.read(["Mamma-Ca"])
        [process] = [one for one in psutil.Process().children() if "Hänger" in " ".join(one.cmdline())]
        os.kill(process.pid, signal_number)
        assert hanging.read(["Prostata-Ca"]) == [prepare("Prostata-Ca")]


def test_several_threads_get_their_own_answers() -> None:
    wrong: list[str] = []

    def read(number: int) -> None:
        texts = [f"Mammakarzinom {number} {turn}" for turn in range(20)]
        wrong.extend(found.text for found, text in zip(reading.read(texts), texts, strict=True)
                     if found != prepare(text))  # fmt: skip

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_reads_by_itself() -> None:
    reading.read(["Mamma-Ca"])
    if (pid := os.fork()) == 0:
        right = reading.read(["Prostata-Ca"]) == [prepare("Prostata-Ca")]
        reading._READER.close()
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert reading.read(["Rektum-Ca"]) == [prepare("Rektum-Ca")]


def test_a_process_that_cannot_start_is_an_error() -> None:
    with pytest.raises(OnkokodeError, match="could not start"):
        Reader(1, "import no_such_module").read(["Mamma-Ca"])


def test_the_row_says_why_and_claims_nothing(hanging: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "read", hanging.read)
    before, hung, after = embedded_agent().code_many(["Prostata-Ca", "Hänger", "Prostata-Ca"])
    assert before.icd10gm.code == after.icd10gm.code == "C61"
    assert hung.problem and hung.icd10gm.reason == hung.problem == hung.to_dict()["problem"]
    assert hung.icd10gm.code is None and hung.tumour_probability == 0.5
