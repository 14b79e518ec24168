"""The statistics of a work list: shares with their intervals, agreement beyond chance, and how often the list is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest

from agent.apps.review.decision import Action, Decision, decide
from agent.apps.review.panels import Panels
from agent.apps.review.statistics import Statistics
from agent.apps.review.store import Store
from index.records import CodeSystem
from tests.review.review_helpers import add, coding

OF = coding()


def accepted(by: str) -> Decision:
    return decide(OF, Action.ACCEPT, by=by)


def changed(by: str, code: str | None = "C50.4") -> Decision:
    return decide(OF, Action.CHANGE, {CodeSystem.ICD10GM: code}, by=by)


def test_the_statistics_ask_the_list_as_often_for_many_readings_as_for_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    rows = store.rows

    def counted(query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        asked.append(query)
        return rows(query, values)

    monkeypatch.setattr(store, "rows", counted)
    often = []
    for number in range(12):
        item = add(store, f"Text {number}", OF)
        store.decide(item, accepted("A"), seen=0)
        store.read(item, changed("B") if number % 3 == 0 else accepted("B"), seen=1)
        asked.clear()
        Statistics.of(store)
        often.append(len(asked))
    assert len(set(often)) == 1


def test_agreement_beyond_chance_stands_beside_the_shares(store: Store) -> None:
    """Two thirds agree on the code; all on the side, of which kappa can say nothing."""
    for number in range(12):
        item = add(store, f"Text {number}", OF)
        store.decide(item, accepted("A") if number % 2 else changed("A"), seen=0)
        same = number % 3 != 0
        store.read(item, accepted("B") if (number % 2 == 1) == same else changed("B"), seen=1)
    removed = add(store, "entfernt", OF)
    store.decide(removed, accepted("A"), seen=0)
    store.read(removed, changed("B"), seen=1)
    store.decide(removed, decide(OF, Action.REMOVE, by="A"), seen=1)
    told = Statistics.of(store)
    icd, side = told.axes[0], next(one for one in told.axes if one.axis == "side")
    assert (told.read, icd.agreed, icd.read, side.agreed) == (12, 8, 12, 12)
    assert icd.kappa is not None and icd.kappa.value == pytest.approx((8 / 12 - 0.5) / 0.5)
    assert side.kappa is None
    shown = Panels().statistics(store)
    for words in ("8 von 12</span>", "(67 %)", "39–86 %", "0,33", "−0,22 bis 0,72"):
        assert words in shown


def test_who_rejects_agrees_with_who_rejects_alone(store: Store) -> None:
    rejects = decide(OF, Action.REJECT, by="B", comment="kein Tumor")
    for number in range(6):
        item = add(store, f"Text {number}", OF)
        first = decide(OF, Action.REJECT, by="A", comment="ebenso") if number < 3 else changed("A", None)
        store.decide(item, first, seen=0)
        store.read(item, rejects, seen=1)
    assert [(one.agreed, one.read) for one in Statistics.of(store).axes][:2] == [(3, 6), (3, 6)]
