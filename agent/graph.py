"""The way of a text through the agent, as a LangGraph `StateGraph`; the newcomer's entry to `agent/`.

    from agent.graph import graph
    from agent.resources import Resources
    graph.invoke({"texts": ["Mamma-Ca li. oben außen"]}, context=Resources.load())["results"][0]

`prepare -> recognise -> retrieve -> choose -> reconcile -> check -> (choose again, wider) -> explain`. Each node takes
the batch's state (a single text is a batch of one) and returns what it found out. Nothing here logs, keeps or sends a
text. `langgraph.json` exports the graph for Studio; `build` makes one with a review at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Literal, Protocol, cast

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from agent.decide.checks import Codes, cut_off
from agent.decide.checks import check as check_codes
from agent.decide.confidence import confidence_of, signals_of
from agent.decide.explain import coded_text
from agent.decide.facts import fact_scores, facts_of
from agent.decide.metastasis import with_histology_of_primary
from agent.decide.recognise import beside_surer, tumour_log_odds
from agent.decide.reconcile import agree_on_codes
from agent.decide.records import Agreement
from agent.decide.scores import by_retrieval, decide_all, read_once, score_cores
from agent.decide.scores import retrieve as retrieve_cores
from agent.prepare import MAX_CHARACTERS, Case, Prepared, prepared_case, worker
from agent.resources import Resources, embedded_resources
from agent.results import Check
from agent.state import Findings, State, Statement, findings, tumours
from agent.untraced import untraced
from index.records import AXES, CodeSystem

# A letter may list many diagnoses; beyond this many the rest of a text is not coded.
MAX_DIAGNOSES = 12
# The similarity from which a line that is no tumour explains why a text is none.
_EXPLAINS_FROM = 0.6
_PROBABILITY_OF_DENIED = 0.02  # negated, or a relative's: the words of a tumour without the tumour
_KNOWN = 0.99  # the probability of what a record says outright
# The model's probability of "none of the candidates" from which more candidates are tried.
_NONE_FITS_FROM = 0.9

Node = Callable[[State, Resources], State]


def prepare(state: State, resources: Resources) -> State:
    """Clean the texts and list their diagnoses."""
    prepared = state.get("prepared")
    if prepared is None:
        prepared = prepare_batch(state["texts"], state.get("cases", {}))
    statements = [
        Statement(number, segment)
        for number, found in enumerate(prepared)
        for segment in found.diagnoses[:MAX_DIAGNOSES]
        if segment.core.strip()
    ]
    return {"prepared": prepared, "statements": statements}


def prepare_batch(texts: Sequence[str], cases: Mapping[int, Case]) -> list[Prepared]:
    """The texts with their diagnoses; `cases` are those that were given in fields, by number."""
    read = iter(worker.read([text for number, text in enumerate(texts) if number not in cases]))
    return [
        prepared_case(cases[number], worker.read) if number in cases else next(read)
        for number in range(len(texts))
    ]


def recognise(state: State, resources: Resources) -> State:
    """How likely each statement is a tumour of the patient."""
    statements = state["statements"]
    if not statements:
        return {"tumour_probabilities": []}
    raw, cores = zip(*((one.segment.wording, one.segment.core) for one in statements), strict=True)
    # What is not heard about recognition is asked about tumours only.
    heard = bool(resources.weights.recognition.model)
    reading = read_once(resources, cores, [_wording(state, one) for one in statements]) if heard else None
    log_odds = tumour_log_odds(resources, raw, cores, None if reading is None else reading.tumour)
    asked = [number for number, one in enumerate(statements) if not one.segment.denied]
    log_odds[asked] = beside_surer(
        log_odds[asked], [statements[n].text for n in asked], [cores[n] for n in asked]
    )
    probabilities = []
    cases = state.get("cases", {})
    for statement, value in zip(statements, log_odds, strict=True):
        case = cases.get(statement.text)
        if case is not None and case.tumour is not None:
            probabilities.append(_KNOWN if case.tumour else 1 - _KNOWN)
        elif statement.segment.denied:
            probabilities.append(_PROBABILITY_OF_DENIED)
        else:
            probabilities.append(float(1 / (1 + np.exp(-value))))
    said = {} if reading is None else {"reading": reading}
    return cast("State", {"tumour_probabilities": probabilities, **said})


def retrieve(state: State, resources: Resources) -> State:
    """What the catalogue lines say, on each axis."""
    cores = [statement.segment.core for statement in state["statements"]]
    return {"retrievals": retrieve_cores(resources, cores) if cores else {}}


def choose(state: State, resources: Resources) -> State:
    """Fuse retrieval and language model to a distribution per axis. The model is asked about tumours only;
    what is no tumour keeps the retrieval's ranking. The second time, what need not be chosen again stays."""
    statements, attempt = state["statements"], state.get("attempt", 0) + 1
    asked = tumours(state) if attempt == 1 else list(state["again"])
    cores = [statements[number].segment.core for number in asked]
    wordings = [_wording(state, statements[number]) for number in asked]
    retrievals, reading = state["retrievals"], state.get("reading")
    scores = score_cores(
        resources, cores, retrievals, asked, wordings=wordings, wider=attempt > 1, reading=reading
    )
    scored = dict(zip(asked, scores, strict=True))
    # The first time, what the model is not asked about is ranked by the retrieval.
    chosen = asked if attempt > 1 else range(len(statements))
    facts = [facts_of(statements[number].segment) for number in chosen]
    decisions = [dict(one) for one in state["decisions"]] if attempt > 1 else [{} for _ in statements]
    for axis, found in retrievals.items():
        said = [scored[n][axis] if n in scored else by_retrieval(found, n) for n in chosen]
        moved = [fact_scores(some, one.codes, axis) for some, one in zip(facts, said, strict=True)]
        for n, decision in zip(chosen, decide_all(said, resources.weights.axes[axis], moved), strict=True):
            decisions[n][axis] = decision
    return {"decisions": decisions, "attempt": attempt}


def reconcile(state: State, resources: Resources) -> State:
    """Where the first choices of the axes contradict each other, decide them jointly; a metastasis takes the
    histology of its primary."""
    statements, decisions = state["statements"], state["decisions"]
    agreements = {
        number: agree_on_codes(decisions[number], resources.weights, resources.crosswalk)
        for number in tumours(state)
    }
    weights = resources.weights.axes[CodeSystem.MORPHOLOGY]

    def is_sure(number: int) -> bool:
        failed = _failed(_checks(state, resources, number, agreements[number].codes))
        signals = _signals(state, resources, number, agreements[number], CodeSystem.MORPHOLOGY, len(failed))
        return confidence_of(signals, weights.confidence) >= weights.abstain_below

    for _, of_text in groupby(list(agreements), key=lambda number: statements[number].text):
        known = {n: (statements[n].segment, decisions[n], agreements[n]) for n in of_text}
        agreements |= with_histology_of_primary(known, is_sure, resources.catalogue)
    return {"agreements": [agreements.get(number, Agreement()) for number in range(len(statements))]}


def check(state: State, resources: Resources) -> State:
    """Check the codes against each other, and weigh what speaks for them. Codes that fail, or of which the model
    says that none fits, are to be chosen again where it has not seen all of them."""
    checks: list[tuple[Check, ...]] = [()] * len(state["statements"])
    signals: list[dict[CodeSystem, dict[str, float]]] = [{} for _ in checks]
    again = {}
    for number in tumours(state):
        agreement, decisions = state["agreements"][number], state["decisions"][number]
        # What speaks for a metastasis' own codes is weighed before it takes over another's.
        own = _checks(state, resources, number, agreement.own_codes)
        failed = _failed(own)
        signals[number] = {
            axis: _signals(state, resources, number, agreement, axis, len(failed)) for axis in AXES
        }
        checks[number] = (
            own if agreement.primary is None else _checks(state, resources, number, agreement.codes)
        )
        unfit = tuple(
            f"none {axis}"
            for axis, one in decisions.items()
            if one.none > max(_NONE_FITS_FROM, resources.weights.axes[axis].none_above)
        )
        unseen = any(len(one.codes) < len(state["retrievals"][axis].codes) for axis, one in decisions.items())
        if state["attempt"] == 1 and unseen and (failed or unfit):
            again[number] = failed + unfit
    for number, statement in enumerate(state["statements"]):
        primary = state["agreements"][number].primary
        if primary is not None:
            signals[number][CodeSystem.MORPHOLOGY] = signals[primary][CodeSystem.MORPHOLOGY]
        if state["prepared"][statement.text].truncated:
            checks[number] += (cut_off(MAX_CHARACTERS),)
    return {"checks": checks, "signals": signals, "again": again}


def explain(state: State, resources: Resources) -> State:
    """Put the answers together, with the catalogue lines behind them."""
    found = findings(state)
    others = [one for one in found if not one.tumour and not one.segment.denied]
    lines = resources.retriever.non_tumour_lines([one.segment.core for one in others])
    near = {
        one.number: tuple(match.line for match in matches if match.similarity >= _EXPLAINS_FROM)
        for one, matches in zip(others, lines, strict=True)
    }
    of_text: list[list[Findings]] = [[] for _ in state["texts"]]
    for one in found:
        of_text[one.statement.text].append(one)
    results = [
        coded_text(text, prepared, of, state["retrievals"], near, resources)
        for text, prepared, of in zip(state["texts"], state["prepared"], of_text, strict=True)
    ]
    return {"results": results}


def _wording(state: State, statement: Statement) -> str:
    return state["texts"][statement.text][slice(*statement.segment.span)]


def _checks(state: State, resources: Resources, number: int, codes: Codes) -> tuple[Check, ...]:
    text = _wording(state, state["statements"][number])
    return check_codes(codes, text, resources.catalogue, resources.crosswalk)


def _failed(checks: tuple[Check, ...]) -> tuple[str, ...]:
    return tuple(one.number for one in checks if not one.passed)


def _signals(
    state: State, resources: Resources, number: int, agreement: Agreement, axis: CodeSystem, failed: int
) -> dict[str, float]:
    segment, found = state["statements"][number].segment, state["retrievals"][axis]
    decisions = state["decisions"][number]
    return signals_of(axis, segment, decisions, agreement, failed, found, number, resources.retriever)


class Review(Protocol):
    """What a person's review adds to the graph: answers become proposals, one after the other is asked about, and
    `route` says whether that is to go on (`review`) or not (`END`)."""

    def propose(self, state: State) -> State: ...

    def review(self, state: State) -> State: ...

    def route(self, state: State) -> str: ...


def build(review: Review | None = None, resources: Resources | None = None) -> StateGraph[Any, Any, Any, Any]:
    """The graph, to be compiled; with a review at its end where one is given. `resources` None takes those of each
    run's LangGraph context, and the embedded default where a run has none (LangGraph Studio gives none)."""

    def bound(node: Node) -> Callable[..., State]:
        def run(state: State, runtime: Runtime[Resources]) -> State:
            return node(state, resources or runtime.context or embedded_resources())

        return run

    builder = StateGraph(State, context_schema=Resources)
    nodes = (prepare, recognise, retrieve, choose, reconcile, check, explain)
    for node in nodes:
        builder.add_node(node.__name__, bound(node))
    for before, after in pairwise([START, *(node.__name__ for node in nodes[:-1])]):
        builder.add_edge(before, after)
    builder.add_conditional_edges("check", _route)
    if review is None:
        builder.add_edge("explain", END)
        return builder
    builder.add_node("propose", review.propose)
    builder.add_node("review", review.review)
    builder.add_edge("explain", "propose")
    for before in ("propose", "review"):
        builder.add_conditional_edges(before, review.route, ["review", END])
    return builder


def _route(state: State) -> Literal["choose", "explain"]:
    return "choose" if state["again"] else "explain"


# Inside another graph it would else write the texts of every step to that graph's checkpoints.
graph = untraced(build().compile(name="onkokode", checkpointer=False))
