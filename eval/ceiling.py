"""What the texts of a test set can decide at all: a reader's judgement of each, and the shares that follow.

    judged = read_judgements([Path("eval/testsets/ceiling-devsets.tsv")])
    ceiling_section(judged, load_testset("devsets", shared=shared))

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

from eval.report.report import Section, Share
from eval.run.testsets import TestSet, row_name
from eval.testset import Row
from index.errors import OnkokodeError
from index.records import CodeSystem

DETERMINES = ("exact", "three", "not")


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
        f"ceiling-{testset.name}",
        f"What the texts of {testset.name} determine",
        "onkokode eval ceiling",
    )
    for annotator in dict.fromkeys(one.annotator for one in judgements):
        own = [one for one in judgements if one.annotator == annotator]
        scored = [one for one in own if rows[one.row].exact_counts and not rows[one.row].in_alpha_id]
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
    if not both:
        return None
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score([first[row] for row in both], [second[row] for row in both]))
