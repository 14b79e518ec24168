"""What an operator may set of the service, and the API key.

settings = ServiceSettings(port=8080, api_key=read_api_key(Path("/run/secrets/onkokode"), os.environ))
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from index.errors import OnkokodeError

API_KEY_VARIABLE = "ONKOKODE_API_KEY"
# A key that is guessed in an afternoon protects nothing.
_SHORTEST_KEY = 16
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
LOOPBACK = ("127.0.0.0/8", "::1", "::ffff:127.0.0.0/104")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


class ServiceError(OnkokodeError):
    """The service cannot start as asked."""


@dataclass(frozen=True)
class ServiceSettings:
    """Address, key and limits. `queue_texts` and `queue_characters` bound the texts that wait or are being coded:
    beyond them a request is answered with 429, so that memory and waiting time stay bounded under any load."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_body_bytes: int = 2 << 20
    max_texts: int = 256
    queue_texts: int = 1024
    queue_characters: int = 4 << 20
    batch_texts: int = 64
    # A second or so of work, for which whoever comes next waits.
    batch_characters: int = 40_000
    # Of all requests together, while they are read and answered.
    held_body_bytes: int = 64 << 20
    # What a web socket may send at once; the review page sends single decisions.
    socket_bytes: int = 128 << 10
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    # A client that takes nothing of its answer for this long is given up.
    send_seconds: float = 30.0
    # Where tables are kept that are coded as jobs; None: none are taken.
    jobs: Path | None = None
    most_jobs: int = 20
    job_bytes: int = 64 << 20
    # A table on its way in.
    upload_seconds: float = 600.0
    # A job that is over is removed after this time.
    job_hours: float = 24.0
    # Connections at a time; 0: as many as there are descriptors for.
    connections: int = 0
    # From the signal; the last tenth is for sending what was not finished its 503.
    shutdown_seconds: int = 60
    # Names by which the service may be addressed; empty: any.
    allowed_hosts: tuple[str, ...] = ()
    # Addresses and networks whose X-Forwarded-Proto is believed, and which have no share of the connections.
    trusted_proxies: tuple[str, ...] = LOOPBACK
    # Mounted pages that ask for the key themselves, since a browser sends no header of its own.
    own_login: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.queue_texts < self.max_texts:
            raise ServiceError(
                f"the queue ({self.queue_texts} texts) must hold the largest request ({self.max_texts} texts)"
            )
        if self.queue_characters < self.max_body_bytes:
            raise ServiceError(
                f"the queue ({self.queue_characters} characters) must hold the largest request "
                f"({self.max_body_bytes} bytes)"
            )
        if self.most_jobs < 1:
            raise ServiceError("a service with jobs holds at least one")
        if self.batch_texts < 1:
            raise ServiceError("a batch holds at least one text")

    @property
    def longest_body_seconds(self) -> float:
        """How long any body may take to arrive."""
        return self.body_seconds if self.jobs is None else max(self.body_seconds, self.upload_seconds)


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reachable from this machine alone."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_for(host: str, allowed: Iterable[str] = ()) -> tuple[str, ...]:
    """The names that a service bound to `host` answers to; none: to any. On loopback only its own: a web page that
    lets its name point to 127.0.0.1 (DNS rebinding) must not reach it through the user's browser. `allowed` are the
    names that a reverse proxy passes on; on another address they are the only ones beside its own.

    Raises:
        ServiceError: something allowed is no host name.
    """
    names = [host_name(one) for one in allowed]
    if not names and not is_loopback(host):
        return ()
    return tuple(dict.fromkeys((*_LOOPBACK_NAMES, host.lower(), *names)))


def host_name(given: str) -> str:
    """A host name or address as a browser's Host header has it, without port: `onkokode.klinik.example`."""
    try:
        return ipaddress.ip_address(given.strip("[]")).compressed
    except ValueError:
        pass
    try:
        name = given.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise ServiceError(
            f"--allowed-host {given!r}: not a host name; give it without scheme, port and path, "
            "such as onkokode.klinik.example"
        )
    return name


def networks(given: Iterable[str]) -> tuple[str, ...]:
    """Addresses and networks of proxies, checked; loopback is always one of them.

    Raises:
        ServiceError: something is neither.
    """
    for one in given:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise ServiceError(
                f"--trusted-proxy {one!r}: not an address or network, such as 10.88.0.1 or 10.88.0.0/16"
            ) from None
    return (*LOOPBACK, *given)


def is_one_of(host: str, proxies: Iterable[str]) -> bool:
    """Whether an address is one of these, or in one of these networks."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one) for one in proxies)


def read_api_key(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The key in the file's first line, or else in `ONKOKODE_API_KEY`; None where neither is given.

    Raises:
        ServiceError: the file cannot be read, or the key is too short or not printable ASCII.
    """
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(
                f"{file}: the API key file cannot be read ({type(error).__name__}); "
                "it holds the key in its first line"
            ) from None
        key, source = lines[0].strip() if lines else "", str(file)
    elif API_KEY_VARIABLE in environment:
        key, source = environment[API_KEY_VARIABLE].strip(), API_KEY_VARIABLE
    else:
        return None
    if len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable():
        raise ServiceError(
            f"{source}: an API key has at least {_SHORTEST_KEY} printable ASCII characters; "
            "`openssl rand -hex 32` makes one"
        )
    return key
