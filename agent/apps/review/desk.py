"""What one person has in front of them: the item, what is chosen so far, the list, and what a key does.

    desk = Desk(store, search, known=catalogue.is_codable, by="M. Ernst")
    desk.choose(2)                                  # the second code of the active axis
    desk.confirm(desk.item.id, desk.item.revision)  # stores the decision and goes on to the next item

It knows nothing of browsers: `page.py` shows a desk and calls it. What somebody sends must name the item and
revision that they saw, so a key that was pressed for one text never decides another. Choices that are not confirmed
are kept when another item is put on the desk (`drafts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.apps.review.bench import Bench
from agent.apps.review.bulk import Preview
from agent.apps.review.choice import Choice
from agent.apps.review.decision import (
    DECIDING,
    Action,
    Codes,
    ReviewError,
    decide,
)
from agent.apps.review.documents import added_coding
from agent.apps.review.drafts import Drafts
from agent.apps.review.faults import ConflictError, StoreError
from agent.apps.review.items import Item, Status
from agent.apps.review.listing import Listing
from agent.apps.review.notices import Notice, decided_line, of_fault, second_line
from agent.apps.review.selection import folded


@dataclass
class Desk(Bench):
    """One person at one work list. `preview` is what would be accepted together."""

    contradictions: Callable[[Item, Codes], tuple[str, ...]] | None = None
    listing: Listing = field(init=False)
    preview: Preview | None = None
    status: Status = field(default_factory=Status)
    _mine: list[int] = field(default_factory=list)  # items that I decided, the last one last

    def __post_init__(self) -> None:
        self.listing = Listing(self.store, self.by)
        self._drafts = Drafts(self.store)

    def look(self) -> None:
        """Counts anew how far the work is."""
        self.status = self.store.status(self.by)

    def look_again(self) -> None:
        """Others decide too: says so where it is on the item of this desk, whose choice stays as it is."""
        self.look()
        if self.item is None:
            self.start()
            return
        now = self.store.item(self.item.id)
        if now.revision != self.item.revision:
            latest = self.store.history(now.id)[-1]
            if folded(latest.by) != folded(self.by):
                self._warn(
                    f"{latest.by} hat diesen Text eben entschieden; mit Esc sehen Sie den neuen Stand."
                )

    def tell(self, error: StoreError) -> None:
        """Says that something was not stored or could not be read. What is on the desk stays there."""
        # That a decision was stored stays true where only the list could not be read after it.
        before = self.notice.text if self.notice and not error.writing else ""
        said = of_fault(error)
        self._warn(before if before.endswith(said) else f"{before} {said}".strip())

    def start(self) -> None:
        """Puts the first item of the list on the desk; if none is shown, the desk is empty."""
        self._move(self.listing.first())

    def show(self, number: int) -> None:
        """Puts this item on the desk."""
        self.notice = None
        self._move(self.store.item(number))

    def step(self, forward: bool) -> None:
        """The next or the previous item of the list; stays at its ends."""
        self.notice = None
        if self.item is None:
            self.start()
        elif beside := self.listing.beside(self.item, forward=forward):
            self._move(beside)

    def filter(self, shown: str) -> None:
        """Shows other items in the list. The item on the desk stays, unless there was none, or the second reading begins
        or ends: what is shown of an item depends on it."""
        before = self.listing.shown
        self.listing.show(shown)
        if self.item is None or (before != self.listing.shown and "second" in (before, self.listing.shown)):
            self.start()

    def next_filter(self) -> None:
        self.filter(self.listing.following(self.status))

    def narrow(self, given: dict[str, str]) -> None:
        """Narrows the list by source, code, confidence and person."""
        self.listing.narrow_by(given)
        if self.item is None:
            self.start()

    def chosen_among(self, numbers: list[int]) -> set[int]:
        """Those of these items for which this person has chosen something and not stored it."""
        return self._drafts.among(numbers, self.by)

    def look_for(self, words: str) -> None:
        """Shows only items with these words in the list."""
        self.listing.look_for(words)
        if self.item is None:
            self.start()

    def add_diagnosis(self, number: int, revision: int, span: tuple[int, int] | None = None) -> None:
        """Puts another diagnosis of the text on the list and on the desk, to be given its codes; `span` is where the text
        tells it."""
        if self.item is None or not self._is(number, revision):
            return
        if self.unsaved:
            self._warn("Bitte erst diese Auswahl annehmen oder mit Esc zurücksetzen.")
            return
        self._put(self.store.add_beside(number, added_coding(self.item.text, self.item.coding, span)))
        self.notice = Notice(
            "Diagnose hinzugefügt; bitte wählen Sie ihre Kodes. Mit u nehmen Sie sie zurück."
        )

    def reset(self) -> None:
        """Back to what stands: the decision, or the proposal."""
        if self.item is not None:
            self._drafts.drop(self.item.id, self.by)
            self.notice = None
            self._put(self.store.item(self.item.id))

    def confirm(self, number: int, revision: int, *, anyway: bool = False) -> None:
        """Stores the choice, as an acceptance or as a change, and goes on. Contradictions are asked about first."""
        if not self._is(number, revision) or self.item is None:
            return
        if self.nothing_new:
            self._go_on(self.item)
            return
        against = self.contradictions(self.item, self.choice.codes) if self.contradictions else ()
        if against and not (anyway and self.asked == against):
            self.asked, self.questions = against, self.questions + 1
            return
        action = Action.CHANGE if self.changed else Action.ACCEPT
        self._store(action, self.choice.comment)

    def reject(self, number: int, revision: int, reason: str) -> None:
        """Stores that this text gets no coding, and why."""
        if self._is(number, revision):
            self._store(Action.REJECT, reason)

    def put_aside(self, number: int, revision: int) -> None:
        """Stores that this text is for later."""
        self._without_codes(number, revision, Action.LATER)

    def remove(self, number: int, revision: int) -> None:
        """Stores that this diagnosis should not be on the list. It stays in the file, marked, and can be taken back."""
        self._without_codes(number, revision, Action.REMOVE)

    def _without_codes(self, number: int, revision: int, action: Action) -> None:
        if self.item is None or not self._is(number, revision) or self.item.state == action.value:
            return
        if self.blind or self.disputed:
            self._warn("In der Zweitlesung wird nur entschieden oder abgelehnt.")
            return
        if action is Action.LATER and self.item.state != "open":
            self._warn("Nur was offen ist, kann zurückgestellt werden.")
            return
        self._store(action, self.choice.comment)

    def look_before_accepting(self, threshold: float) -> None:
        """Finds what would be accepted together, to be looked at."""
        self.preview = Preview.of(self.store, threshold, self.listing.words, self.listing.narrow)

    def accept_previewed(self) -> None:
        """Accepts what was looked at; what somebody has decided since stays theirs."""
        preview, self.preview = self.preview, None
        if preview is None or not preview.count:
            return
        accepted = self.store.accept(preview.seen, preview.threshold, self.by)
        self._mine += accepted
        missed = preview.count - len(accepted)
        said = f"{len(accepted)} Einträge angenommen" + (
            f"; {missed} hat inzwischen jemand anderes entschieden" if missed else ""
        )
        self._after(said, self.start)

    def undo(self, number: int | None, revision: int) -> None:
        """Takes back the decision on the item that is shown, or else my last one."""
        if self.blind or (self.disputed and self.is_second):
            self._warn("In der Zweitlesung gibt es nichts zurückzunehmen; entscheiden Sie den Eintrag neu.")
            return
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
                self._move(self.store.item(target))
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

    @property
    def _just_added(self) -> bool:
        return self.item is not None and bool(self.item.coding.get("added")) and not self.item.revision

    def _store(self, action: Action, comment: str) -> None:
        assert self.item is not None
        before, second = self.item, self.is_second
        chosen = self.choice if action is Action.CHANGE else Choice()
        try:
            decision = decide(
                before.coding,
                action,
                chosen.codes,
                by=self.by,
                comment=comment,
                known=self.known,
                metastases=chosen.metastases,
                side=chosen.side if action is Action.CHANGE else None,
                certainty=chosen.certainty if action is Action.CHANGE else None,
            )
            write = self.store.read if second else self.store.decide
            after = write(before.id, decision, seen=before.revision)
        except ConflictError as conflict:
            self._lost(before.id, conflict)
            return
        except StoreError:
            raise  # nothing is wrong with the decision
        except ReviewError:
            # The page offers nothing that is not valid; a forged message gets no more than this.
            self._warn("Diese Entscheidung ist so nicht möglich und wurde nicht gespeichert.")
            return
        if second:
            first = self.history[-1]
            self._after(second_line(after, first, decision), lambda: self._go_on(after))
            return
        self._mine.append(before.id)
        self._after(decided_line(decision), lambda: self._go_on(after))

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
        """The next item of the list; from its end back to the first that is left."""
        self.notice = None
        following = self.listing.beside(item) or self.listing.first_left()
        self._put(self.store.item(item.id) if following is None and not self.listing.empties else following)

    def _lost(self, number: int, conflict: ConflictError) -> None:
        # What was chosen stays on the desk, beside what the other decided.
        chosen, blind = self.choice, self.blind
        self._put(self.store.item(number))
        if not blind:
            self.choice = chosen
        self._warn(
            f"{conflict.latest.by} hat inzwischen entschieden. Ihre Entscheidung wurde nicht gespeichert; "
            "bitte sehen Sie den Text noch einmal an."
        )

    def _move(self, item: Item | None) -> None:
        """Puts another item on the desk. A choice that is not stored is kept, and there again with its item."""
        if self.item is not None:
            if self.unsaved:
                self._drafts.keep(self.item, self.by, self.choice.kept())
            else:
                self._drafts.drop(self.item.id, self.by)
        self._put(item)

    def _put(self, item: Item | None) -> None:
        # Read first: where it fails, the desk is as before.
        history = self.store.history(item.id) if item else []
        readings = self.store.readings(item.id) if item else []
        kept = self._drafts.of(item.id, self.by) if item else None
        self.item, self.history, self.readings = item, history, readings
        self.asked = ()
        self.blind = (
            item is not None
            and self.listing.shown == "second"
            and item.state in DECIDING
            and not item.second
            and folded(self.by) not in {folded(one.by) for one in history if one.action in DECIDING}
        )
        self.choice = Choice.of(item.coding, self.own) if item is not None else Choice()
        if kept is not None:
            self.choice = Choice.restored(kept)
            if self.unsaved:
                self.notice = Notice("Ihre Auswahl von vorhin, noch nicht gespeichert. Esc verwirft sie.")
