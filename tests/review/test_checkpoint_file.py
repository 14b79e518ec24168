"""Checkpoint files that were damaged or edited: an error that names the file, never a crash, never another text."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from agent.apps.review.decision import ReviewError
from agent.apps.review.interrupt import checkpoints, review_graph
from tests.conftest import ROOT
from tests.review.test_review_interrupt import CONFIG, coder

pytest.importorskip("langgraph.checkpoint.sqlite", reason="no langgraph-checkpoint-sqlite")
MARKER = "eins Markerli"
ANSWER = {"action": "accept", "by": "A"}
BLOBS = [("checkpoints", "checkpoint"), ("checkpoints", "metadata"), ("writes", "value")]
NAMES = [
    ("checkpoints", "type"), ("checkpoints", "checkpoint_id"), ("checkpoints", "parent_checkpoint_id"),
    ("checkpoints", "thread_id"), ("writes", "type"), ("writes", "channel"), ("writes", "task_id"),
    ("writes", "idx"), ("writes", "checkpoint_id"),
]  # fmt: skip
ODD = [
    None, 7, "", "xyz", MARKER, "msgpack", "json", "null", "bytes", "pickle", "reviewed", "__interrupt__",
    "__error__", "__resume__", "branch:to:review",
]  # fmt: skip


def begin(path: Path) -> None:
    with checkpoints(path) as saver:
        review_graph(coder(), checkpointer=saver).invoke({"texts": [MARKER, "sicher", "zwei"]}, CONFIG)


def resume(path: Path) -> Any:
    with checkpoints(path) as saver:
        return review_graph(coder(), checkpointer=saver).invoke(Command(resume=ANSWER), CONFIG)


def _said(found: dict[str, Any]) -> Any:
    """What a run says, without the names that LangGraph gives its questions anew."""
    return found["reviewed"], [question.value for question in found["__interrupt__"]]


def tampered(path: Path, draw: random.Random) -> str:
    """Damage the file as a disk, an editor or an attacker who knows the format would; says how."""
    how = draw.choice(["flip", "cut", "swap", "blob", "name", "sealed", "sealed"])
    data = bytearray(path.read_bytes())
    if how == "flip":
        for _ in range(draw.choice([1, 3, 20, 200])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        return how
    if how == "cut":
        path.write_bytes(data[: draw.randrange(len(data))])
        return how
    connection = sqlite3.connect(path)
    table, column = draw.choice(NAMES if how == "name" else BLOBS)
    rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
    for number, value in draw.sample(rows, draw.randint(1, len(rows))):
        new: Any = draw.choice(ODD)
        if how == "swap":
            new = draw.choice(rows)[1]
        elif how == "blob":
            new = _damaged(value, draw)
        elif how == "sealed":
            new = _edited(column, value, draw)
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?", (new, number))
    connection.commit()
    connection.close()
    return f"{how} {table}.{column}"


def _damaged(value: bytes, draw: random.Random) -> Any:
    at = draw.randrange(len(value))
    return draw.choice([
        value[:at], value[:at] + draw.randbytes(4) + value[at + 4 :], value[:at] + draw.randbytes(3) + value[at:],
        b"", b"{}", b"null", b"[" * 100_000, b"\x91" * 5000, "text", 5,
    ])  # fmt: skip


def _edited(column: str, value: bytes, draw: random.Random) -> bytes:
    """A value of the right form with something else in it, and the right hash."""
    import json

    from agent.apps.review.checkpoint_file import _Sealed

    if column == "metadata":
        return json.dumps(_changed(json.loads(value), draw)).encode()
    serde = _Sealed(pickle_fallback=False, allowed_msgpack_modules=None)
    try:
        return serde.dumps_typed(_changed(serde.loads_typed(("msgpack", value)), draw))[1]
    except (ValueError, TypeError):  # of another kind than msgpack
        return serde.dumps_typed(draw.choice(ODD))[1]


def _changed(value: Any, draw: random.Random) -> Any:
    """`value` with one part of it, anywhere, replaced, left out or doubled."""
    if draw.random() < 0.15 or not isinstance(value, dict | list | tuple) or not value:
        return draw.choice([None, 7, -1, 1.5, "", "xyz", [], {}, [None], {"a": 1}, True, 10**15])
    if isinstance(value, dict):
        key = draw.choice(sorted(value, key=str))
        rest = {name: part for name, part in value.items() if name != key}
        return rest if draw.random() < 0.2 else {**rest, key: _changed(value[key], draw)}
    at = draw.randrange(len(value))
    changed = [*value[:at], _changed(value[at], draw), *value[at + 1 :]]
    return changed if draw.random() < 0.8 else changed * 2


def attack(folder: Path, seeds: range) -> Iterator[str]:
    base, path = folder / "base.sqlite", folder / "run.sqlite"
    begin(base)
    expected = resume(shutil.copy(base, path))
    for seed in seeds:
        for old in folder.glob("run.sqlite*"):
            old.unlink()
        shutil.copy(base, path)
        how = tampered(path, random.Random(seed))
        print(seed, how, flush=True)  # the last one before a crash
        try:
            found = resume(path)
        except ReviewError as error:
            said = str(error)
            # A damaged thread_id is a thread that nobody has begun.
            assert str(path) in said or ("thread_id" in said and not how.startswith("blob")), (
                seed,
                how,
                said,
            )
            assert "Markerli" not in said and error.__cause__ is None, (seed, how, said)
            yield "refused"
        else:
            if not how.startswith(("sealed", "swap", "name")):
                assert _said(found) == _said(expected), (seed, how)
            yield "read"


@pytest.mark.parametrize(
    "seeds", [60, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_a_tampered_file_is_read_or_refused_by_its_name(seeds: int, tmp_path: Path) -> None:
    """In a process of its own: it may crash."""
    code = (
        "import sys; from collections import Counter; from pathlib import Path\n"
        "from tests.review.test_checkpoint_file import attack\n"
        f"print(Counter(attack(Path(sys.argv[1]), range({seeds}))))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-X", "faulthandler", "-c", code, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-3000:]
    assert "Markerli" not in done.stderr
    found: Counter[str] = eval(done.stdout.splitlines()[-1])
    assert found["refused"] > 0.4 * seeds and found["read"] > 0


_CLOSED_UNDER_ITS_WRITERS = """
import sys, threading, time
from pathlib import Path
from agent.apps.review.decision import ReviewError
from agent.apps.review.interrupt import checkpoints
config = {"configurable": {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": "x"}}
ends = []
def write(saver, name):
    for number in range(12):
        try:
            saver.put_writes(config, [("results", "x" * 200_000)] * 20, f"{name} {number}")
        except ReviewError as error:
            ends.append(str(error))
            return
for round in range(4):
    with checkpoints(Path(sys.argv[1]) / f"{round}.sqlite") as saver:
        threads = [threading.Thread(target=write, args=(saver, name)) for name in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.05 + round / 50)
    for thread in threads:
        thread.join()
assert all("closed" in end for end in ends), ends
"""


def test_closing_waits_for_the_threads_that_write(tmp_path: Path) -> None:
    """What LangGraph leaves behind where a run fails in its first step; SQLite crashed."""
    done = subprocess.run(
        [sys.executable, "-c", _CLOSED_UNDER_ITS_WRITERS, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_history_that_is_not_read_to_its_end_does_not_hold_the_file(tmp_path: Path) -> None:
    begin(tmp_path / "run.sqlite")
    with checkpoints(tmp_path / "run.sqlite") as saver:
        history = review_graph(coder(), checkpointer=saver).get_state_history(CONFIG)
        assert next(history).next == ("review",)
    assert next(history, None) is not None


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "run.sqlite"
    begin(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        with pytest.raises(ReviewError, match=r"run.sqlite: .*(FULL|IOERR)"):
            for _ in range(50):
                resume(path)
                begin(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
