"""The exported tasks: what other tools read is what our own scoring reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.models.generate import first_code, stem
from agent.models.prompts import Prompts
from eval.export import ExportError, export_beir, export_lm_eval
from eval.run.testsets import TestSet
from eval.testset import Row
from index.catalogue.catalogue import Catalogue
from index.catalogue.lexicon import read_lexicon
from index.records import CodeSystem

ICD, MORPHOLOGY = CodeSystem.ICD10GM, CodeSystem.MORPHOLOGY
ROWS = (
    Row("Mammakarzinom links", "C50.9", None, "8500/3", "", ("tumour",), "set.tsv", 2),
    Row("Karzinom des Rektums", "C20", None, None, "", ("tumour", "doubtful(C19)"), "set.tsv", 3),
    Row("Appendizitis", "K37", None, None, "", ("non_tumour",), "set.tsv", 4),
)
TESTSET = TestSet("set", ROWS)
SAID = (
    "C50.9", "Der Kode ist C50.9 (Brust).", "8500/3", "Histologie 8500/3, Kode C50.4", "C64", "keiner", "",
    "C50.91 oder C20", "ICD C509", "C50-C58",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.from_files([read_lexicon()])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def filtered(task: dict[str, Any], said: str) -> str:
    """What the harness' regex filters make of an answer: the first find of each, or its word for none."""
    for step in task["filter_list"][0]["filter"]:
        if step["function"] == "regex":
            finds = re.findall(step["regex_pattern"], said)
            said = finds[step["group_select"]] if finds else "[invalid]"
    return said


def test_tasks_hold_the_agents_prompts_and_the_rows_that_count(tmp_path: Path) -> None:
    files = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in export_lm_eval(TESTSET, tmp_path)
    }
    group = files.pop("onkokode_set")
    assert group["task"] == list(files) and set(files) == {
        f"onkokode_set_{axis}_{measure}" for axis in ("icd10gm", "icdo_morphology") for measure in ("exact", "partial")
    }  # fmt: skip
    [exact] = lines(tmp_path / "onkokode_set_icd10gm_exact.jsonl")
    assert exact == {
        "row": "set.tsv:2", "prompt": Prompts().question("Mammakarzinom", ICD), "answer": "C50.9",
    }  # fmt: skip
    partial = lines(tmp_path / "onkokode_set_icd10gm_partial.jsonl")
    assert [row["answer"] for row in partial] == ["C50", "C20"]
    data = files["onkokode_set_icdo_morphology_partial"]["dataset_kwargs"]["data_files"]["test"]
    assert [row["answer"] for row in lines(Path(data))] == ["8500"]


@pytest.mark.parametrize("axis", [ICD, MORPHOLOGY])
def test_the_filters_find_what_our_scoring_finds(tmp_path: Path, axis: CodeSystem) -> None:
    export_lm_eval(TESTSET, tmp_path)
    for measure in ("exact", "partial"):
        path = tmp_path / f"onkokode_set_{axis.value}_{measure}.yaml"
        task = yaml.safe_load(path.read_text(encoding="utf-8"))
        for said in SAID:
            code = first_code(said, axis)
            right = None if code is None else stem(code) if measure == "partial" else code
            assert filtered(task, said) == (right or "[invalid]"), said


def test_retrieval_sets_hold_each_line_of_a_texts_code(catalogue: Catalogue, tmp_path: Path) -> None:
    counts = export_beir(TESTSET, catalogue, ICD, tmp_path)
    corpus = {line["_id"]: line for line in lines(tmp_path / "corpus.jsonl")}
    queries = {line["_id"]: line["text"] for line in lines(tmp_path / "queries.jsonl")}
    head, *relevant = (tmp_path / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    assert head == "query-id\tcorpus-id\tscore" and counts["qrels"] == len(relevant) > 2
    assert counts["corpus"] == len(corpus) and queries == {
        "set.tsv:2": "Mammakarzinom", "set.tsv:3": "Karzinom des Rektums",
    }  # fmt: skip
    gold = {"set.tsv:2": "C50.9", "set.tsv:3": "C20"}
    for query, line, score in (one.split("\t") for one in relevant):
        assert corpus[line]["title"] == gold[query] and score == "1"
    assert len(relevant) == sum(line["title"] in gold.values() for line in corpus.values())


def test_sets_without_codes_and_missing_files_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    empty = TestSet("set", ROWS[2:])
    with pytest.raises(ExportError, match="no row has a code, so"):
        export_lm_eval(empty, tmp_path)
    with pytest.raises(ExportError, match="no row has a code on icdo_topography"):
        export_beir(TESTSET, catalogue, CodeSystem.TOPOGRAPHY, tmp_path)
    result = CliRunner().invoke(
        cli,
        [
            "eval",
            "export",
            "lm-eval",
            "--testset",
            "none.tsv",
            "--out",
            str(tmp_path),
            "--shared",
            str(tmp_path),
        ],
    )
    assert result.exit_code == 2 and "none.tsv: is no file" in result.output
