"""The human view: what it must show, at both widths and in a pipe, and what must never reach a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.apps.render import bar, print_coded
from agent.apps.wording import percent, printable
from agent.results import Alternative, Check, CodedText, Coding, Evidence
from index.records import AXES, CodeSystem

TEXT = "Duktales Mammakarzinom links, sowie Basaliom der Nase"
ICD = Coding(
    CodeSystem.ICD10GM,
    "C50.9",
    "Brustkrebs ohne Angabe des Ortes",
    0.874,
    alternatives=tuple(
        Alternative(code, f"Titel zu {code}", share)
        for code, share in (("C50.4", 0.06), ("C50.8", 0.03), ("D05.1", 0.02), ("C44.5", 0.001))
    ),
    evidence=(
        Evidence("own-1:18", "Karzinom der Mamma", "C50.9", CodeSystem.ICD10GM, "own-1", "f.tsv", ((9, 22),)),
        Evidence("A77", "Karzinom oben außen", "C50.4", CodeSystem.ICD10GM, "own-2", "f.tsv", ((9, 22),)),
    ),
    checks=(Check("P01", True, "Der Kode ist gültig."), Check("P07", False, "Bitte die Seite prüfen.")),
)
TOPOGRAPHY = Coding(CodeSystem.TOPOGRAPHY, "C50.9", "Brust", 0.55)
MORPHOLOGY = Coding(
    CodeSystem.MORPHOLOGY,
    None,
    None,
    0.3,
    abstained=True,
    reason="Mehrere Morphologien kommen in Frage.",
    missing=("Histologie", "Dignität"),
    alternatives=(Alternative("8500/3", "Titel zu 8500/3", 0.3),),
)
CODED = CodedText(TEXT, True, 0.998, "gesichert", "links", ICD, TOPOGRAPHY, MORPHOLOGY, (0, 28))


def abstained(text: str, reason: str) -> CodedText:
    codings = [replace(MORPHOLOGY, system=system, reason=reason, missing=()) for system in AXES]
    return CodedText(text, False, 0.01, "gesichert", None, *codings, span=(0, len(text)))


def shown(coded: CodedText, width: int = 80, *, colours: bool = False, **options: Any) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colours, color_system="standard" if colours else None,
        highlight=False, emoji=False, markup=False,
    )  # fmt: skip
    print_coded(console, coded, **options)
    return out.getvalue()


def line_with(needle: str, view: str) -> str:
    return next(line for line in view.splitlines() if needle in line)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_console(width: int) -> None:
    view = shown(replace(CODED, further=(CODED,)), width, explain=True, steps=[("choose", {"a": "b " * 300})])
    assert max(map(len, view.splitlines())) <= width


def test_the_head_says_what_holds_for_all_axes() -> None:
    view = shown(CODED, number=3)
    assert "Text 3" in line_with("╭", view)
    assert "Tumordiagnose: ja (>99 %)   Sicherheit: gesichert   Seite: links" in view


def test_a_coded_axis() -> None:
    view = shown(CODED)
    answer = line_with("Brustkrebs", view)
    assert answer.strip().startswith("C50.9") and "█" in answer and "87 %" in answer
    assert "own-1:18" in line_with("Katalogzeilen", view)
    assert "C50.4" in line_with("Alternativen", view)
    assert "✗ P07 Bitte die Seite prüfen." in view


def test_the_short_view_leaves_out_what_explain_adds() -> None:
    short, long = shown(CODED), shown(CODED, explain=True, steps=[("retrieve", {"codes": ["C50.9"]})])
    for detail in ("für C50.4", "own-2 A77", "✓ P01", "C44.5", "Schritte", "Kodes: C50.9"):
        assert detail in long and detail not in short


def test_an_abstained_axis_says_why_and_what_is_missing() -> None:
    view = shown(CODED)
    assert "Keine Kodierung: Mehrere Morphologien kommen in Frage." in view
    assert "Histologie; Dignität" in line_with("Was fehlt", view)
    assert "8500/3" in view


def test_one_reason_for_all_axes_stands_there_once() -> None:
    view = shown(abstained("Appendektomie", "Das ist keine Tumordiagnose."))
    assert view.count("Keine Kodierung") == 1
    assert "Tumordiagnose: nein (99 %)" in view
    assert "8500/3" not in view  # codes for a tumour would mislead here
    assert "8500/3" in shown(abstained("Appendektomie", "Das ist keine Tumordiagnose."), explain=True)


def test_further_diagnoses() -> None:
    other = replace(CODED, certainty="Verdacht", span=(36, len(TEXT)))
    view = shown(replace(CODED, further=(other,)))
    assert "Weitere Diagnosen" in view and "„Basaliom der Nase“" in view
    assert "Sicherheit: Verdacht" in view
    assert "Kodiert zuerst: „Duktales Mammakarzinom links“" in view
    assert view.count("✗ P07") == 2


def test_shared_words_are_highlighted_in_text_and_line() -> None:
    plain = shown(CODED)
    assert "Duktales *Mammakarzinom* links" in plain
    assert "*Karzinom* der *Mamma*" in plain
    colours = shown(CODED, colours=True)
    assert "\x1b[1;36mMammakarzinom\x1b[0m" in colours and "*" not in colours


def test_a_pipe_gets_no_escape_sequences() -> None:
    assert "\x1b" not in shown(CODED, explain=True)


def test_control_characters_never_reach_the_terminal() -> None:
    hostile = "Tumor\x1b[2J\x07\x9b31m\u202e\x00\r\n\udcff"
    everywhere = Coding(
        CodeSystem.ICD10GM, "C50.9", hostile, 0.9, reason=hostile, missing=(hostile,),
        alternatives=(Alternative("C50.4", hostile, 0.1),),
        evidence=(Evidence(hostile, hostile, "C50.9", CodeSystem.ICD10GM, hostile, hostile, ((0, 9),)),),
        checks=(Check("P01", False, hostile),),
    )  # fmt: skip
    coded = CodedText(hostile, True, 0.9, hostile, hostile, everywhere, TOPOGRAPHY, MORPHOLOGY, (0, 5))
    view = shown(replace(coded, further=(coded,)), explain=True, steps=[(hostile, {"x": hostile})])
    assert not set("\x1b\x07\x9b\u202e\x00\r\udcff") & set(view)
    assert "␛" in view


def test_markup_in_a_text_is_text() -> None:
    view = shown(abstained("[bold]Tumor[/bold] [/] :warning: [link=file:///etc]x[/link]", "[red]nein"))
    assert "[bold]Tumor[/bold] [/] :warning: [link=file:///etc]x[/link]" in view
    assert "Keine Kodierung: [red]nein" in view


def test_a_long_text_is_cut_and_its_length_named() -> None:
    view = shown(abstained("Tumor " * 200_000, "Der Text ist zu lang."))
    assert "1.200.000 Zeichen" in view and len(view) < 3000


def test_an_empty_text_is_named() -> None:
    assert "(leerer Text)" in shown(abstained(" ", "Der Text ist leer."))


def test_spans_outside_the_text_do_no_harm() -> None:
    line = replace(ICD.evidence[0], matched=((-5, 3), (2, 8), (50, 900), (7, 7), (900, 901)))
    assert "*Duktales* Mamma" in shown(replace(CODED, icd10gm=replace(ICD, evidence=(line,))))


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0 %"), (0.001, "<1 %"), (0.974, "97 %"), (0.9999, ">99 %"), (1, "100 %")]
)
def test_percent_claims_no_certainty_by_rounding(share: float, said: str) -> None:
    assert percent(share) == said


@given(st.floats(0, 1), st.booleans())
def test_bars_are_of_one_width(share: float, ascii_only: bool) -> None:
    drawn = bar(share, ascii_only=ascii_only)
    assert drawn.cell_len == 17
    assert not ascii_only or drawn.plain.isascii()


@given(st.text(alphabet=st.characters(codec=None)))
def test_printable_keeps_offsets(text: str) -> None:
    clean = printable(text)
    assert len(clean) == len(text)
    clean.encode("utf-8")  # no lone surrogate is left
    assert printable(clean) == clean


@given(st.text(alphabet=st.characters(codec=None), max_size=60), st.integers(-3, 70), st.integers(-3, 70))
def test_any_text_can_be_shown(text: str, start: int, end: int) -> None:
    line = replace(ICD.evidence[0], text=text, matched=((start, end),))
    coded = replace(CODED, text=text, icd10gm=replace(ICD, evidence=(line,)), span=(start, end))
    shown(replace(coded, further=(coded,)), 60, explain=True).encode("utf-8")
