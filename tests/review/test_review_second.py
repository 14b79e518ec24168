"""What the store keeps of a team: side and certainty, later and removed, the second reader, and older lists."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agent.apps.review.decision import Action, Decision, ReviewError, decide, decided_side, from_answer
from agent.apps.review.drafts import Drafts
from agent.apps.review.faults import ConflictError, StoreError
from agent.apps.review.items import NewItem
from agent.apps.review.schema import SCHEMA_VERSION
from agent.apps.review.second import Agreement, differing
from agent.apps.review.selection import Narrow
from agent.apps.review.statistics import blind_pairs
from agent.apps.review.store import Store
from index.records import AXES, CodeSystem
from tests.review.older_lists import older_list
from tests.review.review_helpers import add, coding

ICD = CodeSystem.ICD10GM
OF = coding()


def accepted(by: str) -> Decision:
    return decide(OF, Action.ACCEPT, by=by)


def changed(by: str, code: str | None = "C50.4", **more: str) -> Decision:
    return decide(OF, Action.CHANGE, {ICD: code}, by=by, **more)


@pytest.fixture
def number(store: Store) -> int:
    """An item that A has accepted."""
    made = add(store, "Mamma-Ca", OF)
    store.decide(made, accepted("A"), seen=0)
    return made


def test_side_and_certainty_are_decided(store: Store) -> None:
    number = add(store, "Mamma-Ca", OF)
    store.decide(number, decide(OF, Action.CHANGE, side="links", certainty="Verdacht", by="A"), seen=0)
    [kept] = store.history(number)
    assert (kept.side, kept.certainty, kept.codes[ICD]) == ("links", "Verdacht", "C50.9")
    store.decide(number, decide(OF, Action.CHANGE, side="rechts", certainty="", by="A"), seen=1)
    assert (store.history(number)[-1].side, store.history(number)[-1].certainty) == ("rechts", "")
    for wrong in ({"side": "oben"}, {"certainty": "vielleicht"}):
        with pytest.raises(ReviewError, match="is none of"):
            decide(OF, Action.CHANGE, by="A", **wrong)
    with pytest.raises(ReviewError, match="differs"):
        decide(OF, Action.CHANGE, side="", certainty="gesichert", by="A")


@pytest.mark.parametrize("action", [Action.LATER, Action.REMOVE])
def test_what_is_put_aside_or_removed_stays_and_comes_back(store: Store, action: Action) -> None:
    number, other = add(store, "a", OF), add(store, "b", OF)
    store.decide(number, decide(OF, action, by="A"), seen=0)
    shown = "later" if action is Action.LATER else "removed"
    assert [one.id for one in store.page("open", "")] == [other]
    assert [one.id for one in store.page(shown, "")] == [number]
    assert store.count("decided", "") == 0 and list(store.decided()) == []
    assert store.status().total == (2 if action is Action.LATER else 1)
    assert store.undo(number, "B", seen=1).state == "open"
    assert [one.action for one in store.history(number)] == [action, Action.REOPEN]
    with pytest.raises(ReviewError, match="action is one of accept, change, reject"):
        from_answer(OF, {"action": action.value, "by": "A"})  # a graph has no list to put it aside on


def test_a_second_reader_never_reads_what_they_decided(store: Store, number: int) -> None:
    for name in ("A", " a ", "a"):
        assert store.count("second", "", Narrow(reader=name)) == 0
        with pytest.raises(ReviewError, match="no second reader"):
            store.read(number, accepted(name), seen=1)
    assert store.count("second", "", Narrow(reader="B")) == 1
    assert store.status("B").to_read == 1 and store.status("A").to_read == 0
    # Nor when somebody else decided after them.
    store.decide(number, changed("C"), seen=1)
    assert store.count("second", "", Narrow(reader="A")) == 0
    assert store.readings(number) == []


def test_two_who_agree(store: Store, number: int) -> None:
    assert store.read(number, accepted("B"), seen=1).second == Agreement.AGREED
    assert [one.by for one in store.history(number)] == ["A"], "kept beside the first one's"
    assert [one.by for one in store.readings(number)] == ["B"]
    assert store.count("second", "", Narrow(reader="C")) == 0
    with pytest.raises(ConflictError, match="B decided"):
        store.read(number, accepted("C"), seen=1)


def test_a_change_to_the_same_codes_as_the_first_is_agreement(store: Store) -> None:
    number = add(store, "a", OF)
    store.decide(number, changed("A", comment="so"), seen=0)
    assert store.read(number, changed("B", comment="anders begründet"), seen=1).second == Agreement.AGREED


@pytest.mark.parametrize(
    "reading",
    [
        changed("B"),
        changed("B", None),
        decide(OF, Action.CHANGE, side="links", by="B"),
        decide(OF, Action.CHANGE, certainty="Verdacht", by="B"),
        decide(OF, Action.REJECT, by="B", comment="kein Tumor"),
    ],
)
def test_any_difference_is_disputed(store: Store, number: int, reading: Decision) -> None:
    assert store.read(number, reading, seen=1).second == Agreement.DISPUTED
    assert [one.id for one in store.page("disputed", "")] == [number]
    assert store.status().disputed == 1


def test_a_third_person_settles(store: Store, number: int) -> None:
    store.read(number, changed("B"), seen=1)
    assert store.decide(number, changed("C", "C50.1"), seen=1).second == Agreement.SETTLED
    assert store.count("disputed", "") == 0
    assert store.undo(number, "C", seen=2).second != Agreement.NONE
    [(coded, first, second)] = blind_pairs(store)
    assert (coded["span"], first.by, second.by) == (OF["span"], "A", "B")
    assert differing(OF, first, second) == ["icd10gm"], "what they said before is still known"


def test_both_settle_and_neither_alone(store: Store, number: int) -> None:
    store.read(number, changed("B"), seen=1)
    assert store.decide(number, changed("A", "C50.1"), seen=1).second == Agreement.DISPUTED
    # B has no right to decide over A, not even in B's own words.
    assert store.decide(number, changed("B"), seen=2).second == Agreement.DISPUTED
    with pytest.raises(ConflictError):
        store.read(number, changed("C"), seen=3)
    assert store.decide(number, changed("A"), seen=3).second == Agreement.SETTLED

    other = add(store, "b", OF)
    store.decide(other, accepted("A"), seen=0)
    store.read(other, changed("B"), seen=1)
    assert store.read(other, accepted("B"), seen=1).second == Agreement.SETTLED, "B was convinced"


def test_what_is_opened_again_waits_for_no_second_reader(store: Store, number: int) -> None:
    store.read(number, changed("B"), seen=1)
    assert store.undo(number, "A", seen=1).second == Agreement.NONE
    assert store.count("second", "", Narrow(reader="C")) == 0
    with pytest.raises(ReviewError, match="nothing is decided"):
        store.read(number, accepted("C"), seen=2)


def test_a_reading_of_an_older_decision_is_refused(store: Store, number: int) -> None:
    store.decide(number, changed("C"), seen=1)
    with pytest.raises(ConflictError, match="C decided"):
        store.read(number, accepted("B"), seen=1)
    assert store.readings(number) == []


def test_readings_are_only_added(store: Store, number: int) -> None:
    store.read(number, accepted("B"), seen=1)
    with closing(sqlite3.connect(store.path)) as other:
        for statement in ("UPDATE readings SET decided_by = 'X'", "DELETE FROM readings"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                other.execute(statement)


def test_many_are_accepted_at_once_each_with_its_own_decision(store: Store) -> None:
    numbers = [add(store, str(n), OF) for n in range(4)]
    store.decide(numbers[1], accepted("B"), seen=0)  # between preview and acceptance
    store.decide(numbers[2], decide(OF, Action.LATER, by="B"), seen=0)
    assert store.accept([(one, 0) for one in numbers], 0.85, "A") == [numbers[0], numbers[3]]
    [one] = store.history(numbers[0])
    assert (one.by, one.threshold, one.name) == ("A", 0.85, "angenommen ab 85 %")
    assert store.history(numbers[1])[0].threshold is None
    assert store.count("second", "", Narrow(reader="A")) == 1, "by threshold is decided, too"


def test_of_many_all_or_none(store: Store) -> None:
    store.add(NewItem("test", str(n), "x" * 500, OF) for n in range(300))
    write = store._writer.execute
    write(f"PRAGMA max_page_count = {write('PRAGMA page_count').fetchone()[0] + 2}")
    with pytest.raises(StoreError, match="make room"):
        store.accept([(one.id, 0) for one in store.page("open", "", 1000)], 0.9, "A" * 80)
    assert store.status().open == 300
    write("PRAGMA max_page_count = 100000")
    assert len(store.accept([(one.id, 0) for one in store.page("open", "", 1000)], 0.9, "A")) == 300


def test_all_diagnoses_of_a_text_stand_together(store: Store) -> None:
    def text(reference: str, *confidences: float) -> None:
        store.add(
            NewItem("test", reference, "zwei", coding(confidence=share), part, len(confidences))
            for part, share in enumerate(confidences, start=1)
        )

    text("1", 0.95, 0.2)
    add(store, "einer", coding(confidence=0.5))
    text("2", 0.9, 0.9)
    listed = store.page("all", "")
    assert [(one.reference, one.part) for one in listed] == [
        ("1", 1), ("1", 2), ("einer", 1), ("2", 1), ("2", 2),
    ]  # fmt: skip
    walked = [listed[0]]
    while following := store.beside(walked[-1], "all", ""):
        walked.append(following)
    assert walked == listed
    added = store.add_beside(listed[0].id, coding(confidence=0.0))
    assert [one.id for one in store.page("all", "")][:3] == [listed[0].id, listed[1].id, added.id]
    assert [one.part for one in store.of_text(added)] == [1, 2, 3]


def test_a_list_is_narrowed(store: Store) -> None:
    lung = coding(("C34.1", "C34.1", "8140/3"), confidence=0.7)
    store.add([NewItem("a.csv", "1", "Lunge", lung), NewItem("b.csv", "1", "Mamma", coding(confidence=0.9))])
    first, second = (one.id for one in store.page("all", ""))
    for narrow, found in (
        (Narrow(source="a.csv"), [first]),
        (Narrow(code="c34"), [first]),
        (Narrow(code="4.1"), []),  # how a code begins
        (Narrow(code="8500/3"), [second]),
        (Narrow(least=0.9), [second]),
        (Narrow(below=0.9), [first]),
        (Narrow(source="a.csv", least=0.9), []),
        (Narrow(by="A"), []),
    ):
        assert [one.id for one in store.page("all", "", narrow=narrow)] == found, narrow
        assert store.count("all", "", narrow) == len(found)
    store.decide(first, decide(lung, Action.CHANGE, {ICD: "C34.2"}, by="A"), seen=0)
    assert [one.id for one in store.page("all", "", narrow=Narrow(by="A", code="C34.2"))] == [first]
    # A second reader does not find by the first one's codes what is hidden.
    hidden = Narrow(reader="B", code="C34.2"), Narrow(reader="B", code="C34.1"), Narrow(reader="B", by="A")
    assert [store.count("second", "", one) for one in hidden] == [0, 1, 1]


def test_drafts_are_kept_until_decided(store: Store, tmp_path: Path) -> None:
    number = add(store, "a", OF)
    Drafts(store).keep(store.item(number), "M. Ernst", {"side": "links"})
    with Store.open(store.path) as other:  # another page, another process
        drafts = Drafts(other)
        assert drafts.of(number, "m. ernst") == {"side": "links"}
        assert drafts.of(number, "B") is None and drafts.among([number], "M. Ernst") == {number}
        other.decide(number, accepted("B"), seen=0)
        assert drafts.among([number], "M. Ernst") == {number}, "another person's decision is not mine"
        other.decide(number, changed("M. Ernst"), seen=1)
        assert drafts.of(number, "M. Ernst") is None


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_list_is_carried_over(tmp_path: Path, version: int) -> None:
    path = tmp_path / "review.sqlite"
    with_side = {**OF, "side": "links"}
    with Store.open(path) as store:
        store.add(
            NewItem("d.txt", "1", "zwei", coding(confidence=share), part, 2)
            for part, share in ((1, 0.9), (2, 0.3))
        )
        number = add(store, "Mamma-Ca links", with_side)
        store.decide(number, decide(with_side, Action.CHANGE, {ICD: "C50.4"}, by="A"), seen=0)
        before = [(one.id, one.text, one.state) for one in store.page("all", "")]
    older_list(path, version)
    with Store.open(path, create=False) as store:
        assert [(one.id, one.text, one.state) for one in store.page("all", "")] == before
        [kept] = store.history(number)
        assert (kept.codes[ICD], kept.by, kept.side, kept.threshold) == ("C50.4", "A", None, None)
        assert decided_side(with_side, kept) == "links", "who accepted codes accepted this too"
        assert store.count("all", "", Narrow(code="C50.4")) == 1
        assert store.read(number, replaced(with_side, "B"), seen=1).second == Agreement.AGREED
        assert store.decide(1, decide(OF, Action.LATER, by="A"), seen=0).state == "later"
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            raw.execute("DELETE FROM decisions")
        tables = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        carried = {name: _plain(sql) for name, sql in raw.execute(tables)}
    with Store.open(tmp_path / "new.sqlite"), closing(sqlite3.connect(tmp_path / "new.sqlite")) as raw:
        made = {name: _plain(sql) for name, sql in raw.execute(tables)}
    made.pop("sources"), carried.pop("sources")  # a column that was added stands elsewhere
    assert carried == made


def replaced(of: dict[str, object], by: str) -> Decision:
    return decide(of, Action.CHANGE, {ICD: "C50.4"}, by=by)


def _plain(sql: str) -> str:
    return " ".join(sql.replace('"', "").split())


def test_a_full_disk_leaves_an_older_list_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "review.sqlite"
    with Store.open(path) as store:
        store.add(NewItem("d.txt", str(n), "x" * 3000, OF) for n in range(50))
    older_list(path, 2)
    from agent.apps.review import schema

    run = schema._run

    def full(connection: sqlite3.Connection, statements: str) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        run(connection, statements)

    with monkeypatch.context() as patched, suppress(ReviewError):
        patched.setattr(schema, "_run", full)
        Store.open(path).close()
        raise AssertionError("the disk was full")
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)
        assert raw.execute("SELECT count(*) FROM items").fetchone() == (50,)
    with Store.open(path) as store:
        assert store.status().open == 50


def test_an_axis_without_a_code_is_a_code_that_both_left_open(store: Store, number: int) -> None:
    none = decide(OF, Action.CHANGE, dict.fromkeys(AXES), by="B")
    assert differing(OF, store.history(number)[0], none) == [axis.value for axis in AXES]
