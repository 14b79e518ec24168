"""What the texts of a test set can decide at all: a reader's judgement of each, and the shares that follow.

    onkokode eval annotate --testset devsets --annotator "A. Reader" --out runs/judged.tsv
    onkokode eval ceiling runs/judged.tsv
    ceiling_section(read_judgements([Path("runs/judged.tsv")]), load_testset("devsets", shared=shared))

`exact`: the text says enough for the terminal code that the row has; `three`: for its three characters only; `not`:
for neither. No coder and no model can be expected above these shares, except by luck. A file of judgements names
rows, never their texts.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import click

from agent.apps.options import OutputFile, OutputFolder
from agent.apps.shares import cohen_kappa
from eval.report.section import Section, Share, show_and_write
from eval.run.testsets import TestSet, load_testset, places_options, row_name
from eval.testset import TESTSETS, Row, counts_for_exact
from index.errors import OnkokodeError
from index.records import CodeSystem

DETERMINES = ("exact", "three", "not")
# One reader's judgement of the development sets.
JUDGED = TESTSETS / "ceiling-devsets.tsv"
_KEYS = {"e": "exact", "t": "three", "n": "not", "q": ""}
_testset = click.option(
    "--testset", "name", default="devsets", show_default=True, help="A test set's name, or a TSV file."
)


class CeilingError(OnkokodeError):
    """Judgements that cannot be used; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far a row's text determines the row's code, why, and who says so."""

    row: str
    determines: str
    reason: str
    annotator: str


COLUMNS = tuple(one.name for one in fields(Judgement))


def sample(testset: TestSet, n: int, seed: int) -> list[Row]:
    """n of the rows that have an ICD-10 code (all, where there are fewer), drawn and ordered by the seed."""
    rows = [row for row in testset.rows if row.tumour and row.gold(CodeSystem.ICD10GM)]
    return random.Random(seed).sample(rows, k=min(n, len(rows)))


def read_judgements(files: Iterable[Path]) -> list[Judgement]:
    """The judgements of the files, in their order.

    Raises:
        CeilingError: no header, a line of another width, an unknown value, an empty field, or a row that the same
            annotator judges twice.
    """
    found: dict[tuple[str, str], Judgement] = {}
    for file in files:
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                lines = list(csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))
        except (OSError, UnicodeDecodeError) as error:
            raise CeilingError(f"{file}: cannot be read; check the path") from error
        if not lines or tuple(lines[0]) != COLUMNS:
            raise CeilingError(f"{file}, line 1: the header must be {', '.join(COLUMNS)}, with tabs between")
        for number, cells in enumerate(lines[1:], start=2):
            where = f"{file}, line {number}"
            if len(cells) != len(COLUMNS) or not all(cell.strip() for cell in cells):
                raise CeilingError(f"{where}: needs {len(COLUMNS)} filled fields with tabs between")
            judged = Judgement(*cells)
            if judged.determines not in DETERMINES:
                raise CeilingError(f"{where}: determines must be one of {', '.join(DETERMINES)}")
            if (judged.row, judged.annotator) in found:
                raise CeilingError(f"{where}: {judged.annotator} judges {judged.row} twice; remove one")
            found[judged.row, judged.annotator] = judged
    return list(found.values())


def append_judgement(file: Path, judged: Judgement) -> None:
    """Add a line, and the header where the file is new; it is on the disk when this returns."""
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as opened:
        if new:
            opened.write("\t".join(COLUMNS) + "\n")
        opened.write("\t".join(" ".join(cell.split()) for cell in astuple(judged)) + "\n")


def ceiling_section(judgements: Sequence[Judgement], testset: TestSet) -> Section:
    """The shares with their intervals: of all judged rows, and of those that `exact` is scored on.

    Raises:
        CeilingError: a row is not in the test set, or there is none.
    """
    rows = {row_name(row): row for row in testset.rows}
    if strange := [one.row for one in judgements if one.row not in rows]:
        raise CeilingError(f"{strange[0]}: is no row of {testset.name}; name the set with --testset")
    if not judgements:
        raise CeilingError("holds no judgements; make some with onkokode eval annotate")
    section = Section(
        f"ceiling-{testset.name}", f"What the texts of {testset.name} determine", "onkokode eval ceiling"
    )
    for annotator in dict.fromkeys(one.annotator for one in judgements):
        own = [one for one in judgements if one.annotator == annotator]
        scored = [one for one in own if counts_for_exact(rows[one.row].note)]
        for name, part in (("judged rows", own), ("rows that exact is scored on", scored)):
            clusters = [rows[one.row].cluster for one in part]
            for what, enough in (("exact", ("exact",)), ("partial", ("exact", "three"))):
                hits = [one.determines in enough for one in part]
                section.shares.append(Share.of(f"{annotator}, {name}: {what}", hits, clusters=clusters))
        reasons = Counter((one.determines, one.reason) for one in own if one.determines != "exact")
        section.tables[f"Why not exact, {annotator}"] = (
            ("determines", "reason", "rows"),
            [(said, reason, str(n)) for (said, reason), n in reasons.most_common()],
        )
    if (agreement := kappa(judgements)) is not None:
        section.details["cohens_kappa"] = round(agreement, 3)
    section.notes.append(
        "A text determines its code where it says enough for it, by the rules of the classification and whatever "
        "is written in the row's other fields. One reader's judgement is an estimate, not a truth."
    )
    return section


def kappa(judgements: Sequence[Judgement]) -> float | None:
    """Cohen's kappa of the first two annotators on the rows that both judged; None where there are none."""
    names = list(dict.fromkeys(one.annotator for one in judgements))[:2]
    if len(names) < 2:
        return None
    first, second = (
        {one.row: one.determines for one in judgements if one.annotator == name} for name in names
    )
    both = sorted(first.keys() & second.keys())
    found = cohen_kappa([first[row] for row in both], [second[row] for row in both])
    return None if found is None else found.value


@click.command("annotate")
@_testset
@click.option(
    "--n", "number", type=click.IntRange(min=1), default=60, show_default=True, help="Texts to judge."
)
@click.option("--seed", default=13, show_default=True)
@click.option("--annotator", required=True, help="Who judges; stands in the file.")
@click.option(
    "--out", "file", required=True, type=OutputFile(new_folders=True), help="TSV file, without texts."
)
@places_options
def annotate_command(name: str, number: int, seed: int, annotator: str, file: Path, **places: Any) -> None:
    """Judge how far texts determine their code. The same command goes on where it stopped.

    \b
    e  the terminal code       n  neither
    t  three characters only   q  stop for now
    """
    rows = sample(load_testset(name, **places), number, seed)
    before = read_judgements([file]) if file.exists() else []
    done = {one.row for one in before if one.annotator == annotator}
    file.parent.mkdir(parents=True, exist_ok=True)
    for place, row in enumerate(rows, start=1):
        if row_name(row) in done:
            continue
        codes = "  ".join(filter(None, (row.icd10, row.icdo_topography, row.icdo_morphology)))
        click.echo(f"\n{place} of {len(rows)}\n{row.text}\n{codes}")
        key = click.prompt(
            "determines (e, t, n; q stops)", type=click.Choice(list(_KEYS)), show_choices=False
        )
        if key == "q":
            return
        reason = click.prompt("why").strip()
        append_judgement(file, Judgement(row_name(row), _KEYS[key], reason, annotator))
    click.echo(f"all judged; for the shares: onkokode eval ceiling {file} --testset {name}")


@click.command("ceiling")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path)
)
@_testset
@click.option(
    "--out",
    type=OutputFolder(),
    default=Path("runs/ceiling"),
    show_default=True,
    help="Where Markdown and JSON go.",
)
@places_options
def ceiling_command(files: tuple[Path, ...], name: str, out: Path, **places: Any) -> None:
    """The shares of texts that determine their code, with intervals, and the agreement of two annotators."""
    testset = load_testset(name, **places)
    show_and_write(ceiling_section(read_judgements(files), testset), out)
