"""Where the ICD-10-GM alphabet codes a combination of site and morphology otherwise than the registry crosswalk.

    overrides = load_overrides()
    overrides[0].covers("C22.0", "8010/3"), overrides[0].icd10      # True, 'C22.9'

`overrides.tsv` is written by hand: codes, and the reason in our own words. The composer takes its labels from
it; the joint decision and check K05 accept its codes beside those of the crosswalk.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from index.errors import OnkokodeError

OVERRIDES = Path(__file__).parent / "overrides.tsv"
COLUMNS = ("topography", "morphology", "words", "icd10", "why")
NO_SITE = "-"
# an override's code that is the topography's own
TOPOGRAPHY_CODE = "="
# an override's code for a combination that is not written
NOT_COMPOSED = "x"


class TableError(OnkokodeError):
    """A hand-written table has a row that cannot be used; the message names file and row."""


@dataclass(frozen=True, slots=True)
class Override:
    """One row of `overrides.tsv`: the ICD-10-GM code of a combination where the official alphabet differs
    from the crosswalk. `topographies` are prefixes, `-` stands for a text that names no site;
    `morphologies` are (lowest histology, highest histology, behaviour). Where `words` is set, the text has
    to say them. `icd10` is `=` for the topography's own code and `-` where the text determines none."""

    topographies: tuple[str, ...]
    morphologies: tuple[tuple[int, int, str], ...]
    words: re.Pattern[str] | None
    icd10: str

    def covers(self, topography: str, morphology: str) -> bool:
        histology, behaviour = int(morphology[:4]), morphology[5]
        return topography.startswith(self.topographies) and any(
            low <= histology <= high and behaviour == own for low, high, own in self.morphologies
        )

    def code(self, topography: str, text: str) -> str | None:
        """The code for a text that the row covers, or None where its words are not said."""
        if self.words and not self.words.search(text):
            return None
        return topography if self.icd10 == TOPOGRAPHY_CODE else self.icd10


def load_overrides(path: Path = OVERRIDES) -> tuple[Override, ...]:
    """Reads `overrides.tsv`; the first row that covers a text decides. Raises `TableError`."""
    overrides = []
    for where, row in table_rows(path, COLUMNS):
        spans = []
        for value in row["morphology"].split(","):
            span = re.fullmatch(r"(\d{4})(?:-(\d{4}))?/(\d)", value.strip())
            if not span:
                raise TableError(f"{where}: {value!r} is no morphology such as 8140/3 or 8800-8806/3.")
            spans.append((int(span[1]), int(span[2] or span[1]), span[3]))
        try:
            words = re.compile(row["words"], re.IGNORECASE) if row["words"] else None
        except re.error as error:
            raise TableError(f"{where}: {row['words']!r} is no pattern ({error}).") from None
        if not row["why"] or not row["icd10"]:
            raise TableError(f"{where}: a row needs a code and a reason.")
        sites = tuple(value.strip() for value in row["topography"].split(","))
        overrides.append(Override(sites, tuple(spans), words, row["icd10"]))
    return tuple(overrides)


def table_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a tab-separated table as (file and row, cells by column). Raises `TableError` for another header
    or a row of another length."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}).") from error
    reader = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = tuple(next(reader, ()))
    if header != columns:
        raise TableError(
            f"{path}, row 1: the header has to be {' '.join(columns)}, it is {' '.join(header)}."
        )
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        if len(cells) != len(columns):
            raise TableError(f"{path}, row {number}: {len(cells)} cells instead of {len(columns)}.")
        yield f"{path}, row {number}", dict(zip(columns, (cell.strip() for cell in cells), strict=True))
