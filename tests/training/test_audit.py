"""The audit finds what was put wrong, and its list is what the pair generator reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.records import CatalogueLine, CodeSystem, CrosswalkRule
from training.audit import Audit, Finding, _ambiguous, _behaviours, _ceiling, _contradictions, write_report

ICD, TOPOGRAPHY, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY


def _line(number: int, text: str, code: str, system: CodeSystem = ICD) -> CatalogueLine:
    return CatalogueLine(f"x:{number}", code, text, "synonym", system, "x", "x.txt")


def test_the_same_text_under_two_codes_is_found_and_lowers_the_ceiling() -> None:
    lines = [
        _line(1, "Gliom", "C71.9"),
        _line(2, "gliom", "D43.2"),
        _line(3, "Gliom", "C71.9"),
        _line(4, "A", "C50.9"),
    ]
    [finding] = _ambiguous(lines, exactly=True)
    assert finding.codes == ("C71.9", "D43.2")
    ceiling = _ceiling(lines)
    assert ceiling["D37-D48 uncertain behaviour"] == (1, 0)
    assert ceiling["C69-C75 eye, brain, endocrine glands"] == (2, 2)


def test_near_duplicates_are_found_across_inflection() -> None:
    lines = [_line(1, "Karzinom der Wange", "C06.0"), _line(2, "Wangenkarzinom, Karzinome", "C44.3")]
    assert not _ambiguous(lines, exactly=False)
    lines.append(_line(3, "Wange-Karzinome", "C44.3"))
    assert len(_ambiguous(lines, exactly=False)) == 1


def test_contradictions_of_behaviour_and_of_organ() -> None:
    rules = [CrosswalkRule("C34\\..", ((8000, 8999),), "3", "C34.9", True)]
    lines = [
        _line(1, "Nävus", "D22.9"), _line(2, "Nävus", "8720/3", MORPHOLOGY),
        _line(3, "Tumor", "C50.9"), _line(4, "Tumor", "C34.1", TOPOGRAPHY),
        _line(5, "Lungenkrebs", "C34.9"), _line(6, "Lungenkrebs", "C34.9", TOPOGRAPHY),
    ]  # fmt: skip
    assert [finding.lines for finding in _contradictions(lines, rules)] == [("x:1", "x:2"), ("x:3", "x:4")]


@pytest.mark.parametrize(("icd10", "digits"), [("C50.9", "39"), ("C78.0", "6"), ("D05.1", "2"), ("D24", "0")])
def test_behaviour_follows_the_code(icd10: str, digits: str) -> None:
    assert _behaviours(icd10) == digits


def test_the_report_escapes_and_lists(tmp_path: Path) -> None:
    found = Audit({"kind": [Finding("<b>x", ("C50.9",), ("x:1",))]}, {"C50 breast": (2, 1)}, ("x:1",), ("x",))
    write_report(found, tmp_path)
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;x" in page and "50.0%" in page and "http" not in page
    assert (tmp_path / "exclude.txt").read_text(encoding="utf-8") == "x:1\n"
    assert (
        json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["ceiling"]["C50 breast"]["lines"]
        == 2
    )
