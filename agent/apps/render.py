"""The view of a coded text that documentation officers read: a panel with the text, then a block per axis
with code, confidence bar, the catalogue lines behind the code, alternatives, and what needs a look.

    print_coded(console(), agent.code("Mammakarzinom links oben außen"))

All strings pass `printable` first, so neither a text nor a catalogue file can send escape sequences to the
terminal or open rich markup. In a pipe, where nothing can be coloured, matched words stand in *asterisks*.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.apps.wording import AXIS_NAMES as SHORT_NAMES
from agent.apps.wording import percent, printable, thousands
from agent.results import Alternative, CodedText, Coding, Evidence
from index.io.language import say
from index.records import AXES, CodeSystem
from index.text import normalise

AXIS_NAMES = {
    system: name if system is CodeSystem.ICD10GM else f"ICD-O-3 {name}"
    for system, name in SHORT_NAMES.items()
}
_STEP_NAMES = {
    "prepare": "Vorbereiten",
    "recognise": "Erkennen",
    "retrieve": "Suchen",
    "choose": "Wählen",
    "reconcile": "Abgleichen",
    "check": "Prüfen",
    "explain": "Begründen",
}

# What the steps say that they found; their names, too, are those of the API.
_FACT_NAMES = {
    "diagnoses": "Diagnosen",
    "certainty": "Sicherheit",
    "tumour_probability": "Tumor",
    "nearest": "am nächsten",
    "first": "zuerst",
    "attempt": "Versuch",
    "codes": "Kodes",
    "joint": "gemeinsam",
    "failed": "nicht bestanden",
    "again": "noch einmal",
    **{system.value: name for system, name in SHORT_NAMES.items()},
}

_WIDEST = 120  # lines longer than this are hard to read
_LABEL = 14  # width of the labels' column: 'Katalogzeilen' and a space
_CODE = 8  # width of the codes' column
_SHOWN_TEXT = 600  # characters of a text; more is cut off and its length is named
_SHOWN_LINES = 3
_SHOWN_ALTERNATIVES = 3
_SHOWN_FACT = 160  # characters of one fact among the steps
_BAR = 10

_MATCHED = "bold cyan"
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset({"durch", "eine", "einer", "eines", "nach", "nicht", "oder", "ohne", "unter"})
_SHARED_STEM = 5  # letters from which a word may match as a part of a compound


def console() -> Console:
    """A console for standard output: as wide as the terminal up to 120 columns, and unable to fail on a
    character that the output's encoding lacks."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    made = Console(highlight=False, emoji=False, markup=False)
    if made.width > _WIDEST:
        made.width = _WIDEST
    return made


def print_coded(
    console: Console,
    coded: CodedText,
    *,
    number: int | None = None,
    explain: bool = False,
    steps: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> None:
    """Print the view of one text. `explain` adds the runner-up's catalogue lines, all alternatives, all
    checks, and `steps` (node name, what it found)."""
    view = _TextView(console, coded.text, explain)
    console.print(view.head(coded, number))
    for block in view.axes(coded):
        console.print(Padding(block, (0, 0, 1, 1)))
    if coded.further:
        console.print(Text(" Weitere Diagnosen", style="bold underline"))
        for other in coded.further:
            console.print(Padding(view.further(other), (0, 0, 1, 1)))
    if steps:
        console.print(Padding(view.steps(steps), (0, 0, 1, 1)))


def print_facts(console: Console, facts: Mapping[str, Any]) -> None:
    """Print `agent.info()`."""
    table = _grid()
    for name, value in facts.items():
        lines = [f"{key}: {item}" for key, item in value.items()] if isinstance(value, Mapping) else None
        if lines is None:
            lines = [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]
        for at, line in enumerate(lines):
            table.add_row(Text(say(f"fact-{name}") if at == 0 else "", style="bold"), Text(printable(line)))
    console.print(table)


def bar(share: float, *, ascii_only: bool = False) -> Text:
    """A confidence bar of ten cells and the per cent, in a fixed width, set off from what stands before it."""
    share = min(max(share, 0.0), 1.0)
    eighths = round(share * _BAR * 8)
    if ascii_only:
        filled = "#" * (eighths // 8)
        empty = "." * (_BAR - len(filled))
    else:
        filled = "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]
        empty = "·" * (_BAR - len(filled))
    style = "green" if share >= 0.8 else "yellow" if share >= 0.5 else "red"
    return Text.assemble(" ", (filled, style), (empty, "dim"), f" {percent(share):>5}")


class _TextView:
    """The blocks of one text's view, for one console."""

    def __init__(self, console: Console, text: str, explain: bool) -> None:
        self.explain = explain
        self.colours = console.color_system is not None
        self.ascii_only = console.options.ascii_only
        self.text = text
        self.words = _content_words(text[:_SHOWN_TEXT])

    def head(self, coded: CodedText, number: int | None) -> Panel:
        """The text, and what holds for all axes."""
        spans = [
            span
            for one in (coded, *coded.further)
            for system in AXES
            for line in one.coding(system).evidence
            if line.code == one.coding(system).code
            for span in line.matched
        ]
        lines = [self._marked(coded.text, spans), Text(), _in_a_row(self._facts(coded))]
        if coded.further:
            lines.append(_in_a_row([("Kodiert zuerst", _quoted(coded))]))
        return Panel(
            Group(*lines),
            title=None if number is None else f"Text {number}",
            title_align="left",
            border_style="dim",
        )

    def axes(self, coded: CodedText) -> list[RenderableType]:
        """A block per axis; one for all where the text has no code for one and the same reason."""
        codings = [coded.coding(system) for system in AXES]
        if all(
            c.abstained and (c.reason, c.missing) == (codings[0].reason, codings[0].missing) for c in codings
        ):
            return [self._none_coded(codings, likely=coded.tumour or self.explain)]
        return [self._axis(coding) for coding in codings]

    def further(self, coded: CodedText) -> RenderableType:
        """Another diagnosis of the same text: the codes, and of the rest only what needs a look."""
        grid = _grid(20)
        for system in AXES:
            coding = coded.coding(system)
            grid.add_row(Text(AXIS_NAMES[system]), self._answer(coding))
            _put(grid, "  Was fehlt", _listed(coding.missing))
            if checks := self._checks(coding):
                grid.add_row(Text(), checks)
        return Group(Text(_quoted(coded), style="bold"), _in_a_row(self._facts(coded)), grid)

    def steps(self, steps: Sequence[tuple[str, Mapping[str, Any]]]) -> RenderableType:
        """What each node of the graph found."""
        grid = _grid(_LABEL)
        for name, found in steps:
            facts = [f"{_FACT_NAMES.get(key, key)}: {_fact(value)}" for key, value in found.items()]
            label = printable(_STEP_NAMES.get(name, name))
            for at, fact in enumerate(facts or [""]):
                grid.add_row(Text(label if at == 0 else "", style="dim"), Text(fact))
        return Group(Text("Schritte", style="bold underline"), grid)

    def _axis(self, coding: Coding) -> RenderableType:
        lines: dict[str | None, list[Evidence]] = {}
        for line in coding.evidence:
            lines.setdefault(line.code, []).append(line)
        chosen = lines.pop(coding.code, [])
        rows = _grid(_LABEL)
        _put(rows, "Was fehlt", _listed(coding.missing))
        _put(rows, "Katalogzeilen", self._lines(chosen) if chosen else None)
        _put(rows, "Alternativen", self._ranking(coding.alternatives) if coding.alternatives else None)
        # Lines are grouped by code: what speaks for the runner-up must not look like the winner's.
        for code, others in lines.items() if self.explain else ():
            _put(rows, f"für {printable(code or '')}", self._lines(others))
        _put(rows, "Prüfungen", self._checks(coding))
        name = Text(AXIS_NAMES[coding.system], style="bold underline")
        return Group(name, self._answer(coding), Padding(rows, (0, 0, 0, 2)))

    def _none_coded(self, codings: Sequence[Coding], *, likely: bool) -> RenderableType:
        first = codings[0]
        rows = _grid(_LABEL)
        _put(rows, "Was fehlt", _listed(first.missing))
        ranked = {alternative.code for alternative in first.alternatives}
        for line in [line for line in first.evidence if line.code not in ranked][:1]:
            # What the text is instead, where the catalogue has a line for it.
            _put(rows, "Eher", Text(f"{printable(line.text)}  {line.code}".rstrip()))
        for coding in codings:
            if likely and coding.alternatives:
                _put(rows, "Alternativen", Text(AXIS_NAMES[coding.system], style="dim"))
                rows.add_row(Text(), self._ranking(coding.alternatives))
        _put(rows, "Prüfungen", self._checks(*codings))
        return Group(_no_code(first.reason), Padding(rows, (0, 0, 0, 2)))

    def _answer(self, coding: Coding) -> RenderableType:
        """Code, title and bar; or why there is none."""
        if coding.code is None:
            return _no_code(coding.reason)
        row = _grid(_CODE)
        row.add_row(
            Text(printable(coding.code), style="bold"),
            Text(printable(coding.title or ""), style="bold"),
            bar(coding.confidence, ascii_only=self.ascii_only),
        )
        if coding.abstained and coding.reason:
            row.add_row(Text(), Text(printable(coding.reason), style="yellow"))
        return row

    def _lines(self, lines: Sequence[Evidence]) -> RenderableType:
        shown = lines if self.explain else lines[:_SHOWN_LINES]
        return Group(*(self._line(line) for line in shown))

    def _line(self, line: Evidence) -> Text:
        shared = [word.span() for word in _WORD.finditer(line.text) if _occurs(word[0], self.words)]
        whence = line.line_id
        if not whence.startswith(line.edition):
            whence = f"{line.edition} {whence}"
        text = self._marked(line.text, shared)
        text.append(f"  {printable(whence)}", style="dim")
        return text

    def _ranking(self, alternatives: Sequence[Alternative]) -> RenderableType:
        grid = _grid(_CODE)
        for one in alternatives if self.explain else alternatives[:_SHOWN_ALTERNATIVES]:
            grid.add_row(
                Text(printable(one.code)),
                Text(printable(one.title)),
                bar(one.confidence, ascii_only=self.ascii_only),
            )
        return grid

    def _checks(self, *codings: Coding) -> RenderableType | None:
        """Failed checks, and with `explain` all of them; one that several axes share stands there once."""
        wanted = dict.fromkeys(
            check for coding in codings for check in coding.checks if self.explain or not check.passed
        )
        if not wanted:
            return None
        marks = ("nein", "ok") if self.ascii_only else ("✗", "✓")
        grid = _grid()
        for check in wanted:
            mark = Text(marks[check.passed], style="green" if check.passed else "bold red")
            grid.add_row(mark + Text(f" {printable(check.number)}"), Text(printable(check.message)))
        return grid

    def _facts(self, coded: CodedText) -> list[tuple[str, str]]:
        """A text that is not a tumour diagnosis shows how likely that is, so both ways read alike."""
        share = coded.tumour_probability if coded.tumour else 1 - coded.tumour_probability
        tumour = f"{'ja' if coded.tumour else 'nein'} ({percent(share)})"
        return [
            ("Tumordiagnose", "offen" if coded.problem else tumour),
            ("Sicherheit", printable(coded.certainty)),
            ("Seite", printable(coded.side or "nicht genannt")),
        ]

    def _marked(self, text: str, spans: Iterable[tuple[int, int]]) -> Text:
        """`text`, cut to a length that can be read, with the spans highlighted."""
        shown = text[:_SHOWN_TEXT]
        clean = printable(shown)
        merged = _merged(spans, len(shown))
        made = Text()
        at = 0
        for start, end in merged:
            made.append(clean[at:start])
            made.append(clean[start:end] if self.colours else f"*{clean[start:end]}*", style=_MATCHED)
            at = end
        made.append(clean[at:])
        if not text.strip():
            made = Text("(leerer Text)", style="dim italic")
        elif len(text) > _SHOWN_TEXT:
            made.append(f" … ({thousands(len(text))} Zeichen)", style="dim")
        return made


def _grid(first: int | None = None) -> Table:
    """Columns without lines: one of fixed width (or as wide as needed), one that takes the rest, and what a
    row brings beyond them, as wide as needed."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=first, no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    return grid


def _put(rows: Table, label: str, value: RenderableType | None) -> None:
    """A row of a grid, where there is something to say."""
    if value is not None:
        rows.add_row(Text(label, style="dim"), value)


def _listed(items: Sequence[str]) -> Text | None:
    return Text("; ".join(map(printable, items))) if items else None


def _no_code(reason: str | None) -> Text:
    return Text.assemble(
        ("Keine Kodierung: ", "bold yellow"), printable(reason or "der Text bestimmt keinen Kode")
    )


def _in_a_row(facts: Sequence[tuple[str, str]]) -> Text:
    made = Text()
    for at, (name, value) in enumerate(facts):
        made.append("   " if at else "")
        made.append(f"{name}: ", style="dim")
        made.append(value)
    return made


def _quoted(coded: CodedText) -> str:
    """The part of the text that the codings speak of."""
    start, end = coded.span
    return f"„{_shortened(printable((coded.text[start:end] or coded.text).strip()), 50)}“"


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 2]} …"


def _fact(value: Any) -> str:
    """What a step found, on one line: nested values flattened, long ones cut."""
    if isinstance(value, bool):
        said = "ja" if value else "nein"
    elif isinstance(value, float):
        said = f"{value:.3f}"
    elif isinstance(value, Mapping):
        said = ", ".join(f"{_FACT_NAMES.get(key, key)} {_fact(item)}" for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        said = ", ".join(_fact(item) for item in value)
    else:
        said = "–" if value is None else str(value)
    return _shortened(printable(said), _SHOWN_FACT)


def _merged(spans: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Sorted spans within the text, overlapping ones joined."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((max(0, start), min(end, length)) for start, end in spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _content_words(text: str) -> frozenset[str]:
    """The comparable forms of a text's words that carry meaning."""
    return frozenset(normalise(word) for word in _WORD.findall(text) if _carries_meaning(word))


def _carries_meaning(word: str) -> bool:
    """In German, what is short and not capitalised is hardly ever a noun or a site."""
    return (len(word) > 3 or not word.islower()) and word.casefold() not in _STOP_WORDS


def _occurs(word: str, words: frozenset[str]) -> bool:
    """Whether a catalogue line's word occurs in the text: as a word, or as a part of a compound
    (`Mamma` in `Mammakarzinom`, and the other way round)."""
    if not _carries_meaning(word):
        return False
    form = normalise(word)
    return form in words or (
        len(form) >= _SHARED_STEM
        and any(form in other or (len(other) >= _SHARED_STEM and other in form) for other in words)
    )
