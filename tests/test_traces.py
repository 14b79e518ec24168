"""What a run leaves behind and whom it talks to, in every way of use: each codes a text with an unmistakable word,
under `strace`, with every tracing variable of the ecosystem set and pointing at a listener.

The word may stand only where the table of docs/data-protection.md says; nobody but loopback is called.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.index import catalogue_files
from tests.listener import Listener, listening, tracing_variables
from tests.registry.messages import Case, adt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORD = "Zxqvorm7k"
TEXT = f"{WORD} Mamma-Ca links oben außen, G2"
_COMMAND = [sys.executable, "-m", "agent"]
_LISTED = (ROOT / "docs/data-protection.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Way:
    """`command` runs in a folder where `inputs` lie; `places` are the files in which the word may then stand
    (patterns, each in the table of the documentation), `terminal` whether standard output may show it."""

    command: tuple[str, ...]
    inputs: Callable[[Path], None] = lambda folder: None
    places: tuple[str, ...] = ()
    terminal: bool = False
    loopback: bool = False
    """Whether the texts travel over sockets of this machine."""


def _lines(folder: Path) -> None:
    (folder / "texte.txt").write_text(f"{TEXT}\nProstata-Ca {WORD}\n", encoding="utf-8")


def _csv(folder: Path) -> None:
    (folder / "in.csv").write_text(f"Nr;Diagnose\n1;{TEXT}\n2;Ca {WORD}\n", encoding="utf-8")


def _xlsx(folder: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for row in (("Nr", "Diagnose"), (1, TEXT)):
        book.active.append(row)
    book.save(folder / "in.xlsx")


def _parquet(folder: Path) -> None:
    pq.write_table(pa.table({"Nr": [1], "Diagnose": [TEXT]}), folder / "in.parquet")


def _jsonl(folder: Path) -> None:
    (folder / "in.jsonl").write_text(json.dumps({"Nr": 1, "Diagnose": TEXT}) + "\n", encoding="utf-8")


def _message(folder: Path) -> None:
    (folder / "meldung.xml").write_text(
        adt(Case(diagnosis=TEXT), Case("C61", diagnosis=WORD)), encoding="utf-8"
    )


def _testset(folder: Path) -> None:
    rows = (
        "text\ticd10\ticdo_topography\ticdo_morphology\tnote\n"
        + f"{TEXT}\tC50.4\tC50.4\t8500/3\ttumour\n" * 3
    )
    (folder / "eigene.tsv").write_text(rows, encoding="utf-8")


def _catalogue(folder: Path) -> None:
    (folder / "katalog").mkdir()
    (folder / "katalog/alphabet-2023.txt").write_text(catalogue_files.PLAIN_ALPHABET, encoding="utf-8")
    (folder / "katalog/metadata2024.txt").write_text(catalogue_files.metadata(), encoding="utf-8")


_DECIDE = """
from pathlib import Path
from agent.apps.review.decision import Action, decide
from agent.apps.review.store import Store
with Store.open(Path("review.sqlite")) as store:
    for item in store.page("all", ""):
        store.decide(item.id, decide(item.coding, Action.ACCEPT, by="A"), seen=item.revision)
"""
_PYTHON = """
import asyncio, sys, threading
from pathlib import Path
from agent import CodingAgent
agent, text = CodingAgent.load(), sys.argv[1]
assert agent.code(text).tumour
assert len(list(agent.code_many([text] * 70))) == 70
assert list(agent.stream(text))
thread = threading.Thread(target=agent.code, args=(text,))
thread.start()
thread.join()
asyncio.run(asyncio.to_thread(agent.code, text))
from langgraph.types import Command
from agent.apps.review.interrupt import checkpoints, review_graph
with checkpoints(Path("lauf.sqlite")) as saver:
    graph = review_graph(agent, threshold=1.0, checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}}
    found = graph.invoke({"texts": [text]}, config)
    while "__interrupt__" in found:
        found = graph.invoke(Command(resume={"action": "accept", "by": "A"}), config)
    assert found["reviewed"]
"""


def _cli(*arguments: str) -> tuple[str, ...]:
    return (*_COMMAND, *arguments)


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script, TEXT)


def _shell(script: str) -> tuple[str, ...]:
    return ("bash", "-euc", script.replace("onkokode ", f"{' '.join(_COMMAND)} "))


_FILE = "kodiert.*"
_DATABASE = ("review.sqlite", "review.sqlite-wal", "review.sqlite-shm")
WAYS = {
    "code, argument": Way(_cli("code", TEXT), terminal=True),
    "code, standard input": Way(_shell("onkokode code - < texte.txt"), _lines, terminal=True),
    "code, JSON": Way(_cli("code", "--json", TEXT), terminal=False),
    "code, explained": Way(_cli("code", "--explain", TEXT), terminal=True),
    "code-file, CSV": Way(_cli("code-file", "in.csv", "kodiert.csv"), _csv, (_FILE,)),
    "code-file, Excel": Way(_cli("code-file", "in.xlsx", "kodiert.xlsx"), _xlsx, (_FILE,)),
    "code-file, Parquet": Way(_cli("code-file", "in.parquet", "kodiert.parquet"), _parquet, (_FILE,)),
    "code-file, JSONL": Way(_cli("code-file", "in.jsonl", "kodiert.jsonl"), _jsonl, (_FILE,)),
    "registry, report": Way(_cli("registry", "meldung.xml", "--report", "bericht.csv"), _message),
    "registry, write": Way(
        _cli("registry", "meldung.xml", "--write", "gefuellt.xml"), _message, ("gefuellt.xml",)
    ),
    "fhir": Way(_cli("fhir", "texte.txt", "--out", "bundle.json"), _lines),
    "review add, review export": Way(
        _shell(
            "onkokode review add texte.txt --db review.sqlite\n"
            f"{sys.executable} -c '{_DECIDE}'\n"
            "onkokode review export --db review.sqlite --csv entscheidungen.csv --pairs paare"
        ),
        _lines,
        (*_DATABASE, "entscheidungen.csv", "paare/*"),
    ),
    "Python: code, code_many, stream, interrupt": Way(
        _python(_PYTHON), places=("lauf.sqlite", "lauf.sqlite-wal", "lauf.sqlite-shm")
    ),
    "catalogue add": Way(_cli("catalogue", "add", "katalog"), _catalogue),
    "eval": Way(_cli("eval", "run", "--testset", "eigene.tsv", "--only", "agent", "--out", "masse"), _testset),
    "eval run": Way(
        _cli("eval", "run", "--testset", "eigene.tsv", "--only", "retrieval", "--out", "zeilen"),
        _testset,
    ),
    "Ray": Way(
        _cli("code-file", "in.csv", "kodiert.csv", "--engine", "ray", "--workers", "1"),
        _csv,
        (_FILE,),
        loopback=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening() as started:
        yield started


@dataclass
class Started:
    """A run in its scratch folder, with the environment of a user for whom everything is traced."""

    folder: Path
    environment: dict[str, str]
    log: Path
    before: dict[Path, int]

    def command(self, way: Way) -> list[str]:
        traced = [
            "strace",
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-s",
            "200000",
            "-e",
            "trace=%network",
            "-o",
            str(self.log),
        ]
        return [*traced, *way.command]

    def check(self, way: Way, listener: Listener, shown: bytes, errors: bytes) -> None:
        assert WORD.encode() not in errors, errors[:2000]
        assert way.terminal or WORD.encode() not in shown, shown[:2000]
        found = {
            path
            for path in self._files()
            if path.stat().st_mtime_ns != self.before.get(path) and _holds(path)
        }
        names = {str(path.relative_to(self.folder / "work")) if path.is_relative_to(self.folder / "work")
                 else str(path) for path in found}  # fmt: skip
        left = {name for name in names if not any(fnmatch.fnmatch(name, place) for place in way.places)}
        assert not left, left
        for place in way.places:
            assert "-" in place or any(fnmatch.fnmatch(name, place) for name in names), f"no word in {place}"
        assert WORD.encode() in shown or not way.terminal, "it has coded nothing"
        for place in way.places:
            listed = place.removesuffix("-wal").removesuffix("-shm").removesuffix("*")
            assert f"`{listed}" in _LISTED, f"{place} is not in the table of docs/data-protection.md"
        assert listener.requests == []
        calls = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        assert _addresses(calls) == set(), _addresses(calls)
        written = [call for call in calls if WORD in call and re.search(r"\bsend(to|msg|mmsg)\(", call)]
        assert way.loopback or not written, written[:3]

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path != self.log]


@pytest.fixture
def started(tmp_path: Path, listener: Listener) -> Started:
    if shutil.which("strace") is None:
        pytest.skip("no strace here, which sees whom a process talks to; apt-get install strace")
    listener.requests.clear()
    places = {name: str(tmp_path / name) for name in ("home", "tmp", "onkokode", "work", "cache")}
    for place in places.values():
        Path(place).mkdir()
    plain = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    environment = plain | tracing_variables(listener.url) | {
        "HOME": places["home"], "TMPDIR": places["tmp"], "ONKOKODE_HOME": places["onkokode"],
        "XDG_CACHE_HOME": places["cache"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return Started(tmp_path, environment, tmp_path / "strace.txt", {})


@pytest.mark.parametrize("name", WAYS)
def test_the_text_stays_where_the_documentation_says(name: str, started: Started, listener: Listener) -> None:
    way = WAYS[name]
    if name == "Ray":
        pytest.importorskip("ray")
    work = started.folder / "work"
    way.inputs(work)
    started.before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    done = subprocess.run(
        started.command(way), cwd=work, env=started.environment, capture_output=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    started.check(way, listener, done.stdout, done.stderr)


def test_a_killed_run_leaves_no_text(started: Started, listener: Listener) -> None:
    """`code-file` stopped in the middle keeps codes, and no text."""
    work = started.folder / "work"
    source = work / "in.csv"
    source.write_text("Nr;Diagnose\n" + f"1;{TEXT}\n" * 20_000, encoding="utf-8")
    started.before = {source: source.stat().st_mtime_ns}
    way = Way(_cli("code-file", "in.csv", "kodiert.csv"))
    with subprocess.Popen(
        way.command, cwd=work, env=started.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        _wait(lambda: list(work.glob("kodiert.csv.onkokode/*.jsonl")), run)
        run.send_signal(signal.SIGKILL)
        errors = run.communicate(timeout=60)[1]
    started.log.write_text("", encoding="utf-8")
    started.check(way, listener, b"", errors)


def test_the_service_and_its_page(started: Started, listener: Listener) -> None:
    """Four ways in one process: one text, many texts, a table, and the review page with its work list."""
    work = started.folder / "work"
    _lines(work)
    subprocess.run(
        _cli("review", "add", "texte.txt", "--db", "review.sqlite"),
        cwd=work,
        env=started.environment,
        check=True,
        capture_output=True,
    )
    started.before = {work / "texte.txt": (work / "texte.txt").stat().st_mtime_ns}
    way = Way(
        _cli("serve", "--port", "0", "--review", "review.sqlite", "--jobs", "auftraege"),
        places=(*_DATABASE, "auftraege/*/kodiert.*"),
        loopback=True,
    )
    with (
        (started.folder / "shown.txt").open("wb") as shown,
        (started.folder / "errors.txt").open("wb") as errors,
        subprocess.Popen(
            started.command(way),
            cwd=work,
            env=started.environment,
            stdout=shown,
            stderr=errors,
            start_new_session=True,
        ) as run,
    ):
        said = partial(_said, started.folder)
        try:
            _wait(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", said()), run)
            address = re.search(r"http://127\.0\.0\.1:\d+", said())
            assert address is not None
            with httpx.Client(base_url=address[0], timeout=120, trust_env=False) as client:
                _wait(lambda: _ready(client), run)
                assert client.post("/v1/code", json={"text": TEXT}).json()["tumour"]
                assert len(client.post("/v1/code-many", json={"texts": [TEXT] * 9}).json()["results"]) == 9
                assert client.post("/v1/explain", json={"text": TEXT}).status_code == 200
                assert client.post("/v1/code", content=f'{{"text": "{WORD}'.encode()).status_code == 422
                assert client.post("/v1/code", json={"txt": TEXT}).status_code == 422
                assert client.get("/review", follow_redirects=True).status_code == 200
                for name, table in ((f"{WORD}.csv", f"Nr;Diagnose\n1;{TEXT}\n"), ("in.csv", f"{WORD};a b\n")):
                    sent = {"file": (name, table.encode())}
                    job = client.post("/v1/jobs", files=sent).json()["id"]
                    _wait(partial(_is_over, client, job), run)
                assert client.get("/metrics").status_code == 200
        finally:
            os.killpg(run.pid, signal.SIGTERM)
            run.wait(60)
    logs = [(started.folder / name).read_bytes() for name in ("shown.txt", "errors.txt")]
    started.check(way, listener, *logs)


def _is_over(client: httpx.Client, job: str) -> bool:
    return client.get(f"/v1/jobs/{job}").json()["ended"] is not None


def _said(folder: Path) -> str:
    return "".join((folder / name).read_text(errors="replace") for name in ("shown.txt", "errors.txt"))


def _ready(client: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return client.get("/health/ready").status_code == 200
    return False


def _wait(condition: Callable[[], object], run: subprocess.Popen[bytes], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert run.poll() is None, "it ended"
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


_CALL = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg|bind)\(")
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


def _addresses(calls: list[str]) -> set[str]:
    """The addresses that were called, written to or listened on, but those of this machine."""
    used = {found[1] or found[2] for call in calls if _CALL.search(call) for found in _ADDRESS.finditer(call)}
    return {one for one in used if not ip_address(one.removeprefix("::ffff:")).is_loopback}


def _holds(path: Path) -> bool:
    """Whether the word stands in a file, also packed."""
    data = path.read_bytes()
    if any(WORD.encode(coding) in data for coding in ("utf-8", "utf-16-le", "utf-16-be")):
        return True
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as pack:
            return any(WORD.encode() in pack.read(name) for name in pack.namelist())
    if data[:4] == b"PAR1":
        return WORD in str(pq.read_table(path).to_pydict())
    if data.startswith(b"SQLite format 3"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return WORD in "\n".join(database.iterdump())
    return False


def test_the_search_finds_the_word_in_every_format(tmp_path: Path) -> None:
    for write in (_csv, _xlsx, _parquet, _jsonl, _message):
        write(tmp_path)
    (tmp_path / "wide.txt").write_text(TEXT, encoding="utf-16")
    assert all(_holds(path) for path in tmp_path.iterdir()) and len(list(tmp_path.iterdir())) == 6


def test_the_search_finds_a_call_to_another_machine() -> None:
    calls = [
        '1 connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 0',
        '1 bind(5, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::", &sin6_addr)}',
        '1 connect(5, {sa_family=AF_INET6, inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
        '1 connect(5, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
    ]
    assert _addresses(calls) == {"192.0.2.1", "::"}
