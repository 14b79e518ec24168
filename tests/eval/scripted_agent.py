"""An agent that answers from a script, so that the figures can be tested without weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.results import Alternative, CodedText, Coding
from index.records import AXES, Candidate, CodeSystem


def coding(
    system: CodeSystem, code: str | None = None, confidence: float = 0.9, others: Sequence[str] = ()
) -> Coding:
    """A coding of `code`, or an abstention with the ranked alternatives `others`."""
    ranked = tuple(Alternative(other, "", 0.3 - 0.1 * i) for i, other in enumerate(others))
    return Coding(system, code, "" if code else None, confidence, abstained=code is None, alternatives=ranked)


def answer(text: str, tumour: bool = True, **codings: Coding) -> CodedText:
    """A coded text; axes that are not given abstain without alternatives."""
    axes = {axis.value: codings.get(axis.value, coding(axis, None, 0.0)) for axis in AXES}
    return CodedText(text, tumour, 0.99 if tumour else 0.01, "gesichert", None, **axes, span=(0, len(text)))


class ScriptedRetriever:
    """Returns the scripted codes, best first; texts that are not in the script find nothing."""

    def __init__(self, found: Mapping[str, Sequence[str]]) -> None:
        self.found = found

    def retrieve(self, texts: Sequence[str], system: CodeSystem, k: int = 20) -> list[list[Candidate]]:
        return [
            [Candidate(code, system, -float(i)) for i, code in enumerate(self.found.get(text, ())[:k])]
            for text in texts
        ]


class ScriptedAgent:
    """Answers what the script says; other texts are no tumours."""

    def __init__(
        self, answers: Iterable[CodedText] = (), found: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.answers = {coded.text: coded for coded in answers}
        self.retriever = ScriptedRetriever(found or {})

    @classmethod
    def load(cls, **_: Any) -> ScriptedAgent:
        return cls()

    def code(self, text: str) -> CodedText:
        return self.answers.get(text) or answer(text, tumour=False)

    def code_many(self, texts: Iterable[str]) -> Iterator[CodedText]:
        return map(self.code, texts)

    def info(self) -> dict[str, Any]:
        return {"encoder": {"name": "scripted", "fingerprint": "e1"}, "model": {"fingerprint": "m1"}}
