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
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from agent.apps.registry.compare import Verdict
from agent.apps.registry.errors import RegistryError
from agent.apps.spreadsheet import ENCODING, harmless, spreadsheet_writer
from agent.apps.wording import AXIS_NAMES
from index.io.atomic import new_file

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
    """The first rows that say something, for a screen; `more` counts the others."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: list[ReportRow] = []
        self.more = 0
        self.begin()

    def begin(self) -> None:
        self.kept = len(self.rows), self.more

    def write(self, row: ReportRow) -> None:
        if row.verdict == Verdict.NEITHER and not row.element:
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
    forms: dict[str, type[_Csv] | type[_Json]] = {".csv": _Csv, ".json": _Json}
    form = forms.get(path.suffix.lower())
    if form is None:
        raise RegistryError(f"--report {path}: der Name muss auf .csv oder .json enden")
    with (
        _writable(path),
        new_file(path) as half,
        half.open("w", encoding=form.encoding, newline="") as stream,
    ):
        yield FileReport(path, stream, form(with_text))


class FileReport:
    """A report in a file."""

    def __init__(self, path: Path, stream: TextIO, form: _Csv | _Json) -> None:
        self.path, self.stream, self.form = path, stream, form
        self.rows = 0
        self._put(form.head())
        self.begin()

    def begin(self) -> None:
        with _writable(self.path):
            self.kept = self.stream.tell(), self.rows

    def write(self, row: ReportRow) -> None:
        self._put(self.form.row(row, first=not self.rows))
        self.rows += 1

    def take_back(self) -> None:
        place, self.rows = self.kept
        with _writable(self.path):
            self.stream.seek(place)
            self.stream.truncate()

    def finish(self, counts: Counts) -> None:
        """The counts, behind the last row."""
        self._put(self.form.foot(counts))

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
        raise RegistryError(f"--report {path}: nicht schreibbar ({error.strerror or error})") from None


def values(row: ReportRow, with_text: bool) -> dict[str, Any]:
    """The row under the names of the columns."""
    found = {column: getattr(row, name) for column, name in COLUMNS.items()}
    if row.confidence is not None:
        found["Konfidenz"] = round(row.confidence, 4)
    if with_text:
        found["Text"] = row.text
    return found


class _Csv:
    encoding = ENCODING

    def __init__(self, with_text: bool) -> None:
        self.with_text = with_text

    def head(self) -> str:
        return _csv_line([*COLUMNS, *["Text"] * self.with_text])

    def row(self, row: ReportRow, *, first: bool) -> str:
        cells = values(row, self.with_text) | {"Gefuellt": "ja" if row.filled else ""}
        if row.confidence is not None:
            cells["Konfidenz"] = f"{row.confidence:.2f}".replace(".", ",")
        return _csv_line(map(harmless, cells.values()))

    def foot(self, counts: Counts) -> str:
        """In rows of the same width, so that the file stays one table."""
        empty = dict.fromkeys([*COLUMNS, *["Text"] * self.with_text], "")
        rows = (
            empty | {"Datei": "Summe", "Achse": axis, "Urteil": verdict, "Grund": str(number)}
            for axis, verdict, number in counts.lines()
        )
        return "".join(_csv_line(row.values()) for row in rows)


class _Json:
    encoding = "utf-8"

    def __init__(self, with_text: bool) -> None:
        self.with_text = with_text

    def head(self) -> str:
        return '{"zeilen": [\n'

    def row(self, row: ReportRow, *, first: bool) -> str:
        return ("" if first else ",\n") + json.dumps(values(row, self.with_text), ensure_ascii=False)

    def foot(self, counts: Counts) -> str:
        return '\n], "summen": ' + json.dumps(counts.to_dict(), ensure_ascii=False) + "}\n"


def _csv_line(cells: Iterable[str]) -> str:
    stream = io.StringIO()
    spreadsheet_writer(stream).writerow(cells)
    return stream.getvalue()
