"""A listener on loopback that takes every HTTP request and keeps what came, for tests that look for leaks.

with listening() as listener: ...; listener.requests == []
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener:
    """`requests` are `POST /runs/multipart` and the like, `bodies` what they held, unpacked where they were packed."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[str] = []
        self.bodies: list[bytes] = []

    def received(self, text: str) -> bool:
        return any(text.encode() in body for body in self.bodies)


def tracing_variables(url: str) -> dict[str, str]:
    """Every variable of the ecosystem that sends, traces or prints what passes through; all point at `url`."""
    keys = {
        f"{family}_API_KEY": "secret" for family in ("LANGSMITH", "LANGCHAIN", "WANDB", "COMET", "SENTRY")
    }
    on = dict.fromkeys(
        (
            "LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2",
            "LANGSMITH_OTEL_ENABLED", "LANGCHAIN_VERBOSE", "LANGCHAIN_DEBUG", "LANGCHAIN_WANDB_TRACING",
            "LANGCHAIN_COMET_TRACING", "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "TRACELOOP_TRACE_CONTENT",
        ),
        "true",
    )  # fmt: skip
    endpoints = dict.fromkeys(
        (
            "LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "LANGCHAIN_HANDLER", "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "HF_ENDPOINT",
            "MLFLOW_TRACKING_URI", "WANDB_BASE_URL", "TRACELOOP_BASE_URL", "PHOENIX_COLLECTOR_ENDPOINT",
            "LANGFUSE_HOST", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
        ),
        url,
    )  # fmt: skip
    logging = {
        "TRANSFORMERS_VERBOSITY": "debug", "HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1", "DATASETS_VERBOSITY": "debug",
        "LANGSMITH_LOG": "debug", "LANGCHAIN_LOG": "debug", "LOGLEVEL": "DEBUG", "LOG_LEVEL": "DEBUG",
        "UVICORN_LOG_LEVEL": "trace", "TORCH_LOGS": "+all", "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1",
        "RAY_USAGE_STATS_ENABLED": "1", "HF_HUB_DISABLE_TELEMETRY": "0", "DO_NOT_TRACK": "0", "NO_PROXY": "",
    }  # fmt: skip
    return {**keys, **on, **endpoints, **logging}


@contextmanager
def listening() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            found.requests.append(f"{self.command} {self.path}")
            found.bodies.append(f"{self.path}\n{self.headers}".encode())
            found.bodies.append(_unpacked(self.rfile.read(int(self.headers.get("Content-Length") or 0))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = do_PUT = do_HEAD = do_CONNECT = _take

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Listener(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _unpacked(body: bytes) -> bytes:
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(body)
    with suppress(ImportError, Exception):
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body
