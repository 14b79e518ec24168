"""Who is at work: the login of the page, and the cookie that remembers it.

    gate = Gate(secret_of(Path("review.sqlite")), api_key)
    gate.admit(request.session, name="M. Ernst", key=given)     # True: the session now names M. Ernst
    gate.name_in(request.session)                               # 'M. Ernst', or None

The cookie is signed with a secret that lies beside the database, so a restart asks nobody again. It holds the
name, when the session began with a random id, and a fingerprint of these and the API key; another key ends all
sessions. A session ends after a working day, and at once where its owner leaves: a copy of its cookie opens nothing
either, until a restart forgets who has left.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from agent.apps.review.decision import LONGEST_NAME, ReviewError
from agent.apps.review.schema import only_for_its_owner
from index.text import writable

_BYTES = 32
SESSION_SECONDS = 12 * 3600
_NAME, _PASS, _PROOF = "onkokode-name", "onkokode-pass", "onkokode-proof"


class Gate:
    """Lets people with the API key in. Without a key it asks for a name only."""

    def __init__(self, secret: str, api_key: str | None) -> None:
        self._secret = secret.encode()
        self._api_key = api_key
        # The passes of those who left before their time was up, and when it will be.
        self._left: dict[str, float] = {}

    @property
    def asks_for_key(self) -> bool:
        return self._api_key is not None

    def admit(self, session: MutableMapping[str, Any], *, name: str, key: str) -> bool:
        """Whether this person may work here; if so, the session names them."""
        name = " ".join(writable(name).split())[:LONGEST_NAME]
        # Compared before the name is looked at, so that nothing but the key decides how long it takes.
        right = self._api_key is None or hmac.compare_digest(writable(key).encode(), self._api_key.encode())
        if not right or not name:
            return False
        ticket = f"{int(time.time())}.{secrets.token_hex(16)}"
        session[_NAME], session[_PASS], session[_PROOF] = name, ticket, self._proof(name, ticket)
        return True

    def name_in(self, session: MutableMapping[str, Any]) -> str | None:
        """The name of who is at work; None where nobody was let in."""
        name, ticket, proof = (session.get(key) for key in (_NAME, _PASS, _PROOF))
        if not isinstance(name, str) or not isinstance(ticket, str) or not isinstance(proof, str):
            return None
        if not hmac.compare_digest(proof, self._proof(name, ticket)):
            return None
        return name if ticket not in self._left and _ends(ticket) > time.time() else None

    def leave(self, session: MutableMapping[str, Any]) -> None:
        """Ends the session, and with it every copy of its cookie."""
        if self.name_in(session) is not None:
            now = time.time()
            self._left = {ticket: ends for ticket, ends in self._left.items() if ends > now}
            self._left[session[_PASS]] = _ends(session[_PASS])
        for key in (_NAME, _PASS, _PROOF):
            session.pop(key, None)

    def _proof(self, name: str, ticket: str) -> str:
        proven = f"{name}\0{ticket}\0{self._api_key or ''}"
        return hmac.new(self._secret, proven.encode(), hashlib.sha256).hexdigest()


def _ends(ticket: str) -> float:
    return int(ticket.partition(".")[0]) + SESSION_SECONDS


def secret_of(database: Path) -> str:
    """The secret that signs the cookies of a work list; made at the first start, readable by its owner only."""
    path = database.with_name(database.name + ".secret")
    try:
        only_for_its_owner(path)
        secret = path.read_text(encoding="ascii").strip()
        if not secret:
            secret = secrets.token_hex(_BYTES)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="ascii") as file:
                file.write(secret + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(f"{path}: the secret of the review page cannot be read or written") from error
    if len(secret) < _BYTES:
        raise ReviewError(f"{path}: not a secret of the review page; remove the file")
    return secret
