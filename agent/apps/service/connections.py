"""Which connections stay open: a place for each, a share for each address, and a time within which a request comes.

    uvicorn.Config(app, http=Crowd(settings).protocol)

uvicorn bounds neither the number of connections nor the time for a request's headers, so a few thousand half-sent
requests would take every descriptor. Here a connection waits while its request is not complete. It is closed when
it has waited for too long, and sooner where all places are taken: the one that has waited for longest makes room,
so that new requests, and those for `/health`, are answered while somebody holds places. Only where every place is
at work is a further request told to come back (`CROWDED`, by the guard). Web sockets take places too.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.apps.service.settings import ServiceSettings, is_one_of

try:
    import resource
except ImportError:  # Windows, where sockets take no descriptors
    resource = None  # type: ignore[assignment]

# In the state of a connection that came when all places were at work: it is answered, but not served.
CROWDED = "onkokode.crowded"
# Connections beyond the places, for those answers and for what is being closed.
_BEYOND = 32
# Files, models, the work list, the listener, what the accept loop has in hand.
_OTHER_DESCRIPTORS = 128
_FEWEST, _MOST = 16, 2048
_WANTED_DESCRIPTORS = 4096
_SWEEP_SECONDS = 1.0


def places() -> int:
    """How many connections this process has descriptors for, at most 2,048."""
    if resource is None:
        return _MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(_FEWEST, min(_MOST, soft - _OTHER_DESCRIPTORS - _BEYOND))


def ask_for_descriptors() -> None:
    """Raises the process's own limit as far as it may, up to what all places need."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    if soft not in (resource.RLIM_INFINITY, -1) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Crowd:
    """All connections of one server."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._places = settings.connections or places()
        # One address may not take all places. Behind a proxy all come from its address: it has no share.
        self._share = max(self._places // 4, 1)
        # uvicorn's set of all open ones, web sockets among them.
        self._open: set[Any] = set()
        # Those without a complete request, and since when; who has waited for longest comes first.
        self._waiting: dict[Connection, float] = {}
        self._closing: set[Connection] = set()
        # Bytes that a client did not take yet, and since when it took none.
        self._unsent: dict[Any, tuple[int, float]] = {}
        self._sweeping = False

    @property
    def protocol(self) -> Any:
        """What uvicorn makes for each connection."""
        return partial(Connection, crowd=self)

    def enter(self, new: Connection) -> None:
        """Takes a new connection in, or closes it."""
        self._open = new.connections
        staying = len(self._open) - len(self._closing)
        crowded = staying - len(self._waiting) > self._places
        if self._beyond_its_share(new) or (
            staying > self._places + (_BEYOND if crowded else 0) and not self._make_room()
        ):
            self._close(new)
            return
        if crowded:
            new.app_state = {**new.app_state, CROWDED: True}
        self._waiting[new] = new.loop.time()
        if not self._sweeping:
            self._sweeping = True
            self._sweep_soon(new.loop)

    def look(self, one: Connection) -> None:
        """Told whenever a connection has read something or finished an answer."""
        if one in self._open and one.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._waiting.setdefault(one, one.loop.time())
        else:
            self._waiting.pop(one, None)

    def leave(self, one: Connection) -> None:
        """Told when a connection is closed."""
        self._waiting.pop(one, None)
        self._closing.discard(one)

    def _beyond_its_share(self, new: Connection) -> bool:
        if len(self._open) <= self._share or new.client is None:
            return False
        host = new.client[0]
        if is_one_of(host, self._settings.trusted_proxies):
            return False
        return sum(one.client is not None and one.client[0] == host for one in self._open) > self._share

    def _make_room(self) -> bool:
        """Closes the connection that has waited for longest; False where none waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._close(oldest)
        return True

    def _close(self, one: Any) -> None:
        """At once, whatever it has not sent yet; its descriptor is free a moment later."""
        self._waiting.pop(one, None)
        if isinstance(one, Connection):
            self._closing.add(one)
        one.transport.abort()

    def _sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(min(_SWEEP_SECONDS, self._settings.header_seconds / 2), self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._unsent = {one: left for one in self._open if (left := self._left(one, now)) is not None}
        late = [one for one, (_, still) in self._unsent.items() if now - still > self._settings.send_seconds]
        for one, since in self._waiting.items():
            # The guard cuts off a body that is late, with an answer; this is for one that nobody reads any more.
            body = one.conn.their_state is h11.SEND_BODY
            limit = self._settings.header_seconds + (2 * self._settings.longest_body_seconds if body else 0)
            if now - since > limit and one not in self._unsent:
                late.append(one)
        for one in late:
            self._close(one)
        self._sweeping = bool(self._open)
        if self._sweeping:
            self._sweep_soon(loop)

    def _left(self, one: Any, now: float) -> tuple[int, float] | None:
        """How much a client has not taken yet, and since when that is so."""
        unsent = one.transport.get_write_buffer_size()
        before = self._unsent.get(one)
        if not unsent:
            return None
        return before if before is not None and before[0] == unsent else (unsent, now)


class Connection(H11Protocol):
    """uvicorn's protocol, which tells the crowd what it does."""

    def __init__(self, *, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._crowd = crowd

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._crowd.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._crowd.leave(self)

    def handle_events(self) -> None:
        super().handle_events()
        self._crowd.look(self)
