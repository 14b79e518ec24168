"""Load on a running service, with every answer checked against `code_many` in this process.

    python -m tests.service.load --url http://127.0.0.1:8000 --clients 64 --seconds 60 --pid 4711
    python -m tests.service.load --texts examples/texts.txt --json > load.json

Each client sends one text after the other over a connection of its own. The reference answers are computed
once per text before the load begins; an answer is wrong where a code, a decision or an offset differs, or a
confidence by more than rounding. Only loopback addresses are loaded.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from agent.apps.service.settings import ServiceError, is_loopback

_TOLERANCE = 0.002
_EXAMPLES = Path(__file__).parents[2] / "examples" / "texts.txt"
_AXES = ("icd10gm", "icdo_topography", "icdo_morphology")


@dataclass
class Tally:
    """What the clients saw."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    rss_mb: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Connection:
    """HTTP/1.1 over one connection kept alive; just enough, so that the clients take little of the machine."""

    def __init__(self, host: str, port: int, key: str | None) -> None:
        self._host, self._port = host, port
        self._key = f"X-API-Key: {key}\r\n" if key else ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{self._key}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode("ascii") + body)
        status = int((await reader.readline()).split()[1])
        headers: dict[str, str] = {}
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return status, headers, answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def same(answer: Any, reference: Any) -> bool:
    """Whether two answers agree; confidences may differ by what the make-up of a batch does to the last digits."""
    if isinstance(reference, dict):
        return isinstance(answer, dict) and all(same(answer.get(k), v) for k, v in reference.items())
    if isinstance(reference, list):
        return (
            isinstance(answer, list)
            and len(answer) == len(reference)
            and all(same(a, r) for a, r in zip(answer, reference, strict=True))
        )
    if isinstance(reference, float):
        return isinstance(answer, int | float) and abs(answer - reference) <= _TOLERANCE
    return bool(answer == reference)


def essence(answer: dict[str, Any]) -> dict[str, Any]:
    """What must not change with the load: the decisions, not the ranks of what was not chosen."""
    kept = {k: answer[k] for k in ("tumour", "tumour_probability", "certainty", "side", "span")}
    for axis in _AXES:
        kept[axis] = {k: answer[axis][k] for k in ("code", "title", "confidence", "abstained", "reason")}
    return {**kept, "further": [essence(other) for other in answer["further"]]}


async def load(
    host: str,
    port: int,
    references: dict[str, dict[str, Any]],
    *,
    clients: int,
    seconds: float,
    key: str | None = None,
    pid: int | None = None,
) -> Tally:
    """Runs the clients for a time."""
    tally = Tally()
    began = time.perf_counter()
    until = began + seconds
    watch = asyncio.create_task(_watch(pid, tally)) if pid else None
    await asyncio.gather(
        *(_client(n, Connection(host, port, key), references, until, tally) for n in range(clients))
    )
    # Each client awaits its last answer, which comes after the time is up.
    tally.seconds = time.perf_counter() - began
    if watch:
        watch.cancel()
    return tally


async def _client(
    number: int, connection: Connection, references: dict[str, dict[str, Any]], until: float, tally: Tally
) -> None:
    texts = list(references)
    random.Random(number).shuffle(texts)
    turn = 0
    while time.perf_counter() < until:
        text = texts[turn % len(texts)]
        turn += 1
        began = time.perf_counter()
        try:
            status, headers, body = await connection.post("/v1/code", json.dumps({"text": text}).encode())
        except (OSError, EOFError, IndexError, ValueError) as error:
            tally.statuses[type(error).__name__] += 1
            connection.close()
            await asyncio.sleep(0.2)
            continue
        tally.statuses[str(status)] += 1
        if status == 200:
            tally.milliseconds.append((time.perf_counter() - began) * 1000)
            tally.wrong += not same(essence(json.loads(body)), references[text])
        elif "retry-after" in headers:
            await asyncio.sleep(min(1.0, float(headers["retry-after"])))
    connection.close()


async def _watch(pid: int | None, tally: Tally) -> None:
    """The server's resident memory, once a second."""
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        tally.rss_mb += [int(line.split()[1]) / 1024 for line in status.splitlines() if "VmRSS" in line]
        await asyncio.sleep(1)


def summary(tally: Tally) -> dict[str, Any]:
    """The figures."""
    times = sorted(tally.milliseconds)

    def percentile(share: float) -> float | None:
        return round(times[min(len(times) - 1, int(share * len(times)))], 1) if times else None

    rss = tally.rss_mb
    # The last quarter against the second one: the first holds the warm-up of caches.
    quarter = len(rss) // 4
    return {
        "answers": len(times),
        "wrong": tally.wrong,
        "texts_per_second": round(len(times) / tally.seconds, 1),
        "p50_ms": percentile(0.5),
        "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99),
        "statuses": dict(tally.statuses),
        "rss_mb_first": round(rss[0]) if rss else None,
        "rss_mb_last": round(rss[-1]) if rss else None,
        "rss_mb_most": round(max(rss)) if rss else None,
        "rss_mb_growth": (
            round(sum(rss[-quarter:]) / quarter - sum(rss[quarter : 2 * quarter]) / quarter, 1)
            if quarter
            else None
        ),
    }


@click.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True)
@click.option("--clients", default=64, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1))
@click.option("--texts", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="One per line.")
@click.option("--api-key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--pid", type=int, help="The server's process, to watch its memory.")
@click.option("--json", "as_json", is_flag=True)
def main(
    url: str,
    clients: int,
    seconds: float,
    texts: Path | None,
    api_key_file: Path | None,
    pid: int | None,
    as_json: bool,
) -> None:
    """Load a service on this machine and check its answers."""
    from agent.agent import CodingAgent
    from agent.apps.service.settings import read_api_key

    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ServiceError(f"{url}: only a service on this machine is loaded, such as http://127.0.0.1:8000")
    lines = (texts or _EXAMPLES).read_text(encoding="utf-8").splitlines()
    wanted = list(dict.fromkeys(line for line in lines if line.strip()))
    agent = CodingAgent.load()
    list(agent.code_many(wanted[:64]))
    # At least a thousand texts, so that the time of one process is more than noise.
    many = (wanted * (1000 // len(wanted) + 1))[: max(1000, len(wanted))]
    began = time.perf_counter()
    coded = list(agent.code_many(many))
    alone = len(many) / (time.perf_counter() - began)
    references = {one.text: essence(one.to_dict()) for one in coded}
    del agent
    key = read_api_key(api_key_file, {})
    tally = asyncio.run(
        load(
            parts.hostname or "",
            parts.port or 80,
            references,
            clients=clients,
            seconds=seconds,
            key=key,
            pid=pid,
        )
    )
    figures = {
        "clients": clients,
        "seconds": round(tally.seconds, 1),
        "distinct_texts": len(wanted),
        **summary(tally),
        "code_many_texts_per_second": round(alone, 1),
    }
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            click.echo(f"{name:28} {value}")
    if tally.wrong or not tally.milliseconds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
