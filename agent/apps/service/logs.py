"""What the service logs: our own lines, warnings of libraries, and nothing that somebody sent.

    set_up()

The libraries between socket and application log what they could not read: pieces of messages, paths, tracebacks
whose last line quotes a value. Of those a line keeps level, library, place, and the error's type.
"""

from __future__ import annotations

import logging
import sys
import traceback

# Whoever handles what a client sends.
_NETWORK = (
    "asyncio", "concurrent", "engineio", "fastapi", "multipart", "nicegui", "python_multipart", "socketio",
    "starlette", "uvicorn", "websockets",
)  # fmt: skip


class WithoutContents(logging.Formatter):
    """Formats records; those of network libraries without their message, all others as they are."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] in _NETWORK:
            place = f"{record.filename}:{record.lineno}"
            error = record.exc_info[1] if record.exc_info else None
            said = kind_and_place(error, place) if error is not None else f"reported something at {place}"
            silent = dict.fromkeys(("exc_info", "exc_text", "stack_info"))
            record = logging.makeLogRecord({**record.__dict__, **silent, "msg": said, "args": ()})
        return super().format(record)


def kind_and_place(error: BaseException, otherwise: str = "unknown place") -> str:
    """What can be said of an error without its message, which may quote a text: `ValueError at batcher.py:12`."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else otherwise
    return f"{type(error).__name__} at {where}"


def set_up() -> None:
    """Everything to standard error, in one form. Called once nothing more is imported: engineio and socketio bring
    a handler of their own, which would print their tracebacks."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(WithoutContents())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("onkokode.service").setLevel(logging.INFO)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _NETWORK:
            logger.handlers.clear()
            logger.propagate = True
