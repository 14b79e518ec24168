"""The lines that tell a person what happened, in the words of the page. None of them repeats a text."""

from __future__ import annotations

from dataclasses import dataclass

from agent.apps.review.decision import GIVING, Action, Decision
from agent.apps.review.faults import Fault, StoreError
from agent.apps.review.items import Item
from agent.apps.review.second import Agreement, differing
from agent.apps.wording import AXIS_NAMES

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
_SAID = {
    Action.ACCEPT: "Angenommen",
    Action.CHANGE: "Geändert",
    Action.REJECT: "Abgelehnt",
    Action.LATER: "Zurückgestellt; der Filter „Später“ zeigt, was zurückgestellt ist",
    Action.REMOVE: "Eintrag entfernt; mit u nehmen Sie das zurück",
}
COMPARED_NAMES = {
    **{axis.value: name for axis, name in AXIS_NAMES.items()},
    "side": "Seite",
    "certainty": "Diagnosesicherheit",
    "metastases": "Metastasen",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A line that tells what happened; `alarm` where something was not done."""

    text: str
    alarm: bool = False


def of_fault(error: StoreError) -> str:
    """That something was not stored, or could not be read."""
    return (_NOT_STORED if error.writing else _NOT_READ)[error.fault]


def decided_line(decision: Decision) -> str:
    """What was stored."""
    said = _SAID[decision.action]
    if decision.action not in GIVING:
        return said
    codes = decision.codes.values()
    return f"{said}: " + (" · ".join(code or "kein Kode" for code in codes) if any(codes) else "kein Kode")


def second_line(item: Item, first: Decision, reading: Decision) -> str:
    """What a second reading came to, once it is stored."""
    if item.second != Agreement.DISPUTED:
        return f"Zweitlesung gespeichert: einig mit {first.by}"
    axes = differing(item.coding, first, reading)
    if (first.action is Action.REJECT) != (reading.action is Action.REJECT):
        return f"Zweitlesung gespeichert: uneinig mit {first.by}, ob der Text kodiert wird"
    return f"Zweitlesung gespeichert: uneinig mit {first.by} bei " + ", ".join(
        COMPARED_NAMES[axis] for axis in axes
    )
