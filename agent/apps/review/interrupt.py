"""The review as a LangGraph interrupt, for Python users: the agent's own graph with two nodes at its end, which stops
at each text that is not sure and goes on with somebody's decision, also in another process and after a restart.

    with checkpoints(Path("review-run.sqlite")) as saver:
        graph = review_graph(agent, threshold=0.8, checkpointer=saver)
        config = {"configurable": {"thread_id": "tumour board 12"}}
        found = graph.invoke({"texts": ["Ca", "AML"]}, config)
        found["__interrupt__"][0].value["text"]                     # 'Ca': decide about this one
        answer = {"action": "change", "icd10gm": "C80.0", "by": "M. Ernst"}
        found = graph.invoke(Command(resume=answer), config)
        found["reviewed"][0]["codes"]["icd10gm"]                    # 'C80.0'

Diagnoses are asked about one at a time, in their order; a text may hold several. An answer that is not valid is asked
for again, with `error` in the question. The checkpoints hold the texts and `reviewed`: their file is readable by its
owner only, and holds msgpack of plain data, never pickle. Needs the package langgraph-checkpoint-sqlite, or any other checkpointer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END
from langgraph.types import Command, StateSnapshot, interrupt

from agent.apps.review.decision import Action, Decision, ReviewError, from_answer, proposal
from agent.graph import build
from agent.state import State
from agent.untraced import Untraced
from index.io.failures import require
from index.records import AXES, CodeSystem

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    from agent.agent import CodingAgent
    from agent.results import CodedText

# What stands for an answer that LangGraph cannot pass on.
_NO_ANSWER = ["no answer"]


def review_graph(
    agent: CodingAgent, *, checkpointer: BaseCheckpointSaver | Literal[True] | None, threshold: float = 0.8
) -> Any:
    """The agent's graph, compiled so that it interrupts for texts that are not sure. Texts are coded as one batch.

    Its state's `reviewed` is plain data, one object per diagnosis: `row` (its text's place in `texts`), `text`,
    `coding` (as `CodedText.to_dict()`; its `span` tells the diagnoses of a text apart), `codes` by axis, and
    `decision`, None where the agent was sure.

    Args:
        agent: codes the texts. Resuming needs one too, but codes nothing again.
        checkpointer: keeps the run between interrupt and answer; `checkpoints` opens one on disk.
        threshold: a text is asked about where an axis has no code or a confidence below this. What is no tumour
            diagnosis is asked about where that is less likely than this.
    """
    review = _Interrupts(agent.resources.catalogue.is_codable, agent.in_edition, threshold)
    graph = build(review, agent.resources).compile(checkpointer=checkpointer, name="onkokode-review")
    graph.__class__ = _Asking
    return graph


@dataclass(frozen=True, slots=True)
class _Interrupts:
    """The nodes of a review, which ask about one diagnosis after the other; `known` says which codes may be given."""

    known: Callable[[CodeSystem, str], bool]
    in_edition: Callable[[CodedText], CodedText]
    threshold: float

    def propose(self, state: State) -> State:
        """The answers as plain data; those that are sure keep their codes."""
        reviewed: list[dict[str, Any]] = []
        for row, coded in enumerate(map(self.in_edition, state["results"])):
            for one in (coded, *coded.further):
                coding = {**one.to_dict(), "further": []}
                sure = not unsure(coding, self.threshold)
                codes = {axis.value: code for axis, code in proposal(coding).items()} if sure else None
                reviewed.append(
                    {"row": row, "text": coded.text, "coding": coding, "codes": codes, "decision": None}
                )
        return {"reviewed": reviewed}

    def review(self, state: State) -> State:
        """Ask about the next diagnosis until the answer is a decision."""
        number, reviewed = _next(state), state["reviewed"]
        coding = reviewed[number]["coding"]
        question = {
            "row": reviewed[number]["row"],
            "text": reviewed[number]["text"],
            "unsure": unsure(coding, self.threshold),
            "coding": coding,
        }
        decision: Decision | None = None
        while decision is None:
            answer = interrupt(question)
            try:
                if answer == _NO_ANSWER:
                    raise ReviewError("no answer was given; a decision is an object with action and by")
                decision = from_answer(coding, answer, self.known)
                if decision.action is Action.REOPEN:
                    raise ReviewError("here is nothing to reopen; action is accept, change or reject")
            except ReviewError as error:
                decision, question = None, {**question, "error": str(error)}
        decided = {
            **reviewed[number],
            "codes": {axis.value: decision.codes[axis] for axis in AXES},
            "decision": {"action": decision.action.value, "by": decision.by, "comment": decision.comment},
        }
        return {"reviewed": [*reviewed[:number], decided, *reviewed[number + 1 :]]}

    def route(self, state: State) -> str:
        return "review" if _next(state) < len(state["reviewed"]) else END


def unsure(coding: Mapping[str, Any], threshold: float) -> list[str]:
    """Which axes are below the threshold; `tumour` where it is not sure that the text is none."""
    if not coding["tumour"]:
        return ["tumour"] if 1 - coding["tumour_probability"] < threshold else []
    return [
        axis.value for axis in AXES if coding[axis]["code"] is None or coding[axis]["confidence"] < threshold
    ]


@contextmanager
def checkpoints(path: Path) -> Iterator[SqliteSaver]:
    """A checkpointer in a SQLite file. What is read back is plain data and LangGraph's own types only.

    Raises:
        MissingPackage: langgraph-checkpoint-sqlite is not installed.
        ReviewError: the file cannot be opened. So does a run of a graph with this checkpointer, where the
            file is damaged or cannot be written; it names the file.
    """
    require("langgraph.checkpoint.sqlite", "a file of checkpoints")
    from agent.apps.review.checkpoint_file import CheckpointFile

    with closing(CheckpointFile(path)) as saver:
        yield saver


class _Asking(Untraced):
    """The review graph, which reads what it is given before LangGraph does: LangGraph fails at some answers, such as
    None, and its errors quote the input."""

    def stream(self, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:
        given = _readable(input)
        if _goes_on(given):
            given = _from_where(given, self.get_state(config))
        yield from super().stream(given, config, **options)

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        given = _readable(input)
        if _goes_on(given):
            given = _from_where(given, await self.aget_state(config))
        async for step in super().astream(given, config, **options):
            yield step


def _goes_on(given: Any) -> bool:
    """Whether an input goes on with a run: an answer, or None after an error."""
    return given is None or (isinstance(given, Command) and given.resume is not None)


def _from_where(given: Any, state: StateSnapshot) -> Any:
    """The input that goes on from a checkpoint. Between texts and proposals it holds nothing: where a run ended
    there, its texts are coded from the beginning."""
    if "texts" not in state.values:
        raise ReviewError(
            "no review has begun under this thread_id: give the texts first, or the right thread_id"
        )
    return given if {task.name for task in state.tasks} <= {"review"} else {"texts": state.values["texts"]}


def _readable(given: Any) -> Any:
    """The input of a run. An answer that cannot be passed on becomes one that is asked for again.

    Raises:
        ReviewError: it is neither texts nor an answer.
    """
    if isinstance(given, Command):
        # A command may also go elsewhere or change the state; that is no answer.
        if given.resume is None and (given.update or given.goto):
            return given
        return given if _passes(given.resume) else replace(given, resume=_NO_ANSWER)
    # None goes on after an error, without an input.
    if given is not None and not (
        isinstance(given, Mapping)
        and isinstance(texts := given.get("texts"), list | tuple)
        and all(isinstance(text, str) for text in texts)
    ):
        raise ReviewError(
            'the review graph takes {"texts": [...]}, a list of strings, or a Command(resume=...)'
        )
    return given


def _passes(answer: Any) -> bool:
    """Whether LangGraph can keep an answer and give it back; it is JSON, and an empty object names nothing."""
    if isinstance(answer, Mapping) and not (answer and all(isinstance(name, str) for name in answer)):
        return False
    try:
        JsonPlusSerializer(pickle_fallback=False).dumps_typed(answer)
    except (TypeError, ValueError, RecursionError):
        return False
    return answer is not None


def _next(state: State) -> int:
    """The first diagnosis that has no codes yet."""
    if "reviewed" not in state:
        raise ReviewError(
            "the checkpoint of this thread_id holds no codings: its file was changed; begin anew"
        )
    reviewed = state["reviewed"]
    return next((number for number, one in enumerate(reviewed) if one["codes"] is None), len(reviewed))
