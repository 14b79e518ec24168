"""Models side by side on the same pairs: shares with intervals, and exact McNemar tests with Holm's correction.

    section = compare_answers([Path("base.json"), Path("rank-8.json")], against="base", name="candidates")

The files are those of `onkokode train measure`: row numbers with what each answer was worth, and no texts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.report.report import Section, Share
from eval.statistics import holm, mcnemar, wilson
from index.errors import OnkokodeError


def compare_answers(files: Sequence[Path], against: str, name: str) -> Section:
    """Every model's exact, partial and malformed answers, tested against the model named `against` on the rows
    that both were asked.

    Raises:
        OnkokodeError: a file is no measurement, the parts differ, or none is named `against`.
    """
    read = {path.stem: _read(path) for path in files}
    if against not in read:
        raise OnkokodeError(f"{against}: no such file among {', '.join(read)}")
    parts = {record["part"] for record in read.values()}
    if len(parts) > 1:
        raise OnkokodeError(
            f"measured on different parts ({', '.join(sorted(parts))}); compare files of one part"
        )
    section = Section(name, f"Models side by side on the part {parts.pop()}", "onkokode eval answers")
    hits = {model: {row[0]: row for row in record["rows"]} for model, record in read.items()}
    tests = {}
    for model, rows in hits.items():
        for figure, column in (("exact", 2), ("partial", 3)):
            section.shares.append(
                Share.of(f"{model}: {figure}", [bool(row[column]) for row in rows.values()])
            )
        malformed = sum(bool(row[4]) for row in rows.values())
        section.shares.append(
            Share(f"{model}: malformed", malformed, len(rows), wilson(malformed, len(rows)), at_most=True)
        )
        if model != against:
            common = [row for row in rows if row in hits[against]]
            tests[model] = mcnemar(
                [bool(rows[r][2]) for r in common], [bool(hits[against][r][2]) for r in common]
            )
    corrected = holm([test.p for test in tests.values()])
    section.tables[f"Exact answers against {against}"] = (
        ("model", "only it right", f"only {against} right", "p (McNemar, exact)", "p (Holm)"),
        [
            (model, str(test.only_first), str(test.only_second), f"{test.p:.2g}", f"{p:.2g}")
            for (model, test), p in zip(tests.items(), corrected, strict=True)
        ],
    )
    section.details |= {
        model: {key: record[key] for key in ("model", "adapter", "candidates", "data", "seconds")}
        for model, record in read.items()
    }
    return section


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record["rows"], record["part"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OnkokodeError(f"{path}: is no measurement of `onkokode train measure`") from error
    return record
