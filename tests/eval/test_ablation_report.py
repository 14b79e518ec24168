"""The report: same bytes twice, nothing from the network, no text unless asked for, and the browser's data."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scripted_runs import row, write_run

from agent.apps.cli import cli
from eval.report.comparison import compare
from eval.report.published import read_published
from eval.report.row_browser import pack, payload
from eval.run.compare import read_runs
from eval.run.folder import Answer
from index.errors import OnkokodeError
from index.records import CodeSystem

_TEXT = "Mammakarzinom <b>links</b> & rechts"
_HEADER = "Code system;Method;Embedding model;LLM;Accuracy;Partial Accuracy;Malformed\n"


def _ablation(out: Path) -> Path:
    """Three variants, one of them without confidences, and an unfinished run."""
    rng = random.Random(5)
    for name, share in (("combined", 0.9), ("retrieval", 0.7), ("base", 0.3)):
        rows = []
        for i in range(40):
            code = "C50.4" if rng.random() < share else "C50.9"
            sure = None if name == "base" else round(rng.random(), 3)
            answer = Answer(code, sure is None or sure > 0.2, sure, (code, "C50.1", "C50.4"), "unsure")
            rows.append(row(i, "C50.4", answer, "unseen", tumour=(True, True)))
        write_run(out, "set", name, rows)
    write_run(out, "set", "reasoning", rows[:3], testset={"name": "set", "n": 40}, finished=False)
    return out


def _report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["eval", "report", *map(str, arguments)])


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    runs = _ablation(folder / "runs")
    published = folder / "published.csv"
    published.write_text(_HEADER + "ICD-10;zero-shot;;Llama;46.54;78.0;0.0\n", encoding="utf-8")
    found = _report(runs, "--out", folder / "out", "--published", published)
    assert found.exit_code == 0, found.output
    return folder


class _Checked(HTMLParser):
    """Collects what a page loads, its ids, and tags that are not closed in order."""

    void = frozenset({"meta", "link", "input", "br", "path", "use", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []  # type: ignore[list-item]
        self.loaded += [v for k, v in attrs if v and (k == "src" or (k == "href" and tag == "link"))]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.void:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_and_loads_nothing(reported: Path) -> None:
    page = (reported / "out/report.html").read_text(encoding="utf-8")
    checked = _Checked()
    checked.feed(page)
    assert checked.loaded == ["data:,"] and not re.search(r"https?://(?!www\.w3\.org)", page)
    assert checked.wrong == [] and checked.open == []
    assert len(checked.ids) == len(set(checked.ids))
    for link in re.findall(r'href="#([^"]+)"', page):
        assert link in checked.ids, link
    for reference in re.findall(r"url\(#([^)]+)\)", page):
        assert reference in checked.ids, reference


def test_what_the_set_can_show_stands_before_any_result(reported: Path) -> None:
    for name in ("report.html", "report.md"):
        content = (reported / "out" / name).read_text(encoding="utf-8")
        assert 0 < content.index("Smallest difference shown") < content.index("Accuracy, %")


def test_the_first_screen_says_what_came_out(reported: Path) -> None:
    page = (reported / "out" / "report.html").read_text(encoding="utf-8")
    first = page.index("ICD-10-GM: exact / partial, %")
    assert page.index('id="summary"') < first < page.index('id="set0"')
    assert "combined" in page[first : page.index('id="set0"')]


def test_a_handful_of_rows_is_not_plotted(tmp_path: Path) -> None:
    rows = [row(0, "C50.4", Answer("C50.4", True, 0.9, ("C50.4",), None), tumour=(True, True))]
    write_run(tmp_path / "runs", "set", "combined", rows)
    assert _report(tmp_path / "runs", "--out", tmp_path / "out").exit_code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "ICD-10-GM" in page and "<svg" not in page


def test_the_same_tables_in_both(reported: Path) -> None:
    page, markdown = ((reported / "out" / name).read_text("utf-8") for name in ("report.html", "report.md"))
    headings = re.findall(r"<caption><span>([^<]+)</span></caption>", page)
    assert len(headings) > 10
    for heading in headings:
        assert f"# {heading}\n" in markdown.replace("&#39;", "'"), heading
    shares = compare(read_runs([reported / "runs"]))["sets"]["set"]["axes"]["icd10gm"]["variants"]
    cell = f"{100 * shares['retrieval']['exact']['share']:.1f}"
    assert f"<td>{cell}</td>" in page and f"| {cell} |" in markdown


def test_markdown_tables_have_as_many_cells_as_their_header(reported: Path) -> None:
    width = None
    for line in (reported / "out/report.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in (None, cells), line
        width = cells


def test_unfinished_runs_are_named(reported: Path) -> None:
    again = _report(reported / "runs", "--out", reported / "again")
    assert "left out: set, reasoning: unfinished: 3 of 40 rows" in again.output
    for name in ("report.html", "report.md", "scores.json"):
        assert "unfinished: 3 of 40 rows" in (reported / "out" / name).read_text(encoding="utf-8")


def test_two_calls_give_the_same_bytes(reported: Path) -> None:
    published = reported / "published.csv"
    assert _report(reported / "runs", "--out", reported / "second", "--published", published).exit_code == 0
    for name in ("scores.json", "costs.json", "report.html", "report.md"):
        assert (reported / "out" / name).read_bytes() == (reported / "second" / name).read_bytes(), name


def test_scores_do_not_depend_on_cost(reported: Path, tmp_path: Path) -> None:
    runs = _ablation(tmp_path / "runs")
    for path in runs.glob("*/*/cost.jsonl"):
        path.write_text(path.read_text().replace("0.5", "0.7"))
    assert _report(runs, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out/scores.json").read_bytes() == (reported / "out/scores.json").read_bytes()
    assert (tmp_path / "out/costs.json").read_bytes() != (reported / "out/costs.json").read_bytes()


def test_published_figures_stand_under_other_texts(reported: Path) -> None:
    markdown = (reported / "out/report.md").read_text(encoding="utf-8")
    table = markdown[markdown.index("## Published figures, measured on OTHER texts") :]
    assert "| theirs, n 2,024 | ICD-10 | zero-shot | Llama |  | 46.5 | 78.0 | 0.0 |" in table
    assert "46.5 | 78.0" not in markdown[: -len(table)]


def _unpacked(page: str) -> dict:
    packed = re.search(r'class="rows">([^<]+)<', page)
    assert packed
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_without_texts_the_page_holds_none(reported: Path) -> None:
    data = _unpacked((reported / "out/report.html").read_text(encoding="utf-8"))
    assert "texts" not in data and "titles" not in data
    assert data["rows"][:2] == ["set.tsv:0", "set.tsv:1"]


def test_with_texts_only_the_browser_holds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(tmp_path / "home"))
    write_run(tmp_path / "runs", "set", "combined", [row(2, "C50.4", Answer("C50.9", confidence=0.5))])
    testset = tmp_path / "set.tsv"
    testset.write_text(
        f"text\ticd10\ticdo_topography\ticdo_morphology\tnote\n{_TEXT}\tC50.4\t\t\ttumour\n", encoding="utf-8"
    )
    found = _report(tmp_path / "runs", "--out", tmp_path / "out", "--texts", testset, "--published", "none")
    assert found.exit_code == 0, found.output
    data = _unpacked((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert data["texts"] == [_TEXT]
    titles = dict(zip(data["codes"], data["titles"][0], strict=True))
    assert titles["C50.4"] and titles["C50.9"] and titles["C50.4"] != titles["C50.9"]
    for name in ("report.md", "scores.json", "costs.json"):
        assert "Mammakarzinom" not in (tmp_path / "out" / name).read_text(encoding="utf-8")


def test_names_in_runs_are_not_markup(tmp_path: Path) -> None:
    about = {"name": "combined", "about": "<script>alert(1)</script> | second"}
    write_run(tmp_path / "runs", "set", "combined", [row(2, "C50.4", Answer("C50.4"))], variant=about)
    assert _report(tmp_path / "runs", "--out", tmp_path / "out", "--published", "none").exit_code == 0
    assert "<script>alert" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "\\| second" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_nothing_to_report_is_one_line(tmp_path: Path) -> None:
    found = _report(tmp_path, "--out", tmp_path / "out")
    assert found.exit_code == 2 and "eval run" in found.output and "Traceback" not in found.output


def test_only_unfinished_runs_make_a_page_that_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "set", "combined", [], testset={"name": "set", "n": 9}, finished=False)
    assert _report(tmp_path / "runs", "--out", tmp_path / "out").exit_code == 0
    assert "unfinished: 0 of 9 rows" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_the_browser_holds_every_answer(tmp_path: Path) -> None:
    answers = [
        Answer("Der Code ist C50.9", True, None),
        Answer(None, True, None),
        Answer("C50.4", False, 0.4567, ("C50.4", "C50.9"), "unsure"),
        Answer("C50.4", False, 0.25),
    ]
    write_run(tmp_path, "set", "combined", [row(i, "C50.4", a, "seen") for i, a in enumerate(answers)])
    data = payload(read_runs([tmp_path]).runs, title_of=lambda axis, code: f"{axis}:{code}")
    column = data["answers"][0][0]
    named = [data["codes"][code] if code >= 0 else None for code in column["code"]]
    assert named == ["C50.9", None, "C50.4", "C50.4"]
    assert column["sure"] == [-1, -1, 457, 250] and data["reasons"] == ["unsure"]
    assert column["open"] == [-2, -2, 0, -1]
    assert [[data["codes"][code] for code in top] for top in column["top"]] == [[], [], ["C50.9"], []]
    assert data["titles"][0][0] == f"{CodeSystem.ICD10GM}:C50.4"
    assert pack(data) == pack(data)


def test_the_browser_tells_rows_that_count_from_others(tmp_path: Path) -> None:
    right = Answer("C50.4")
    rows = [
        row(1, "C50.4", right),
        row(2, "C50.4", right, "doubtful"),
        row(3, "I10.90", right, "non_tumour", tumour=(False, True)),
    ]
    write_run(tmp_path, "set", "combined", rows)
    data = payload(read_runs([tmp_path]).runs)
    assert data["counted"] == [1, 0, 1]
    # What is no tumour is not scored, so it has no given code in the browser either.
    assert [code >= 0 for code in data["gold"][0]] == [True, True, False]


def test_published_best_of_several_embeddings(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    lines = [
        "ICD-10;search;A;-;20.8;53.2;0.0",
        "ICD-10;search;B;-;44.3;67.7;0.0",
        "ICD-10;search;C;-;30;60;1",
    ]
    path.write_text(_HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    [best] = read_published(path)
    assert (best.embedding, best.embeddings, best.exact, best.malformed) == ("B", 3, 44.3, 0.0)


@pytest.mark.parametrize(
    "content", ["a;b\n1;2\n", _HEADER + "ICD-10;s;A;-;many;53;0\n", _HEADER + "ICD-10;s\n"]
)
def test_published_rows_that_cannot_be_read_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(OnkokodeError, match=r"published\.csv, row 2"):
        read_published(path)
