"""A table coded from end to end, in chunks that survive a kill.

    code_file(agent, Path("diagnosen.csv"), Path("kodiert.csv"))

Beside the output lies a folder `kodiert.csv.onkokode` while the run lasts: `run.json` says what is being
coded with what, and each chunk of rows leaves a file with its codes (no text) that is there whole or not at
all. The same command goes on with the chunks that are missing. At the end input and chunks are put together;
the output appears under its name only when it is complete.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.files.answer import COLUMNS, answer_of, unread
from agent.files.columns import find_text_column
from agent.files.table import (
    CHUNK_ROWS,
    Chunk,
    Options,
    Table,
    TableError,
    open_table,
    text_of,
    write_table,
)
from index.build import file_sha256

if TYPE_CHECKING:
    from agent.agent import CodingAgent

Progress = Callable[[int, int], None]  # (rows done, rows in all)
Answers = list[list[Any]]


@dataclass
class FileRun:
    """What a run did. `done_before` rows were coded by an earlier, stopped run."""

    rows: int = 0
    done_before: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Engine(Protocol):
    """Codes chunks: one process, or many machines."""

    def code(self, table: Table, column: str, missing: set[int]) -> Iterator[tuple[int, Answers]]:
        """(chunk number, answers of its rows) for each missing chunk, in any order."""


class LocalEngine:
    """Codes in this process."""

    def __init__(self, agent: CodingAgent) -> None:
        self.agent = agent

    def code(self, table: Table, column: str, missing: set[int]) -> Iterator[tuple[int, Answers]]:
        for chunk in table.chunks(first=min(missing, default=0)):
            if chunk.number in missing:
                yield chunk.number, code_chunk(self.agent, chunk, table.columns.index(column))


def code_chunk(agent: CodingAgent, chunk: Chunk, place: int) -> Answers:
    """Code a chunk; equal texts once. Which texts share a batch depends on the chunk alone, so that every
    engine and every restart gives the same numbers to the last digit."""
    texts = [text_of(row.values[place]) for row in chunk.rows]
    asked = list(dict.fromkeys(text for text in texts if text.strip()))
    coded = dict(zip(asked, agent.code_many(asked), strict=True))
    return [
        answer_of(coded[text], row.problem) if text in coded else unread(row.problem or "kein Diagnosetext")
        for row, text in zip(chunk.rows, texts, strict=True)
    ]


def code_file(
    agent: CodingAgent,
    source: Path,
    target: Path,
    *,
    column: str | None = None,
    options: Options | None = None,
    engine: Engine | None = None,
    restart: bool = False,
    progress: Progress = lambda done, rows: None,
) -> FileRun:
    """Code the texts of a table and write the table with the answers as further columns.

    Args:
        column: the text column; None finds it.
        engine: how chunks are coded; None codes in this process.
        restart: forget what an earlier run left, and overwrite the output.
        progress: called after each chunk.

    Raises:
        TableError: a file cannot be read or written, or belongs to another run.
    """
    started = time.monotonic()
    if target.exists() and not restart:
        raise TableError(f"{target} gibt es schon; mit --restart wird neu kodiert und überschrieben")
    if source.resolve() == target.resolve():
        raise TableError(f"{target}: Ein- und Ausgabe sind dieselbe Datei")
    if not target.parent.is_dir():
        raise TableError(f"{target.parent}: den Ordner gibt es nicht")
    table = open_table(source.resolve(), options)
    name = find_text_column(table, column)
    _must_be_free(table)
    work = target.with_name(target.name + ".onkokode")
    if restart:
        shutil.rmtree(work, ignore_errors=True)
    _same_run(work, table, name, agent.info())
    chunks = -(-table.rows // CHUNK_ROWS)
    missing = {number for number in range(chunks) if not _part(work, number).is_file()}
    run = FileRun(table.rows, done_before=_rows_in(table.rows, set(range(chunks)) - missing))
    done = run.done_before
    progress(done, table.rows)
    for number, answers in (engine or LocalEngine(agent)).code(table, name, missing):
        _write_part(_part(work, number), answers)
        done += len(answers)
        progress(done, table.rows)
    run.counts = _put_together(table, work, target)
    shutil.rmtree(work)
    run.seconds = time.monotonic() - started
    return run


def _same_run(work: Path, table: Table, column: str, agent: dict[str, Any]) -> None:
    """Begin a run's folder, or find that it is the same run's."""
    facts = {
        "input": file_sha256(table.path),
        "column": column,
        "rows": table.rows,
        **table.facts(),
        "agent": agent,
    }
    facts = json.loads(json.dumps(facts, default=str))
    record = work / "run.json"
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        differing = sorted(name for name in facts if known.get(name) != facts[name])
        if differing:
            raise TableError(
                f"{work} gehört zu einem anderen Lauf (anders: {', '.join(differing)}); mit --restart wird "
                "von vorn kodiert"
            )
        return
    work.mkdir(exist_ok=True)
    _write_whole(record, json.dumps(facts, ensure_ascii=False, indent=1))


def _must_be_free(table: Table) -> None:
    taken = sorted(set(table.columns) & set(COLUMNS))
    if taken:
        raise TableError(
            f"{table.path} hat schon die Spalte {taken[0]}; ist die Datei schon kodiert? Sonst bitte umbenennen"
        )


def _part(work: Path, number: int) -> Path:
    return work / f"{number:08d}.jsonl"


def _write_part(path: Path, answers: Iterable[list[Any]]) -> None:
    _write_whole(path, "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers))


def _write_whole(path: Path, content: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(content, encoding="utf-8", errors="surrogatepass")
    temporary.replace(path)


def _rows_in(rows: int, chunks: set[int]) -> int:
    return sum(min(CHUNK_ROWS, rows - number * CHUNK_ROWS) for number in chunks)


def _put_together(table: Table, work: Path, target: Path) -> dict[str, int]:
    """Write the output from input and chunks; returns what was found how often."""
    counts = dict.fromkeys(("kodiert", "offen", "kein Tumor", "ohne Text"), 0)
    temporary = target.with_name(target.name + ".part")
    with write_table(table, target, COLUMNS, temporary) as writer:
        for chunk in table.chunks():
            part = _part(work, chunk.number)
            answers = [json.loads(line) for line in part.read_text("utf-8", "surrogatepass").split("\n")[:-1]]
            for answer in answers:
                counts[_kind(answer)] += 1
            writer.write(chunk, answers)
    temporary.replace(target)
    return counts


def _kind(answer: list[Any]) -> str:
    if answer[0] is None:
        return "ohne Text"
    if answer[0] == "nein":
        return "kein Tumor"
    return "kodiert" if answer[1] else "offen"
