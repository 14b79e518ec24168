"""What one person has in front of them: the item, the codes chosen so far, the filter, and what a key does.

    desk = Desk(store, search, known=catalogue.is_codable, by="M. Ernst")
    desk.choose(2)                                  # the second code of the active axis
    desk.confirm(desk.item.id, desk.item.revision)  # stores the decision and goes on to the next item

It knows nothing of browsers: `page.py` shows a desk and calls it. What somebody sends must name the item and
revision that they saw, so a key that was pressed for one text never decides another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.apps.review.decision import (
    Action,
    Decision,
    ReviewError,
    decide,
    decided_metastases,
    is_metastasis,
    proposal,
    proposed_metastases,
)
from agent.apps.review.documents import added_coding, facts_of
from agent.apps.review.faults import ConflictError, Fault, StoreError
from agent.apps.review.items import Item, Status
from agent.apps.review.selection import Filter
from agent.apps.review.store import Store
from agent.results import Alternative
from index.icd import is_secondary
from index.records import AXES, CodeSystem
from index.search.code_search import CodeSearch, Hit

PAGE = 100
_NOT_STORED = {
    Fault.LOCKED: "Die Datenbank ist gerade gesperrt: ein anderes Programm schreibt. Ihre Entscheidung ist NICHT "
    "gespeichert; bitte versuchen Sie es gleich noch einmal.",
    Fault.FULL: "Der Datenträger ist voll. Ihre Entscheidung ist NICHT gespeichert; bitte verständigen Sie, wer diesen "
    "Rechner betreut.",
    Fault.OTHER: "Die Datenbank kann nicht beschrieben werden. Ihre Entscheidung ist NICHT gespeichert; bitte "
    "verständigen Sie, wer diesen Rechner betreut.",
}
_NOT_READ = {
    Fault.LOCKED: "Die Datenbank ist gerade gesperrt; bitte versuchen Sie es gleich noch einmal.",
    Fault.FULL: "Die Arbeitsliste kann nicht gelesen werden: der Datenträger ist voll.",
    Fault.OTHER: "Die Arbeitsliste kann nicht gelesen werden; bitte verständigen Sie, wer diesen Rechner betreut.",
}
_FILTERS: tuple[Filter, ...] = ("open", "decided", "all")


@dataclass(frozen=True, slots=True)
class Notice:
    """A line that tells what happened; `alarm` where something was not done."""

    text: str
    alarm: bool = False


@dataclass
class Desk:
    """One person at one work list. `draft` holds the codes that confirming would store, `metastases` those of a
    document's tumour."""

    store: Store
    search: CodeSearch
    by: str
    known: Callable[[CodeSystem, str], bool] | None = None
    shown: Filter = "open"
    words: str = ""
    limit: int = PAGE
    axis: CodeSystem = CodeSystem.ICD10GM
    item: Item | None = None
    history: list[Decision] = field(default_factory=list)
    draft: dict[CodeSystem, str | None] = field(default_factory=dict)
    metastases: tuple[str, ...] | None = None
    comment: str = ""
    notice: Notice | None = None
    status: Status = field(default_factory=lambda: Status())
    _mine: list[int] = field(default_factory=list)  # items that I decided, the last one last

    def look(self) -> None:
        """Counts anew how far the work is."""
        self.status = self.store.status()

    def tell(self, error: StoreError) -> None:
        """Says that something was not stored or could not be read. What is on the desk stays there."""
        said = (_NOT_STORED if error.writing else _NOT_READ)[error.fault]
        # That a decision was stored stays true where only the list could not be read after it.
        before = self.notice.text if self.notice and not error.writing else ""
        self._warn(before if before.endswith(said) else f"{before} {said}".strip())

    def _warn(self, text: str) -> None:
        self.notice = Notice(text, alarm=True)

    def start(self) -> None:
        """Puts the first item of the list on the desk; if none is shown, the desk is empty."""
        first = self.store.page(self.shown, self.words, 1)
        self._put(first[0] if first else None)

    def show(self, number: int) -> None:
        """Puts this item on the desk."""
        self.notice = None
        self._put(self.store.item(number))

    def step(self, forward: bool) -> None:
        """The next or the previous item of the list; stays at its ends."""
        self.notice = None
        if self.item is None:
            self.start()
        elif beside := self.store.beside(self.item, self.shown, self.words, forward=forward):
            self._put(beside)

    def filter(self, shown: str) -> None:
        """Shows other items in the list. The item on the desk stays, unless there was none."""
        self.shown = next((name for name in _FILTERS if name == shown), self.shown)
        self.limit = PAGE
        if self.item is None:
            self.start()

    def next_filter(self) -> None:
        self.filter(_FILTERS[(_FILTERS.index(self.shown) + 1) % len(_FILTERS)])

    def look_for(self, words: str) -> None:
        """Shows only items with these words in the list."""
        self.words, self.limit = words[:200], PAGE
        if self.item is None:
            self.start()

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
            self.draft[self.axis] = code
            self.notice = None

    def strike_metastasis(self, code: str) -> None:
        """Strikes a metastasis of a document's tumour; one that is struck stands again."""
        if self.metastases is None:
            return
        if code in self.metastases:
            self.metastases = tuple(one for one in self.metastases if one != code)
        else:
            self.add_metastasis(code)

    def add_metastasis(self, code: str) -> None:
        """Gives a document's tumour one more metastasis, unless it has it."""
        if self.metastases is None:
            return
        if not is_metastasis(code, self.known):
            self._warn(f"{code[:10]} ist kein Kode einer Metastase.")
        elif code not in self.metastases:
            self.metastases = tuple(sorted((*self.metastases, code)))
            self.notice = None

    def find_metastases(self, query: str) -> list[Hit]:
        """Codes of metastases that a query finds."""
        found = self.search.find(CodeSystem.ICD10GM, query or "Metastase")
        return [hit for hit in found if is_secondary(hit.code)]

    def add_tumour(self, number: int, revision: int) -> None:
        """Puts another tumour of the document on the list and on the desk, to be given its codes."""
        if self.item is None or not self._is(number, revision) or facts_of(self.item.coding) is None:
            return
        if self.unsaved:
            self._warn("Bitte erst diese Auswahl annehmen oder mit Esc zurücksetzen.")
            return
        self._put(self.store.add_beside(number, added_coding(self.item.text)))
        self.notice = Notice("Tumor hinzugefügt; bitte wählen Sie seine Kodes. Mit u nehmen Sie ihn zurück.")

    def turn(self, step: int) -> None:
        """Makes the next or the previous axis the active one."""
        self.axis = AXES[(AXES.index(self.axis) + step) % len(AXES)]

    def reset(self) -> None:
        """Back to what stands: the decision, or the proposal."""
        if self.item is not None:
            self._put(self.item)

    @property
    def standing(self) -> Decision | None:
        """The decision that holds, None where the item is open."""
        return self.history[-1] if self.item is not None and self.item.state != "open" else None

    @property
    def _given(self) -> Decision | None:
        """The decision that holds, if it gives codes."""
        standing = self.standing
        return None if standing is None or standing.action is Action.REJECT else standing

    @property
    def changed(self) -> bool:
        """Whether the draft differs from the proposal."""
        if self.item is None:
            return False
        told = proposed_metastases(self.item.coding) or ()
        return self.draft != proposal(self.item.coding) or set(self.metastases or ()) != set(told)

    @property
    def unsaved(self) -> bool:
        """Whether confirming would store something else than what stands."""
        given = self._given
        if given is None or self.item is None:
            return self.changed
        return (
            self.draft != dict(given.codes)
            or self.comment != given.comment
            or set(self.metastases or ()) != set(decided_metastases(self.item.coding, given))
        )

    def confirm(self, number: int, revision: int) -> None:
        """Stores the draft, as an acceptance or as a change, and goes on."""
        if not self._is(number, revision) or self.item is None:
            return
        if self._given is not None and not self.unsaved:
            self._go_on(self.item)
            return
        action = Action.CHANGE if self.changed else Action.ACCEPT
        self._store(action, "Geändert" if self.changed else "Angenommen", self.comment)

    def reject(self, number: int, revision: int, reason: str) -> None:
        """Stores that this text gets no coding, and why."""
        if self._is(number, revision):
            self._store(Action.REJECT, "Abgelehnt", reason)

    def put_aside(self, number: int, revision: int) -> None:
        """Stores that this text is for later; a decision that stands is no longer one."""
        if self._is(number, revision) and self.item is not None and self.item.state != Action.LATER:
            self._store(Action.LATER, "Zurückgestellt", "")

    def remove(self, number: int, revision: int) -> None:
        """Stores that this diagnosis should not be on the list. It stays there, marked, and can be taken back."""
        if self._is(number, revision) and self.item is not None and self.item.state != Action.REMOVE:
            self._store(Action.REMOVE, "Eintrag entfernt; mit u nehmen Sie das zurück", "")

    @property
    def _just_added(self) -> bool:
        return self.item is not None and bool(self.item.coding.get("added")) and not self.item.revision

    def undo(self, number: int | None, revision: int) -> None:
        """Takes back the decision on the item that is shown, or else my last one."""
        if self.item is not None and self._is(number or 0, revision) and self._just_added:
            self.remove(number or 0, revision)
            return
        mine = [one for one in self._mine if self.store.item(one).state != "open"]
        if self.item is not None and self._is(number or 0, revision) and self.item.state != "open":
            target, seen = self.item.id, self.item.revision
        elif mine:
            target = mine[-1]
            history = self.store.history(target)
            if history[-1].by != self.by:
                self._warn(f"{history[-1].by} hat diesen Text nach Ihnen entschieden.")
                self._put(self.store.item(target))
                return
            seen = history[-1].revision
        else:
            self._warn("Hier gibt es nichts zurückzunehmen.")
            return
        try:
            item = self.store.undo(target, self.by, seen=seen)
        except ConflictError as conflict:
            self._lost(target, conflict)
            return
        self._mine = [one for one in self._mine if one != target]
        said = "Entscheidung zurückgenommen; sie bleibt im Verlauf stehen."
        self._after(said, lambda: self._put(item))

    def _store(self, action: Action, said: str, comment: str) -> None:
        assert self.item is not None
        before = self.item
        codes, spread = (self.draft, self.metastases) if action is Action.CHANGE else (None, None)
        try:
            decision = decide(
                before.coding, action, codes, by=self.by, comment=comment, known=self.known, metastases=spread
            )
            after = self.store.decide(before.id, decision, seen=before.revision)
        except ConflictError as conflict:
            self._lost(before.id, conflict)
            return
        except StoreError:
            raise  # nothing is wrong with the decision
        except ReviewError:
            # The page offers nothing that is not valid; a forged message gets no more than this.
            self._warn("Diese Entscheidung ist so nicht möglich und wurde nicht gespeichert.")
            return
        self._mine.append(before.id)
        if action is not Action.REJECT:
            codes_of = decision.codes.values()
            said += ": " + (
                " · ".join(code or "kein Kode" for code in codes_of) if any(codes_of) else "kein Kode"
            )
        self._after(said, lambda: self._go_on(after))

    def _after(self, said: str, go_on: Callable[[], None]) -> None:
        """What was stored stays stored, whether or not the list can be read afterwards."""
        try:
            go_on()
        except StoreError:
            self._warn(
                f"{said}. Das ist gespeichert; die Arbeitsliste kann aber gerade nicht gelesen werden. "
                "Bitte laden Sie die Seite neu."
            )
        else:
            self.notice = Notice(said)

    def _go_on(self, item: Item) -> None:
        """The next item of the list; from its end back to the first that is open, if one is left."""
        self.notice = None
        following = self.store.beside(item, self.shown, self.words)
        if following is None and self.shown == "open":
            first = self.store.page("open", self.words, 1)
            following = first[0] if first else None
        elif following is None:
            following = self.store.item(item.id)
        self._put(following)

    def _lost(self, number: int, conflict: ConflictError) -> None:
        self._put(self.store.item(number))
        self._warn(
            f"{conflict.latest.by} hat inzwischen entschieden. Ihre Entscheidung wurde nicht gespeichert; "
            "bitte sehen Sie den Text noch einmal an."
        )

    def _is(self, number: int, revision: int) -> bool:
        return self.item is not None and (self.item.id, self.item.revision) == (number, revision)

    def _may_be_given(self, axis: CodeSystem, code: str) -> bool:
        offered = {option.code for option in self.options(axis)}
        return code in offered or self.known is None or self.known(axis, code)

    def _put(self, item: Item | None) -> None:
        # Read first: where it fails, the desk is as before.
        history = self.store.history(item.id) if item else []
        self.item, self.history = item, history
        given = self._given
        if given is not None:
            self.draft, self.comment = dict(given.codes), given.comment
        else:
            self.draft, self.comment = proposal(item.coding) if item is not None else {}, ""
        self.metastases = proposed_metastases(item.coding) if item is not None else None
        if item is not None and given is not None and self.metastases is not None:
            self.metastases = decided_metastases(item.coding, given)
