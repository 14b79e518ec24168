"""The way of a text through the agent, as a LangGraph `StateGraph`; the newcomer's entry to `agent/`.

    from agent.resources import Resources
    from agent.graph import graph
    graph.invoke({"texts": ["Mamma-Ca li. oben außen"]}, context=Resources.load())["results"][0]

The graph works on a batch; a single text is a batch of one. `langgraph.json` exports it for Studio.
"""

from __future__ import annotations

from typing import Literal

from langgraph.graph import END, START, StateGraph

from agent import nodes
from agent.resources import Resources
from agent.state import State
from agent.untraced import untraced


def _route(state: State) -> Literal["choose", "explain"]:
    """Choose again among more candidates where verification asked for it, once."""
    return "choose" if any(unit.wide for unit in state["units"]) else "explain"


builder = StateGraph(State, context_schema=Resources)
builder.add_node("prepare", nodes.prepare)
builder.add_node("recognise", nodes.recognise)
builder.add_node("retrieve", nodes.retrieve)
builder.add_node("choose", nodes.choose)
builder.add_node("verify", nodes.verify)
builder.add_node("explain", nodes.explain)
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "recognise")
builder.add_edge("recognise", "retrieve")
builder.add_edge("retrieve", "choose")
builder.add_edge("choose", "verify")
builder.add_conditional_edges("verify", _route)
builder.add_edge("explain", END)

# Inside another graph it would else write the texts of every step to that graph's checkpoints.
graph = untraced(builder.compile(name="onkokode", checkpointer=False))
