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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from agent.prepare import MAX_CHARACTERS, Prepared, Segment, prepare
from index.errors import OnkokodeError

SECONDS = 5.0
"""The most that one text may take; the longest that is read (20,000 characters) takes half a second."""

_READY = b"ready\n"
_OVER_TIME = 1  # how `faulthandler` ends a process
_PIPE = 32 << 10  # bytes; half of what a pipe holds
_MAIN = "from agent.reading import main; main({seconds})"
_SEGMENT = tuple(one.name for one in fields(Segment))
_PREPARED = tuple(one.name for one in fields(Prepared) if one.name not in ("text", "diagnoses"))


class Reader:
    """`agent.prepare.prepare` with a limit of time per text. May be used from several threads, one reads at a
    time. `main` is what the process runs, with `{seconds}` in the place of the limit."""

    def __init__(self, seconds: float = SECONDS, main: str = _MAIN) -> None:
        self._seconds = seconds
        self._main = main.format(seconds=seconds)
        self._process: subprocess.Popen[bytes] | None = None
        self._greeted = False
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
            found: list[Prepared] = []
            ended_at = -1
            while len(found) < len(texts):
                rest = texts[len(found) :]
                found += self._answers(rest)
                if self._process is not None:
                    continue
                # It has ended over the text that comes next.
                text = texts[len(found)]
                if self._exit_code == _OVER_TIME:
                    found.append(_unread(text, "time_limit"))
                elif ended_at == len(found):
                    found.append(_unread(text, "unreadable"))
                else:
                    # By somebody else, such as the system for want of memory: that says nothing about the text yet.
                    ended_at = len(found)
            return found

    def close(self) -> None:
        """Ends the process; the next text starts a new one."""
        with self._lock:
            self._end()

    def forget(self) -> None:
        """In a forked process: the reader is the parent's, whose pipes must not be shared."""
        self._process, self._lock = None, threading.Lock()

    def _answers(self, texts: Sequence[str]) -> list[Prepared]:
        """What the process answers to the first of the texts, until it ends."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        found: list[Prepared] = []
        try:
            if not self._greeted and process.stdout.readline() != _READY:
                raise OnkokodeError(
                    f"texts are read in a process of their own, and {sys.executable} could not start it"
                )
            self._greeted = True
            sent = _lines(texts)
            with suppress(BrokenPipeError):
                process.stdin.write(b"".join(sent))
                process.stdin.flush()
            for text, _ in zip(texts, sent, strict=False):
                answer = process.stdout.readline()
                if not answer.endswith(b"\n"):
                    self._exit_code = process.wait()
                    self._end()
                    break
                found.append(_from_json(text, json.loads(answer)))
        except BaseException:
            # Stopped between question and answer: the next answer would be this one's.
            self._end()
            raise
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # The same modules as in this process, from wherever they were imported.
            paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._main],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )
            self._greeted = False
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def main(seconds: float) -> None:
    """What the process does: a line with a text in, a line with its diagnoses out, until the input ends."""
    # The parent decides when this ends, also when a terminal or a service manager signals all of a group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sink = sys.stdout.buffer
    sink.write(_READY)
    sink.flush()
    with open(os.devnull, "w") as nowhere:
        for line in sys.stdin.buffer:
            # A thread of the C library's, which needs no interpreter: it ends the process whatever a pattern does.
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            try:
                answer = _to_json(prepare(json.loads(line)))
            except Exception:
                answer = {}
            finally:
                faulthandler.cancel_dump_traceback_later()
            sink.write(json.dumps(answer).encode("ascii") + b"\n")
            sink.flush()


def _lines(texts: Sequence[str]) -> list[bytes]:
    """The first of the texts, as many as a pipe takes at once: two processes that both wait to write never end."""
    lines: list[bytes] = []
    size = 0
    for text in texts:
        line = json.dumps(text[: MAX_CHARACTERS + 1]).encode("ascii") + b"\n"
        size += len(line)
        if lines and size > _PIPE:
            break
        lines.append(line)
    return lines


def _to_json(prepared: Prepared) -> dict[str, Any]:
    return {
        **{name: getattr(prepared, name) for name in _PREPARED},
        "diagnoses": [{name: getattr(segment, name) for name in _SEGMENT} for segment in prepared.diagnoses],
    }


def _from_json(text: str, answer: dict[str, Any]) -> Prepared:
    if not answer:
        return _unread(text, "unreadable")
    diagnoses = tuple(
        Segment(
            **{
                **segment,
                "span": tuple(segment["span"]),
                "set_aside": {kind: tuple(found) for kind, found in segment["set_aside"].items()},
                "words": tuple((word, start, end) for word, start, end in segment["words"]),
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
