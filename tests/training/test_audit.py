"""The audit finds what was put wrong, and its list is what the pair generator reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index.records import CatalogueLine, CodeSystem, CrosswalkRule
from training.studies.audit import (
    Audit,
    Ceiling,
    Finding,
    _ambiguous,
    _behaviours,
    _ceilings,
    _contradictions,
    write_report,
)
from training.studies.unseen import read_unseen

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
    ceiling = _ceilings(lines, lambda share: None)
    assert (ceiling["D37-D48 uncertain behaviour"].lines, ceiling["D37-D48 uncertain behaviour"].upper) == (
        1,
        0,
    )
    assert ceiling["C69-C75 eye, brain, endocrine glands"].upper == 1.0


def test_an_unseen_line_is_read_by_its_neighbours_but_not_by_itself() -> None:
    words = ["Karzinom", "Tumor", "Krebs", "Malignom", "Neubildung", "Geschwulst"]
    organs = {"Magen": "C16.9", "Leber": "C22.9", "Zunge": "C02.9", "Lunge": "C34.9"}
    lines = [
        _line(len(w) * 10 + n, f"{w} {o} {n}", c) for o, c in organs.items() for w in words for n in range(4)
    ]
    lines.append(_line(1, "Einziger Satz", "C61"))
    # The same in another spelling must not help.
    lines.append(_line(2, "Einziger Satz", "C61"))
    read = read_unseen(lines)
    assert read.exact[:-2].mean() > 0.9 and not read.exact[-2:].any()
    rows = np.arange(len(lines))
    assert read.exact.mean() <= read.best_reader(rows) <= 1.0


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
    found = Audit(
        {"kind": [Finding("<b>x", ("C50.9",), ("x:1",))]},
        {"C50 breast": Ceiling(2, 0.25, 0.4, 0.45, 0.5)},
        ("x:1",),
        ("x",),
    )
    write_report(found, tmp_path)
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;x" in page and "50.0%" in page and "http" not in page
    assert (tmp_path / "exclude.txt").read_text(encoding="utf-8") == "x:1\n"
    assert (
        json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["ceiling"]["C50 breast"]["lines"]
        == 2
    )
