"""LangGraph's checkpoints of a review in a SQLite file that may hold anything: what is damaged is an error that
names the file, and never reaches LangGraph.

    saver = CheckpointFile(Path("review-run.sqlite"))
    graph = review_graph(agent, checkpointer=saver)
    saver.close()                     # after every write that LangGraph has begun in its own threads

Each value carries its SHA-256, and all that is read is checked: what LangGraph needs of a checkpoint, and the
texts and decisions of the review. Values are msgpack of plain data and LangGraph's own types, never pickle.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Interrupt

from agent.apps.review.decision import ReviewError
from agent.apps.review.schema import only_for_its_owner
from index.records import AXES

_DIGEST = hashlib.sha256().digest_size
# What sqlite3, the decoders of msgpack and JSON, and UUID raise at data that is not what they expect.
_DAMAGE = (sqlite3.Error, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError)
# Errors of the place, not of the content.
_PLACE = {"SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_IOERR", "SQLITE_PERM"}


class CheckpointFile(SqliteSaver):
    """A saver whose errors are `ReviewError` and name the file. Raises it where the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            only_for_its_owner(path)
            connection = sqlite3.connect(path, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise ReviewError(f"{path}: cannot be opened ({error})") from error
        # None is LangGraph's strict list of safe types; its default would import whatever a file names.
        super().__init__(connection, serde=_Sealed(pickle_fallback=False, allowed_msgpack_modules=None))

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """All of the saver reads and writes through this one, and reads its values within."""
        try:
            with super().cursor(transaction) as cursor:
                yield cursor
        except sqlite3.ProgrammingError:
            raise ReviewError(f"{self.path}: was closed while a review used it") from None
        except _DAMAGE as error:
            # Not from the error: its text, or that of the decoder, may quote the file.
            raise self._unusable(getattr(error, "sqlite_errorname", None)) from None

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        if found is not None and not _sound(found):
            raise self._unusable()
        return found

    def list(self, config: Any, **options: Any) -> Iterator[CheckpointTuple]:
        # At once: half-read it would hold the lock, and `close` would wait for it for ever.
        found = [*super().list(config, **options)]
        if not all(map(_sound, found)):
            raise self._unusable()
        return iter(found)

    def close(self) -> None:
        """Close the file when no thread is in it; one that comes later gets an error. Where a graph fails while it
        starts, LangGraph leaves its threads writing, and SQLite crashes when it is closed under them."""
        with self.lock:
            self.conn.close()

    def _unusable(self, sqlite_name: str | None = None) -> ReviewError:
        if sqlite_name in _PLACE:
            return ReviewError(
                f"{self.path}: the checkpoints cannot be read or written ({sqlite_name}); check the free space "
                "and the rights, and that no other program holds the file"
            )
        return ReviewError(
            f"{self.path}: the checkpoints are damaged ({sqlite_name or 'unexpected content'}); take "
            "the file from a backup, or delete it and begin this review anew"
        )


class _Sealed(JsonPlusSerializer):
    """Values with the hash of their kind and bytes in front."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        return kind, _seal(kind, data) + data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, sealed = data
        if sealed[:_DIGEST] != _seal(kind, sealed[_DIGEST:]):
            raise ValueError("the hash differs")
        return super().loads_typed((kind, sealed[_DIGEST:]))


def _seal(kind: str, data: bytes) -> bytes:
    return hashlib.sha256(f"{kind}\0".encode() + data).digest()


def _sound(found: CheckpointTuple) -> bool:
    """Whether LangGraph and the review can go on from here."""
    checkpoint, metadata = found.checkpoint, found.metadata
    return (
        isinstance(checkpoint, dict)
        and isinstance(checkpoint.get("v"), int)
        and isinstance(checkpoint.get("ts"), str)
        and checkpoint.get("id") == found.config["configurable"]["checkpoint_id"]
        and _is_uuid(checkpoint["id"])
        and _versions(checkpoint.get("channel_versions"))
        and isinstance(seen := checkpoint.get("versions_seen"), dict)
        and all(isinstance(node, str) and _versions(versions) for node, versions in seen.items())
        and isinstance(updated := checkpoint.get("updated_channels") or [], list)
        and all(isinstance(name, str) for name in updated)
        and isinstance(values := checkpoint.get("channel_values"), dict)
        and all(_value(name, value) for name, value in values.items())
        and all(
            isinstance(task, str) and _value(channel, value)
            for task, channel, value in found.pending_writes or ()
        )
        and isinstance(metadata, dict)
        and metadata.get("source") in ("input", "loop", "update", "fork")
        and type(metadata.get("step")) is int
        and isinstance(metadata.get("parents", {}), dict)
    )


def _is_uuid(text: object) -> bool:
    return isinstance(text, str) and str(UUID(text)) == text


def _versions(versions: object) -> bool:
    """Channel versions, as this saver counts them: `00000000000000000000000000000002.0.123`."""
    return isinstance(versions, dict) and all(
        isinstance(channel, str) and isinstance(version, str) and version.partition(".")[0].isdecimal()
        for channel, version in versions.items()
    )


def _value(channel: object, value: Any) -> bool:
    """Whether a channel of the review graph, or one of LangGraph's own, holds what it should."""
    if channel == "texts":
        return _texts(value)
    if channel == "reviewed":
        return isinstance(value, list) and all(map(_result, value))
    if channel == "__start__":
        return isinstance(value, dict) and _texts(value.get("texts", []))
    if channel == "__interrupt__":
        return isinstance(value, list | tuple) and all(isinstance(one, Interrupt) for one in value)
    if channel == "__resume__":
        return True  # an answer, or several: the graph asks again where one is not valid
    return isinstance(channel, str) and channel.startswith(("__", "branch:"))


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _result(value: Any) -> bool:
    """An entry of `State.reviewed`, as far as the graph reads it."""
    return (
        isinstance(value, dict)
        and {"row", "text", "coding", "codes", "decision"} <= set(value)
        and isinstance(value["codes"], Mapping | None)
        and isinstance(coding := value["coding"], dict)
        and isinstance(coding.get("tumour"), bool)
        and isinstance(coding.get("tumour_probability"), int | float)
        and all(
            isinstance(axis := coding.get(name.value), dict)
            and isinstance(axis.get("code"), str | None)
            and isinstance(axis.get("confidence"), int | float)
            for name in AXES
        )
    )
