"""What goes wrong outside of the program ends in one line that names the file and the remedy, exit code 2; what
is a fault of the program in one line with its place, exit code 70; and no line ever quotes a text."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

import agent
from agent.apps.cli import cli
from agent.apps.options import Output
from index.errors import OnkokodeError
from index.io import failures
from index.io.outputs import OutputError, check_file, check_folder
from tests.agent.test_cli import ROOT, SCRIPTED_PROCESS, EchoAgent

TEXT = "Mammakarzinom der Patientin Müller"  # what no message may quote


class OtherAgent(EchoAgent):
    """Fails while it codes, as `error` says; counts how often it was loaded."""

    error: BaseException | None = None
    loads = 0

    @classmethod
    def load(cls, *args: Any, **options: Any) -> EchoAgent:
        cls.loads += 1
        return cls()

    def code_many(self, texts: Iterable[str], dates: Any = None) -> Iterator[Any]:
        if self.error is not None:
            raise self.error
        yield from map(self.code, texts)


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(agent), "CodingAgent", OtherAgent)
    monkeypatch.setattr(OtherAgent, "error", None)
    monkeypatch.setattr(OtherAgent, "loads", 0)
    monkeypatch.setattr("agent.apps.fhir.bundle.years_in_force", lambda agent: {})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv(failures.DEBUG, raising=False)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder with an input for each command."""
    (tmp_path / "texts.txt").write_text(f"{TEXT}\n", encoding="utf-8")
    (tmp_path / "in.csv").write_text(f"Nr;Diagnose\n1;{TEXT}\n2;x\n", encoding="utf-8")
    (tmp_path / "m.xml").write_text('<ADT_GEKID xmlns="http://www.gekid.de/namespace"/>', encoding="utf-8")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="onkokode")


def line_of(result: Result, code: int = 2) -> str:
    """The one line that a failure may write."""
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    assert TEXT not in result.output and "Traceback" not in result.output
    return result.stderr.removeprefix("Error: ").rstrip("\n")


# -- the translation ---------------------------------------------------------------------------------------


def _sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(TEXT)
    error.sqlite_errorname = name
    return error


class OutOfMemoryError(RuntimeError):
    __module__ = "torch"


class RayError(Exception):
    __module__ = "ray.exceptions"


class RayTaskError(RayError, OnkokodeError):
    """As Ray makes them: the worker's traceback as message, posing as what the worker raised."""

    __module__ = "ray.exceptions"

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"Traceback … {TEXT}")
        self.cause = cause


TRANSLATED: dict[str, tuple[BaseException, str]] = {
    "disk full, unnamed": (OSError(errno.ENOSPC, TEXT), "out.csv: no space is left on the disk; make room"),
    "quota": (OSError(errno.EDQUOT, TEXT), "out.csv: the disk quota"),
    "file size": (OSError(errno.EFBIG, TEXT), "out.csv: the file gets larger"),
    "read-only disk": (OSError(errno.EROFS, TEXT, "/x/y"), "/x/y: the disk is mounted read-only; name a folder"),
    "permission": (PermissionError(errno.EPERM, TEXT, "/x"), "/x: no permission; change the rights"),
    "renaming": (OSError(errno.EACCES, TEXT, "a.part", None, "a.csv"), "a.csv: no permission"),
    "not there": (FileNotFoundError(errno.ENOENT, TEXT, "b"), "b: there is no such file or folder; check"),
    "a folder": (IsADirectoryError(errno.EISDIR, TEXT, b"b"), "b: is a folder; name a file"),
    "disk broken": (OSError(errno.EIO, TEXT), "in.csv, out.csv: the disk or network drive fails"),
    "an unknown number": (OSError(errno.ECONNREFUSED, TEXT), "in.csv, out.csv: cannot be read or written (“Connection refused”)"),
    "a library's own": (OSError(TEXT), "in.csv, out.csv: cannot be read or written (“OSError”)"),
    "sqlite full": (_sqlite_error("SQLITE_FULL"), "out.csv, in.csv: the database: no space"),
    "sqlite extended": (_sqlite_error("SQLITE_IOERR_WRITE"), "the database: the disk or network drive"),
    "sqlite locked": (_sqlite_error("SQLITE_BUSY"), "the database: another program is using it; close"),
    "sqlite read-only": (_sqlite_error("SQLITE_READONLY"), "the database: no permission"),
    "sqlite damaged": (_sqlite_error("SQLITE_CORRUPT"), "the database is damaged or none at all; restore"),
    "zip": (zipfile.BadZipFile(TEXT), "in.csv: a ZIP or Excel file is damaged or only half copied (BadZipFile)"),
    "deflate": (zlib.error(TEXT), "in.csv: a compressed file is damaged"),
    "arrow": (pa.ArrowInvalid(TEXT), "in.csv: a Parquet file is damaged or does not fit (ArrowInvalid); copy"),
    "decoding": (UnicodeDecodeError("utf-8", TEXT.encode(), 0, 1, TEXT), "in.csv: a file is not in the encoding"),
    "encoding": (UnicodeEncodeError("cp1252", TEXT, 0, 1, TEXT), "out.csv: a text has a character"),
    "memory": (MemoryError(TEXT), "in.csv: the memory is full; close"),
    "torch's memory": (
        RuntimeError(f"[enforce fail] DefaultCPUAllocator: can't allocate memory {TEXT}"),
        "in.csv: the memory is full",
    ),
    "GPU memory": (OutOfMemoryError(TEXT), "the memory of the GPU is full; try --quantise"),
    "an extra": (ModuleNotFoundError(TEXT, name="openpyxl.cell"), "pip install 'onkokode[files]' brings it"),
    "an extra with dots": (ModuleNotFoundError(TEXT, name="langgraph.checkpoint.sqlite"), "onkokode[service]"),
    "a dependency": (ModuleNotFoundError(TEXT, name="lxml"), "the package lxml is missing; pip install"),
    "a broken package": (ImportError(TEXT, name="torch"), "the package torch does not load; install it again"),
    "ours": (ModuleNotFoundError(TEXT, name="training.x"), "this installation lacks training.x"),
    "Ray": (RayError(TEXT), "out.csv: a worker of Ray failed (RayError); run the same command again"),
    "Ray, a bug": (RayTaskError(KeyError(TEXT)), "out.csv: a worker of Ray failed (RayTaskError)"),
    "Ray, our own": (RayTaskError(OnkokodeError("no model here")), "no model here"),
    "our own": (OnkokodeError("a:\n  b"), "a: b"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSLATED)
def test_an_error_in_one_line_without_the_library_s_words(name: str) -> None:
    error, expected = TRANSLATED[name]
    line = failures.explain(error, reads=[Path("in.csv")], writes=[Path("out.csv")])
    assert line is not None and expected in line and TEXT not in line and "\n" not in line


@pytest.mark.parametrize(
    "error", [KeyError(TEXT), ValueError(TEXT), RuntimeError(TEXT), RecursionError(TEXT)]
)
def test_a_bug_is_none_of_these(error: BaseException) -> None:
    assert failures.explain(error) is None


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {
        requirement.replace("[", ">").replace("=", ">").split(">")[0].replace("langgraph-checkpoint-sqlite",
                                                    "langgraph.checkpoint.sqlite").replace("-", "_"): extra
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in ("dev", "gemma")  # a model's package is none that is imported; known.tsv names it
        for requirement in requirements
    }  # fmt: skip
    assert known == failures.EXTRAS


# -- each command that codes, with each failure --------------------------------------------------------------

CODING: dict[str, Callable[[Path], list[str | Path]]] = {
    "code": lambda d: ["code", "--json", TEXT],
    "code, for people": lambda d: ["code", TEXT],
    "code-file": lambda d: ["code-file", d / "in.csv", d / "out.csv"],
    "code-file to xlsx": lambda d: ["code-file", d / "in.csv", d / "out.xlsx"],
    "fhir": lambda d: ["fhir", d / "texts.txt", "--out", d / "out.json"],
    "review add": lambda d: ["review", "add", d / "texts.txt", "--db", d / "out.sqlite"],
}
RAISED = ["disk full, unnamed", "disk broken", "memory", "sqlite locked", "arrow", "encoding", "an extra"]


@pytest.mark.parametrize("failure", RAISED)
@pytest.mark.parametrize("command", CODING)
def test_a_failure_while_coding(
    command: str, failure: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, _ = TRANSLATED[failure]
    monkeypatch.setattr(OtherAgent, "error", error)
    line = line_of(run(*CODING[command](given)))
    if failure == "disk full, unnamed":
        assert ("standard output: " if command.startswith("code,") or command == "code" else "out.") in line


@pytest.mark.parametrize("command", CODING)
def test_a_bug_is_one_line_with_its_place(command: str, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OtherAgent, "error", KeyError(TEXT))
    line = line_of(run(*CODING[command](given)), code=70)
    assert line.startswith("internal error: KeyError in agent/") and "ONKOKODE_DEBUG=1" in line


def test_the_way_to_a_bug_is_shown_when_asked_for_but_no_value(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        raise ValueError(TEXT)
    except ValueError as first:
        error = KeyError(TEXT)
        error.__cause__ = first
    monkeypatch.setattr(OtherAgent, "error", error)
    monkeypatch.setenv(failures.DEBUG, "1")
    result = run("code", TEXT)
    assert result.exit_code == 70 and "in code_many" in result.stderr and "ValueError" in result.stderr
    assert TEXT not in result.stderr


# -- outputs, before the work --------------------------------------------------------------------------------


@contextmanager
def _limited(bytes_: int) -> Iterator[None]:
    """No file may get larger: Python ignores the signal, so that writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that not even the superuser can write into."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "old.csv").write_text("alt")
    if os.geteuid():
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    names = [str(folder / "old.csv"), str(folder)]
    if (
        shutil.which("chattr") is None
        or subprocess.run(["chattr", "+i", *names], capture_output=True).returncode
    ):
        pytest.skip("the superuser writes everywhere here")
    yield folder
    subprocess.run(["chattr", "-i", *names], check=True)


BAD_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a folder": (lambda d: d, "is a folder; name a file"),
    "no such folder": (lambda d: d / "nowhere" / "out.csv", "nowhere: there is no such folder; make it"),
    "below a file": (lambda d: d / "in.csv" / "out.csv", "a part of the path is a file"),
    "a pipe": (lambda d: d / "pipe", "is a device or a pipe; name a file"),
    "a device": (lambda d: Path("/dev/full"), "/dev/full: is a device or a pipe"),
    "a long name": (lambda d: d / ("x" * 300 + ".csv"), "the name is too long; choose a shorter one"),
}
BAD_FOLDERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (lambda d: d / "in.csv", "in.csv: is a file, not a folder; name another"),
    "below a file": (lambda d: d / "in.csv" / "a" / "b", "in.csv is a file, not a folder"),
}


@pytest.fixture
def odd(given: Path) -> Path:
    os.mkfifo(given / "pipe")
    return given


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_written(name: str, odd: Path) -> None:
    path, expected = BAD_FILES[name]
    before = sorted(odd.iterdir())
    with pytest.raises(OutputError) as raised:
        check_file(path(odd))
    assert expected in str(raised.value) and sorted(odd.iterdir()) == before


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_cannot_be_written(name: str, odd: Path) -> None:
    path, expected = BAD_FOLDERS[name]
    with pytest.raises(OutputError) as raised:
        check_folder(path(odd))
    assert expected in str(raised.value)


def test_a_full_disk_shows_before_the_work(odd: Path) -> None:
    for check, path in ((check_file, odd / "o.csv"), (check_folder, odd / "new" / "o")):
        with _limited(1000), pytest.raises(OutputError) as raised:
            check(path)
        assert f"{path}: the file gets larger than is allowed here" in str(raised.value)


def test_a_locked_folder_shows_before_the_work(locked: Path) -> None:
    for check, name in ((check_file, "new.csv"), (check_file, "old.csv"), (check_folder, "a/b")):
        with pytest.raises(OutputError) as raised:
            check(locked / name)
        assert "no permission to write into the folder" in str(raised.value) and str(locked) in str(
            raised.value
        )
    assert [path.name for path in locked.iterdir()] == ["old.csv"]


def test_what_can_be_written_is_left_as_it_was(given: Path) -> None:
    (given / "old.csv").write_text("alt")
    before = {path: path.stat().st_mtime_ns for path in given.iterdir()}
    for path in (given / "new.csv", given / "old.csv"):
        check_file(path)
    for path in (given, given / "a" / "b"):
        check_folder(path)
    assert {path: path.stat().st_mtime_ns for path in given.iterdir()} == before
    assert (given / "old.csv").read_text() == "alt"


def _commands(group: click.Group, way: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*way, name))
        else:
            yield " ".join((*way, name)), command


# Paths that may be missing and are read all the same, or, as the work list, opened before anything is coded.
READ = {
    "code-file source", "serve api_key_file", "eval ceiling files", "eval report published", "review status database", "review list database", "review export database",
    *(f"eval {name} {option}" for name, option in (("run", "corpus"), ("figures", "corpus"), ("bench", "corpus"), ("annotate", "corpus"), ("ceiling", "corpus"),
      ("export lm-eval", "corpus"), ("export beir", "corpus"))),
}  # fmt: skip


def test_every_path_that_a_command_writes_is_tried_before_the_work() -> None:
    """A new command with an output of the plain type fails here, until it takes one of `agent.apps.options`."""
    written, plain = set(), set()
    for name, command in _commands(cli):
        for parameter in command.params:
            if isinstance(parameter.type, Output):
                written.add(f"{name} {parameter.name}")
            elif isinstance(parameter.type, click.Path) and not parameter.type.exists:
                plain.add(f"{name} {parameter.name}")
    assert {one for one in plain - READ if not one.endswith(" shared")} == set()
    assert len(written) > 25


REFUSED: dict[str, Callable[[Path], list[str | Path]]] = {
    "code-file": lambda d: ["code-file", d / "in.csv", d / "nowhere" / "out.csv"],
    "code-file, a pipe": lambda d: ["code-file", d / "in.csv", d / "pipe"],
    "fhir": lambda d: ["fhir", d / "texts.txt", "--out", d / "in.csv" / "b.json"],
    "registry --report": lambda d: ["registry", d / "m.xml", "--report", d / "nowhere" / "r.csv"],
    "registry --report, ending": lambda d: ["registry", d / "m.xml", "--report", d / "r.txt"],
    "registry --write": lambda d: ["registry", d / "m.xml", "--write", d / "in.csv" / "x.xml"],
    "review add": lambda d: ["review", "add", d / "texts.txt", "--db", d / "nowhere" / "r.sqlite"],
    "serve --review": lambda d: ["serve", "--port", "0", "--review", d / "nowhere" / "r.sqlite"],
    "eval speed": lambda d: ["eval", "speed", "--out", d / "in.csv"],
    "eval run": lambda d: ["eval", "run", "--testset", "devsets", "--out", d / "in.csv" / "x"],
    "train corpus": lambda d: ["train", "corpus", "--catalogues", d, "--out", d / "in.csv"],
    "train lora": lambda d: ["train", "lora", "--model", "m", "--pairs", d, "--out", d / "in.csv"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_an_output_is_refused_before_any_model_is_loaded(command: str, odd: Path) -> None:
    line = line_of(run(*REFUSED[command](odd)))
    assert (str(odd) in line and ";" in line) or "must end in" in line
    assert OtherAgent.loads == 0


WITHOUT: dict[str, tuple[str, Callable[[Path], list[str | Path]]]] = {
    "xlsx": ("openpyxl", lambda d: ["code-file", d / "in.csv", d / "out.xlsx"]),
    "ray": ("ray", lambda d: ["code-file", "--engine", "ray", d / "in.csv", d / "out.csv"]),
    "review page": ("nicegui", lambda d: ["serve", "--port", "0", "--review", d / "r.sqlite"]),
    "the epochs' plot": ("matplotlib", lambda d: ["train", "lora", "--model", "m", "--pairs", d, "--out", d / "o"]),
    "trainer": ("accelerate", lambda d: ["train", "lora", "--model", "m", "--pairs", d, "--out", d / "o"]),
    "the trainer that is compared with": ("trl", lambda d: ["train", "throughput", "--model", "m", "--pairs", d, "--out", d / "o"]),
    "comparison": ("matplotlib", lambda d: ["train", "compare", d, "--out", d / "o"]),
    "audit": ("matplotlib", lambda d: ["train", "audit", "--catalogues", d, "--out", d / "o"]),
    "report": ("matplotlib", lambda d: ["eval", "report", d, "--out", d / "o"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT)
def test_a_missing_extra_shows_before_the_work(
    name: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, arguments = WITHOUT[name]
    monkeypatch.setitem(sys.modules, package, None)
    line = line_of(run(*arguments(given)))
    assert f"needs the package {package}" in line and f"onkokode[{failures.EXTRAS[package]}]" in line
    assert OtherAgent.loads == 0 and not (given / "o").exists()


@pytest.mark.parametrize("command", [("index",), ("add", "m.xml"), ("remove", "icdo3-2019")])
def test_the_user_s_folder_is_tried_before_the_work(
    command: tuple[str, ...], given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given)
    monkeypatch.setenv("ONKOKODE_HOME", str(given / "in.csv" / "home"))
    line = line_of(run("catalogue", *command))
    assert "in.csv is a file, not a folder; set ONKOKODE_HOME" in line and "delete" not in line


# -- point 20: the user's folder -------------------------------------------------------------------------------


def test_a_home_that_is_a_file_is_said_to_be_one(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", str(given / "in.csv"))
    line = line_of(run("catalogue", "list"))
    assert "is a file, not a folder" in line and "set ONKOKODE_HOME" in line and "delete" not in line


def test_a_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONKOKODE_HOME", "~nobody-of-this-name/x")
    assert "ONKOKODE_HOME=~nobody-of-this-name/x: there is no such user" in line_of(run("catalogue", "list"))


def test_a_home_without_rights_keeps_its_catalogue(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> str:
        raise PermissionError(errno.EACCES, "x", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)  # the superuser reads everything
    line = line_of(run("catalogue", "list"))
    assert "no permission; change the rights" in line and "delete" not in line


# -- processes of their own ------------------------------------------------------------------------------------


def process(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPTED_PROCESS, *map(str, arguments)],
        cwd=ROOT, timeout=120, **{"stderr": subprocess.PIPE, **options},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["code", "--json", TEXT], ["code", TEXT], ["--help"]])
def test_a_full_disk_behind_standard_output(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process(*arguments, stdout=full)
    assert done.returncode == 2
    assert done.stderr == (
        b"Error: standard output: no space is left on the disk; make room, then run the same command again\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_both() -> None:
    with Path("/dev/full").open("wb") as full:
        assert process("code", TEXT, stdout=full, stderr=full).returncode == 2


def test_closed_streams() -> None:
    closed = process("code", "--json", "-", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, close_fds=True,
                     preexec_fn=lambda: os.close(0))  # fmt: skip
    assert closed.returncode == 2 and b"standard input is closed" in closed.stderr
    done = process("code", "--json", TEXT, stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert done.returncode == 0 and TEXT.encode() in done.stdout


@pytest.mark.parametrize("arguments", [["code", TEXT], ["code", "--json", TEXT], ["info"]])
def test_answers_that_have_nowhere_to_go_are_refused(arguments: list[str]) -> None:
    """It ended with exit code 0, and the answers were gone."""
    closed = process(*arguments, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 2
    assert closed.stderr == (
        b"Error: standard output is closed; the answers need one: > FILE, a pipe or a terminal\n"
    )


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", "jsonl"])
def test_a_disk_that_gets_full_while_the_output_is_written(ending: str, given: Path) -> None:
    """A real run: the check before the work passes, the output does not fit; nothing but one line is written."""
    source = given / "in.csv"
    source.write_text("Nr;Diagnose\n" + "".join(f"{n};Text {n * n}\n" for n in range(4000)), encoding="utf-8")
    target = given / f"out.{ending}"
    done = process(
        "code-file", source, target, "--workers", "1", stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )  # fmt: skip
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2, done.stderr
    assert lines[-1].startswith(f"Error: {given}/out.{ending}"), lines
    assert (
        "the file gets larger than is allowed here" in lines[-1] and "Traceback" not in done.stderr.decode()
    )
    assert not target.exists()
