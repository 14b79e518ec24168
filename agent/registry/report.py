"""The report of a run: one row per code element, written as it comes, and counts at the end.

with open_report(Path("bericht.csv"), with_text=False) as report:
    report.write(row)

A row names file, line, Meldung_ID and Tumor_ID, and nothing of the patient. The diagnosis texts come with
`with_text` only. An element whose content is no code is not quoted: it may hold anything.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from agent.registry.compare import Verdict
from agent.registry.errors import RegistryError
from index.records import CodeSystem

AXIS_NAMES = {
    CodeSystem.ICD10GM: "ICD-10-GM",
    CodeSystem.TOPOGRAPHY: "Topographie",
    CodeSystem.MORPHOLOGY: "Morphologie",
}
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
class Row:
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
    """What a run counted; grows as rows come."""

    files: int = 0
    refused: int = 0
    meldungen: int = 0
    tumours: int = 0
    filled: int = 0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
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
    """Where rows go."""

    def write(self, row: Row) -> None: ...

    def finish(self, counts: Counts) -> None: ...


class NoReport:
    """Rows that nobody wants to keep."""

    def write(self, row: Row) -> None:
        pass

    def finish(self, counts: Counts) -> None:
        pass


@contextmanager
def open_report(path: Path | None, *, with_text: bool) -> Iterator[Report]:
    """A report that is written as the rows come: CSV or JSON by the ending of its name, nothing for None.
    The file appears under its name once it is complete."""
    if path is None:
        yield NoReport()
        return
    kinds: dict[str, type[_Csv] | type[_Json]] = {".csv": _Csv, ".json": _Json}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise RegistryError(f"--report {path}: der Name muss auf .csv oder .json enden")
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding=kind.encoding, newline="") as stream:
            yield kind(stream, with_text)
        temporary.replace(path)
    except OSError as error:
        raise RegistryError(f"--report {path}: nicht schreibbar ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)


def values(row: Row, with_text: bool) -> dict[str, Any]:
    """The row under the names of the columns."""
    found = {column: getattr(row, name) for column, name in COLUMNS.items()}
    if row.confidence is not None:
        found["Konfidenz"] = round(row.confidence, 4)
    if with_text:
        found["Text"] = row.text
    return found


class _Csv:
    encoding = "utf-8-sig"  # a spreadsheet takes plain UTF-8 for Windows' encoding

    def __init__(self, stream: TextIO, with_text: bool) -> None:
        self.with_text = with_text
        self.writer = csv.writer(stream, delimiter=";", lineterminator="\r\n")
        self.width = len(COLUMNS) + with_text
        self.writer.writerow([*COLUMNS, *(["Text"] if with_text else [])])

    def write(self, row: Row) -> None:
        cells = values(row, self.with_text) | {"Gefuellt": "ja" if row.filled else ""}
        if row.confidence is not None:
            cells["Konfidenz"] = f"{row.confidence:.2f}".replace(".", ",")
        self.writer.writerow([_harmless(cell) for cell in cells.values()])

    def finish(self, counts: Counts) -> None:
        """The counts, in rows of the same width, so that the file stays one table."""
        for axis, verdict, number in counts.lines():
            row = dict.fromkeys(COLUMNS, "") | {"Datei": "Summe", "Achse": axis, "Urteil": verdict}
            row["Grund"] = str(number)
            self.writer.writerow([*row.values(), *([""] if self.with_text else [])])


class _Json:
    encoding = "utf-8"

    def __init__(self, stream: TextIO, with_text: bool) -> None:
        self.stream, self.with_text = stream, with_text
        self.between = '{"zeilen": [\n'

    def write(self, row: Row) -> None:
        self.stream.write(self.between + json.dumps(values(row, self.with_text), ensure_ascii=False))
        self.between = ",\n"

    def finish(self, counts: Counts) -> None:
        if self.between.startswith("{"):
            self.stream.write(self.between)
        self.stream.write('\n], "summen": ' + json.dumps(counts.to_dict(), ensure_ascii=False) + "}\n")


def _harmless(cell: Any) -> str:
    """A cell that no spreadsheet takes for a formula: Meldung_ID and file names come from outside."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_csv(rows: list[Row], with_text: bool = False) -> str:
    """Rows as the text of a CSV file, for tests and small reports."""
    stream = io.StringIO()
    report = _Csv(stream, with_text)
    for row in rows:
        report.write(row)
    return stream.getvalue()
