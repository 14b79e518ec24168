"""Runs the application with uvicorn: binding, logging, and an orderly end.

    with bound(settings) as listener:
        serve(app, settings, listener)             # returns after SIGTERM or Ctrl-C

On SIGTERM the service is unready and refuses new requests at once, answers those it has taken (with 503 what it
cannot finish in time), and ends.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from agent.apps.service import logs
from agent.apps.service.connections import Crowd, ask_for_descriptors
from agent.apps.service.settings import ServiceError, ServiceSettings

# A thread that computes gives way to the one that answers after this long. Python's default of 5 ms is paid
# for each event of each connection.
_SWITCH_SECONDS = 0.0005
_ACCEPT_AT_A_TIME = 8
# Those that the kernel keeps for us meanwhile.
_BACKLOG = 1024


def bound(settings: ServiceSettings) -> socket.socket:
    """A socket bound to the address.

    Raises:
        ServiceError: the address is taken, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"cannot bind to {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another --host or --port"
        ) from None
    return listener


def serve(app: FastAPI, settings: ServiceSettings, listener: socket.socket) -> None:
    """Serves until a signal says stop. Blocks; belongs into the main thread."""
    logs.set_up()
    ask_for_descriptors()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # The agent and its libraries are 600,000 objects that stay. Looked through by a full collection while requests
    # are served, they would stop every thread for half a second.
    gc.collect()
    gc.freeze()
    with _signals_end_quietly():
        Server(configuration(app, settings), app).run(sockets=[listener])


def configuration(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    # Its access log holds paths and query strings, whatever the levels of the loggers above it.
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        app,
        # The strict parser, with a bound on the size of headers, and ours on connections. The loop of asyncio
        # accepts `backlog` connections at a time; another would accept all that wait before one can be closed.
        http=Crowd(settings).protocol,
        loop="asyncio",
        backlog=_ACCEPT_AT_A_TIME,
        h11_max_incomplete_event_size=32 << 10,
        log_config=None,
        access_log=False,
        server_header=False,
        # A proxy says whether the browser speaks TLS with it.
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # A mounted page talks over websockets; texts are no more welcome in bulk there.
        ws_max_size=settings.socket_bytes,
    )


class Server(uvicorn.Server):
    """Tells the application at the signal that it ends, not when all connections are closed."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.batcher.refuse_soon()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            for listener in sockets or ():
                listener.listen(_BACKLOG)
                host, port = listener.getsockname()[:2]
                name = f"[{host}]" if ":" in host else host
                logging.getLogger("onkokode.service").info("listening on http://%s:%d", name, port)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more. To have been told to stop is no failure: exit code 0."""
    before: dict[int, Any] = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
