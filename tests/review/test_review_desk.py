"""A desk: what keys do to the draft, and that no key decides what nobody has seen."""

from __future__ import annotations

from typing import Any

import pytest

from agent.apps.review.decision import Action
from agent.apps.review.desk import Desk
from agent.apps.review.store import Store
from agent.apps.review.view import View
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import CodeSystem
from index.search.code_search import CodeSearch
from tests.review.review_helpers import add, coding

ICD, TOPOGRAPHY, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.builtin()


@pytest.fixture
def desk(store: Store, catalogue: Catalogue) -> Desk:
    add(store, "erster", coding(confidence=0.3, alternatives=("C50.4", "C50.1")))
    add(store, "zweiter", coding(confidence=0.5))
    add(store, "dritter", coding(confidence=0.7))
    made = Desk(store, CodeSearch(catalogue), "M. Ernst", known=catalogue.is_codable)
    made.start()
    return made


def _text(desk: Desk) -> str | None:
    return desk.item.text if desk.item else None


def _confirm(desk: Desk) -> None:
    assert desk.item is not None
    desk.confirm(desk.item.id, desk.item.revision)


def test_enter_accepts_and_goes_on_to_the_end(desk: Desk, store: Store) -> None:
    seen = []
    while desk.item is not None:
        seen.append(_text(desk))
        _confirm(desk)
    assert seen == ["erster", "zweiter", "dritter"]
    assert store.status().accepted == 3
    assert store.status().by == {"M. Ernst": 3}


def test_a_second_enter_for_the_same_text_decides_nothing(desk: Desk, store: Store) -> None:
    assert desk.item is not None
    number, revision = desk.item.id, desk.item.revision
    desk.confirm(number, revision)
    desk.confirm(number, revision)  # sent before the next text was on the screen
    assert store.status().decided == 1
    assert _text(desk) == "zweiter"


def test_numbers_choose_on_the_active_axis(desk: Desk, store: Store) -> None:
    number = desk.item.id if desk.item else 0
    desk.choose(2)
    assert desk.choice.codes[ICD] == "C50.4"
    desk.choose(1)
    assert not desk.changed
    desk.turn(1)
    desk.choose(0)
    desk.turn(-1)
    desk.choose(3)
    desk.choose(9)  # there is none
    _confirm(desk)
    decision = store.history(number)[0]
    assert decision.action is Action.CHANGE
    assert decision.codes == {ICD: "C50.1", TOPOGRAPHY: None, MORPHOLOGY: "8500/3"}


def test_a_code_that_is_none_is_not_chosen(desk: Desk) -> None:
    desk.set_code("X99.9")
    assert not desk.changed
    desk.set_code("C61")
    assert desk.choice.codes[ICD] == "C61"
    desk.reset()
    assert not desk.changed


def test_rejecting_needs_a_reason(desk: Desk, store: Store) -> None:
    assert desk.item is not None
    desk.reject(desk.item.id, 0, "  ")
    assert store.status().decided == 0
    assert desk.notice is not None and desk.notice.alarm
    desk.reject(desk.item.id, 0, "doppelt")
    assert store.status().rejected == 1


def test_undo_takes_back_the_last_one_and_shows_it(desk: Desk, store: Store) -> None:
    _confirm(desk)
    _confirm(desk)
    assert desk.item is not None
    desk.undo(desk.item.id, desk.item.revision)
    assert _text(desk) == "zweiter"
    desk.undo(desk.item.id, desk.item.revision)
    assert _text(desk) == "erster"
    assert store.status().decided == 0
    desk.undo(desk.item.id, desk.item.revision)
    assert desk.notice is not None and desk.notice.alarm


def test_undo_leaves_what_somebody_else_decided_since(desk: Desk, store: Store, catalogue: Catalogue) -> None:
    number = desk.item.id if desk.item else 0
    _confirm(desk)
    other = Desk(store, CodeSearch(catalogue), "B", known=catalogue.is_codable)
    other.show(number)
    other.reject(number, 1, "doppelt")
    assert desk.item is not None
    desk.undo(desk.item.id, desk.item.revision)
    assert store.item(number).state == "reject"
    assert desk.notice is not None and desk.notice.alarm


def test_two_people_on_one_text(desk: Desk, store: Store, catalogue: Catalogue) -> None:
    other = Desk(store, CodeSearch(catalogue), "B", known=catalogue.is_codable)
    other.start()
    _confirm(other)
    desk.choose(2)
    _confirm(desk)
    assert _text(desk) == "erster"
    assert desk.notice is not None and desk.notice.alarm and desk.notice.text.startswith("B hat")
    assert [one.by for one in store.history(1)] == ["B"]
    desk.choose(2)
    _confirm(desk)  # now knowingly
    assert [one.by for one in store.history(1)] == ["B", "M. Ernst"]


def test_confirming_what_stands_adds_nothing(desk: Desk, store: Store) -> None:
    _confirm(desk)
    desk.show(1)
    _confirm(desk)
    assert len(store.history(1)) == 1


def test_filter_and_words(desk: Desk) -> None:
    _confirm(desk)
    desk.filter("decided")
    desk.filter("nonsense")
    assert desk.listing.shown == "decided"
    desk.look_for("dritter")
    desk.filter("open")
    desk.step(True)
    assert _text(desk) == "dritter"
    desk.step(True)
    assert _text(desk) == "dritter"  # the end of the list


def test_everything_is_escaped(store: Store, catalogue: Catalogue) -> None:
    evil = "<script>window.evil=1</script><img src=x onerror=evil()>"
    of: dict[str, Any] = coding(alternatives=("C50.4",))
    of["icd10gm"]["title"] = evil
    of["icd10gm"]["evidence"] = [
        {"line_id": evil, "text": evil, "code": "C50.9", "matched": [[0, 5], [3, 9000]]}
    ]
    of["certainty"] = evil
    add(store, evil + "\u202e\x1b[31m", of, reference=evil)
    made = Desk(store, CodeSearch(catalogue), evil)
    made.start()
    made.choice.comment = '"><script>'
    view = View(catalogue, Crosswalk(catalogue.rules))
    for html in (
        view.item(made),
        view.worklist(made),
        view.head(made),
        view.hits(made.search.find(ICD, "mamma"), evil),
    ):
        assert "<script" not in html and "<img" not in html
        assert "\u202e" not in html and "\x1b" not in html


def test_checks_follow_the_chosen_codes(store: Store, catalogue: Catalogue) -> None:
    add(store, "Mamma-Ca", coding(), reference="1")
    made = Desk(store, CodeSearch(catalogue), "A", known=catalogue.is_codable)
    made.start()
    view = View(catalogue, Crosswalk(catalogue.rules))
    assert "check failed" not in view.item(made)
    made.set_code("C92.00")  # a leukaemia beside a morphology of solid tumours
    html = view.item(made)
    assert "check failed" in html and "K07" in html


@pytest.mark.parametrize(
    ("axis", "query", "code"),
    [
        (ICD, "c34.1", "C34.1"),
        (ICD, "mamma außen oben", "C50.4"),
        (ICD, "aussen mamma oben", "C50.4"),
        (MORPHOLOGY, "8500/3", "8500/3"),
        (MORPHOLOGY, "kleinzell", "8041/3"),
        (TOPOGRAPHY, "prostata", "C61.9"),
    ],
)
def test_the_catalogue_is_found_while_typing(
    catalogue: Catalogue, axis: CodeSystem, query: str, code: str
) -> None:
    hits = CodeSearch(catalogue).find(axis, query)
    assert code in [hit.code for hit in hits[:5]]
    assert all(catalogue.is_codable(axis, hit.code) for hit in hits)


@pytest.mark.parametrize("query", ["", "   ", "???", "x" * 5000, "\udcff", "'; DROP TABLE items; --"])
def test_any_query_gets_an_answer(catalogue: Catalogue, query: str) -> None:
    assert CodeSearch(catalogue).find(ICD, query) == []
