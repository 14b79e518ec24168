"""Run folders to numbers: which rows count, tests on the same rows, and runs that are not compared."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from scripted_runs import ICD, TOPOGRAPHY, row, write_run

from eval.report.comparison import compare
from eval.run.compare import cost_table, read_runs, reference_of
from eval.run.folder import FORMAT, Answer, AnsweredRow, RunError
from eval.statistics import holm, mcnemar


def _axis(out: Path, testset: str = "set", axis: str = "icd10gm") -> dict:
    return compare(read_runs([out]))["sets"][testset]["axes"][axis]


def test_rows_count_as_in_the_figures(tmp_path: Path) -> None:
    right = Answer("C50.4", confidence=0.9)
    rows = [
        row(2, "C50.4", right),
        row(3, "C50.4", Answer("C50.9", confidence=0.4)),
        row(4, "C50.4", right, "doubtful_gold(C50.9)"),
        row(5, "C50.4", right, "subsite_not_derivable_from_text"),
        row(6, "C50.4", Answer("C34.1"), "in_alpha_id_2023"),
        row(7, "C50.4", None, "unseen"),
        row(8, "I10.90", right, "non_tumour", tumour=(False, True)),
        row(9, None, None, tumour=(False, False)),
    ]
    write_run(tmp_path, "set", "combined", rows)
    axis = _axis(tmp_path)
    own = axis["variants"]["combined"]
    assert (axis["n"], axis["n_exact"]) == (5, 3)
    assert (own["exact"]["hits"], own["exact"]["n"]) == (1, 3)
    assert (own["partial"]["hits"], own["partial"]["n"]) == (4, 5)
    # The row without an answer counts as malformed.
    assert (own["malformed"]["hits"], own["malformed"]["n"]) == (1, 5)
    assert own["distances"] == [3, 1, 0, 1] and own["distance"] == pytest.approx(4 / 5)
    strata = {name: (s["exact"]["hits"], s["exact"]["n"]) for name, s in own["strata"].items()}
    assert strata == {
        "unseen": (0, 1), "in_alpha_id": (0, 1), "doubtful": (1, 1), "subsite_not_derivable": (1, 1)
    }  # fmt: skip
    assert own["knowing"] is None
    recognised = compare(read_runs([tmp_path]))["sets"]["set"]["recognition"]["combined"]
    assert (recognised["accuracy"]["hits"], recognised["accuracy"]["n"]) == (1, 2)
    assert "sensitivity" not in recognised


def test_abstaining_is_wrong_as_coded_and_right_as_first_choice(tmp_path: Path) -> None:
    left_open = Answer("C50.4", committed=False, confidence=0.3, reason="unsure")
    write_run(
        tmp_path,
        "set",
        "agent",
        [row(2, "C50.4", left_open), row(3, "C50.4", Answer("C50.4", confidence=0.9))],
    )
    own = _axis(tmp_path)["variants"]["agent"]
    assert (own["exact"]["hits"], own["coded_exact"]["hits"]) == (2, 1)
    assert own["abstaining"]["reasons"] == {"unsure": 1} and own["abstaining"]["right_held_back"] == 1


def test_top_k_begins_with_the_first_choice(tmp_path: Path) -> None:
    # The first choice was decided jointly, and is not the first of the ranking.
    answer = Answer("C50.9", top=("C50.4", "C50.9", "C50.8", "C50.1"))
    write_run(tmp_path, "set", "combined", [row(2, "C50.4", answer), row(3, "C50.1", answer)])
    write_run(tmp_path, "set", "base", [row(2, "C50.4", Answer("C50.4")), row(3, "C50.1", Answer("x"))])
    variants = _axis(tmp_path)["variants"]
    hits = {k: share["hits"] for k, share in variants["combined"]["top_k"].items()}
    assert hits == {"1": 0, "3": 1, "5": 2, "10": 2}
    assert variants["base"]["top_k"]["1"]["hits"] == 1 and variants["base"]["top_k"]["3"] is None


def test_variants_are_tested_against_the_reference_with_holm(tmp_path: Path) -> None:
    rng = random.Random(1)
    hits = {name: [rng.random() < share for _ in range(80)] for name, share in (("combined", 0.9), ("base", 0.3), ("retrieval", 0.8))}  # fmt: skip
    for name, right in hits.items():
        rows = [row(i, "C50.4", Answer("C50.4" if hit else "C34.1")) for i, hit in enumerate(right)]
        write_run(tmp_path, "set", name, rows)
    axis = _axis(tmp_path)
    assert (
        list(axis["variants"]) == ["combined", "base", "retrieval"]
        and "against" not in axis["variants"]["combined"]
    )
    tests = [mcnemar(hits[name], hits["combined"]) for name in ("base", "retrieval")]
    for name, test, p in zip(("base", "retrieval"), tests, holm([t.p for t in tests]), strict=True):
        found = axis["variants"][name]["against"]["exact"]
        assert (found["only_this"], found["only_reference"]) == (test.only_first, test.only_second)
        assert (found["p"], found["p_holm"]) == (test.p, p)
        assert found["interval"]["low"] <= found["difference"] <= found["interval"]["high"]
        assert found["discordant"] == pytest.approx((test.only_first + test.only_second) / 80)
    assert {entry["alpha"] for entry in axis["smallest"]} == {0.05, 0.025}


def test_thresholds_are_chosen_in_three_ways(tmp_path: Path) -> None:
    rng = random.Random(2)
    rows = []
    for i in range(600):
        sure = rng.random()
        rows.append(
            row(i, "C50.4", Answer("C50.4" if rng.random() < 0.9 + sure / 10 else "C34.1", confidence=sure))
        )
    write_run(tmp_path, "set", "combined", rows)
    knowing = _axis(tmp_path)["variants"]["combined"]["knowing"]
    found = knowing["coverage"]["0.05"]
    assert set(found) == {"same_rows", "honest", "with_margin"}
    assert found["with_margin"]["coverage"] < found["honest"]["coverage"]
    assert len(knowing["curve"]) <= 201 and knowing["curve"][-1][0] == 1.0
    assert knowing["curve"][-1][1] == knowing["risk_at"]["1.0"]


def test_reference_falls_back() -> None:
    assert reference_of(["retrieval", "agent", "combined"]) == "combined"
    assert reference_of(["retrieval", "agent"]) == "agent"
    assert reference_of(["retrieval", "base"]) == "base"


def test_confusions_are_told_apart_by_their_three_characters(tmp_path: Path) -> None:
    answers = ["C50.9", "C50.9", "C50.8", "C34.1", None, "C50.4"]
    write_run(tmp_path, "set", "combined", [row(i, "C50.4", Answer(code)) for i, code in enumerate(answers)])
    found = _axis(tmp_path)["variants"]["combined"]["confused"]
    assert found["neighbours"] == {"n": 3, "pairs": [["C50.4", "C50.9", 2], ["C50.4", "C50.8", 1]]}
    assert found["others"] == {"n": 1, "pairs": [["C50.4", "C34.1", 1]]}


def test_groups_are_those_of_the_given_code(tmp_path: Path) -> None:
    rows = [
        row(2, "C18.7", Answer("C34.1")),
        row(3, "C34.1", Answer("C34.1")),
        row(4, "Q85.0", Answer("Q85.0")),
    ]
    write_run(tmp_path, "set", "combined", rows)
    groups = _axis(tmp_path)["variants"]["combined"]["groups"]
    assert {name[:7]: found["exact"]["hits"] for name, found in groups.items()} == {
        "C15-C26": 0,
        "C30-C39": 1,
        "other": 1,
    }


def test_an_axis_that_a_variant_was_not_asked_is_not_its_malformed_answer(tmp_path: Path) -> None:
    gold = {ICD: "C50.4", TOPOGRAPHY: "C50.4"}
    both = {ICD: Answer("C50.4"), TOPOGRAPHY: Answer("C50.4")}
    write_run(tmp_path, "set", "combined", [AnsweredRow("set:1", gold, both)])
    write_run(tmp_path, "set", "icd-only", [AnsweredRow("set:1", gold, {ICD: Answer("C50.4")})])
    assert list(_axis(tmp_path, axis="icd10gm")["variants"]) == ["combined", "icd-only"]
    assert list(_axis(tmp_path, axis="icdo_topography")["variants"]) == ["combined"]


def test_near_duplicates_widen_the_interval(tmp_path: Path) -> None:
    rows = [row(i, "C50.4", Answer("C50.4" if i < 30 else "C50.9"), cluster=f"s{i // 10}") for i in range(60)]
    write_run(tmp_path, "set", "combined", rows)
    exact = _axis(tmp_path)["variants"]["combined"]["exact"]
    assert exact["clustered"]["low"] < exact["interval"]["low"]


def test_runs_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    rows = [row(2, "C50.4", Answer("C50.4")), row(3, "C50.4", Answer("C50.4"))]
    write_run(tmp_path, "set", "combined", rows)
    write_run(tmp_path, "set", "cut", rows[:1], testset={"name": "set", "n": 2}, finished=False)
    write_run(tmp_path, "set", "lost", rows[:1], testset={"name": "set", "n": 2})
    write_run(tmp_path, "set", "twice", [rows[0], rows[0]])
    write_run(tmp_path, "set", "skipped", [], skipped="the model has no reasoning mode")
    write_run(tmp_path, "set", "old", rows, format=0)
    write_run(tmp_path, "set", "elsewhere", [rows[0], row(4, "C50.4", Answer("C50.4"))])
    write_run(tmp_path, "set", "garbled", rows).joinpath("rows.jsonl").write_text("{}\n")
    write_run(tmp_path, "set", "cost", rows).joinpath("cost.jsonl").write_text("no json\n")
    write_run(tmp_path, "set", "bare", rows).joinpath("run.json").write_text(f'{{"format": {FORMAT}}}')
    (tmp_path / "set" / "empty").mkdir()
    runs = read_runs([tmp_path])
    assert [run.variant for run in runs.runs] == ["combined"]
    reasons = {run.variant: run.reason for run in runs.left_out}
    assert reasons["cut"].startswith("unfinished: 1 of 2 rows")
    assert reasons["lost"].startswith("broken: 1 rows for a set of 2")
    assert reasons["twice"].startswith("broken: 2 rows")
    assert reasons["skipped"] == "skipped: the model has no reasoning mode"
    assert (
        "format 0" in reasons["old"] and "line 1" in reasons["garbled"] and "holds no run" in reasons["empty"]
    )
    assert "not those of combined" in reasons["elsewhere"]
    assert reasons["cost"].startswith("broken: ") and reasons["bare"].startswith("broken: ")
    assert len(reasons) == 10


def test_folders_without_runs_and_doubled_runs_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="eval run"):
        read_runs([tmp_path])
    for name in ("a", "b"):
        write_run(tmp_path / name, "set", "combined", [row(2, "C50.4", Answer("C50.4"))])
    with pytest.raises(RunError, match="same variant"):
        read_runs([tmp_path / "a", tmp_path / "b"])


def test_only_rows_that_stand_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "set", "combined", [row(2, "C50.4", Answer("C50.4", confidence=0.5), "doubtful")])
    write_run(tmp_path, "set", "base", [row(2, "C50.4", Answer(None), "doubtful")])
    axis = _axis(tmp_path)
    assert axis["n_exact"] == 0 and axis["variants"]["combined"]["exact"]["share"] is None
    assert axis["variants"]["base"]["against"]["exact"]["p"] == 1.0
    assert all(entry["difference"] is None for entry in axis["smallest"])


def test_cost_per_text(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "set", "combined", [row(2, "C50.4", Answer("C50.4"))])
    with (folder / "cost.jsonl").open("a") as file:
        file.write('{"rows": 3, "questions": 9, "seconds": 1.5, "tokens": 20, "peak_mb": 700.0}\n')
    cost = cost_table(read_runs([tmp_path]).runs)["set"]["combined"]
    assert (cost["rows"], cost["questions"], cost["tokens"], cost["peak_mb"]) == (4, 10, 120, 800.0)
    assert (cost["texts_per_second"], cost["ms_per_text"]) == (2.0, 500.0)


def test_no_cost_is_no_figure(tmp_path: Path) -> None:
    (write_run(tmp_path, "set", "combined", [row(2, "C50.4", Answer("C50.4"))]) / "cost.jsonl").unlink()
    cost = cost_table(read_runs([tmp_path]).runs)["set"]["combined"]
    assert (cost["texts_per_second"], cost["ms_per_text"], cost["peak_mb"]) == (None, None, None)
