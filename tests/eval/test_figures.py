"""Answers of a scripted agent to figures: rows, a folder, the scores, and the page; counts worked out by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_agent import ScriptedAgent, ScriptedRetriever, answer, coding
from scripted_runs import row as scripted_row
from scripted_runs import write_run

from eval.bench.figures import FiguresError, Plan, PlannedRun, read_plan, write_figures, write_study
from eval.report.comparison import compare
from eval.report.section import Reading, Section, Share, read_section, to_markdown, write
from eval.run import testsets
from eval.run.answerers import Reply, recalled_at, reply_of
from eval.run.compare import read_runs
from eval.run.environment import environment, shipped_weights
from eval.run.folder import Answer, AnsweredRow
from eval.run.run import answered
from eval.run.testsets import load_testset
from eval.run.traps import missed
from eval.run.variants import VARIANTS, read_variants
from eval.testset import LETTERS, Row
from index.records import CodeSystem

ICD, TOPOGRAPHY, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY, CodeSystem.MORPHOLOGY


def _row(text: str, icd10: str | None, *note: str, file: str = "a.tsv", **codes: str) -> Row:
    topography, morphology = codes.get("topography"), codes.get("morphology")
    return Row(text, icd10, topography, morphology, "", note, file, len(text))


def _scores(out: Path, rows: Sequence[Row], agent: ScriptedAgent) -> dict[str, Any]:
    """The scores of a run in which the scripted agent answers the rows."""
    write_run(out, "set", "agent", [answered(row, reply_of(row, agent.code(row.text))) for row in rows])
    return compare(read_runs([out]))["sets"]["set"]


def _counts(share: dict[str, Any]) -> tuple[int, int]:
    return share["hits"], share["n"]


LINES = [_row("eins", "C50.4", "tumour"), _row("zwei ", "C20", "tumour"), _row("drei  ", "C34.1", "tumour"),
         _row("vier   ", "C61", "tumour")]  # fmt: skip
ANSWERS = [
    answer("eins", icd10gm=coding(ICD, "C50.4", 0.99)),
    answer("zwei ", icd10gm=coding(ICD, None, 0.0, ["C20", "C19"])),
    answer("drei  ", icd10gm=coding(ICD, "C34.9", 0.5)),
]
FOUND = {
    "eins": ["C50.4"],
    "zwei ": ["C19", "C20"],
    "drei  ": ["C34.9", "C34.3", "C34.2", "C34.8", "C34.0", "C34.1"],
}


def test_heldout_figures(tmp_path: Path) -> None:
    found = _scores(tmp_path, LINES, ScriptedAgent(ANSWERS))
    one = found["axes"]["icd10gm"]["variants"]["agent"]
    assert _counts(one["exact"]) == (2, 4)
    assert _counts(one["partial"]) == (3, 4)
    # "vier" gets neither a code nor an alternative.
    assert _counts(one["malformed"]) == (1, 4)
    assert _counts(one["coded_exact"]) == (1, 4)
    assert one["abstaining"]["abstained"] == 2
    assert _counts(found["recognition"]["agent"]["accuracy"]) == (3, 4)
    # 0.99 right, 0.5 wrong: only the first is accepted at 2 % error.
    covered = one["knowing"]["coverage"]["0.02"]["same_rows"]
    assert (covered["accepted"], covered["n"]) == (1, 4)
    [second] = [row for row in read_runs([tmp_path]).runs[0].rows if row.row == "a.tsv:5"]
    assert second.gold == {ICD: "C20"}
    assert second.answers[ICD] == Answer("C20", False, 0.3, ("C20", "C19"), "none_fits")


def test_recall_is_counted_at_each_length(tmp_path: Path) -> None:
    texts, gold = [row.text for row in LINES], [row.icd10 or "" for row in LINES]
    recalled = recalled_at(ScriptedRetriever(FOUND), texts, gold, ICD)
    rows = [
        answered(row, Reply({ICD: Answer(None, committed=False, recalled=lengths)}, None, 1))
        for row, lengths in zip(LINES, recalled, strict=True)
    ]
    write_run(tmp_path, "set", "candidates", rows, variant={"name": "candidates", "answer": "candidates"})
    write_run(
        tmp_path, "set", "agent", [answered(row, reply_of(row, ScriptedAgent().code("-"))) for row in LINES]
    )
    found = compare(read_runs([tmp_path]))["sets"]["set"]
    shares = found["recall"]["candidates"]["icd10gm"]
    assert [_counts(shares[str(k)]) for k in (1, 5, 10, 20, 50)] == [(1, 4), (2, 4), (3, 4), (3, 4), (3, 4)]
    # A list is no answer, and takes no part in the tests.
    assert found["variants"] == ["agent"] and list(found["axes"]["icd10gm"]["variants"]) == ["agent"]


def test_arms_stand_beside_the_agent(tmp_path: Path) -> None:
    for name, codes in (
        ("agent", ["C50.4", "C20", "C34.9", None]),
        ("retrieval", ["C50.4", "C19", "C34.1", "C61"]),
        ("fine-tuned", ["C50.9", "C20", "Unsinn", None]),
    ):
        gold = [row.icd10 for row in LINES]
        rows = [scripted_row(n, gold[n], Answer(code)) for n, code in enumerate(codes)]
        write_run(tmp_path, "set", name, rows)
    variants = compare(read_runs([tmp_path]))["sets"]["set"]["axes"]["icd10gm"]["variants"]
    assert _counts(variants["retrieval"]["exact"]) == (3, 4)
    assert _counts(variants["fine-tuned"]["exact"]) == (1, 4)
    assert _counts(variants["fine-tuned"]["partial"]) == (2, 4)
    assert _counts(variants["fine-tuned"]["malformed"]) == (2, 4)
    test = variants["retrieval"]["against"]["exact"]
    assert (test["only_reference"], test["only_this"], test["p"]) == (1, 2, 1.0)


def test_devsets_figures(tmp_path: Path) -> None:
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
    found = _scores(tmp_path, rows, agent)
    icd, topography, morphology = (
        found["axes"][axis.value]["variants"]["agent"] for axis in (ICD, TOPOGRAPHY, MORPHOLOGY)
    )
    recognised = found["recognition"]["agent"]
    # The row without a tumour note takes no part in recognition; "eeeee" is missed, "ggggggg" is a false alarm.
    assert _counts(recognised["accuracy"]) == (6, 8)
    assert _counts(recognised["sensitivity"]) == (5, 6)
    assert _counts(recognised["specificity"]) == (1, 2)
    assert _counts(recognised["a.tsv"]) == (4, 6)
    assert _counts(recognised["b.tsv"]) == (2, 2)
    assert _counts(icd["exact"]) == (2, 3)
    assert _counts(icd["partial"]) == (3, 5)
    assert _counts(icd["malformed"]) == (1, 5)
    assert _counts(icd["coded_exact"]) == (2, 3)
    own = [
        row for row in read_runs([tmp_path]).runs[0].rows if row.tumour[0] is not False and ICD in row.gold
    ]
    own = [row for row in own if "in_alpha_id_2023" not in row.notes]
    assert (sum(not row.answers[ICD].committed for row in own), len(own)) == (2, 5)
    assert _counts(icd["strata"]["in_alpha_id"]["exact"]) == (1, 1)
    assert _counts(topography["exact"]) == (0, 1)
    assert _counts(topography["partial"]) == (1, 1)
    assert _counts(morphology["exact"]) == (1, 2)
    assert _counts(morphology["partial"]) == (2, 2)
    assert icd["exact"]["clustered"] and not topography["exact"]["clustered"]


def test_a_folder_holds_no_text(tmp_path: Path) -> None:
    _scores(
        tmp_path,
        [_row("geheim", "C61", "tumour")],
        ScriptedAgent([answer("geheim", icd10gm=coding(ICD, "C61"))]),
    )
    [row] = read_runs([tmp_path]).runs[0].rows
    assert (row.row, row.tumour, row.gold[ICD], row.answers[ICD].code) == (
        "a.tsv:6",
        (True, True),
        "C61",
        "C61",
    )
    assert not any("geheim" in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json*"))


def test_a_result_file_says_what_was_measured_with_what(tmp_path: Path) -> None:
    section = Section("demo", "A title", "onkokode eval demo")
    section.shares.append(Share.of("share | with a bar", [True] * 9 + [False], asked=0.95))
    section.shares.append(Share.of("empty", []))
    section.readings.append(Reading("time", 0.4, "s", 3, 0.3, 0.6, asked=0.5))
    section.readings.append(Reading("rate", 100.0, "texts/s", 1, 100.0, 100.0, asked=150.0, at_least=True))
    section.details["editions"] = ["alphabet-2023", "icd10gm-2024"]
    measured_with = environment()
    page = write(section, tmp_path / "results", measured_with).read_text(encoding="utf-8")
    assert "| share \\| with a bar | 90.0 % | 9 / 10 | 59.6 - 98.2 |  | >= 95 %, NOT reached |" in page
    assert "| empty | - | 0 / 0 | - |" in page
    assert "| time | 0.4 s | 0.3 - 0.6 | 3 | <= 0.5 s, reached |" in page
    assert ">= 150 texts/s, NOT reached" in page
    for what in ("hardware.cpu", "hardware.cores", "date", "packages.torch", "weights"):
        assert f"| {what} | " in page
    record = json.loads((tmp_path / "results/demo.json").read_text(encoding="utf-8"))
    assert record["shares"][0]["value"] == 0.9
    assert record["shares"][0]["reached"] is False
    assert record["measured_with"]["weights"] == shipped_weights()
    assert to_markdown(section, measured_with) == page
    again, with_ = read_section(tmp_path / "results/demo.json")
    assert to_markdown(again, with_) == page


def test_recognition_counts_every_set_and_all_together(tmp_path: Path) -> None:
    rows = [_row("a", "C20", "tumour", file="development"), _row("bb", None, "non_tumour", file="development"),
            _row("ccc", "C61", file="development"),
            _row("Gastrektomie bei Magenkarzinom", None, "non_tumour", file="procedures"),
            _row("Konisation", None, "non_tumour", file="procedures"),
            _row("Gicht", None, "non_tumour", file="diagnoses")]  # fmt: skip
    agent = ScriptedAgent([answer("a"), answer("Gastrektomie bei Magenkarzinom", tumour=True)])
    recognised = _scores(tmp_path, rows, agent)["recognition"]["agent"]
    # The row without a note takes no part.
    assert {
        name: _counts(recognised[name]) for name in ("development", "procedures", "diagnoses", "accuracy")
    } == {
        "development": (2, 2),
        "procedures": (1, 2),
        "diagnoses": (1, 1),
        "accuracy": (4, 5),
    }


def test_letters_are_asked_as_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = (
        Row("Gicht", "M10.9", None, None, "one", ("non_tumour",), LETTERS, 2),
        Row("Rektum-Ca", "C20", None, None, "one", ("tumour",), LETTERS, 3),
        Row("Zungen-Ca", "C02.9", None, None, "two", ("tumour",), LETTERS, 4),
        Row("Gicht", "M10.9", None, None, "three", ("non_tumour",), LETTERS, 5),
    )
    (tmp_path / "catalogues").mkdir()
    monkeypatch.setattr(testsets, "read_development_sets", lambda shared: letter)
    rows = load_testset("letters", shared=tmp_path).rows
    assert [(row.text, row.icd10) for row in rows] == [("Gicht\nRektum-Ca", "C20"), ("Zungen-Ca", "C02.9")]
    agent = ScriptedAgent(
        [
            answer("Rektum-Ca", icd10gm=coding(ICD, "C20")),
            answer("Zungen-Ca", icd10gm=coding(ICD, "C10.9")),
            answer("Gicht\nRektum-Ca", icd10gm=coding(ICD, "C21.0")),
        ]
    )
    alone = [row for row in letter if row.tumour]
    for name, asked, right in (("alone", alone, (1, 2)), ("block", rows, (0, 2))):
        found = _scores(tmp_path / name, asked, agent)
        assert _counts(found["axes"]["icd10gm"]["variants"]["agent"]["partial"]) == right


def test_traps_are_counted_by_kind(tmp_path: Path) -> None:
    rows = [
        Row("kein Ca", None, None, None, "", ("negation",), "traps.tsv", 2, {"tumour": "0"}),
        Row("Ca li.", None, None, None, "", ("side",), "traps.tsv", 3, {"icd10": "C50", "side": "links"}),
        Row("Ca re.", None, None, None, "", ("side",), "traps.tsv", 4, {"icd10": "C50"}),
    ]
    agent = ScriptedAgent([answer(text, icd10gm=coding(ICD, "C50.9")) for text in ("Ca li.", "Ca re.")])
    assert missed(rows[1].expected, agent.code("Ca li.")) == ["side"]
    found = _scores(tmp_path, rows, agent)["traps"]["agent"]
    assert {kind: _counts(share) for kind, share in found.items()} == {
        "negation": (1, 1),
        "side": (1, 2),
        "all": (2, 3),
    }


MEASURED = {
    "weights": shipped_weights(),
    "packages": {"onkokode": "0.2.0"},
    "catalogue": {"editions": {"lexicon": {"files": [{"sha256": "00"}]}}},
    "measured_with": {"date": "2026-11-30", "device": "cpu", "hardware": {"cpu": "EPYC", "cores": 2}},
}
PLAN = Plan(
    (PlannedRun("lines", ("agent", "retrieval")),),
    ("speed",),
    {"lines": "Held-out lines"},
    {"lines": {"ICD-10-GM exact": 98}},
    ({"set": "lines", "name": "ICD-10-GM exact", "say": "lines: exact"}, {"set": "speed", "name": "code_many", "say": "speed"}),
)  # fmt: skip


def _measured(out: Path, **changed: Any) -> Path:
    answers = [AnsweredRow(f"a:{n}", {ICD: "C61"}, {ICD: Answer("C61" if n else "C62.9")}) for n in range(10)]
    for variant in ("agent", "retrieval"):
        write_run(out, "lines", variant, answers, **(MEASURED | changed))
    section = Section("speed", "Speed", "onkokode eval speed")
    section.readings.append(Reading("code_many", 272.0, "texts/s", 3, 250.0, 280.0))
    write(section, out, environment())
    return out


def test_the_page_and_the_blocks_of_other_pages_come_from_the_runs(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    readme, ablation = tmp_path / "README.md", tmp_path / "docs/ablation.md"
    readme.write_text("before\n<!-- figures -->\nold 12.3 %\n<!-- /figures -->\nafter\n", encoding="utf-8")
    ablation.write_text("<!-- ablation -->\n<!-- /ablation -->\n", encoding="utf-8")
    written = write_figures(_measured(tmp_path / "runs"), PLAN, tmp_path)
    assert written == [tmp_path / "docs/figures.md", readme, ablation]
    page = written[0].read_text(encoding="utf-8")
    assert "| ICD-10-GM exact | 90.0 % | 10 | 59.6 to 98.2 |  | >= 98 %, NOT reached |" in page
    for said in (shipped_weights(), "2026-11-30", "2 cores of EPYC", "272 texts/s"):
        assert f"{said}" in page
    block = readme.read_text(encoding="utf-8")
    assert block.startswith("before\n<!-- figures -->\n| figure") and block.endswith(
        "<!-- /figures -->\nafter\n"
    )
    assert "| lines: exact | 90.0 % | 10 | 59.6 to 98.2 |" in block and "12.3" not in block
    assert shipped_weights() in block and "(docs/figures.md)" in block
    assert "| agent | **90.0** / **90.0** | 50.0 |" in ablation.read_text(encoding="utf-8")
    # Once more, nothing changes.
    assert write_figures(tmp_path / "runs", PLAN, tmp_path) == [written[0]]
    assert written[0].read_text(encoding="utf-8") == page and readme.read_text(encoding="utf-8") == block


def test_the_study_of_a_pretrained_model_stays_where_its_runs_are_not_at_hand(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/study.md"
    page.write_text("before\n<!-- study -->\n<!-- /study -->\nafter\n", encoding="utf-8")
    measured = _measured(tmp_path / "runs")
    figures, *_ = write_figures(measured, PLAN, tmp_path)
    assert "study" not in figures.read_text(encoding="utf-8")
    answers = [
        AnsweredRow(f"a:{n}", {ICD: "C61"}, {ICD: Answer("C61" if n % 2 else None)}) for n in range(10)
    ]
    # The weights of another model than the package's are what a study is about.
    for variant in ("base", "fused"):
        write_run(tmp_path / "gemma", "others", variant, answers, **(MEASURED | {"weights": "abc"}))
    assert write_figures(measured, PLAN, tmp_path, study=tmp_path / "gemma") == [figures, page]
    written, block = (path.read_text(encoding="utf-8") for path in (figures, page))
    for said in (
        "| base | **50.0** / **50.0** | 50.0 |",
        "| others | ICD-10-GM | fused | 10 | 50.0 % |",
        "| 50.0 % | reference |",
        "2 cores of EPYC",
    ):
        assert said in written and said in block
    assert block.startswith("before\n<!-- study -->\n|") and block.endswith("\n<!-- /study -->\nafter\n")
    # Made again without those runs, both keep what they say.
    assert write_figures(measured, PLAN, tmp_path) == [figures]
    assert [path.read_text(encoding="utf-8") for path in (figures, page)] == [written, block]
    # More of the study, and nothing else: all other figures stay as they stand.
    write_run(tmp_path / "gemma", "notes", "base", answers, **(MEASURED | {"weights": "abc"}))
    assert write_study(tmp_path / "gemma", tmp_path) == [figures, page]
    rest = [
        re.sub(r"(?s)<!-- study -->.*?<!-- /study -->", "", one)
        for one in (written, figures.read_text("utf-8"))
    ]
    assert rest[0] == rest[1] and "| notes | ICD-10-GM | base |" in page.read_text("utf-8")
    assert write_study(tmp_path / "gemma", tmp_path) == []


def test_missing_unfinished_and_stale_runs_make_no_page(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    with pytest.raises(FiguresError, match=r"lines, agent: measured with the weights abc, .*--restart"):
        write_figures(_measured(tmp_path / "stale", weights="abc"), PLAN, tmp_path)
    with pytest.raises(FiguresError, match="lines, agent: unfinished: "):
        write_figures(_measured(tmp_path / "half", finished=False), PLAN, tmp_path)
    more = Plan((*PLAN.runs, PlannedRun("wards", ("agent",))))
    with pytest.raises(FiguresError, match="wards, agent: is not there; `onkokode eval figures` runs it"):
        write_figures(_measured(tmp_path / "whole"), more, tmp_path)
    assert not (tmp_path / "docs/figures.md").exists()


def test_the_list_of_runs_names_what_there_is() -> None:
    plan, variants = read_plan(), {variant.name for variant in read_variants([VARIANTS])}
    assert {run.testset for run in plan.runs} <= set(testsets.names())
    assert all(variants >= set(run.variants) for run in plan.runs)
    assert plan.ablation == ("heldout", "devsets", "composed")
    eight = variants - {"reasoning", "candidates", "three-examples", "fine-tuned-with-candidates"}
    assert len(eight) == 8 and all(set(run.variants) == eight for run in plan.runs if len(run.variants) > 1)
    assert len(plan.six) == 6 and re.fullmatch("[0-9a-f]{16}", shipped_weights())
