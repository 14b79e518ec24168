"""Several processes at one store: one writes at a time, the others wait, and readers find one state or the other."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import catalogue_files as sample
import pytest

from index.catalogue import store
from index.io.sealed import LOCK, BusyFolder, one_writer
from index.search.index import Index
from tests.index.tiny_encoder import TableEncoder, catalogue_of

WRITERS = 4
ADD = "import sys; from pathlib import Path; from index.catalogue import store; print(store.add([Path(sys.argv[1])])[0].status)"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for year in range(2010, 2010 + WRITERS):
        path = tmp_path / f"alphabet-{year}.txt"
        path.write_text(sample.PLAIN_ALPHABET + f"Begriff {year} {{C50.9}}\n", encoding="utf-8")
        made.append(path)
    return made


def test_all_of_several_adds_at_once_are_there(tmp_path: Path, files: list[Path]) -> None:
    environment = os.environ | {"ONKOKODE_HOME": str(tmp_path / "home")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, str(path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for path in files
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in running]
    assert [out.strip() for out, _ in said] == ["added"] * WRITERS, said
    loaded = store.load_files(tmp_path / "home")
    assert sorted(file.edition for file in loaded) == [path.stem for path in files]
    assert all(len(file.lines) == file.counts["lines"] for file in loaded)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """Another process that holds the lock of the home; its number."""
    program = "import sys; from pathlib import Path; from index.io.sealed import one_writer\nwith one_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def test_a_second_writer_says_for_whom_it_waits(
    tmp_path: Path, held: int, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(BusyFolder, match=rf"process {held} has been changing"),
        one_writer(tmp_path / "home", longest=0.2),
    ):
        pass
    assert f"waiting for process {held}" in caplog.text
    # Readers do not wait, and what was not written is not there.
    assert store.load_files(tmp_path / "home") == ()


def test_a_killed_writer_holds_nobody_up(tmp_path: Path, files: list[Path]) -> None:
    program = "import os, sys; from pathlib import Path; from index.io.sealed import one_writer\nwith one_writer(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "home")], check=False, timeout=60)
    assert (tmp_path / "home" / LOCK).exists()
    assert store.add(files[:1], tmp_path / "home")[0].status == "added"


def test_a_writer_may_write_within_its_own_turn(tmp_path: Path) -> None:
    with one_writer(tmp_path), one_writer(tmp_path, longest=0):
        pass


def test_readers_find_the_old_or_the_new_state(tmp_path: Path, files: list[Path]) -> None:
    """While one thread replaces catalogue and index again and again, others read them."""
    home, folder = tmp_path / "home", tmp_path / "home" / "index"
    encoder = TableEncoder({"Brustkrebs": (1.0, 0.0), "Nierenkrebs": (0.0, 1.0)})
    states = [
        Index.build(catalogue_of(*lines), encoder)
        for lines in ([("C50.9", "Brustkrebs")], [("C50.9", "Brustkrebs"), ("C64", "Nierenkrebs")])
    ]
    variants = []
    for number, more in enumerate(("", "Neuer Begriff {C50.4}\n")):
        path = tmp_path / str(number) / "alphabet-2023.txt"
        path.parent.mkdir()
        path.write_text(sample.PLAIN_ALPHABET + more, encoding="utf-8")
        variants.append(path)
    store.add(variants[:1], home)
    states[0].save(folder)
    sizes = {len(store.load_files(home)[0].lines), len(store.load_files(home)[0].lines) + 1}
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                if len(store.load_files(home)[0].lines) not in sizes:
                    wrong.append("store")
                if len(Index.load(folder).spaces["icd10gm"].lines) not in (1, 2):
                    wrong.append("index")
            except Exception as error:  # whatever a reader meets is the finding
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(40):
        store.add([variants[turn % 2]], home)
        states[turn % 2].save(folder)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong, wrong[:3]
