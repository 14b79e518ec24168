"""The report of a run: one row per code element, written as it comes, and counts at the end.

with open_report(Path("bericht.csv"), with_text=False) as report:
    report.write(row)
    report.finish(counts)

A row names file, line, Meldung_ID and Tumor_ID, and nothing of the patient. The diagnosis texts come with
`with_text` only. An element whose content is no code is not quoted: it may hold anything.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TextIO

from agent.apps.registry.compare import Verdict
from agent.apps.registry.errors import RegistryError
from agent.apps.spreadsheet import ENCODING, harmless, spreadsheet_writer
from agent.apps.wording import AXIS_NAMES
from index.io.atomic import new_file
from index.io.failures import reason
from index.io.language import say

REFUSED = "abgelehnt"
NOTICE = "Hinweis"
# Column of the report -> attribute of the row. German: documentation officers open the file in a spreadsheet.
COLUMNS = {
    "Datei": "file",
    "Zeile": "line",
    "Meldung_ID": "meldung_id",
    "Tumor_ID": "tumour_id",
    "Abschnitt": "section",
    "Element": "element",
    "Achse": "axis",
    "Code_Meldung": "written",
    "Version_Meldung": "version",
    "Vorschlag": "proposed",
    "Konfidenz": "confidence",
    "Urteil": "verdict",
    "Gefuellt": "filled",
    "Grund": "reason",
}


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of the report. `verdict` is a `Verdict`, or `Hinweis` or `abgelehnt` for a notice or a file
    that was not coded. `text` is what the agent was asked; reports leave it out unless told otherwise."""

    file: str
    line: int | None
    verdict: str
    reason: str = ""
    meldung_id: str = ""
    tumour_id: str = ""
    section: str = ""
    element: str = ""
    axis: str = ""
    written: str = ""
    version: str = ""
    proposed: str = ""
    confidence: float | None = None
    filled: bool = False
    text: str = ""


@dataclass
class Counts:
    """What a run counted; grows as rows come. `filled` are codes in copies that were written."""

    files: int = 0
    refused: int = 0
    meldungen: int = 0
    tumours: int = 0
    filled: int = 0
    copies: int = 0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: ReportRow) -> None:
        self.filled += row.filled
        self.verdicts[row.axis, row.verdict] += 1

    def to_dict(self) -> dict[str, Any]:
        by_axis: dict[str, dict[str, int]] = {}
        for axis, verdict, number in self.lines():
            by_axis.setdefault(axis or "Datei", {})[verdict] = number
        return {
            "Dateien": self.files,
            "abgelehnte Dateien": self.refused,
            "Meldungen": self.meldungen,
            "Tumoren": self.tumours,
            "gefüllte Codes": self.filled,
            "geschriebene Kopien": self.copies,
            "je Achse": by_axis,
        }

    def lines(self) -> Iterator[tuple[str, str, int]]:
        """(axis, verdict, number), axes in their order and verdicts in that of `Verdict`."""
        verdicts = [*Verdict, NOTICE, REFUSED]
        for axis in (*AXIS_NAMES.values(), ""):
            for verdict in verdicts:
                if number := self.verdicts[axis, verdict]:
                    yield axis, str(verdict), number


class Report(Protocol):
    """Where rows go. What came since `begin` can be taken back: the rows of a file whose copy fails at its end."""

    def begin(self) -> None: ...

    def write(self, row: ReportRow) -> None: ...

    def take_back(self) -> None: ...


class FirstRows:
    """The first rows that say something, for a screen, or of refused files alone; `more` counts the others."""

    def __init__(self, limit: int, *, only_refused: bool = False) -> None:
        self.limit, self.only_refused = limit, only_refused
        self.rows: list[ReportRow] = []
        self.more = 0
        self.begin()

    def begin(self) -> None:
        self.kept = len(self.rows), self.more

    def write(self, row: ReportRow) -> None:
        if row.verdict == Verdict.NEITHER and not row.element:
            return
        if self.only_refused and row.verdict != REFUSED:
            return
        if len(self.rows) < self.limit:
            self.rows.append(row)
        else:
            self.more += 1

    def take_back(self) -> None:
        number, self.more = self.kept
        del self.rows[number:]


@contextmanager
def open_report(path: Path, *, with_text: bool) -> Iterator[FileReport]:
    """A report that is written as the rows come: CSV or JSON by the ending of its name. The file appears under
    its name once it is complete. Raises `RegistryError` where it cannot be written."""
    forms: dict[str, type[FileReport]] = {".csv": _CsvReport, ".json": _JsonReport}
    form = forms.get(path.suffix.lower())
    if form is None:
        raise RegistryError(say("report-ending", path=path))
    with (
        _writable(path),
        new_file(path) as half,
        half.open("w", encoding=form.encoding, newline="") as stream,
    ):
        yield form(path, stream, with_text)


class FileReport(ABC):
    """A report in a file; the formats say how its beginning, a row and its end are written."""

    encoding: ClassVar[str]

    def __init__(self, path: Path, stream: TextIO, with_text: bool) -> None:
        self.path, self.stream, self.with_text = path, stream, with_text
        self.rows = 0
        self._put(self._head())
        self.begin()

    @abstractmethod
    def _head(self) -> str: ...

    @abstractmethod
    def _row(self, row: ReportRow) -> str: ...

    @abstractmethod
    def _foot(self, counts: Counts) -> str: ...

    def begin(self) -> None:
        with _writable(self.path):
            self.kept = self.stream.tell(), self.rows

    def write(self, row: ReportRow) -> None:
        self._put(self._row(row))
        self.rows += 1

    def take_back(self) -> None:
        place, self.rows = self.kept
        with _writable(self.path):
            self.stream.seek(place)
            self.stream.truncate()

    def finish(self, counts: Counts) -> None:
        """The counts, behind the last row."""
        self._put(self._foot(counts))

    def _columns(self) -> dict[str, str]:
        """The columns with the attributes of a row that stand in them."""
        return COLUMNS | ({"Text": "text"} if self.with_text else {})

    def _values(self, row: ReportRow) -> dict[str, Any]:
        return {column: getattr(row, name) for column, name in self._columns().items()}

    def _put(self, text: str) -> None:
        # Not an OSError: a run takes that for the fault of the message that it reads.
        with _writable(self.path):
            self.stream.write(text)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(path)):
            raise
        raise RegistryError(f"--report {path}: {reason(error)}") from None


class _CsvReport(FileReport):
    encoding = ENCODING

    def _head(self) -> str:
        return _csv_line(self._columns())

    def _row(self, row: ReportRow) -> str:
        cells = self._values(row) | {"Gefuellt": "ja" if row.filled else ""}
        if row.confidence is not None:
            cells["Konfidenz"] = f"{row.confidence:.2f}".replace(".", ",")
        return _csv_line(map(harmless, cells.values()))

    def _foot(self, counts: Counts) -> str:
        """In rows of the same width, so that the file stays one table."""
        empty = dict.fromkeys(self._columns(), "")
        rows = (
            empty | {"Datei": "Summe", "Achse": axis, "Urteil": verdict, "Grund": str(number)}
            for axis, verdict, number in counts.lines()
        )
        return "".join(_csv_line(row.values()) for row in rows)


class _JsonReport(FileReport):
    encoding = "utf-8"

    def _head(self) -> str:
        return '{"zeilen": [\n'

    def _row(self, row: ReportRow) -> str:
        cells = self._values(row)
        if row.confidence is not None:
            cells["Konfidenz"] = round(row.confidence, 4)
        return (",\n" if self.rows else "") + json.dumps(cells, ensure_ascii=False)

    def _foot(self, counts: Counts) -> str:
        return '\n], "summen": ' + json.dumps(counts.to_dict(), ensure_ascii=False) + "}\n"


def _csv_line(cells: Iterable[str]) -> str:
    stream = io.StringIO()
    spreadsheet_writer(stream).writerow(cells)
    return stream.getvalue()
