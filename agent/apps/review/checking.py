"""The numbered checks of what a person has chosen, and which of them contradict each other.

checker = Checker(agent.resources.catalogue, agent.resources.crosswalk)
checker.contradictions(item, codes)         # ('K07: 8500/3 und C92.00 sind nicht beide …',)
"""

from __future__ import annotations

from agent.apps.review.decision import Codes, proposal
from agent.apps.review.documents import spoken_of
from agent.apps.review.items import Item
from agent.decide.checks import check, checks_of
from agent.results import Check
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import AXES, CodeSystem


class Checker:
    """Checks codes as the agent does."""

    def __init__(self, catalogue: Catalogue, crosswalk: Crosswalk) -> None:
        self._catalogue, self._crosswalk = catalogue, crosswalk

    def by_axis(self, item: Item, codes: Codes) -> dict[CodeSystem, list[Check]]:
        """The checks to show with each axis: the agent's own of its proposal, and for other codes new ones."""
        if dict(codes) == proposal(item.coding):
            # Of the whole answer the agent knows more than its codes say, such as that a text was cut off.
            return {
                axis: [
                    Check(one["number"], one["passed"], one["message"])
                    for one in item.coding[axis.value]["checks"]
                ]
                for axis in AXES
            }
        checks = self._again(item, codes)
        return {axis: list(checks_of(axis, checks)) for axis in AXES}

    def contradictions(self, item: Item, codes: Codes) -> tuple[str, ...]:
        """What speaks against these codes, in the words of the page."""
        return tuple(f"{one.number}: {one.message}" for one in self._again(item, codes) if not one.passed)

    def _again(self, item: Item, codes: Codes) -> tuple[Check, ...]:
        return check(codes, spoken_of(item.text, item.coding), self._catalogue, self._crosswalk)
