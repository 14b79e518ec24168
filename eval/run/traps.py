"""Texts with one trap each: what is expected of an answer, and which of it an answer does not meet.

    rows = read_traps()
    rows[0].note, rows[0].expected                    # ('negation',), {'tumour': '0'}
    missed(rows[0].expected, coded)                   # [] where the trap is passed

A line of `eval/testsets/traps.tsv` holds the kind, what is expected, and the text (`\\n` is a line break). Expected
is any of `tumour=0`, `icd10=C50.9`, `topography=C50.4`, `morphology=8500/3` (beginnings of the code given),
`certainty=`, `side=`, `n=` (tumour diagnoses), `further=C78.7` (one more diagnosis), `abstain=icd10`, joined by `; `.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.results import CodedText
from eval.testset import TESTSETS, Row, TestSetError
from index.records import AXES

TRAPS = TESTSETS / "traps.tsv"
AXIS_NAMES = dict(zip(("icd10", "topography", "morphology"), AXES, strict=True))
_HEADER = "kind\texpected\ttext"


def read_traps(path: Path = TRAPS) -> tuple[Row, ...]:
    """A row per trap; its note is its kind. Raises `TestSetError` naming the row that cannot be read."""
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    if first != _HEADER:
        raise TestSetError(f"{path.name}, row 1: is not the header kind expected text, by tab")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            kind, expected, text = line.split("\t")
            pairs = dict(part.split("=") for part in expected.split("; "))
        except ValueError:
            raise TestSetError(
                f"{path.name}, row {number}: is no kind, expectation (name=value) and text"
            ) from None
        text = text.replace("\\n", "\n")
        rows.append(Row(text, None, None, None, "", (kind,), path.name, number, expected=pairs))
    return tuple(rows)


def missed(expected: Mapping[str, str], coded: CodedText) -> list[str]:
    """The names of the expectations that an answer does not meet. Raises `ValueError` for a name that is none."""
    return [name for name, value in expected.items() if not _meets(name, value, coded)]


def _meets(name: str, value: str, coded: CodedText) -> bool:
    if name in AXIS_NAMES:
        return (coded.coding(AXIS_NAMES[name]).code or "").startswith(value)
    if name == "tumour":
        return coded.tumour == (value == "1")
    if name == "n":
        return coded.tumour + len(coded.further) == int(value)
    if name == "further":
        return any((other.icd10gm.code or "").startswith(value) for other in coded.further)
    if name == "abstain":
        return coded.coding(AXIS_NAMES[value]).abstained
    if name in ("certainty", "side"):
        return bool(getattr(coded, name) == value)
    raise ValueError(f"{name} is no expectation of a trap")
