"""One decision over three axes, where the three best codes contradict each other.

    agree_on_codes(decisions, weights, crosswalk).codes

Among the best few codes of each axis, the triple with the highest product of probabilities that the
registry crosswalk allows. It replaces the axes' own choices only where it costs little; a contradiction
that is dear to resolve stays, and the checks report it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from agent.decide.records import Agreement, Decision, Weights
from index.catalogue.crosswalk import Crosswalk
from index.icd import behaviour_fits, is_haematological, is_haematological_code, same_code
from index.records import AXES, CodeSystem

_CODES_PER_AXIS = 6
# A triple may be this much less likely (in nats) than the axes' own choices.
LARGEST_LOSS = 2.0


def agree_on_codes(
    decisions: Mapping[CodeSystem, Decision],
    weights: Weights,
    crosswalk: Crosswalk,
    largest_loss: float = LARGEST_LOSS,
) -> Agreement:
    """Decide the axes together where their own choices contradict each other."""
    chosen: dict[CodeSystem, str | None] = {
        axis: None if decisions[axis].none > weights.axes[axis].none_above else decisions[axis].first
        for axis in AXES
    }
    asked = [axis for axis in AXES if chosen[axis] is not None]
    if CodeSystem.ICD10GM not in asked or consistent(chosen, crosswalk):
        return Agreement(chosen)
    best = {axis: _best(decisions[axis]) for axis in asked}
    floor = sum(best[axis][0][1] for axis in asked) - largest_loss
    fitting = [
        (sum(score for _, score in triple), [code for code, _ in triple])
        for triple in itertools.product(*(best[axis] for axis in asked))
        if consistent(
            {**chosen, **{axis: code for axis, (code, _) in zip(asked, triple, strict=True)}}, crosswalk
        )
    ]
    if not fitting:
        return Agreement(chosen)
    likeliest, codes = max(fitting, key=lambda found: found[0])
    if likeliest < floor:
        return Agreement(chosen)
    total = sum(math.exp(score) for score, _ in fitting)
    shares = {
        axis: sum(math.exp(score) for score, others in fitting if others[i] == codes[i]) / total
        for i, axis in enumerate(asked)
    }
    return Agreement({**chosen, **dict(zip(asked, codes, strict=True))}, True, shares)


def consistent(codes: Mapping[CodeSystem, str | None], crosswalk: Crosswalk) -> bool:
    """Whether the codes given can stand together."""
    icd10, topography, morphology = (codes.get(axis) for axis in AXES)
    if icd10 is None or morphology is None:
        return True
    if crosswalk.excepts(icd10, topography, morphology):
        return True
    if not behaviour_fits(icd10, morphology) or is_haematological_code(icd10) != is_haematological(
        morphology
    ):
        return False
    if topography is None or is_haematological(morphology) or morphology.endswith("/6"):
        return True
    expected = crosswalk.icd10(topography, morphology)
    return expected is None or same_code(icd10, expected)


def _best(decision: Decision) -> list[tuple[str, float]]:
    return [
        (decision.codes[int(i)], math.log(max(float(decision.probabilities[int(i)]), 1e-9)))
        for i in decision.order[:_CODES_PER_AXIS]
    ]
