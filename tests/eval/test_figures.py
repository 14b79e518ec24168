"""The accuracy figures, on scripted answers with counts worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval.report.report import Reading, Section, Share, environment, to_markdown, write
from scripted_agent import ScriptedAgent, answer, coding

from eval.bench.figures import measure_clinical, measure_devsets, measure_heldout, measure_recognition
from eval.statistics import wilson
from eval.testset import LETTERS, Row
from index.records import CatalogueLine, CodeSystem

ICD, TOPOGRAPHY, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY


def _line(number: int, text: str, code: str) -> CatalogueLine:
    return CatalogueLine(f"alphabet-2023:{number}", code, text, "synonym", ICD, "alphabet-2023", "alphabet")


def _row(text: str, icd10: str | None, *note: str, file: str = "a.tsv", **codes: str) -> Row:
    topography, morphology = codes.get("topography"), codes.get("morphology")
    return Row(text, icd10, topography, morphology, "", note, file, len(text))


def _counts(section: Section) -> dict[str, tuple[int, int]]:
    return {share.name: (share.hits, share.n) for share in section.shares}


LINES = [
    _line(1, "eins", "C50.4"),
    _line(2, "zwei", "C20"),
    _line(3, "drei", "C34.1"),
    _line(4, "vier", "C61"),
]
ANSWERS = [
    answer("eins", icd10gm=coding(ICD, "C50.4", 0.99)),
    answer("zwei", icd10gm=coding(ICD, None, 0.0, ["C20", "C19"])),
    answer("drei", icd10gm=coding(ICD, "C34.9", 0.5)),
]
FOUND = {
    "eins": ["C50.4"],
    "zwei": ["C19", "C20"],
    "drei": ["C34.9", "C34.3", "C34.2", "C34.8", "C34.0", "C34.1"],
}


def test_heldout_figures() -> None:
    section = measure_heldout(ScriptedAgent(ANSWERS, FOUND), LINES)
    counts = _counts(section)
    assert [counts[f"retrieval recall@{k}"] for k in (1, 5, 10, 20, 50)] == [
        (1, 4),
        (2, 4),
        (3, 4),
        (3, 4),
        (3, 4),
    ]
    assert counts["combined, first choice: exact"] == (2, 4)
    assert counts["combined, first choice: partial"] == (3, 4)
    # "vier" gets neither a code nor an alternative.
    assert counts["combined, first choice: malformed"] == (1, 4)
    assert counts["combined, coded: exact"] == (1, 4)
    assert counts["combined: abstained"] == (2, 4)
    assert counts["recognised as a tumour"] == (3, 4)
    # 0.99 right, 0.5 wrong: only the first is accepted at 2 % error.
    assert counts["coverage at 2 % error, by confidence"] == (1, 4)
    assert section.rows[1] == {
        "row": "alphabet-2023:2", "gold": "C20", "first_choice": "C20", "confidence": 0.3, "abstained": True,
    }  # fmt: skip


def test_arms_are_reported_where_the_agent_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = ScriptedAgent(ANSWERS, FOUND)
    assert not any("alone" in name for name in _counts(measure_heldout(agent, LINES)))
    arms = {"retrieval": ["C50.4", "C19", "C34.1", "C61"], "model": ["C50.9", "C20", "Unsinn", None]}
    monkeypatch.setattr(agent, "arms", lambda texts, system: arms, raising=False)
    section = measure_heldout(agent, LINES)
    counts = _counts(section)
    assert counts["retrieval alone: exact"] == (3, 4)
    assert counts["model alone: exact"] == (1, 4)
    assert counts["model alone: partial"] == (2, 4)
    assert counts["model alone: malformed"] == (2, 4)
    assert section.details["mcnemar_combined_against_retrieval"] == {
        "only_first": 1,
        "only_second": 2,
        "p": 1.0,
    }


def test_devsets_figures() -> None:
    rows = [
        _row("a", "C50.4", "tumour", topography="C50.4", morphology="8500/3"),
        _row("bb", "C20", "tumour", "near_duplicate_series_X", file="b.tsv"),
        _row("ccc", "C20", "tumour", "near_duplicate_series_X", file="b.tsv"),
        _row("dddd", "C50.1", "tumour", "subsite_not_derivable_from_text"),
        _row("eeeee", "C43.5", "tumour", "doubtful_gold(C43.4)"),
        _row("ffffff", "C61", "tumour", "in_alpha_id_2023"),
        _row("ggggggg", "I10", "non_tumour"),
        _row("hhhhhhhh", "E11.9", "non_tumour"),
        _row("iiiiiiiii", None, "field=Morphologie", morphology="8720/3"),
    ]
    agent = ScriptedAgent(
        [
            answer(
                "a",
                icd10gm=coding(ICD, "C50.4"),
                icdo_topography=coding(TOPOGRAPHY, "C50.9"),
                icdo_morphology=coding(MORPHOLOGY, "8500/2"),
            ),
            answer("bb", icd10gm=coding(ICD, "C20")),
            answer("ccc", icd10gm=coding(ICD, None, 0.0, ["C19"])),
            answer("dddd", icd10gm=coding(ICD, "C50.9")),
            answer("ffffff", icd10gm=coding(ICD, "C61")),
            answer("ggggggg", tumour=True),
            answer("iiiiiiiii", icdo_morphology=coding(MORPHOLOGY, "8720/3")),
        ]
    )
    section = measure_devsets(agent, rows)
    counts = _counts(section)
    # The row without a tumour note takes no part in recognition; "eeeee" is missed, "ggggggg" is a false alarm.
    assert counts["tumour recognition: accuracy"] == (6, 8)
    assert counts["tumour recognition: sensitivity"] == (5, 6)
    assert counts["tumour recognition: specificity"] == (1, 2)
    assert counts["tumour recognition, a.tsv"] == (4, 6)
    assert counts["tumour recognition, b.tsv"] == (2, 2)
    assert counts["ICD-10, first choice: exact"] == (2, 3)
    assert counts["ICD-10, first choice: partial"] == (3, 5)
    assert counts["ICD-10, first choice: malformed"] == (1, 5)
    assert counts["ICD-10, coded: exact"] == (2, 3)
    assert counts["ICD-10: abstained"] == (2, 5)
    assert counts["ICD-10, texts that are catalogue lines: exact"] == (1, 1)
    assert counts["topography, first choice: exact"] == (0, 1)
    assert counts["topography, first choice: partial"] == (1, 1)
    assert counts["morphology, first choice: exact"] == (1, 2)
    assert counts["morphology, first choice: partial (histology)"] == (2, 2)
    assert not section.rows
    clustered = {share.name for share in section.shares if share.clustered}
    assert "ICD-10, first choice: exact" in clustered
    assert "topography, first choice: exact" not in clustered


def test_clinical_rows_are_recorded_without_their_text() -> None:
    section = measure_clinical(
        ScriptedAgent([answer("geheim", icd10gm=coding(ICD, "C61"))]), [_row("geheim", "C61", "tumour")]
    )
    assert section.rows == [{"row": "a.tsv:6", "tumour": [True, True], "icd10gm": ["C61", "C61"]}]


def test_a_result_file_says_what_was_measured_with_what(tmp_path: Path) -> None:
    section = Section("demo", "A title", "onkokode eval demo")
    section.shares.append(Share.of("share | with a bar", [True] * 9 + [False], asked=0.95))
    section.shares.append(Share.of("empty", []))
    section.shares.append(Share("malformed", 1, 4, wilson(1, 4), asked=0.0, at_most=True))
    section.readings.append(Reading("time", 0.4, "s", 3, 0.3, 0.6, asked=0.5))
    section.readings.append(Reading("rate", 100.0, "texts/s", 1, 100.0, 100.0, asked=150.0, at_least=True))
    section.details["editions"] = ["alphabet-2023", "icd10gm-2024"]
    section.rows.append({"row": "a:1", "gold": "C61"})
    measured_with = environment(ScriptedAgent().info())
    page = write(section, tmp_path / "results", measured_with).read_text(encoding="utf-8")
    assert "| share \\| with a bar | 90.0 % | 9 / 10 | 59.6 - 98.2 |  | >= 95 %, NOT reached |" in page
    assert "| empty | - | 0 / 0 | - |" in page
    assert "<= 0 %, NOT reached" in page
    assert "| time | 0.4 s | 0.3 - 0.6 | 3 | <= 0.5 s, reached |" in page
    assert ">= 150 texts/s, NOT reached" in page
    for what in ("hardware.cpu", "hardware.cores", "date", "packages.torch", "agent.encoder.fingerprint"):
        assert f"| {what} | " in page
    record = json.loads((tmp_path / "results/demo.json").read_text(encoding="utf-8"))
    assert record["shares"][0]["value"] == 0.9
    assert record["shares"][0]["reached"] is False
    assert record["measured_with"]["agent"]["model"] == {"fingerprint": "m1"}
    rows = (tmp_path / "results/demo.rows.jsonl").read_text(encoding="utf-8")
    assert json.loads(rows) == {"row": "a:1", "gold": "C61"}
    assert to_markdown(section, measured_with) == page


def test_recognition_counts_every_set_and_all_together() -> None:
    rows = [_row("a", "C20", "tumour"), _row("bb", None, "non_tumour"), _row("ccc", "C61")]
    agent = ScriptedAgent([answer("a"), answer("Gastrektomie bei Magenkarzinom", tumour=True)])
    others = {"procedures": ["Gastrektomie bei Magenkarzinom", "Konisation"], "diagnoses": ["Gicht"]}
    counts = _counts(measure_recognition(agent, rows, others))
    # The row without a note takes no part.
    assert counts == {
        "development sets": (2, 2),
        "procedures": (1, 2),
        "diagnoses": (1, 1),
        "all together": (4, 5),
    }


def test_letters_are_asked_as_a_line_and_as_a_block() -> None:
    letter = [
        Row("Gicht", "M10.9", None, None, "one", ("non_tumour",), LETTERS, 2),
        Row("Rektum-Ca", "C20", None, None, "one", ("tumour",), LETTERS, 3),
        Row("Zungen-Ca", "C02.9", None, None, "two", ("tumour",), LETTERS, 4),
        Row("Gicht", "M10.9", None, None, "three", ("non_tumour",), LETTERS, 5),
    ]
    agent = ScriptedAgent(
        [
            answer("Rektum-Ca", icd10gm=coding(ICD, "C20")),
            answer("Zungen-Ca", icd10gm=coding(ICD, "C10.9")),
            answer("Gicht\nRektum-Ca", icd10gm=coding(ICD, "C21.0")),
        ]
    )
    counts = _counts(measure_devsets(agent, letter))
    assert counts["letters, tumour's line alone: ICD-10 partial"] == (1, 2)
    assert counts["letters, whole diagnosis block: ICD-10 partial"] == (0, 2)
