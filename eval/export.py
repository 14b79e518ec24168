"""The tasks in two public forms: lm-evaluation-harness (YAML and JSON lines), and BEIR, which MTEB reads too.

    onkokode eval export lm-eval --testset devsets --out runs/lm-eval
    onkokode eval export beir --testset heldout --axis icd10gm --out runs/beir
    export_lm_eval(testset, Path("runs/export"))                # lm_eval --include_path runs/export --tasks onkokode_devsets
    export_beir(testset, catalogue, CodeSystem.ICD10GM, Path("runs/export/beir"))

Both hold texts of the test set, the second one lines of the catalogue too: they are for the disk of whoever has both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from agent.apps.options import OutputFolder
from agent.models.generate import code_pattern, stem
from agent.models.prompts import Prompts
from agent.prepare import core_of
from eval.run.testsets import TestSet, load_testset, places_options, row_name
from eval.testset import Row
from index.catalogue.catalogue import Catalogue
from index.errors import OnkokodeError
from index.records import AXES, CodeSystem

_MAX_TOKENS = 24  # as the ablation's variants write
_testset = click.option("--testset", "name", required=True, help="A test set's name, or a TSV file.")
_out = click.option("--out", required=True, type=OutputFolder())


class ExportError(OnkokodeError):
    """A test set that cannot be exported; the message says why."""


def export_lm_eval(testset: TestSet, out: Path) -> list[Path]:
    """Two tasks per axis that the set has codes for, exact and partial, and a group of all; the YAML files.

    The prompt is the agent's own for models with words, without candidates. Exact leaves out the rows whose code is
    doubtful or names a subsite that the text does not. Texts that are no tumour diagnosis are left out.
    """
    tasks: dict[str, dict[str, Any]] = {}
    out.mkdir(parents=True, exist_ok=True)
    for axis in AXES:
        rows = [row for row in testset.rows if row.tumour and row.gold(axis)]
        for measure, counted in (("exact", [row for row in rows if row.exact_counts]), ("partial", rows)):
            if not counted:
                continue
            name = f"onkokode_{testset.name}_{axis.value}_{measure}"
            documents = out / f"{name}.jsonl"
            _write_lines(documents, (_document(row, axis, measure) for row in counted))
            tasks[name] = _task(name, documents, axis, measure)
    if not tasks:
        raise ExportError(f"{testset.name}: no row has a code, so there is no task to export")
    group = f"onkokode_{testset.name}"
    files = [_write_yaml(out / f"{name}.yaml", task) for name, task in tasks.items()]
    return [*files, _write_yaml(out / f"{group}.yaml", {"group": group, "task": list(tasks)})]


def export_beir(testset: TestSet, catalogue: Catalogue, axis: CodeSystem, out: Path) -> Mapping[str, int]:
    """The axis' catalogue lines as `corpus.jsonl`, the texts as `queries.jsonl`, and in `qrels/test.tsv` each line
    of a text's code as relevant; how many there are of each."""
    lines = [line for line in catalogue.searchable_lines if line.system is axis]
    by_code: dict[str, list[str]] = {}
    for line in lines:
        by_code.setdefault(line.code, []).append(line.line_id)
    # A code without a line cannot be found; such a row would only lower every system alike.
    rows = [row for row in testset.rows if row.tumour and row.gold(axis) in by_code]
    if not rows:
        raise ExportError(
            f"{testset.name}: no row has a code on {axis.value} that a catalogue line speaks for"
        )
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    _write_lines(out / "corpus.jsonl", ({"_id": x.line_id, "title": x.code, "text": x.text} for x in lines))
    _write_lines(out / "queries.jsonl", ({"_id": row_name(row), "text": core_of(row.text)} for row in rows))
    relevant = [(row_name(row), line) for row in rows for line in by_code[row.gold(axis) or ""]]
    qrels = "".join(f"{query}\t{line}\t1\n" for query, line in relevant)
    (out / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}", encoding="utf-8")
    return {"corpus": len(lines), "queries": len(rows), "qrels": len(relevant)}


def _document(row: Row, axis: CodeSystem, measure: str) -> dict[str, str]:
    code = row.gold(axis) or ""
    answer = stem(code) if measure == "partial" else code
    return {"row": row_name(row), "prompt": Prompts().question(core_of(row.text), axis), "answer": answer}


def _task(name: str, documents: Path, axis: CodeSystem, measure: str) -> dict[str, Any]:
    first = [{"function": "regex", "regex_pattern": code_pattern(axis).pattern, "group_select": 0}]
    if measure == "partial":
        first.append({"function": "regex", "regex_pattern": r"^[^./]+", "group_select": 0})
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(documents.resolve())}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": _MAX_TOKENS, "do_sample": False},
        "filter_list": [{"name": "first-code", "filter": [*first, {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }


def _write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _write_yaml(path: Path, values: Mapping[str, Any]) -> Path:
    import yaml

    path.write_text(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


@click.group("export")
def export_command() -> None:
    """Write a test set in the form of other tools.

    The files hold the texts, and for BEIR the catalogue's lines: data protection and the publishers' terms say who
    may have them. Keep them on your own disk.
    """


@export_command.command("lm-eval")
@_testset
@_out
@places_options
def lm_eval_command(name: str, out: Path, **places: Any) -> None:
    """Tasks for lm-evaluation-harness: lm_eval --include_path OUT --tasks onkokode_<set>."""
    click.echo("\n".join(map(str, export_lm_eval(load_testset(name, **places), out))))


@export_command.command("beir")
@_testset
@_out
@click.option(
    "--axis",
    type=click.Choice([axis.value for axis in AXES]),
    default=CodeSystem.ICD10GM.value,
    show_default=True,
)
@places_options
def beir_command(name: str, out: Path, axis: str, **places: Any) -> None:
    """Corpus, queries and qrels. Lines of the test set's catalogue; held-out lines are not among them."""
    testset = load_testset(name, **places)
    counts = export_beir(testset, testset.catalogue or Catalogue.load(), CodeSystem(axis), out)
    click.echo(", ".join(f"{part}: {count:,}" for part, count in counts.items()))
