"""The answer to a document, as people read it in a terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.apps.wording import FACT_NAMES, percent, printable
from agent.reading.results import CodedDocument, CodedTumour, Fact
from agent.results import AXIS_NAMES, Coding
from index.records import AXES

_QUOTED = 70  # characters of the document around a fact


def print_document(console: Console, name: str, document: CodedDocument) -> None:
    """Print the tumours of a document with the places that tell them."""
    console.print(Text(printable(name), style="bold underline"))
    if document.problem is not None:
        console.print(Padding(Text(printable(document.problem), style="yellow"), (0, 0, 0, 1)))
    if not document.tumours and document.text.strip():
        console.print(Padding(Text("Kein Tumor des Patienten genannt."), (0, 0, 1, 1)))
    for number, tumour in enumerate(document.tumours, start=1):
        console.print(Padding(_tumour(document.text, tumour, number), (0, 0, 1, 1)))


def _tumour(text: str, tumour: CodedTumour, number: int) -> RenderableType:
    head = Text(f"{number}. {tumour.certainty}", style="bold")
    if tumour.side:
        head.append(f", {tumour.side}")
    grid = Table.grid(padding=(0, 2))
    for axis in AXES:
        grid.add_row(Text(AXIS_NAMES[axis]), _answer(tumour.coding(axis)))
    for metastasis in tumour.metastases:
        grid.add_row(Text("Metastase"), _answer(metastasis.icd10gm))
    shown = set()
    for fact in tumour.facts:
        words = _quoted(text, fact)
        if (fact.kind, words) not in shown:
            shown.add((fact.kind, words))
            grid.add_row(Text(f"  {FACT_NAMES[fact.kind]}", style="dim"), Text(words, style="dim"))
    return Group(head, grid)


def _answer(coding: Coding) -> Text:
    if coding.code is None:
        return Text(f"offen: {coding.reason or ''}".strip(": "), style="yellow")
    return Text(printable(f"{coding.code}  {coding.title}  ({percent(coding.confidence)})"))


def _quoted(text: str, fact: Fact) -> str:
    """The words of a fact in what stands around it on its line."""
    room = max(0, _QUOTED - (fact.end - fact.start)) // 2
    start = max(fact.start - room, text.rfind("\n", 0, fact.start) + 1)
    line_end = text.find("\n", fact.end)
    end = min(fact.end + room, len(text) if line_end < 0 else line_end)
    # No quotation begins or ends within a word.
    before, behind = text[start : fact.start], text[fact.end : end]
    if start and not text[start - 1].isspace():
        before = before.partition(" ")[2]
    if end < len(text) and not text[end].isspace():
        behind = behind.rpartition(" ")[0]
    return printable(" ".join(f"{before}[{text[fact.start : fact.end]}]{behind}".split()))
