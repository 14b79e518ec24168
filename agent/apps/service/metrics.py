"""What the service counts, for Prometheus: requests, how long they take, texts, and what waits, jobs.

    metrics = Metrics(batcher)
    metrics.answered("POST", "/v1/code", 200, seconds=0.012)
    metrics.page()                               # the text of /metrics

Nothing of a request is a label but its method, the route as it is declared, and the status.
"""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from agent.apps.service.batcher import Batcher
from agent.apps.service.jobs.record import STATES
from agent.apps.service.jobs.store import JobStore

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counts of one service."""

    def __init__(self, batcher: Batcher, jobs: JobStore | None = None) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "onkokode_requests", "Answered requests.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "onkokode_request_seconds",
            "From a request's arrival to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._texts = Counter("onkokode_texts", "Texts that were coded.", registry=self._registry)
        waiting = Gauge("onkokode_texts_held", "Texts that wait or are being coded.", registry=self._registry)
        waiting.set_function(lambda: batcher.held)
        room = Gauge("onkokode_queue_texts", "Texts that the queue holds at most.", registry=self._registry)
        room.set(batcher.queue_texts)
        if jobs is not None:
            held = Gauge("onkokode_jobs", "Jobs by state.", ("state",), registry=self._registry)
            for state in STATES:
                held.labels(state).set_function(partial(jobs.count, state))

    def answered(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def coded(self, texts: int) -> None:
        """Counts texts."""
        self._texts.inc(texts)

    def page(self) -> bytes:
        """All counts in Prometheus' text format."""
        return generate_latest(self._registry)
