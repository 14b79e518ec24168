"""The command `onkokode`: the composition root, and the only module that knows all four packages. It parses
arguments, streams texts through the agent and prints what comes back; all that is heavy (torch, rich, the
other packages' commands) is imported when a command runs, so that `--help` answers at once.

    onkokode code "Invasiv-duktales Mammakarzinom links oben außen"
    onkokode code --json - < diagnoses.txt > codes.jsonl
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from agent.apps.options import Output, agent_options, load_agent
from agent.apps.terminal import counting, is_watched, standard_input, text_lines, warn_of
from index.io import failures
from index.io.language import say

if TYPE_CHECKING:
    from agent.agent import CodingAgent
    from agent.results import CodedText

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BUG = 70  # EX_SOFTWARE of sysexits.h

# Commands of the other packages: name -> (module:attribute, help). The help stands here because `--help`
# must not import them.
_COMMANDS = {
    "catalogue": (
        "index.catalogue.commands:catalogue_group",
        "Official catalogue files: add, list, show, remove.",
    ),
    "model": ("agent.apps.models:model_group", "Language models by name: add, list, remove."),
    "rules": ("agent.apps.rules:rules_command", "Which rows of the vocabulary speak in a text."),
    "read": (
        "agent.apps.documents.commands:read_command",
        "Read whole documents: the tumours of a patient, coded.",
    ),
    "code-file": (
        "agent.apps.files.commands:code_file_command",
        "Code a CSV, TSV, XLSX, Parquet or JSONL file.",
    ),
    "registry": (
        "agent.apps.registry.commands:registry",
        "oBDS and ADT/GEKID messages: compare codes, fill empty ones.",
    ),
    "fhir": ("agent.apps.fhir.commands:fhir_command", "Code a file of texts into a FHIR R4 bundle."),
    "serve": ("agent.apps.service.commands:serve", "The HTTP service and the review page."),
    "review": ("agent.apps.review.commands:review", "Review decisions: fill the work list, export."),
    "train": ("training.commands:train", "Train the encoder, the base model and the adapters."),
    "eval": ("eval.commands:evaluate", "Measure variants on test sets; print tables and figures."),
}


# Above what the environment says: a variable set for another program must not make this one talk.
QUIET = {
    "FASTAPI_OTEL_AUTO_CONFIGURE": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NICEGUI_REDIS_URL": "",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


class InputError(click.ClickException):
    """An error that the user can act on: one line on standard error, exit code 2."""

    exit_code = 2

    def __init__(self, message: str, line: str | None = None) -> None:
        super().__init__(message)
        self.line = line or say("error", error=message)

    def show(self, file: IO[Any] | None = None) -> None:
        """As click does, but all of the line in one language."""
        click.echo(self.line, file=file, err=file is None)


class BugError(InputError):
    """An error that nobody foresaw: one line with its kind and place, exit code 70."""

    exit_code = BUG


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand is called."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *self.lazy]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module_name, attribute = self.lazy[cmd_name][0].split(":")
        return getattr(importlib.import_module(module_name), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As in click, but with the help texts that are known without an import."""
        own = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, said) for name, (_, said) in self.lazy.items())])

    def invoke(self, ctx: click.Context) -> Any:
        """Turns every error into one line, and an interrupt into the exit code that shells expect."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click knows what to do; a reader that has seen enough is no error
        except Exception as error:
            raise _in_one_line(error) from None


def _in_one_line(error: Exception) -> click.ClickException:
    if os.environ.get(failures.DEBUG):
        click.echo(failures.trace(error), err=True)
    said = failures.explain(error, *_files_of(error))
    if said is None:
        return BugError(failures.report(error))
    return InputError(said, failures.line_of(said, error))


def _files_of(error: Exception) -> tuple[list[Path], list[Path]]:
    """The files that the command was given, read and written. Its context is closed by now, but stands in the
    frames that the error came through."""
    reads: list[Path] = []
    writes: list[Path] = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        context = frame.f_locals.get("ctx")
        if not isinstance(context, click.Context):
            continue
        for parameter in context.command.params:
            value = context.params.get(parameter.name or "")
            values = value if isinstance(value, tuple) else (value,)
            known = writes if isinstance(parameter.type, Output) else reads
            known += [one for one in values if isinstance(one, Path) and one not in known]
    return reads, writes


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"onkokode {version('onkokode')}")
    except PackageNotFoundError:
        click.echo("onkokode (run from its source folder, not installed)")
    ctx.exit()


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)
def cli() -> None:
    """Codes German tumour diagnosis texts with ICD-10-GM and ICD-O-3 on this machine, and shows the
    catalogue lines behind each code."""


@cli.command("code")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text and line.")
@click.option(
    "--explain",
    is_flag=True,
    help="Also show the runner-up's catalogue lines, all checks and the steps (--json has the first two).",
)
@agent_options
def code_command(texts: tuple[str, ...], as_json: bool, explain: bool, **agent_options: Any) -> None:
    """Code diagnosis texts; `-` reads one text per line from standard input.

    \b
    onkokode code "NSCLC rechter Oberlappen" "Z.n. Prostata-Ca"
    onkokode code --json - < diagnoses.txt > codes.jsonl

    Each TEXT and each line gives one answer, in order; a blank line gives one, too.
    """
    _needs_standard_output()
    if not texts:
        if is_watched(sys.stdin):
            raise click.UsageError(
                'No text given. Put a text in quotes: onkokode code "Mammakarzinom links"\n'
                "or code a file with one text per line: onkokode code - < diagnoses.txt"
            )
        texts = ("-",)
    # Somebody who types the lines wants each answer at once, and not when a batch is full.
    batch: dict[str, Any] = {"batch_size": 1} if "-" in texts and is_watched(sys.stdin) else {}
    if "-" in texts:
        standard_input()
    agent = _loaded(**agent_options, **batch)
    damaged: list[int] = []
    stream = _texts(texts, damaged)
    if as_json:
        _print_json(agent.code_many(stream))
    else:
        _print_human(agent, stream, explain=explain)
    warn_of(damaged, "iconv -f cp1252 -t utf-8 FILE | onkokode code -")


@cli.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@agent_options
def info_command(as_json: bool, **agent_options: Any) -> None:
    """Which models, catalogues and editions are in use."""
    _needs_standard_output()
    facts = _loaded(**agent_options).info()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1, default=str))
        return
    from agent.apps import render

    render.print_facts(render.console(), facts)


def _needs_standard_output() -> None:
    """Before the work: click passes over a stream that is closed (`>&-`), and the answers would be gone unnoticed."""
    if sys.stdout is None:
        raise InputError(say("no-standard-output"))


def _texts(arguments: Iterable[str], damaged: list[int]) -> Iterator[str]:
    """The texts in order, `-` replaced by the lines of standard input."""
    for argument in arguments:
        if argument == "-":
            yield from text_lines(standard_input(), damaged)
        else:
            yield argument


def _print_json(answers: Iterable[CodedText]) -> None:
    """Always UTF-8, whatever the locale; a lone surrogate is written as JSON's own escape."""
    # With the output in a file there is nothing else to see for minutes.
    with nullcontext(lambda count: None) if is_watched(sys.stdout) else counting(say("texts")) as advance:
        for coded in answers:
            line = json.dumps(coded.to_dict(), ensure_ascii=False)
            click.echo(line.encode("utf-8", "backslashreplace"))
            advance(1)


def _print_human(agent: CodingAgent, texts: Iterable[str], *, explain: bool) -> None:
    from agent.apps import render

    console = render.console()
    if explain:
        for number, text in enumerate(texts, start=1):
            # The last step holds the answer, so the text is coded once.
            *steps, (_, last) = agent.stream(text)
            render.print_coded(console, last["results"][0], number=number, explain=True, steps=steps)
        return
    for number, coded in enumerate(agent.code_many(texts), start=1):
        render.print_coded(console, coded, number=number)


def _loaded(**options: Any) -> CodingAgent:
    """The agent; while it loads, a spinner on standard error, if somebody is there to see it."""
    if not is_watched(sys.stderr):
        return load_agent(**options)
    from rich.console import Console

    with Console(stderr=True).status(say("loading")):
        return load_agent(**options)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """The entry point: quiet libraries first. No texts go out without these either (`agent.untraced`); they keep
    libraries from saying that somebody uses them, and whatever passes through them out of their logs."""
    os.environ.update(QUIET)
    # Stopped by the system or with its terminal, the program removes its half-written files as at Ctrl-C.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _stop)
    # Python's own words about an error that no caller can catch quote values: a file object that fails once more
    # while it is thrown away, a thread that nobody waits for.
    sys.unraisablehook = _unseen
    threading.excepthook = _in_a_thread
    try:
        cli(prog_name="onkokode")
    except SystemExit as end:
        code = end.code
    except OSError as error:  # outside of any command: its help, or the error's own line, on a full disk
        code = _last_words(error)
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        code = code or _last_words(error)
    _throw_away_what_is_left()
    raise SystemExit(code)


def _last_words(error: OSError) -> int:
    with suppress(OSError):
        click.echo(failures.line_of(failures.explain(error) or "", error), err=True)
    return InputError.exit_code


def _throw_away_what_is_left() -> None:
    """What a full disk or a closed pipe did not take stays in Python's buffers, which would be written once
    more at the very end, with a traceback."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


def _unseen(unraised: Any) -> None:
    if os.environ.get(failures.DEBUG) and isinstance(unraised.exc_value, BaseException):
        with suppress(OSError):
            click.echo(failures.trace(unraised.exc_value), err=True)


def _in_a_thread(ended: Any) -> None:
    if isinstance(ended.exc_value, Exception):
        with suppress(OSError):
            _in_one_line(ended.exc_value).show()
