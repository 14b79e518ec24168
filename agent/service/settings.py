"""What an operator may set of the service, and the API key.

settings = ServiceSettings(port=8080, api_key=read_api_key(Path("/run/secrets/onkokode"), os.environ))
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from index.errors import OnkokodeError

API_KEY_VARIABLE = "ONKOKODE_API_KEY"
# A key that is guessed in an afternoon protects nothing.
_SHORTEST_KEY = 16
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class ServiceError(OnkokodeError):
    """The service cannot start as asked."""


@dataclass(frozen=True)
class ServiceSettings:
    """Address, key and limits. `queue_texts` bounds the texts that wait or are being coded: beyond it a request
    is answered with 429, so that memory and waiting time stay bounded under any load."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_body_bytes: int = 2 << 20
    max_texts: int = 256
    queue_texts: int = 1024
    batch_texts: int = 64
    body_seconds: float = 30.0
    shutdown_seconds: int = 60
    # Names by which the service may be addressed; empty: any.
    allowed_hosts: tuple[str, ...] = ()
    # Mounted pages that ask for the key themselves, since a browser sends no header of its own.
    own_login: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.queue_texts < self.max_texts:
            raise ServiceError(
                f"the queue ({self.queue_texts} texts) must hold the largest request ({self.max_texts} texts)"
            )
        if self.batch_texts < 1:
            raise ServiceError("a batch holds at least one text")


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reachable from this machine alone."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_for(host: str) -> tuple[str, ...]:
    """The names that a service bound to `host` answers to. On loopback only its own: a web page that lets its
    name point to 127.0.0.1 (DNS rebinding) must not reach it through the user's browser."""
    return tuple(dict.fromkeys((*_LOOPBACK_NAMES, host))) if is_loopback(host) else ()


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
