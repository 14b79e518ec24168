"""A desk as HTML: what the templates show, in the words that documentation officers read.

    View(agent.resources.catalogue, agent.resources.crosswalk).item(desk)     # the item with its three axes

Every string goes through Jinja with automatic escaping, texts and catalogue lines alike; characters that steer
a screen are replaced by visible ones, one for one, so offsets stay right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.apps.review.checking import Checker
from agent.apps.review.choice import Choice
from agent.apps.review.decision import ACTION_NAMES, CERTAINTIES, SIDES, Action, Decision, proposal
from agent.apps.review.desk import Desk
from agent.apps.review.documents import facts_of, spoken_of, words_of
from agent.apps.review.items import Item
from agent.apps.review.notices import COMPARED_NAMES
from agent.apps.review.second import AGREEMENT_NAMES, COMPARED, METASTASES, Agreement, differing, said
from agent.apps.wording import AXIS_NAMES, FACT_NAMES, percent, printable
from agent.results import Check
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import AXES, CodeSystem
from index.search.code_search import Hit

AXIS_KEYS = {CodeSystem.ICD10GM: "i", CodeSystem.TOPOGRAPHY: "t", CodeSystem.MORPHOLOGY: "m"}
STATES = {"open": "offen", **{str(action): name for action, name in ACTION_NAMES.items()}}
_FILTER_NAMES = {
    "open": "Offen",
    "later": "Später",
    "decided": "Entschieden",
    "all": "Alle",
    "second": "Zweitlesung",
    "disputed": "Uneinig",
    "removed": "Entfernt",
}
_LINES = 3
_LONGEST_PLACE = 60


class View:
    """Renders a desk; holds what it takes to name a code and to check one."""

    def __init__(self, catalogue: Catalogue, crosswalk: Crosswalk) -> None:
        self._catalogue = catalogue
        self.checker = Checker(catalogue, crosswalk)

    def head(self, desk: Desk) -> str:
        """Progress, and who is at work."""
        return render("head.html", desk=desk)

    def worklist(self, desk: Desk) -> str:
        """The filter and the rows of the list."""
        listing = desk.listing
        items = listing.items()
        count = listing.count() if len(items) >= listing.limit else len(items)
        rows = _rows(desk, items, desk.chosen_among([item.id for item in items]))
        return render(
            "worklist.html",
            desk=desk,
            listing=listing,
            rows=rows,
            more=count - len(items),
            filters=[(name, _FILTER_NAMES[name], n) for name, n in listing.offered(desk.status).items()],
        )

    def item(self, desk: Desk) -> str:
        """The text, the three axes and the buttons; what to say where nothing is left."""
        if desk.item is None:
            return render("empty.html", desk=desk)
        item = desk.item
        checks = self.checker.by_axis(item, desk.choice.codes)
        axes = [self._axis(desk, axis, checks[axis]) for axis in AXES]
        return render(
            "item.html",
            desk=desk,
            text=_marked(item, desk.axis),
            axes=axes,
            places=_places(item),
            metastases=self._metastases(desk),
            siblings=self._siblings(desk),
            two=_two(desk),
            sides=_with(SIDES, desk.choice.side),
            certainties=_with(CERTAINTIES, desk.choice.certainty),
            proposed=Choice.of(item.coding),
        )

    def hits(self, hits: Sequence[Hit], query: str) -> str:
        """What the search of the catalogue found."""
        return render("hits.html", hits=hits, query=query)

    def _axis(self, desk: Desk, axis: CodeSystem, checks: Sequence[Check]) -> dict[str, Any]:
        assert desk.item is not None
        coding = desk.item.coding[axis.value]
        offered, chosen = proposal(desk.item.coding)[axis], desk.choice.codes[axis]
        options = desk.options(axis)
        known = next((option for option in options if option.code == chosen), None)
        evidence = coding["evidence"]
        ranked = {option.code for option in options}
        runner_up = next((option.code for option in options if option.code != chosen), None)
        own = [line for line in evidence if line["code"] == chosen and chosen is not None]
        title = (known.title if known else "") or (self._catalogue.title(axis, chosen) if chosen else "")
        return {
            "system": axis.value,
            "name": AXIS_NAMES[axis],
            "key": AXIS_KEYS[axis],
            "active": axis is desk.axis,
            "code": chosen,
            "title": title,
            "changed": chosen != offered,
            "offered": offered,
            "confidence": known.confidence if known else None,
            "reason": coding["reason"] if chosen is None and offered is None else None,
            "missing": coding["missing"] if offered is None else [],
            "options": options,
            "lines": _lines([(line["line_id"], line["text"]) for line in own])
            or self._lines_of(axis, chosen),
            "against": runner_up,
            "against_lines": _lines(
                [(line["line_id"], line["text"]) for line in evidence if line["code"] == runner_up]
            ),
            # What a text without a tumour is instead: a procedure, another diagnosis.
            "rather": [line for line in evidence if line["code"] not in ranked][:1]
            if offered is None
            else [],
            "checks": checks,
        }

    def _metastases(self, desk: Desk) -> list[dict[str, Any]] | None:
        """The metastases of a document's tumour, those struck too, each with the number of the first place that tells
        it; None for an entry."""
        if desk.item is None or desk.choice.metastases is None:
            return None
        numbers = {tuple(f["span"]): number for number, f in enumerate(facts_of(desk.item.coding) or ())}
        rows: list[dict[str, Any]] = []
        for one in desk.item.coding["metastases"]:
            places = (numbers[tuple(f["span"])] for f in one["facts"] if tuple(f["span"]) in numbers)
            rows.append({**one["coding"], "place": next(places, None)})
        own = set(desk.choice.metastases) - {row["code"] for row in rows}
        rows += [
            {
                "code": code,
                "title": self._catalogue.title(CodeSystem.ICD10GM, code),
                "confidence": None,
                "place": None,
            }
            for code in sorted(own)
        ]
        return [
            {**row, "struck": row["code"] is not None and row["code"] not in desk.choice.metastases}
            for row in rows
        ]

    def _siblings(self, desk: Desk) -> list[dict[str, Any]]:
        """All diagnoses of the text on the desk, where it has several; none where it has one."""
        assert desk.item is not None
        items = desk.store.of_text(desk.item) if desk.item.parts > 1 else []
        return [
            {**row, "words": spoken_of(one.text, one.coding).strip()[:_LONGEST_PLACE] or "ganzer Text"}
            for one, row in zip(items, _rows(desk, items), strict=True)
        ]

    def _lines_of(self, axis: CodeSystem, code: str | None) -> dict[str, Any] | None:
        """The first lines of a code that the agent did not propose, so that it shows what it means."""
        if code is None:
            return None
        lines = self._catalogue.lines_of(axis, code)
        return _lines([(line.line_id, line.text) for line in lines if line.kind not in ("exclusion", "note")])


def _lines(found: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Catalogue lines, given as id and text. An edition that they share is named once, beside the heading."""
    shown = [(*line_id.rpartition(":"), text) for line_id, text in found[:_LINES]]
    editions = {edition for edition, _, _, _ in shown}
    shared = editions.pop() if len(editions) == 1 else ""
    rows = [(number if shared else edition + colon + number, text) for edition, colon, number, text in shown]
    return {"edition": shared, "rows": rows} if rows else None


def _two(desk: Desk) -> list[dict[str, Any]]:
    """What two readers who disagree decided, one row an axis; none where they do not, or it is not to be seen."""
    if desk.item is None or not desk.disputed or desk.blind:
        return []
    first, second = desk.history[-1], desk.readings[-1]
    one, other = said(desk.item.coding, first), said(desk.item.coding, second)
    differ = differing(desk.item.coding, first, second)
    return [
        {
            "name": COMPARED_NAMES[axis],
            "first": _told(one[axis], first),
            "second": _told(other[axis], second),
            "differs": axis in differ,
        }
        for axis in COMPARED
        if axis != METASTASES or facts_of(desk.item.coding) is not None
    ]


def _with(listed: tuple[str, ...], now: str) -> tuple[str, ...]:
    """What may be chosen: nothing, what is listed, and what is chosen now, if that is something else."""
    return ("", *listed, *({now} - {"", *listed}))


def _told(value: Any, decision: Decision) -> str:
    if decision.action is Action.REJECT:
        return ACTION_NAMES[Action.REJECT]
    return (", ".join(value) if isinstance(value, tuple) else value) or "–"


def _rows(desk: Desk, items: Sequence[Item], chosen: Collection[int] = ()) -> list[dict[str, Any]]:
    """The rows of items, `chosen` those with a choice that is not stored. From a second reader what others decided is
    hidden."""
    blind = desk.listing.shown == "second"
    standing = {} if blind else desk.store.standing([item.id for item in items])
    rows = [_row(item, standing.get(item.id), item.id in chosen) for item in items]
    return [{**row, "state": "open"} for row in rows] if blind else rows


def _row(item: Item, standing: Decision | None, chosen: bool) -> dict[str, Any]:
    decided = standing.codes if standing is not None else proposal(item.coding)
    second = Agreement(item.second)
    codes = [decided[axis] for axis in AXES]
    text = words_of(item) or item.text
    return {
        "id": item.id,
        "text": text.strip()[:160] or "(leerer Text)",
        "codes": [code or "–" for code in codes] if any(codes) else [],
        "doubt": item.uncertainty,
        "state": item.state,
        "second": AGREEMENT_NAMES.get(second, "") if standing is not None else "",
        "chosen": chosen,
        "part": f"{item.part}/{item.parts}" if item.parts > 1 else "",
        # Two patients' documents may name their tumours in the same words.
        "document": f"{item.source}, {item.reference}" if facts_of(item.coding) is not None else "",
    }


def _marked(item: Item, active: CodeSystem) -> list[dict[str, Any]]:
    """The text in pieces: which axes' lines share the words, and what lies outside of this diagnosis."""
    text, coding = item.text, item.coding
    start, end = coding["span"] if item.parts > 1 else (0, len(text))
    spans: dict[CodeSystem, list[tuple[int, int]]] = {
        axis: [
            (max(0, int(a)), min(len(text), int(b)))
            for line in coding[axis.value]["evidence"]
            if line["code"] == coding[axis.value]["code"]
            for a, b in line["matched"]
        ]
        for axis in AXES
    }
    facts = [(*map(int, fact["span"]), number) for number, fact in enumerate(facts_of(coding) or ())]
    told = [*(pair for pairs in spans.values() for pair in pairs), *((a, b) for a, b, _ in facts)]
    edges = {0, len(text), start, end, *(edge for pair in told for edge in pair)}
    places = sorted(edge for edge in edges if 0 <= edge <= len(text))
    pieces = []
    for a, b in pairwise(places):
        hit = [axis for axis, pairs in spans.items() if any(x <= a and b <= y for x, y in pairs)]
        fact = next((number for x, y, number in facts if x <= a and b <= y), None)
        pieces.append(
            {
                "text": _shown(text[a:b]),
                "marked": bool(hit) or fact is not None,
                "active": active in hit,
                "fact": fact,
                "outside": not start <= a < max(end, start + 1),
                "begins": a == start and (start, end) != (0, len(text)),
            }
        )
    return pieces


def _places(item: Item) -> list[tuple[str, str]]:
    """What a document's tumour is told by: what each place names, and its words, in the order of the document."""
    return [
        (
            FACT_NAMES[fact["kind"]],
            printable(" ".join(item.text[slice(*fact["span"])].split())[:_LONGEST_PLACE]),
        )
        for fact in facts_of(item.coding) or ()
    ]


def _shown(text: str) -> str:
    """Line breaks stay, since a letter's lines mean something."""
    return "\n".join(printable(line) for line in text.split("\n"))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["states"] = STATES
    made.filters["percent"] = percent
    made.filters["between"] = lambda ends: f"{percent(ends.low).removesuffix(' %')}–{percent(ends.high)}"
    made.filters["decimal"] = lambda value: f"{value:.2f}".replace(".", ",").replace("-", "−")
    made.filters["local"] = lambda at: f"{datetime.fromisoformat(at).astimezone():%d.%m.%Y, %H:%M}"
    made.filters["level"] = lambda share: "high" if share >= 0.8 else "middle" if share >= 0.5 else "low"
    # Everything that is printed passes here: plain strings lose what steers a screen.
    made.finalize = lambda value: _shown(value) if type(value) is str else value
    return made


def render(template: str, **given: Any) -> str:
    """A template of this page, filled."""
    return _templates().get_template(template).render(**given)
