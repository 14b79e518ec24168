"""Run folders from a script, so that reports can be tested without models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.run.folder import FORMAT, Answer, AnsweredRow, Cost
from index.records import CodeSystem

ICD, TOPOGRAPHY = CodeSystem.ICD10GM, CodeSystem.TOPOGRAPHY


def row(number: int, gold: str | None, answer: Answer | None, *notes: str, **others: Any) -> AnsweredRow:
    """A row with one code and one answer on the ICD-10 axis."""
    return AnsweredRow(
        f"set.tsv:{number}",
        {ICD: gold} if gold else {},
        {ICD: answer} if answer else {},
        notes,
        **others,
    )


def write_run(out: Path, testset: str, variant: str, rows: Sequence[AnsweredRow], /, **info: Any) -> Path:
    """Write a finished run; `info` changes what `run.json` says."""
    folder = out / testset / variant
    folder.mkdir(parents=True)
    record = {
        "format": FORMAT,
        "variant": {"name": variant, "about": f"about {variant}"},
        "testset": {"name": testset, "n": len(rows), "sha256": "00"},
        "finished": True,
        **info,
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    lines = "".join(answered.to_json() + "\n" for answered in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    cost = Cost(len(rows), len(rows), 0.5, 100, 800.0)
    (folder / "cost.jsonl").write_text(json.dumps(asdict(cost)) + "\n", encoding="utf-8")
    return folder
