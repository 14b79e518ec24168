"""The item on a person's desk, what has been decided on it, and what the person chooses for it.

    desk.axis = CodeSystem.TOPOGRAPHY
    desk.choose(2), desk.set_side("links")
    desk.unsaved                                    # True: that is not stored yet

`desk.Desk` brings items here and stores what is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.apps.review.choice import Choice
from agent.apps.review.decision import CERTAINTIES, GIVING, SIDES, Decision, is_metastasis
from agent.apps.review.items import Item
from agent.apps.review.notices import Notice
from agent.apps.review.second import Agreement
from agent.apps.review.selection import folded
from agent.apps.review.store import Store
from agent.results import Alternative
from index.icd import is_secondary
from index.records import AXES, CodeSystem
from index.search.code_search import CodeSearch, Hit


@dataclass
class Bench:
    """An item in front of a person. `choice` is what confirming would store. `blind` says that the item is somebody
    else's decision, read a second time: it is shown as if it were open. `asked` are contradictions in the choice that
    the person is asked about."""

    store: Store
    search: CodeSearch
    by: str
    known: Callable[[CodeSystem, str], bool] | None = None
    axis: CodeSystem = CodeSystem.ICD10GM
    item: Item | None = None
    blind: bool = False
    history: list[Decision] = field(default_factory=list)
    readings: list[Decision] = field(default_factory=list)
    choice: Choice = field(default_factory=Choice)
    asked: tuple[str, ...] = ()
    questions: int = 0  # how often was asked, so that the page asks each time once
    notice: Notice | None = None

    def options(self, axis: CodeSystem) -> list[Alternative]:
        """The codes of an axis that have a number: the proposal, then the alternatives."""
        if self.item is None:
            return []
        coding = self.item.coding[axis.value]
        own = [coding] if coding["code"] is not None else []
        return [
            Alternative(one["code"], one["title"] or "", one["confidence"])
            for one in (*own, *coding["alternatives"])
        ][:9]

    def choose(self, number: int) -> None:
        """Chooses the code with this number on the active axis; 0 says that the text determines none."""
        options = self.options(self.axis)
        if number == 0:
            self.set_code(None)
        elif number <= len(options):
            self.set_code(options[number - 1].code)

    def set_code(self, code: str | None) -> None:
        """Chooses a code on the active axis."""
        if self.item is not None and (code is None or self._may_be_given(self.axis, code)):
            self.choice.codes[self.axis] = code
            self._chosen()

    def set_side(self, side: str) -> None:
        """Chooses the side; empty where the text names none."""
        if self.item is not None and side in ("", *SIDES):
            self.choice.side = side
            self._chosen()

    def set_certainty(self, certainty: str) -> None:
        """Chooses how certain the diagnosis is; empty where the text does not say."""
        if self.item is not None and certainty in ("", *CERTAINTIES):
            self.choice.certainty = certainty
            self._chosen()

    def turn_side(self) -> None:
        """The next side, after the last one none."""
        self.set_side(_after(("", *SIDES), self.choice.side))

    def turn_certainty(self) -> None:
        """The next certainty, after the last one none."""
        self.set_certainty(_after(("", *CERTAINTIES), self.choice.certainty))

    def adopt(self, whose: str) -> None:
        """Chooses what the first or the second reader decided."""
        decisions = {"first": self.history, "second": self.readings}.get(whose)
        if self.item is not None and decisions and not self.blind:
            comment = self.choice.comment
            self.choice = Choice.of(self.item.coding, decisions[-1])
            self.choice.comment = comment
            self._chosen()

    def strike_metastasis(self, code: str) -> None:
        """Strikes a metastasis of a document's tumour; one that is struck stands again."""
        if self.choice.metastases is None:
            return
        if code in self.choice.metastases:
            self.choice.metastases = tuple(one for one in self.choice.metastases if one != code)
            self._chosen()
        else:
            self.add_metastasis(code)

    def add_metastasis(self, code: str) -> None:
        """Gives a document's tumour one more metastasis, unless it has it."""
        if self.choice.metastases is None:
            return
        if not is_metastasis(code, self.known):
            self._warn(f"{code[:10]} ist kein Kode einer Metastase.")
        elif code not in self.choice.metastases:
            self.choice.metastases = tuple(sorted((*self.choice.metastases, code)))
            self._chosen()

    def _chosen(self) -> None:
        self.notice, self.asked = None, ()

    def find_metastases(self, query: str) -> list[Hit]:
        """Codes of metastases that a query finds."""
        found = self.search.find(CodeSystem.ICD10GM, query or "Metastase")
        return [hit for hit in found if is_secondary(hit.code)]

    def turn(self, step: int) -> None:
        """Makes the next or the previous axis the active one."""
        self.axis = AXES[(AXES.index(self.axis) + step) % len(AXES)]

    @property
    def standing(self) -> Decision | None:
        """The decision that holds, None where the item is open, or where it is not to be seen."""
        decided = self.item is not None and self.item.state != "open" and not self.blind
        return self.history[-1] if decided else None

    @property
    def disputed(self) -> bool:
        """Whether two readers of this item disagree."""
        return self.item is not None and self.item.second == Agreement.DISPUTED

    @property
    def is_second(self) -> bool:
        """Whether this person is the second reader of this item."""
        return self.blind or (self.disputed and folded(self.readings[-1].by) == folded(self.by))

    @property
    def own(self) -> Decision | None:
        """The decision that this person would change: a second reader's own one, or the one that stands."""
        return self.readings[-1] if self.is_second and not self.blind else self.standing

    @property
    def changed(self) -> bool:
        """Whether the choice differs from the proposal."""
        return self.item is not None and not self.choice.same(Choice.of(self.item.coding))

    @property
    def unsaved(self) -> bool:
        """Whether something was chosen that is not stored."""
        if self.item is None:
            return False
        before = Choice.of(self.item.coding, self.own)
        return not self.choice.same(before) or self.choice.comment != before.comment

    @property
    def settles(self) -> bool:
        """Whether confirming settles a dispute of two others, even by what stands."""
        parties = {folded(one.by) for one in (*self.history[-1:], *self.readings[-1:])}
        return self.disputed and folded(self.by) not in parties

    @property
    def nothing_new(self) -> bool:
        """Whether confirming would store nothing: it goes on."""
        decided = self.own is not None and self.own.action in GIVING
        return decided and not self.unsaved and not self.settles

    def _is(self, number: int, revision: int) -> bool:
        return self.item is not None and (self.item.id, self.item.revision) == (number, revision)

    def _may_be_given(self, axis: CodeSystem, code: str) -> bool:
        offered = {option.code for option in self.options(axis)}
        return code in offered or self.known is None or self.known(axis, code)

    def _warn(self, text: str) -> None:
        self.notice = Notice(text, alarm=True)


def _after(values: tuple[str, ...], now: str) -> str:
    return values[(values.index(now) + 1) % len(values)] if now in values else values[0]
