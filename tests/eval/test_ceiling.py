"""Judgements of what texts determine: drawn, written, read again, and the shares that follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.apps.cli import cli
from eval.ceiling import CeilingError, Judgement, ceiling_section, kappa, read_judgements, sample
from eval.commands import evaluate
from eval.run.testsets import TestSet
from eval.testset import Row

HEADER = "text\ticd10\ticdo_topography\ticdo_morphology\tsource_id\tnote\n"
TEXTS = {"Erstes Beispiel": "C61", "Zweites Beispiel": "C50.9", "Drittes Beispiel": "C34.1"}


def row(number: int, *note: str) -> Row:
    return Row(f"Text {number}", "C50.4", None, None, "", ("tumour", *note), "set.tsv", number)


def judged(number: int, determines: str, annotator: str = "A") -> Judgement:
    return Judgement(f"set.tsv:{number}", determines, "so", annotator)


@pytest.fixture
def testset_file(tmp_path: Path) -> Path:
    path = tmp_path / "our.tsv"
    rows = [f"{text}\t{code}\t\t\t\ttumour\n" for text, code in TEXTS.items()]
    path.write_text(HEADER + "".join(rows) + "Kein Tumor\t\t\t\t\tnon_tumour\n", encoding="utf-8")
    return path


def annotate(testset: Path, out: Path, typed: str) -> Result:
    arguments = ["annotate", "--testset", str(testset), "--annotator", "A. Reader", "--out", str(out)]
    return CliRunner().invoke(evaluate, [*arguments, "--shared", str(out.parent)], input=typed)


def test_annotating_goes_on_where_it_stopped_and_keeps_no_text(testset_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.tsv"
    first = annotate(testset_file, out, "e\torgan named\nq\n".replace("\t", "\n"))
    assert first.exit_code == 0 and "1 of 3" in first.output and "Kein Tumor" not in first.output
    second = annotate(testset_file, out, "x\nt\nno part\nn\nanother organ\n")
    assert second.exit_code == 0 and "1 of 3" not in second.output and "all judged" in second.output
    found = read_judgements([out])
    assert [one.determines for one in found] == ["exact", "three", "not"]
    assert {one.row for one in found} == {"our.tsv:2", "our.tsv:3", "our.tsv:4"}
    assert not any(text in out.read_text(encoding="utf-8") for text in TEXTS)
    # Nothing is left to judge.
    assert annotate(testset_file, out, "").exit_code == 0 and len(read_judgements([out])) == 3


def test_shares_and_intervals_of_all_rows_and_of_those_that_exact_is_scored_on() -> None:
    testset = TestSet("set", (*(row(n) for n in range(1, 10)), row(10, "doubtful(another code)")))
    section = ceiling_section(
        [*(judged(n, "exact") for n in range(1, 9)), judged(9, "three"), judged(10, "not")], testset
    )
    shares = {share.name: share for share in section.shares}
    exact, partial = shares["A, judged rows: exact"], shares["A, judged rows: partial"]
    assert (exact.hits, exact.n, partial.hits) == (8, 10, 9)
    # Wilson's interval of 8 among 10.
    assert exact.interval.low == pytest.approx(0.4902, abs=1e-4)
    assert exact.interval.high == pytest.approx(0.9433, abs=1e-4)
    scored = shares["A, rows that exact is scored on: exact"]
    assert (scored.hits, scored.n) == (8, 9)
    assert section.tables["Why not exact, A"][1] == [("three", "so", "1"), ("not", "so", "1")]


def test_the_sample_depends_on_the_seed_alone_and_holds_tumours_with_a_code() -> None:
    rows = (*(row(n) for n in range(1, 30)), Row("-", None, None, None, "", ("tumour",), "set.tsv", 30))
    testset = TestSet("set", rows)
    assert sample(testset, 8, 1) == sample(testset, 8, 1) != sample(testset, 8, 2)
    assert len(sample(testset, 99, 1)) == 29


def test_two_annotators_agree_beyond_chance() -> None:
    one = [judged(n, said) for n, said in enumerate(("exact", "exact", "three", "three"))]
    other = [judged(n, said, "B") for n, said in enumerate(("exact", "three", "three", "three"))]
    # Three of four agree, half would by chance.
    assert kappa([*one, *other]) == pytest.approx(0.5)
    assert kappa(one) is None and kappa([*one, judged(99, "not", "B")]) is None


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("set.tsv:1\tperhaps\twhy\tA", "line 2: determines must be one of exact, three, not"),
        ("set.tsv:1\texact\t \tA", "line 2: needs 4 filled fields"),
        ("set.tsv:1\texact\twhy", "line 2: needs 4 filled fields"),
        ("set.tsv:1\texact\twhy\tA\nset.tsv:1\tnot\twhy\tA", "line 3: A judges set.tsv:1 twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "judged.tsv"
    file.write_text(f"row\tdetermines\treason\tannotator\n{line}\n", encoding="utf-8")
    with pytest.raises(CeilingError, match=complaint):
        read_judgements([file])


def test_what_is_no_judgement_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "judged.tsv"
    file.write_text("row\tcode\n", encoding="utf-8")
    with pytest.raises(CeilingError, match="line 1: the header must be row, determines, reason, annotator"):
        read_judgements([file])
    with pytest.raises(CeilingError, match="cannot be read"):
        read_judgements([tmp_path / "none.tsv"])
    with pytest.raises(CeilingError, match="is no row of set"):
        ceiling_section([judged(7, "exact")], TestSet("set", (row(1),)))
    with pytest.raises(CeilingError, match="holds no judgements"):
        ceiling_section([], TestSet("set", (row(1),)))


def test_the_command_writes_the_figures(testset_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.tsv"
    annotate(testset_file, out, "e\norgan named\nt\nno part\nn\nanother organ\n")
    arguments = ["ceiling", str(out), "--testset", str(testset_file), "--shared", str(tmp_path)]
    result = CliRunner().invoke(evaluate, [*arguments, "--out", str(tmp_path / "results")])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "results" / "ceiling-our.md").read_text(encoding="utf-8")
    assert "33.3 %" in page and "66.7 %" in page and not any(text in page for text in TEXTS)
    missing = CliRunner().invoke(cli, ["eval", "ceiling", str(tmp_path / "none.tsv")])
    assert missing.exit_code == 2 and "cannot be read" in missing.output
