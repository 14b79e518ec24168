"""One decision over three axes, where the three best codes contradict each other.

    codes, joint = agree_on_codes(decisions, weights, crosswalk)

Among the best few codes of each axis, the triple with the highest product of probabilities that the
registry crosswalk allows. It replaces the axes' own choices only where it costs little; a contradiction
that is dear to resolve stays, and verification reports it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from agent.decision import Decision, Weights
from agent.verify import behaviour_fits, is_haematological, same_code
from index.crosswalk import Crosswalk
from index.records import AXES, CodeSystem

_CODES = 6
# A triple may be this much less likely (in nats) than the axes' own choices.
_COST = 3.0

Chosen = dict[CodeSystem, str | None]


def agree_on_codes(
    decisions: Mapping[CodeSystem, Decision], weights: Weights, crosswalk: Crosswalk
) -> tuple[Chosen, bool]:
    """The codes of the three axes (None where the model says that none fits), and whether they were
    decided jointly against an axis' own choice."""
    chosen: Chosen = {
        axis: None if decisions[axis].none > weights.axes[axis].none_above else decisions[axis].first
        for axis in AXES
    }
    asked = [axis for axis in AXES if chosen[axis] is not None]
    if CodeSystem.ICD10GM not in asked or consistent(chosen, crosswalk):
        return chosen, False
    best = {axis: _best(decisions[axis]) for axis in asked}
    floor = sum(best[axis][0][1] for axis in asked) - _COST
    triples = sorted(
        itertools.product(*(best[axis] for axis in asked)),
        key=lambda triple: -sum(score for _, score in triple),
    )
    for triple in triples:
        if sum(score for _, score in triple) < floor:
            break
        codes: Chosen = {**chosen, **{axis: code for axis, (code, _) in zip(asked, triple, strict=True)}}
        if consistent(codes, crosswalk):
            return codes, True
    return chosen, False


def consistent(codes: Mapping[CodeSystem, str | None], crosswalk: Crosswalk) -> bool:
    """Whether the codes given can stand together."""
    icd10, topography, morphology = (codes.get(axis) for axis in AXES)
    if icd10 is None or morphology is None:
        return True
    if not behaviour_fits(icd10, morphology):
        return False
    if topography is None or is_haematological(morphology) or morphology.endswith("/6"):
        return True
    expected = crosswalk.icd10(topography, morphology)
    return expected is None or same_code(icd10, expected)


def _best(decision: Decision) -> list[tuple[str, float]]:
    return [
        (decision.codes[int(i)], math.log(max(float(decision.probabilities[int(i)]), 1e-9)))
        for i in decision.order[:_CODES]
    ]
