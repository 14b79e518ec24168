"""Tables for tests: the same rows in every format, and an agent that counts what it is asked."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook

from agent.agent import CodingAgent
from agent.results import CodedText
from tests.agent.tiny_agent import embedded_agent

COLUMNS = ("Nr", "Größe", "Diagnosetext", "Datum")
TEXTS = (
    "Mammakarzinom links oben außen",
    "Nephrolithiasis beidseits",
    "",
    "Prostatakarzinom, Gleason 7",
    "Verdacht auf Pankreaskopfkarzinom",
    "Mammakarzinom links oben außen",
)


def rows() -> list[tuple[str, str, str, str]]:
    return [(str(i), f"{i},5", text, "01.02.2024") for i, text in enumerate(TEXTS, start=1)]


def write_csv(path: Path, encoding: str = "utf-8", delimiter: str = ";") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([COLUMNS, *rows()])
    return path


def write_jsonl(path: Path) -> Path:
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_xlsx(path: Path) -> Path:
    book = Workbook()
    book.active.title = "Tumoren"
    for row in [COLUMNS, *rows()]:
        book.active.append(row)
    book.active["D2"] = date(2024, 2, 1)
    book.save(path)
    return path


def write_parquet(path: Path) -> Path:
    columns: dict[str, Any] = {name: [row[i] for row in rows()] for i, name in enumerate(COLUMNS)}
    columns["Nr"] = pa.array([int(n) for n in columns["Nr"]], pa.int16())
    columns["Zeit"] = pa.array([1_700_000_000_000_000_001] * len(TEXTS), pa.timestamp("ns"))
    pq.write_table(pa.table(columns), path)
    return path


class CountingAgent(CodingAgent):
    """The embedded agent; `asked` holds how many texts each call brought. Stops after `limit` calls."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(embedded_agent().resources)
        self.asked: list[int] = []
        self.limit = limit

    def code_many(self, texts: Iterable[str], dates: Any = None) -> Iterator[CodedText]:
        batch = list(texts)
        if self.limit is not None and len(self.asked) >= self.limit:
            raise KeyboardInterrupt
        self.asked.append(len(batch))
        yield from super().code_many(batch, dates)
