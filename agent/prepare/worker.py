"""Reads texts in a process of its own, so that no text can stop the program: one that takes too long ends that
process, gets its reason, and the next text is read by a new one.

    reader = Reader()
    reader.read(["Mamma-Ca li.", "Z.n. Prostata-Ca"])[0].diagnoses[0].core        # 'Mammakarzinom'
    reader.close()

The patterns of `agent.prepare` take linear time, and a test draws worst cases from them; the limit holds for the
one that it did not draw. A pattern that is matched holds the interpreter, so neither a thread nor a signal handler
of the same process could end it. The process reads standard input and writes standard output, a JSON line per text,
and keeps nothing. It needs neither models nor catalogues: it starts in a third of a second, while models load.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agent.prepare import MAX_CHARACTERS, Prepared, Segment, prepare
from index.errors import OnkokodeError
from index.io.failures import reason

SECONDS = 5.0
"""The most processor time that one text may take; the longest that is read (20,000 characters) takes a second."""

# By the clock, a process that was stopped (Ctrl-Z) or got no processor is no slow text: it is ended after so many
# times the limit, and its text read once more.
_PATIENCE = 4
# Seconds by the clock in which a process must have started: on a busy machine that takes longer than any text.
_TO_START = 60.0
_ROOT = str(Path(__file__).resolve().parents[2])
_READY = b"onkokode reads\n"
# How the limit ends a process: by its signal where there are such timers, else by `faulthandler`.
_OVER_TIME = -signal.SIGPROF if hasattr(signal, "setitimer") else 1
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
_MAIN = "from agent.prepare.worker import main; main({seconds})"


class Reader:
    """`agent.prepare.prepare` with a limit of time per text. May be used from several threads, one reads at a
    time. `main` is what the process runs, with `{seconds}` in the place of the limit."""

    def __init__(self, seconds: float = SECONDS, main: str = _MAIN) -> None:
        self._main = _START + main.format(seconds=seconds)
        self._patience = _PATIENCE * seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._greeted = False
        self._due: float | None = None
        self._exit_code: int | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the process, so that it is there when the first text comes."""
        with self._lock:
            self._running()

    def read(self, texts: Sequence[str]) -> list[Prepared]:
        """The texts' diagnoses, in order. A text that takes longer than the limit has none, and the flag
        `time_limit`; one on which reading fails, `unreadable`.

        Raises:
            OnkokodeError: the process cannot be started.
        """
        with self._lock:
            return [self._read(text) for text in texts]

    def close(self) -> None:
        """Ends the process; the next text starts a new one."""
        with self._lock:
            self._end()

    def forget(self) -> None:
        """In a forked process: the reader is the parent's, whose pipes must not be shared."""
        self._process, self._due, self._lock = None, None, threading.Lock()

    def _read(self, text: str) -> Prepared:
        line = json.dumps(text[: MAX_CHARACTERS + 1]).encode("ascii") + b"\n"
        for _ in range(2):
            answer = self._ask(line)
            if answer is not None:
                return _from_json(text, answer)
            if self._exit_code == _OVER_TIME:
                return _unread(text, "time_limit")
            # Ended by somebody else, such as the system for want of memory: that says nothing about the text yet.
        return _unread(text, "unreadable")

    def _ask(self, line: bytes) -> Any:
        """The process' answer, None where it ended. One text at a time: two processes that both wait for the other
        to empty a pipe never end, however large the pipe."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            if not self._greeted:
                self._due = time.monotonic() + _TO_START
                self._greet(process)
            self._due = time.monotonic() + self._patience
            with suppress(BrokenPipeError):
                process.stdin.write(line)
                process.stdin.flush()
            answer = process.stdout.readline()
        except BaseException:
            # Stopped between question and answer: the next answer would be this one's.
            self._end()
            raise
        finally:
            self._due = None
        if answer.endswith(b"\n"):
            return json.loads(answer)
        self._exit_code = process.wait()
        self._end()
        return None

    def _greet(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        # What the user's own start-up modules print comes before.
        while (line := process.stdout.readline()) != _READY:
            if not line:
                raise OnkokodeError(f"{_CANNOT}: it ended at once (exit code {process.wait()})")
        self._greeted = True

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if not sys.executable:
                raise OnkokodeError(f"{_CANNOT}: it is not known which Python this is (sys.executable)")
            # The same modules as in this process, and nothing of the folder in which it was called.
            paths = [_ROOT, *(path for path in sys.path if isinstance(path, str) and path)]
            try:
                self._process = process = subprocess.Popen(
                    [sys.executable, "-P", "-c", self._main, json.dumps(paths)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                threading.Thread(target=self._watch, args=(process,), daemon=True).start()
            except OSError as error:
                raise OnkokodeError(f"{_CANNOT}: {reason(error, 'en')}") from None
            except RuntimeError:  # no thread to be had
                self._end()
                raise OnkokodeError(f"{_CANNOT}: too many processes and threads are running") from None
            self._greeted = False
        return self._process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Ends the process when it keeps somebody waiting beyond all patience."""
        while process.poll() is None:
            due = self._due
            if due is not None and time.monotonic() > due and process is self._process:
                process.kill()
            time.sleep(min(1.0, self._patience / 4))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


_CANNOT = "texts are read in a process of their own, which cannot be started"


def main(seconds: float) -> None:
    """What the process does: a line with a text in, a line with its diagnoses out, until the input ends."""
    from agent.prepare.pipeline import prepare  # before the greeting: no text waits for it

    # The parent decides when this ends, also when a terminal or a service manager signals all of a group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Answers alone go to the parent: what a library prints must not pass for one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(_READY)
    answers.flush()
    limit = _by_processor_time if hasattr(signal, "setitimer") else _by_the_clock
    for line in sys.stdin.buffer:
        limit(seconds)
        try:
            answer = _to_json(prepare(json.loads(line)))
        except Exception:
            answer = {}
        finally:
            limit(0)
        answers.write(json.dumps(answer).encode("ascii") + b"\n")
        answers.flush()


def _by_processor_time(seconds: float) -> None:
    """Lets the system end this process after `seconds` of work; 0 lifts the limit."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _by_the_clock(seconds: float) -> None:
    """The same where the system has no such timer: by a thread of the C library's, which needs no interpreter."""
    faulthandler.cancel_dump_traceback_later()
    if seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def _to_json(prepared: Prepared) -> dict[str, Any]:
    return asdict(replace(prepared, text=""))  # which the parent has


def _from_json(text: str, answer: dict[str, Any]) -> Prepared:
    if not answer:
        return _unread(text, "unreadable")
    diagnoses = tuple(
        Segment(
            **{
                **segment,
                "span": tuple(segment["span"]),
                "set_aside": {kind: tuple(found) for kind, found in segment["set_aside"].items()},
                "words": tuple(map(tuple, segment["words"])),
            }
        )
        for segment in answer["diagnoses"]
    )
    return Prepared(**{**answer, "text": text, "diagnoses": diagnoses, "flags": tuple(answer["flags"])})


def _unread(text: str, flag: str) -> Prepared:
    nothing = prepare("")
    return replace(nothing, text=text, empty=False, has_letters=True, flags=(flag,))


# One for all agents of this process.
_READER = Reader()
atexit.register(_READER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_READER.forget)

read = _READER.read
start = _READER.start
