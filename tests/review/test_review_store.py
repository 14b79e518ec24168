"""The work list: order, history, conflicts, and what survives a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.apps.review.decision import Action, ReviewError, decide, uncertainty
from agent.apps.review.faults import ConflictError
from agent.apps.review.items import NewItem
from agent.apps.review.store import Store
from index.records import CodeSystem
from tests.review.review_helpers import C50_9, add, coding

ICD = CodeSystem.ICD10GM


def test_least_certain_come_first(store: Store) -> None:
    add(store, "sicher", coding(confidence=0.99))
    add(store, "unsicher", coding(confidence=0.4))
    add(store, "ohne Kode", coding((None, None, "8010/3"), confidence=0.99))
    add(store, "kein Tumor", coding((None, None, None), tumour=0.01))
    add(store, "Prüfung", coding(confidence=0.99, failed=True))
    texts = [item.text for item in store.page("open", "")]
    assert texts == ["ohne Kode", "unsicher", "Prüfung", "sicher", "kein Tumor"]
    assert uncertainty(coding((None, None, None), tumour=0.3)) == 0.3


def test_a_new_decision_supersedes_and_keeps_the_old(store: Store) -> None:
    of = coding()
    number = add(store, "Mamma-Ca", of)
    store.decide(number, decide(of, Action.ACCEPT, by="A"), seen=0)
    store.decide(number, decide(of, Action.CHANGE, {ICD: "C50.4"}, by="B", comment="oben außen"), seen=1)
    first, second = store.history(number)
    assert (first.action, first.by, first.codes[ICD]) == (Action.ACCEPT, "A", "C50.9")
    assert (second.action, second.by, second.codes[ICD], second.comment) == (
        Action.CHANGE, "B", "C50.4", "oben außen",
    )  # fmt: skip
    assert second.codes[CodeSystem.MORPHOLOGY] == "8500/3"  # an axis that was not named keeps the proposal
    assert first.at.endswith("Z") and first.at <= second.at
    status = store.status()
    assert (status.open, status.accepted, status.changed, status.by) == (0, 0, 1, {"B": 1})


def test_decisions_cannot_be_changed_or_deleted(store: Store, tmp_path: Path) -> None:
    of = coding()
    store.decide(add(store, "a", of), decide(of, Action.ACCEPT, by="A"), seen=0)
    with sqlite3.connect(tmp_path / "review.sqlite") as other:
        for statement in ("UPDATE decisions SET decided_by = 'X'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                other.execute(statement)


def test_nobody_overwrites_what_they_have_not_seen(store: Store) -> None:
    of = coding()
    number = add(store, "a", of)
    store.decide(number, decide(of, Action.ACCEPT, by="A"), seen=0)
    with pytest.raises(ConflictError, match="A decided") as conflict:
        store.decide(number, decide(of, Action.REJECT, by="B", comment="unklar"), seen=0)
    assert conflict.value.latest.by == "A"
    assert [one.by for one in store.history(number)] == ["A"]
    assert store.item(number).state == "accept"


def test_of_two_at_the_same_moment_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    of = coding()
    with Store.open(path) as store:
        numbers = [add(store, str(n), of) for n in range(20)]
    won: list[tuple[int, str]] = []
    lost: list[tuple[int, str]] = []

    def work(name: str) -> None:
        with Store.open(path) as mine:
            for number in numbers:
                try:
                    mine.decide(number, decide(of, Action.ACCEPT, by=name), seen=0)
                    won.append((number, name))
                except ConflictError:
                    lost.append((number, name))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == numbers
    assert len(lost) == len(numbers)
    with Store.open(path) as store:
        assert all(len(store.history(number)) == 1 for number in numbers)


def test_undo_restores_what_stood_before(store: Store) -> None:
    of = coding()
    number = add(store, "a", of)
    with pytest.raises(ReviewError, match="nothing"):
        store.undo(number, "A", seen=0)
    store.decide(number, decide(of, Action.ACCEPT, by="A"), seen=0)
    store.decide(number, decide(of, Action.REJECT, by="B", comment="doppelt"), seen=1)
    assert store.undo(number, "B", seen=2).state == "accept"
    assert store.history(number)[-1].codes[ICD] == "C50.9"
    assert store.history(number)[-1].by == "B"
    only = add(store, "b", of)
    store.decide(only, decide(of, Action.ACCEPT, by="A"), seen=0)
    assert store.undo(only, "A", seen=1).state == "open"
    assert [one.action for one in store.history(only)] == [Action.ACCEPT, Action.REOPEN]
    assert [item.id for item, _ in store.decided()] == [number]


def test_adding_again_leaves_item_and_decision_alone(store: Store) -> None:
    of = coding()
    number = add(store, "a", of, reference="1")
    store.decide(number, decide(of, Action.ACCEPT, by="A"), seen=0)
    assert store.add([NewItem("test", "1", "anderer Text", coding(("C61", "C61.9", "8140/3")))]) == 0
    assert store.item(number).text == "a"
    assert store.item(number).state == "accept"
    assert store.texts_of("test", ["1", "2"]) == {"1": "a"}


def test_search_finds_text_reference_and_code_without_case(store: Store) -> None:
    add(store, "Ösophagus-Ca", coding(("C15.9", None, None)), reference="Fall-7")
    add(store, "100%_Mamma", coding())
    for words, count in (("ösophagus", 1), ("FALL-7", 1), ("c15", 1), ("%", 1), ("_", 1), ("ösoph mamma", 0)):
        assert len(store.page("all", words)) == count == store.count("all", words), words


def test_neighbours_follow_the_order_even_with_equal_uncertainty(store: Store) -> None:
    for n in range(4):
        add(store, str(n), coding())
    add(store, "erster", coding(confidence=0.1))
    listed = store.page("open", "")
    walked = [listed[0]]
    while following := store.beside(walked[-1], "open", ""):
        walked.append(following)
    assert walked == listed
    assert store.beside(listed[2], "open", "", forward=False) == listed[1]
    assert store.beside(listed[0], "open", "", forward=False) is None


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    with Store.open(path) as store:
        add(store, "a", coding())
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    path.chmod(0o644)
    with Store.open(path):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.sqlite"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
    else:
        path.write_bytes(content)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(ReviewError, match=r"other\.sqlite"):
        Store.open(path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    Store.open(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ReviewError, match="newer version"):
        Store.open(path)


def test_a_missing_list_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="review add"):
        Store.open(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()


def test_any_text_can_be_stored(store: Store) -> None:
    for text in ("\udcff kaputt", "a\0b", "\U0001f600" * 3, "x" * 20_000, "‮ rückwärts"):
        number = add(store, text, coding(), reference=repr(text)[:20])
        assert len(store.item(number).text) == len(text)  # offsets stay right


@pytest.mark.parametrize(
    ("action", "codes", "comment", "by", "said"),
    [
        (Action.ACCEPT, None, "", " ", "needs a name"),
        (Action.REJECT, None, " ", "A", "reason"),
        (Action.CHANGE, {ICD: "C50.9"}, "", "A", "differs"),
        (Action.CHANGE, {ICD: "X99"}, "", "A", "no code of the catalogue"),
        (Action.ACCEPT, {ICD: "C50.4"}, "", "A", "not an acceptance"),
    ],
)
def test_what_is_no_decision(
    action: Action, codes: dict[CodeSystem, str | None], comment: str, by: str, said: str
) -> None:
    with pytest.raises(ReviewError, match=said):
        decide(coding(C50_9), action, codes, by=by, comment=comment, known=lambda axis, code: code == "C50.4")


_WORKER = """
import sys
from pathlib import Path
from agent.apps.review.decision import Action, decide
from agent.apps.review.store import Store
store = Store.open(Path(sys.argv[1]))
for item in store.page("open", "", 1000):
    store.decide(item.id, decide(item.coding, Action.ACCEPT, by="A"), seen=0)
    print(item.id, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_no_acknowledged_decision_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    with Store.open(path) as store:
        store.add(NewItem("test", str(n), f"Text {n}", coding()) for n in range(1000))
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, str(path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    said = [int(worker.stdout.readline()) for _ in range(25)]
    os.kill(worker.pid, signal.SIGKILL)
    said += [int(line) for line in worker.stdout.read().split("\n")[:-1]]
    worker.wait()
    with Store.open(path) as store:
        kept = {item.id for item, _ in store.decided()}
        assert set(said) <= kept
        assert len(kept) < 1000, "the worker was not killed in the middle"
        # What was not acknowledged is there as a whole or not at all, and the list can be worked on.
        left = store.page("open", "", 1)[0]
        store.decide(left.id, decide(left.coding, Action.ACCEPT, by="B"), seen=0)
