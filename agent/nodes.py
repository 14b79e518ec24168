"""The nodes of the graph: each takes the batch's state and gives back what it found out.

`prepare -> recognise -> retrieve -> choose -> verify -> (choose again, wider) -> explain`. Nothing here
logs, keeps or sends a text.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from agent.decide.checks import check, cut_off
from agent.decide.confidence import signals_of
from agent.decide.explain import coded_text, coding_of
from agent.decide.facts import prior_of, told_by
from agent.decide.metastasis import take_histology_of_primary
from agent.decide.recognise import tumour_log_odds
from agent.decide.reconcile import agree_on_codes
from agent.decide.scores import by_retrieval, score_cores, scores_every_code
from agent.prepare import MAX_CHARACTERS, worker
from agent.prepare.context import names_tumour
from agent.resources import Resources, embedded_resources
from agent.state import State, Unit
from index.records import AXES, CodeSystem

# A letter may list many diagnoses; beyond this many the rest of a text is not coded.
MAX_DIAGNOSES = 12
_NEAR = 0.6  # the similarity from which a line that is no tumour explains why a text is none
# Log-odds against a statement that names no tumour: where the text names one elsewhere, and among several that
# name none, each of which may be taken for one.
_BESIDE, _AMONG = 4.0, 2.0
_DENIED = 0.02  # negated, or a relative's: the words of a tumour without the tumour


def prepare(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """Clean the texts and list their diagnoses."""
    prepared = worker.read(state["texts"])
    units = [
        Unit(number, segment)
        for number, found in enumerate(prepared)
        for segment in found.diagnoses[:MAX_DIAGNOSES]
        if segment.core.strip()
    ]
    return {"prepared": prepared, "units": units, "attempt": 0}


def recognise(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """How likely each diagnosis is a tumour of the patient."""
    resources, units = resources_of(runtime), state["units"]
    if not units:
        return {"units": units}
    raw = [state["texts"][unit.text][slice(*unit.segment.span)] for unit in units]
    log_odds = tumour_log_odds(resources, raw, [unit.segment.core for unit in units])
    named = [names_tumour(unit.segment.core) for unit in units]
    naming = {unit.text for unit, names in zip(units, named, strict=True) if names}
    statements = Counter(unit.text for unit in units)
    for unit, value, names in zip(units, log_odds, named, strict=True):
        if not names and statements[unit.text] > 1:
            value -= _BESIDE if unit.text in naming else _AMONG
        unit.tumour_probability = _DENIED if unit.segment.denied else float(1 / (1 + np.exp(-value)))
    return {"units": units}


def retrieve(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """What the catalogue lines say, on each axis."""
    cores = [unit.segment.core for unit in state["units"]]
    return {
        "retrievals": {axis: resources_of(runtime).retriever.distribution(cores, axis) for axis in AXES}
        if cores
        else {}
    }


def choose(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """Fuse retrieval and language model to a distribution per axis. The model is asked about tumours only;
    what is no tumour keeps the retrieval's ranking."""
    resources, units, retrievals = resources_of(runtime), state["units"], state["retrievals"]
    again = state["attempt"] > 0
    asked = [i for i, unit in enumerate(units) if (unit.wide if again else unit.tumour)]
    scores = score_cores(resources, [units[i].segment.core for i in asked], retrievals, asked, wider=again)
    scored = dict(zip(asked, scores, strict=True))
    for i, unit in enumerate(units):
        if again and i not in scored:
            continue
        told = told_by(unit.segment)
        for axis, found in retrievals.items():
            axis_scores = scored[i][axis] if i in scored else by_retrieval(found, i)
            prior = prior_of(told, axis_scores.codes, axis)
            unit.decisions[axis] = axis_scores.decide(resources.weights.axes[axis], prior)
    return {"units": units, "attempt": state["attempt"] + 1}


def verify(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """Check the first choices against each other; where they contradict, decide the axes jointly."""
    resources = resources_of(runtime)
    can_widen = not scores_every_code(resources, state["retrievals"])
    for row, unit in enumerate(state["units"]):
        unit.wide = False
        if not unit.tumour:
            continue
        unit.agreement = agree_on_codes(unit.decisions, resources.weights, resources.crosswalk)
        _check(unit, state, resources)
        failed = [c for c in unit.checks if not c.passed]
        unit.signals = {
            axis: signals_of(unit, axis, row, found, resources.retriever)
            for axis, found in state["retrievals"].items()
        }
        unfit = any(decision.none > 0.9 for decision in unit.decisions.values())
        unit.wide = state["attempt"] == 1 and can_widen and (bool(failed) or unfit)
    morphology = resources.weights.axes[CodeSystem.MORPHOLOGY]
    for _, of_text in groupby(state["units"], key=attrgetter("text")):
        for unit in take_histology_of_primary(list(of_text), resources.catalogue, morphology):
            _check(unit, state, resources)
    return {"units": state["units"]}


def _check(unit: Unit, state: State, resources: Resources) -> None:
    text = state["texts"][unit.text][slice(*unit.segment.span)]
    unit.checks = check(unit.agreement.codes, text, resources.catalogue, resources.crosswalk)


def explain(state: State, runtime: Runtime[Resources]) -> dict[str, Any]:
    """Put the answers together, with the catalogue lines behind them."""
    resources = resources_of(runtime)
    of_text: list[list[Unit]] = [[] for _ in state["texts"]]
    others = [unit for unit in state["units"] if not unit.tumour and not unit.segment.denied]
    beside = resources.retriever.non_tumour_lines([unit.segment.core for unit in others])
    for unit, matches in zip(others, beside, strict=True):
        unit.beside = tuple(match for match in matches if match.similarity >= _NEAR)
    for i, unit in enumerate(state["units"]):
        if state["prepared"][unit.text].truncated:
            unit.checks += (cut_off(MAX_CHARACTERS),)
        for axis in AXES:
            unit.codings[axis] = coding_of(unit, axis, i, state["retrievals"][axis], resources)
        of_text[unit.text].append(unit)
    results = [
        coded_text(text, prepared, units, resources)
        for text, prepared, units in zip(state["texts"], state["prepared"], of_text, strict=True)
    ]
    return {"results": results}


def resources_of(runtime: Runtime[Resources]) -> Resources:
    """The run's resources; the embedded default where none was given (LangGraph Studio gives none)."""
    return runtime.context if runtime.context is not None else embedded_resources()
