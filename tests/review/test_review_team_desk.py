"""A team's desks without a browser: kept choices, contradictions, many at once, the second reader, statistics."""

from __future__ import annotations

import pytest

from agent.apps.review.checking import Checker
from agent.apps.review.decision import Action
from agent.apps.review.desk import Desk
from agent.apps.review.faults import StoreError
from agent.apps.review.panels import Panels
from agent.apps.review.statistics import Statistics
from agent.apps.review.store import Store
from agent.apps.review.view import View
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import CodeSystem
from index.search.code_search import CodeSearch
from tests.review.review_helpers import add, coding

ICD = CodeSystem.ICD10GM


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.builtin()


@pytest.fixture
def numbers(store: Store) -> list[int]:
    shares = (0.3, 0.5, 0.96, 0.99)
    return [
        add(store, f"Mamma-Ca {n}", coding(confidence=share, alternatives=("C50.4", "C92.00")))
        for n, share in enumerate(shares)
    ]


class Team:
    """Desks of several people at one list."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self.store, self.catalogue = store, catalogue
        self.checker = Checker(catalogue, Crosswalk(catalogue.rules))
        self.view = View(catalogue, Crosswalk(catalogue.rules))

    def desk(self, by: str) -> Desk:
        made = Desk(
            self.store,
            CodeSearch(self.catalogue),
            by,
            known=self.catalogue.is_codable,
            contradictions=self.checker.contradictions,
        )
        made.start()
        made.look()
        return made

    def shown(self, desk: Desk) -> str:
        desk.look()
        return self.view.item(desk) + self.view.worklist(desk) + self.view.head(desk)


@pytest.fixture
def team(store: Store, catalogue: Catalogue, numbers: list[int]) -> Team:
    return Team(store, catalogue)


def confirm(desk: Desk, *, anyway: bool = False) -> None:
    assert desk.item is not None
    desk.confirm(desk.item.id, desk.item.revision, anyway=anyway)


def test_a_choice_is_there_again_after_moving_on_and_with_another_desk(
    team: Team, numbers: list[int]
) -> None:
    desk = team.desk("A")
    desk.choose(2)
    desk.turn_side()
    desk.choice.comment = "unsicher"
    desk.step(True)
    assert desk.item is not None and desk.item.id == numbers[1] and not desk.unsaved
    assert "nicht gespeichert" in team.shown(desk)
    assert "nicht gespeichert" not in team.shown(team.desk("B")), "only its own person sees it"
    again = team.desk("A")
    assert again.item is not None and again.item.id == numbers[0] and again.unsaved
    assert (again.choice.codes[ICD], again.choice.side, again.choice.comment) == (
        "C50.4", "links", "unsicher",
    )  # fmt: skip
    assert again.notice is not None and "von vorhin" in again.notice.text
    again.reset()
    assert not again.unsaved and not team.desk("A").unsaved, "thrown away"


def test_a_choice_that_cannot_be_kept_is_not_left(team: Team, numbers: list[int], store: Store) -> None:
    desk = team.desk("A")
    desk.choose(2)
    write = store._writer.execute
    write(f"PRAGMA max_page_count = {write('PRAGMA page_count').fetchone()[0]}")
    desk.choice.comment = "x" * 200_000
    with pytest.raises(StoreError) as error:
        desk.step(True)
    desk.tell(error.value)
    assert desk.item is not None and desk.item.id == numbers[0] and desk.unsaved
    assert desk.notice is not None and "NICHT gespeichert" in desk.notice.text


def test_contradictions_are_asked_about_anew_for_each_choice(team: Team, store: Store) -> None:
    desk = team.desk("A")
    confirm(desk, anyway=True)  # nobody was asked, and nothing contradicts
    assert store.status().accepted == 1
    desk.choose(3)
    confirm(desk, anyway=True)
    assert store.status().decided == 1 and any("K07" in line for line in desk.asked)
    desk.choose(2)
    assert desk.asked == ()
    desk.choose(3)
    confirm(desk, anyway=True)
    assert store.status().decided == 1, "what was asked before was of another choice"
    confirm(desk, anyway=True)
    assert store.status().changed == 1


def test_only_what_was_looked_at_is_accepted(team: Team, numbers: list[int], store: Store) -> None:
    desk = team.desk("A")
    desk.accept_previewed()
    assert store.status().decided == 0
    desk.look_before_accepting(0.95)
    assert desk.preview is not None and [number for number, _ in desk.preview.seen] == numbers[2:]
    add(store, "später dazu", coding(confidence=0.99))
    html = Panels().preview(desk)
    assert "2 annehmen" in html and "Mamma-Ca 2" in html and "später dazu" not in html
    desk.accept_previewed()
    assert store.status().accepted == 2 and desk.notice is not None and desk.notice.text.startswith("2 Ein")
    desk.accept_previewed()
    assert store.status().accepted == 2
    desk.undo(None, 0)
    assert store.status().accepted == 1, "taken back one by one"
    desk.narrow({"below": "0.4"})
    desk.look_before_accepting(0.8)
    assert desk.preview is not None and desk.preview.count == 0, "the list's own bounds hold too"


def test_the_second_reader_sees_nothing_of_the_first(team: Team, numbers: list[int], store: Store) -> None:
    first = team.desk("A. Albrecht")
    first.choose(2)
    first.choice.comment = "Quadrant im OP-Bericht"
    confirm(first)
    second = team.desk("B. Beck")
    second.filter("second")
    assert second.blind and second.item is not None and second.item.id == numbers[0]
    shown = team.shown(second)
    assert not [words for words in ("Albrecht", "Quadrant im", "statt C50.9", "geändert") if words in shown]
    assert second.choice.codes[ICD] == "C50.9" and second.standing is None
    second.undo(numbers[0], 1)
    second.put_aside(numbers[0], 1)
    second.remove(numbers[0], 1)
    second.adopt("first")
    assert len(store.history(numbers[0])) == 1 and second.choice.codes[ICD] == "C50.9"
    second.choose(0)
    confirm(second)
    assert second.notice is not None and "uneinig mit A. Albrecht bei ICD-10-GM" in second.notice.text
    assert [one.codes[ICD] for one in store.readings(numbers[0])] == [None]
    # Now it is seen, and each may take over the other's decision.
    second.filter("disputed")
    second.show(numbers[0])
    assert second.is_second and "Albrecht" in team.shown(second)
    second.adopt("first")
    confirm(second)
    assert second.notice is not None and "einig mit A. Albrecht" in second.notice.text
    assert store.item(numbers[0]).second == "settled" and len(store.history(numbers[0])) == 1
    told = Statistics.of(store)
    assert (told.agreed, told.read) == (0, 1), "what counts is what they said before they knew"
    assert [(one.same, one.of, one.agreed, one.read) for one in told.axes][:2] == [
        (0, 1, 0, 1), (1, 1, 1, 1),
    ]  # fmt: skip


def test_a_third_person_settles_by_what_stands(team: Team, numbers: list[int], store: Store) -> None:
    first, second = team.desk("A"), team.desk("B")
    confirm(first)
    second.filter("second")
    second.reject(numbers[0], 1, "kein Tumor")
    assert second.notice is not None and "ob der Text kodiert wird" in second.notice.text
    first.filter("disputed")
    first.show(numbers[0])
    confirm(first)
    assert store.item(numbers[0]).second == "disputed", "the first one again says nothing new"
    third = team.desk("C")
    third.filter("disputed")
    third.show(numbers[0])
    assert 'data-do="confirm">Annehmen' in team.shown(third)
    confirm(third)
    assert store.item(numbers[0]).second == "settled"
    assert [one.action for one in store.history(numbers[0])] == [Action.ACCEPT, Action.ACCEPT]


def test_a_colleague_s_decision_is_told_and_the_choice_stays(team: Team, numbers: list[int]) -> None:
    desk, other = team.desk("A"), team.desk("B")
    desk.choose(2)
    desk.look_again()
    assert desk.notice is None
    confirm(other)
    desk.look_again()
    assert desk.notice is not None and desk.notice.alarm and desk.notice.text.startswith("B hat")
    assert desk.choice.codes[ICD] == "C50.4" and desk.status.accepted == 1
    desk.reset()
    assert desk.item is not None and desk.item.revision == 1 and desk.standing is not None


def test_filters_go_around_among_those_that_show_something(team: Team, numbers: list[int]) -> None:
    desk = team.desk("A")
    desk.put_aside(numbers[0], 0)
    desk.remove(numbers[1], 0)
    seen = []
    for _ in range(6):
        desk.look()
        seen.append(desk.listing.shown)
        desk.next_filter()
    assert seen == ["open", "later", "decided", "all", "removed", "open"]
    desk.show(numbers[1])
    desk.undo(numbers[1], 1)
    desk.look()
    assert desk.status.removed == 0 and desk.status.total == 4


def test_what_is_decided_is_not_put_aside(team: Team, numbers: list[int], store: Store) -> None:
    desk = team.desk("A")
    confirm(desk)
    desk.show(numbers[0])
    desk.put_aside(numbers[0], 1)
    assert desk.notice is not None and desk.notice.alarm and len(store.history(numbers[0])) == 1
    desk.put_aside(numbers[1], 0)  # not what is on the desk
    assert store.item(numbers[1]).state == "open"
