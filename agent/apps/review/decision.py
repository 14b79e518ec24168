"""What a documentation officer may decide about a coding, and what makes a decision valid.

    decision = decide(coding, Action.CHANGE, {CodeSystem.ICD10GM: "C50.9"}, by="M. Ernst")
    decision.codes[CodeSystem.MORPHOLOGY]        # an axis that was not named keeps the proposal

`coding` is the JSON object of `CodedText.to_dict()`. The store, the page and the LangGraph interrupt all make
their decisions here, so they agree on what is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

from agent.prepare.records import Certainty, Side
from index.errors import OnkokodeError
from index.icd import is_secondary
from index.records import AXES, CodeSystem
from index.text import writable

Codes = Mapping[CodeSystem, str | None]

LONGEST_NAME = 80
LONGEST_COMMENT = 2000
SIDES: tuple[str, ...] = get_args(Side)
CERTAINTIES: tuple[str, ...] = get_args(Certainty)
# What failed a check is looked at before what is merely not sure.
_FAILED_CHECK = 0.5
_NONE: Codes = dict.fromkeys(AXES)


class ReviewError(OnkokodeError):
    """A decision, a work list or a file for it cannot be used; the message never repeats a diagnosis text."""


class Action(StrEnum):
    """What was decided. `reopen` takes a decision back: the item is open again. `later` puts an open item aside, and
    `remove` says that it should not be on the list; both are taken back in the same way."""

    ACCEPT = "accept"
    CHANGE = "change"
    REJECT = "reject"
    REOPEN = "reopen"
    LATER = "later"
    REMOVE = "remove"


ACTION_NAMES = {
    Action.ACCEPT: "angenommen",
    Action.CHANGE: "geändert",
    Action.REJECT: "abgelehnt",
    Action.REOPEN: "wieder geöffnet",
    Action.LATER: "zurückgestellt",
    Action.REMOVE: "entfernt",
}
GIVING = (Action.ACCEPT, Action.CHANGE)  # what gives codes
DECIDING = (*GIVING, Action.REJECT)


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `codes` names the code of every axis, None where the text determines none; only what was accepted or
    changed has any. `metastases` are the codes of a tumour's metastases; None for an entry, and where an older list did
    not hold them (`decided_metastases`). `side` and `certainty` are empty where none is named, and None where an older
    list did not hold them. `threshold` is the confidence from which on it was accepted together with others. `at` is UTC
    in ISO 8601 and `revision` its number for that item; the store sets both."""

    action: Action
    codes: Codes
    by: str
    comment: str = ""
    at: str = ""
    revision: int = 0
    metastases: tuple[str, ...] | None = None
    side: str | None = None
    certainty: str | None = None
    threshold: float | None = None

    @property
    def name(self) -> str:
        """What was decided, in the words of the page."""
        how = "" if self.threshold is None else f" ab {self.threshold:.0%}".replace("%", " %")
        return ACTION_NAMES[self.action] + how


def proposal(coding: Mapping[str, Any]) -> dict[CodeSystem, str | None]:
    """The codes that the agent proposes."""
    return {axis: coding[axis.value]["code"] for axis in AXES}


def proposed_metastases(coding: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The codes of the metastases that the agent proposes for a document's tumour; None for an entry."""
    told = coding.get("metastases")
    return None if told is None else tuple(one["icd10gm"] for one in told if one["icd10gm"])


def decided_metastases(coding: Mapping[str, Any], decision: Decision) -> tuple[str, ...]:
    """The codes of a tumour's metastases as decided. Before there was a choice, who accepted codes accepted these too."""
    if decision.metastases is None and decision.action in GIVING:
        return proposed_metastases(coding) or ()
    return decision.metastases or ()


def decided_side(coding: Mapping[str, Any], decision: Decision) -> str | None:
    """The side as decided; where an older list did not hold it, the proposed one."""
    return coding["side"] if decision.side is None else decision.side or None


def decided_certainty(coding: Mapping[str, Any], decision: Decision) -> str | None:
    """The certainty as decided; where an older list did not hold it, the proposed one."""
    return coding["certainty"] if decision.certainty is None else decision.certainty or None


def is_metastasis(code: str, known: Callable[[CodeSystem, str], bool] | None) -> bool:
    """Whether a code may be given to a metastasis."""
    return is_secondary(code) and (known is None or known(CodeSystem.ICD10GM, code))


def decide(
    coding: Mapping[str, Any],
    action: Action,
    codes: Mapping[CodeSystem, str | None] | None = None,
    *,
    by: str,
    comment: str = "",
    known: Callable[[CodeSystem, str], bool] | None = None,
    metastases: Iterable[str] | None = None,
    side: str | None = None,
    certainty: str | None = None,
    threshold: float | None = None,
) -> Decision:
    """A valid decision about a coding.

    Args:
        codes: for `change`, the codes that differ; an axis that is not named keeps the proposal.
        metastases: for `change`, all codes of a document's metastases; None keeps the proposal.
        side, certainty: for `change`, as decided; empty where none is named, None keeps the proposal.
        threshold: for `accept`, the confidence from which on all were accepted.
        by: who decides.
        known: says whether a code may be given, such as `catalogue.is_codable`; None takes every code.

    Raises:
        ReviewError: nobody decided, nothing was changed, a rejection has no reason, or a code, side or certainty is
            not known.
    """
    by, comment = writable(by)[:LONGEST_NAME].strip(), writable(comment)[:LONGEST_COMMENT].strip()
    if not by:
        raise ReviewError("a decision needs a name: who decided?")
    offered = proposal(coding)
    if action is Action.REJECT and not comment:
        raise ReviewError("a rejection needs a reason, in its comment")
    if action not in GIVING:
        return Decision(action, _NONE, by, comment)
    spread = proposed_metastases(coding)
    said = spread if metastases is None else tuple(sorted(set(metastases)))
    chosen = {**offered, **(codes or {})}
    own = (coding["side"] or "", coding["certainty"] or "")
    facts = (own[0] if side is None else side, own[1] if certainty is None else certainty)
    same = chosen == offered and sorted(said or ()) == sorted(spread or ()) and facts == own
    if action is Action.ACCEPT:
        if not same:
            raise ReviewError("other codes than the proposal's are a change, not an acceptance")
        return Decision(
            action,
            offered,
            by,
            comment,
            metastases=spread,
            side=own[0],
            certainty=own[1],
            threshold=threshold,
        )
    if same:
        raise ReviewError("a change must name a code, side or certainty that differs from the proposal")
    for given, proposed, listed in zip(facts, own, (SIDES, CERTAINTIES), strict=True):
        if given and given != proposed and given not in listed:
            raise ReviewError(f"{given[:20]!r} is none of {', '.join(listed)}")
    for axis, code in chosen.items():
        if code is not None and code != offered[axis] and known is not None and not known(axis, code):
            raise ReviewError(f"{axis.value} {code[:20]!r} is no code of the catalogue that can be given")
    for code in set(said or ()) - set(spread or ()):
        if spread is None or not is_metastasis(code, known):
            raise ReviewError(f"{code[:20]!r} is no code of a metastasis that can be given here")
    return Decision(action, chosen, by, comment, metastases=said, side=facts[0], certainty=facts[1])


def from_answer(
    coding: Mapping[str, Any], answer: object, known: Callable[[CodeSystem, str], bool] | None = None
) -> Decision:
    """The decision that a plain JSON object describes: `{"action": "change", "icd10gm": "C50.9", "by": "ME"}`.

    Raises:
        ReviewError: as `decide`, and where the object has another form.
    """
    if not isinstance(answer, Mapping):
        raise ReviewError(f"a decision is an object with action and by, not {type(answer).__name__}")
    unknown = set(map(str, answer)) - {"action", "by", "comment", *(axis.value for axis in AXES)}
    if unknown:
        raise ReviewError(f"a decision has no field {sorted(unknown)[0]!r}")
    try:
        action = Action(answer.get("action", ""))
        if action in (Action.LATER, Action.REMOVE):
            raise ValueError  # they are of a work list
    except ValueError:
        raise ReviewError(f"action is one of {', '.join((*DECIDING, Action.REOPEN))}") from None
    codes = {axis: answer[axis.value] for axis in AXES if axis.value in answer}
    if any(code is not None and not isinstance(code, str) for code in codes.values()):
        raise ReviewError("a code is a string, or null where the text determines none")
    by, comment = str(answer.get("by") or ""), str(answer.get("comment") or "")
    return decide(coding, action, codes, by=by, comment=comment, known=known)


def uncertainty(coding: Mapping[str, Any]) -> float:
    """How much an item needs a person, 0 to 1: the least sure axis counts, one without a code counts in full,
    and a failed check for at least a half. For what is no tumour diagnosis: how likely it is one after all."""
    if not coding["tumour"]:
        return round(float(coding["tumour_probability"]), 4)
    axes = [coding[axis.value] for axis in AXES]
    doubt = max(1.0 - float(axis["confidence"]) if axis["code"] is not None else 1.0 for axis in axes)
    if any(not check["passed"] for axis in axes for check in axis["checks"]):
        doubt = max(doubt, _FAILED_CHECK)
    return round(min(max(doubt, 0.0), 1.0), 4)
