"""Whether a change of the program changed any answer: the answers to all texts of this repository, recorded before and
compared after.

    onkokode eval unchanged --record runs/before.jsonl          # at the commit before
    onkokode eval unchanged --against runs/before.jsonl         # at the commit after; exit code 1 where one differs

A record holds no text: a line per text with its file and number, codes, confidences to the last digit, and evidence.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import click

from agent.apps.options import INPUT_FILE, OutputFile
from eval.run.environment import ROOT
from index.catalogue.years import MODELS_YEAR
from index.errors import OnkokodeError
from index.io.atomic import new_file

TOLERANCE = 1e-6
_SHOWN = 20


def repository_texts(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """(file:number, text) of every test set (the traps too) and example."""
    # The order stays, for a text's neighbours in a batch move the last digits of its confidence.
    for path in sorted((root / "eval/testsets").glob("*.tsv"), key=lambda path: (path.stem == "traps", path)):
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(
                csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=2
            ):
                if row.get("text"):
                    yield f"{path.name}:{number}", row["text"]
    for path in sorted((root / "examples").glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{path.name}:{number}", line


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Where two answers differ; what only the later one says is no difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from differences(value, after.get(name), f"{where}.{name}" if where else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{where}[{place}]")
    elif isinstance(before, float) and isinstance(after, int | float):
        if abs(before - after) > TOLERANCE:
            yield f"{where}: {before:.7f} -> {after:.7f}"
    elif before != after:
        yield where


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:number, answer without the text) for every text, by the embedded default."""
    from agent import CodingAgent

    names, texts = zip(*repository_texts(), strict=True)
    for name, coded in zip(names, CodingAgent.load(date=MODELS_YEAR).code_many(texts), strict=True):
        yield name, json.loads(json.dumps(_without_text(asdict(coded))))


def _without_text(coded: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in coded.items() if name != "text"},
        "further": [_without_text(other) for other in coded["further"]],
    }


@click.command("unchanged")
@click.option("--record", "target", type=OutputFile(), help="Write the answers.")
@click.option("--against", "source", type=INPUT_FILE, help="Compare with these.")
def unchanged_command(target: Path | None, source: Path | None) -> None:
    """Record the answers to all texts of this repository, or compare them with a record."""
    if (target is None) == (source is None):
        raise click.UsageError("Give --record FILE before a change, and --against FILE after it.")
    if target is not None:
        with new_file(target) as half, half.open("w", encoding="utf-8") as file:
            count = sum(
                bool(file.write(json.dumps([name, answer], ensure_ascii=False) + "\n"))
                for name, answer in answers()
            )
        click.echo(f"{target}: the answers to {count:,} texts")
        return
    assert source is not None
    before = dict(json.loads(line) for line in source.read_text(encoding="utf-8").splitlines())
    after = dict(answers())
    if before.keys() != after.keys():
        raise OnkokodeError(
            f"{source}: holds other texts than this repository; record anew at the commit before"
        )
    changed = {name: found for name in before if (found := [*differences(before[name], after[name])])}
    for line in islice((f"{name}: {what}" for name, found in changed.items() for what in found), _SHOWN):
        click.echo(line)
    click.echo(f"{len(before):,} texts, {len(changed):,} with another answer (confidences to {TOLERANCE:g})")
    if changed:
        raise SystemExit(1)
