"""A table coded from end to end, in chunks that survive a kill.

    code_file(agent, Path("diagnosen.csv"), Path("kodiert.csv"))

Beside the output lies a folder `kodiert.csv.onkokode` while the run lasts (`agent/apps/files/work_folder.py`); the same command
goes on with the chunks that are missing. The table is read three times: all of it before any work, which finds
what is damaged and gives each chunk a digest; to code; and to put rows and codes together. Each reading of a chunk has
to give that digest again, so a file that changes meanwhile is an error and never another row's code. The output
appears under its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agent.apps.files.answer import COLUMNS, answer_of, unread
from agent.apps.files.columns import Question, RowFields
from agent.apps.files.formats import open_table
from agent.apps.files.table import Chunk, Table, TableFileError, TableOptions, must_be_a_file
from agent.apps.files.work_folder import Answers, WorkFolder
from agent.apps.files.writing import must_fit, write_table
from index.io.atomic import new_file
from index.io.language import say

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from agent.results import CodedText
    from index.dates import Date

Progress = Callable[[int, int], None]  # (rows done, rows in all)
_KINDS_OF_PROBLEMS = 5  # that the notes name; each row has its own in any case


@dataclass
class FileRun:
    """What a run did. `read` says what of the file was taken for what; `done_before` rows were coded by an earlier, stopped run; `notes` are for the
    person who started it, without a text."""

    rows: int = 0
    read: str = ""
    done_before: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class CodedChunk(NamedTuple):
    """The answers to the rows of a chunk, and the digest of those rows as they were read to be coded."""

    number: int
    digest: str
    answers: Answers


class Engine(Protocol):
    """Codes chunks: one process, or many machines."""

    def code(self, table: Table, fields: RowFields, missing: set[int]) -> Iterator[CodedChunk]:
        """Each missing chunk, in any order."""


class CodesMany(Protocol):
    """What a chunk is coded with: an agent, or what asks one in turns with others."""

    def code_many(
        self, texts: Iterable[Question], dates: Iterable[Date] | None = None
    ) -> Iterator[CodedText]:
        """One answer each, in order."""


class LocalEngine:
    """Codes in this process."""

    def __init__(self, agent: CodesMany) -> None:
        self.agent = agent

    def code(self, table: Table, fields: RowFields, missing: set[int]) -> Iterator[CodedChunk]:
        if missing:
            for chunk in table.chunks(first=min(missing)):
                if chunk.number in missing:
                    answers = code_chunk(self.agent, chunk, fields)
                    yield CodedChunk(chunk.number, chunk.digest(table.salt), answers)


def code_chunk(agent: CodesMany, chunk: Chunk, fields: RowFields) -> Answers:
    """Code a chunk; equal texts of one year once. Which texts share a batch depends on the chunk alone, so that every
    engine and every restart gives the same numbers to the last digit."""
    questions = [fields.question(row.values) for row in chunk.rows]
    years = [fields.year(row.values) for row in chunk.rows]
    keys = [(question, year) for (question, _), (year, _) in zip(questions, years, strict=True)]
    asked = list(dict.fromkeys((question, year) for question, year in keys if question is not None))
    found = agent.code_many([question for question, _ in asked], [year for _, year in asked])
    coded = dict(zip(asked, found, strict=True))
    answers: Answers = []
    for row, key, (_, unused), (_, undated) in zip(chunk.rows, keys, questions, years, strict=True):
        problem = "; ".join(filter(None, (row.problem, unused, undated))) or None
        answers.append(
            answer_of(coded[key], problem) if key in coded else unread(problem or "kein Diagnosetext")
        )
    return answers


def code_file(
    agent: CodingAgent,
    source: Path,
    target: Path,
    *,
    column: str | None = None,
    fields: Mapping[str, str | None] | None = None,
    date_column: str | None = None,
    tumour: bool = False,
    options: TableOptions | None = None,
    engine: Engine | None = None,
    restart: bool = False,
    begun: Callable[[FileRun], None] = lambda run: None,
    progress: Progress = lambda done, rows: None,
) -> FileRun:
    """Code the texts of a table and write the table with the answers as further columns.

    Args:
        column: the column with the diagnosis texts, by name or number; None finds it.
        fields: columns with other fields of the same tumour, by the field's name in `Case`: `{"site": "Ort"}`.
        date_column: the column with the date of diagnosis, whose year's ICD-10-GM codes the row gets.
        tumour: every row is a tumour's, such as in a registry's table.
        engine: how chunks are coded; None codes in this process.
        restart: forget what an earlier run left, and overwrite the output.
        begun: called once the table is looked over, with what was taken for what, before anything is coded.
        progress: called then, and after each chunk.

    Raises:
        UnfinishedRunError: an earlier run on this output cannot be gone on with; `restart` forgets it.
        TableFileError: a file cannot be read or written, or changed while it was coded.
    """
    started = time.monotonic()
    must_be_a_file(source)
    _must_be_writable(source, target, restart)
    table = open_table(source.resolve(), options, column)
    found = RowFields.find(table, column, fields or {}, date=date_column, tumour=tumour)
    _must_be_free(table)
    with WorkFolder(target, restart=restart) as work:
        _must_be_writable(source, target, restart)  # another run may have ended meanwhile
        table.salt = work.salt
        digests, notes = _survey(table, found)
        must_fit(table, target, COLUMNS)
        work.must_be_of(_facts(table, found, digests, agent.info()))
        missing = {
            n for n, (digest, rows) in enumerate(digests) if len(work.answers(n, digest) or ()) != rows
        }
        _rehearse(table, target, work)
        done = sum(rows for number, (_, rows) in enumerate(digests) if number not in missing)
        run = FileRun(table.rows, f"{table.told()}; {found.told(table)}", done, notes=[*table.notes, *notes])
        begun(run)
        progress(done, table.rows)
        for coded in (engine or LocalEngine(agent)).code(table, found, set(missing)):
            _must_be_same(table, digests, coded.number, coded.digest)
            work.keep(*coded)
            missing.discard(coded.number)
            done += len(coded.answers)
            progress(done, table.rows)
        if missing:
            raise table.changed()
        run.counts = _put_together(table, work, target, digests)
        work.remove()
    run.seconds = time.monotonic() - started
    return run


Digests = list[tuple[str, int]]  # per chunk: its digest and its rows


def _must_be_writable(source: Path, target: Path, restart: bool) -> None:
    if target.is_dir():
        raise TableFileError(say("table-is-folder", path=target))
    if target.exists() and not restart:
        raise TableFileError(say("table-exists", path=target))
    if source.resolve() == target.resolve():
        raise TableFileError(say("table-same", path=target))
    if not target.parent.is_dir():
        raise TableFileError(say("table-no-folder", path=target.parent))


def _must_be_free(table: Table) -> None:
    taken = sorted(set(table.columns) & set(COLUMNS))
    if taken:
        raise TableFileError(say("table-coded-before", path=table.path, column=taken[0]))


def _survey(table: Table, fields: RowFields) -> tuple[Digests, list[str]]:
    """Read all of the table once: the digests of its chunks, and what is odd about its rows."""
    digests: Digests = []
    odd: Counter[str] = Counter()
    first: dict[str, int] = {}
    for chunk in table.chunks():
        digests.append((chunk.digest(table.salt), len(chunk.rows)))
        for row in chunk.rows:
            for problem in filter(None, (row.problem, fields.year(row.values)[1])):
                odd[problem] += 1
                first.setdefault(problem, row.number)
    table.rows = sum(rows for _, rows in digests)
    notes = [
        say("odd-rows" if count > 1 else "odd-row", problem=problem, count=count, first=first[problem])
        for problem, count in odd.most_common(_KINDS_OF_PROBLEMS)
    ]
    if len(odd) > _KINDS_OF_PROBLEMS:
        notes.append(say("more-odd"))
    return digests, notes


def _facts(table: Table, fields: RowFields, digests: Digests, agent: dict[str, Any]) -> dict[str, Any]:
    """What a run is. No column's name: where the header is missing, it is a text."""
    whole = hashlib.blake2b(repr((table.columns, digests)).encode("utf-8", "surrogatepass"), key=table.salt)
    return {
        "input": whole.hexdigest(),
        "columns": {field: place + 1 for field, place in fields.places.items()},
        "date": None if fields.date is None else fields.date + 1,
        "tumour": fields.tumour,
        "rows": table.rows,
        **table.facts(),
        "agent": agent,
    }


def _rehearse(table: Table, target: Path, work: WorkFolder) -> None:
    """Write the output without its rows, and throw it away: what fails at once should not fail at the end."""
    probe = work.path / "probe"
    try:
        with write_table(table, target, COLUMNS, probe):
            pass
    finally:
        probe.unlink(missing_ok=True)


def _must_be_same(table: Table, digests: Digests, number: int, digest: str) -> None:
    if number < len(digests) and digests[number][0] == digest:
        return
    begin = sum(rows for _, rows in digests[:number])
    end = begin + (digests[number][1] if number < len(digests) else 0)
    if end:
        raise table.changed(say("changed-records", first=begin + 1, last=end))
    raise table.changed(say("changed-after", last=begin))


def _put_together(table: Table, work: WorkFolder, target: Path, digests: Digests) -> dict[str, int]:
    """Write the output from input and chunks; returns what was found how often."""
    counts = dict.fromkeys(("kodiert", "offen", "kein Tumor", "ohne Text"), 0)
    written = 0
    with new_file(target) as half:
        with write_table(table, target, COLUMNS, half) as writer:
            for chunk in table.chunks():
                digest = chunk.digest(table.salt)
                _must_be_same(table, digests, chunk.number, digest)
                answers = work.answers(chunk.number, digest)
                if answers is None:
                    raise TableFileError(say("work-changed", path=work.path))
                for answer in answers:
                    counts[_kind(answer)] += 1
                writer.write(chunk, answers)
                written += 1
        if written < len(digests):
            raise table.changed(say("changed-end", last=written))
    return counts


def _kind(answer: list[Any]) -> str:
    if answer[0] is None:
        return "ohne Text"
    if answer[0] == "nein":
        return "kein Tumor"
    return "kodiert" if answer[1] else "offen"
