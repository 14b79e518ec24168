"""The HTTP service as an ASGI application; the newcomer's entry to `agent/apps/service/`.

    app = create_app(CodingAgent.load(), ServiceSettings(api_key="…"))
    uvicorn.run(app, host="127.0.0.1", port=8000)

    curl -s http://127.0.0.1:8000/v1/code -H 'Content-Type: application/json' -d '{"text": "Mamma-Ca li."}'

A request passes the `Guard` (key, limits, log), is validated (`schemas`), and waits in the `Batcher` for its
place in a batch. Nothing of a request is logged, and nothing kept but the tables of jobs (`jobs`); nothing leaves
this machine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI, Response, Security
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from jinja2 import Environment, FileSystemLoader

from agent.agent import CodingAgent
from agent.apps.service import errors, schemas
from agent.apps.service.batcher import Batcher, Question, report
from agent.apps.service.guard import Guard
from agent.apps.service.jobs.routes import build_job_router
from agent.apps.service.jobs.runner import Runner
from agent.apps.service.jobs.store import JobStore
from agent.apps.service.metrics import CONTENT_TYPE, Metrics
from agent.apps.service.routes import GUARDED, build_router
from agent.apps.service.settings import ServiceSettings
from agent.results import CodedText

# Words of our own, coded once before the service calls itself ready: the first text loads and compiles.
_WARM_UP = ("Mammakarzinom links", "Kleinzelliges Bronchialkarzinom")

_WARM_UP_AGAIN = 15.0

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)

_DESCRIPTION = """Codes German tumour diagnosis texts with ICD-10-GM, ICD-O-3 topography and ICD-O-3 morphology. \
A coding is a proposal for a person who codes; this is no medical device.

Texts are neither stored nor logged, but those of tables at /v1/jobs: they are kept until the job is over, and its result until it is fetched and deleted, or old. Where the service was started with an API key, send it as \
`Authorization: Bearer KEY` or `X-API-Key: KEY`. All errors have one form, and never repeat what was sent. \
An answer's `X-Request-ID` is the caller's, if it was up to 36 letters, digits, dots, dashes and underscores."""


def create_app(agent: CodingAgent, settings: ServiceSettings) -> FastAPI:
    """The application around a loaded agent. `app.state.batcher` is its queue, for pages mounted into it."""
    batcher = Batcher(
        lambda texts: _counted(_code(agent, texts), app.state.metrics),
        batch_texts=settings.batch_texts,
        batch_characters=settings.batch_characters,
        queue_texts=settings.queue_texts,
        queue_characters=settings.queue_characters,
        # Before uvicorn cancels what is left, which would answer it with 500.
        grace_seconds=0.9 * settings.shutdown_seconds,
    )

    store = _job_store(settings)
    runner = (
        Runner(store, agent, batcher, lambda texts: app.state.metrics.coded(texts))
        if store is not None
        else None
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await batcher.start()
        if runner is not None:
            runner.start(asyncio.get_running_loop())
        warming = asyncio.create_task(_warm_up(app, batcher))
        yield
        app.state.ready = False
        warming.cancel()
        if runner is not None:
            runner.refuse()
        await batcher.stop()
        if runner is not None:
            await runner.stop()

    app = FastAPI(
        title="Onkokode",
        version=metadata.version("onkokode"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Newer FastAPI records spans with request data where a tracer is installed, and an environment variable
        # lets it send them away. Never here.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.batcher = batcher
    app.state.metrics = Metrics(batcher, store)
    app.state.ready = False
    errors.install(app)
    # For the description alone: the guard checks the key, before anything is parsed.
    described = [
        Security(APIKeyHeader(name="X-API-Key", auto_error=False)),
        Security(HTTPBearer(auto_error=False)),
    ]
    for router in (build_router(agent, batcher, settings), build_job_router(store, settings)):
        app.include_router(router, dependencies=described if settings.api_key else [])
    _add_service_routes(app, batcher)
    app.add_middleware(Guard, settings=settings, metrics=app.state.metrics)
    return app


def _job_store(settings: ServiceSettings) -> JobStore | None:
    if settings.jobs is None:
        return None
    store = JobStore(settings.jobs, most=settings.most_jobs, keep=timedelta(hours=settings.job_hours))
    store.open()
    return store


def _add_service_routes(app: FastAPI, batcher: Batcher) -> None:
    @app.get("/health/live", tags=["service"], summary="Is the process alive?", response_model=schemas.Health)
    async def live() -> Response:
        """Needs no API key."""
        return JSONResponse({"status": "alive"})

    @app.get(
        "/health/ready",
        tags=["service"],
        summary="Does it take requests?",
        response_model=schemas.Health,
        responses={503: {"model": schemas.Health, "description": "It is starting, or shutting down."}},
    )
    async def ready() -> Response:
        """503 until the model has answered once, and from the moment the service shuts down. Needs no API
        key."""
        status = "stopping" if batcher.stopping else "ready" if app.state.ready else "starting"
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    @app.get(
        "/metrics",
        tags=["service"],
        summary="Counts for Prometheus",
        response_class=PlainTextResponse,
        responses=GUARDED,
    )
    async def metrics() -> Response:
        """Requests by route and status, how long they took, texts coded, texts that wait; nothing of any text."""
        return Response(app.state.metrics.page(), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False, responses=GUARDED)
    async def docs() -> Response:
        # FastAPI's own page loads its viewer from another machine. This one has no scripts, fonts or images
        # from anywhere, so it also works without a network, and under a policy that allows nothing.
        description = app.openapi()
        schemas_of = description.get("components", {}).get("schemas", {})
        dumps = partial(json.dumps, ensure_ascii=False)
        return HTMLResponse(
            _PAGES.get_template("docs.html").render(description, schemas=schemas_of, json=dumps)
        )


async def _warm_up(app: FastAPI, batcher: Batcher) -> None:
    """Until it works: a model server may come back."""
    while True:
        try:
            await batcher.code([_WARM_UP[0]])
            await batcher.code(_WARM_UP)
        except Exception as error:
            report("the warm-up failed; the service is not ready", error)
            await asyncio.sleep(_WARM_UP_AGAIN)
        else:
            app.state.ready = True
            return


def _counted(answers: list[CodedText], metrics: Metrics) -> list[CodedText]:
    metrics.coded(len(answers))
    return answers


def _code(agent: CodingAgent, texts: list[Question]) -> list[CodedText]:
    """A lone text takes the way that is quickest for one, several the one that is quickest for many."""
    return [agent.code(texts[0])] if len(texts) == 1 else list(agent.code_many(texts))
