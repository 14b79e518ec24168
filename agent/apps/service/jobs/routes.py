"""The routes below /v1/jobs.

app.include_router(build_job_router(store, settings))          # store None: they say how to switch them on
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException as FormError

from agent.apps.service.batcher import report
from agent.apps.service.errors import CLOSE, RefusedRequest
from agent.apps.service.jobs.record import Job, JobForm, Record
from agent.apps.service.jobs.store import ID_FORM, JobStore, NoPlaceError
from agent.apps.service.routes import GUARDED, Responses, described
from agent.apps.service.settings import ServiceSettings

_FORM = "multipart/form-data"
_FIELD_BYTES = 4096
_RETRY_SECONDS = "60"
_OFF = "this service takes no tables; its operator starts it with --jobs FOLDER"
_ANY: Responses = {
    **GUARDED,
    404: described("There is no such job, or no jobs at all: the service was started without `--jobs`."),
    422: described("The request does not fit its description."),
}
_TAKING: Responses = {
    **_ANY,
    408: described("The table did not arrive in time."),
    415: described("The request is no multipart form."),
    429: described(
        "As many jobs are held as may be: DELETE those whose result you have, or come back later."
    ),
    507: described("The service's disk is full."),
}
_RESULT: Responses = {
    **_ANY,
    200: {
        "description": "The table, with the columns that `onkokode code-file` adds.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    409: described("The job is not done, or failed."),
}
_Id = Annotated[str, Path(pattern=ID_FORM, description="What the POST answered.")]


def build_job_router(store: JobStore | None, settings: ServiceSettings) -> APIRouter:
    """The routes for jobs; without a store each answers 404 and says how there would be one."""
    router = APIRouter(tags=["jobs"])

    @router.post(
        "/v1/jobs",
        summary="Code a table",
        status_code=202,
        response_model=Job,
        responses=_TAKING,
        openapi_extra={"requestBody": {"required": True, "content": {_FORM: {"schema": _form_schema()}}}},
    )
    async def begin(request: Request) -> Response:
        """Takes a table (CSV, TSV, XLSX, ODS, XLS, Parquet, JSONL) and answers at once; it is coded as by
        `onkokode code-file`, beside the requests, one job at a time, and also after the service was started again.
        Whoever has the id can ask for the job and fetch the result; nothing lists the ids. The table is removed when
        the job is over, the result with the DELETE or after the time that /info names."""
        held = _held(store)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise RefusedRequest(415, "no_form", f"send the table as {_FORM}, in the field `file`", CLOSE)
        with _refusing(settings), held.place():
            async with request.form(max_files=1, max_fields=24, max_part_size=_FIELD_BYTES) as sent:
                form, file = _asked(sent)
                ending = PurePosixPath(file.filename or "").suffix.lower()
                record = await asyncio.to_thread(held.add, form, file.file, ending)
        return _answer(record, 202)

    # No coroutines: FastAPI runs them in threads, where a disk may be slow.
    @router.get("/v1/jobs/{job}", summary="How far a job is", response_model=Job, responses=_ANY)
    def look(job: _Id) -> Response:
        """State, rows done, and what of the table was taken for what. Of a job that failed, why, and what helps."""
        return _answer(_found(store, job))

    @router.get(
        "/v1/jobs/{job}/result", summary="The coded table", response_class=Response, responses=_RESULT
    )
    def result(job: _Id) -> Response:
        """The coded table as a file, in the format that was asked for."""
        record = _found(store, job)
        if record.job.state != "done" or record.result is None:
            message = f"this job is {record.job.state}; there is a result once it is done"
            raise HTTPException(409, {"code": "not_done", "message": message})
        path = _held(store).folder(record) / record.result
        return FileResponse(path, media_type="application/octet-stream", filename=record.result)

    @router.delete(
        "/v1/jobs/{job}",
        summary="Cancel or forget a job",
        status_code=204,
        response_class=Response,
        responses=_ANY,
    )
    def drop(job: _Id) -> Response:
        """Cancels a job that waits or runs, and removes its files; one that is over is forgotten, with its result."""
        if not _held(store).drop(job):
            raise _unknown()
        return Response(status_code=204)

    return router


def _held(store: JobStore | None) -> JobStore:
    if store is None:
        raise HTTPException(404, {"code": "jobs_off", "message": _OFF})
    return store


def _found(store: JobStore | None, job: str) -> Record:
    record = _held(store).get(job)
    if record is None:
        raise _unknown()
    return record


def _unknown() -> HTTPException:
    message = "there is no job with this id, or no more"
    return HTTPException(404, {"code": "unknown_job", "message": message})


def _answer(record: Record, status: int = 200) -> Response:
    return Response(record.job.model_dump_json(), status, media_type="application/json")


@contextmanager
def _refusing(settings: ServiceSettings) -> Iterator[None]:
    """What may go wrong while a table arrives, as answers; the guard gives them, since the client still sends."""
    try:
        yield
    except NoPlaceError:
        message = f"the service holds {settings.most_jobs} jobs; DELETE those whose result you have, or come back later"
        raise RefusedRequest(429, "jobs_full", message, {"retry-after": _RETRY_SECONDS, **CLOSE}) from None
    except FormError:
        message = "the form is damaged, or has more than one file, too many fields or one that is too long"
        raise RefusedRequest(400, "broken_form", message, CLOSE) from None
    except OSError as error:
        report("a table could not be taken", error)
        raise RefusedRequest(507, "disk", "the service cannot store the table", CLOSE) from None


def _asked(sent: FormData) -> tuple[JobForm, UploadFile]:
    said: dict[str, Any] = {}
    file: UploadFile | None = None
    for name, value in sent.multi_items():
        if isinstance(value, UploadFile) and name == "file":
            file = value
        elif value != "":
            said[name] = value
    try:
        form = JobForm.model_validate(said)
    except ValidationError as error:
        # Without the input, which the error would carry along.
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_input=False)]
        ) from None
    if file is None:
        raise RequestValidationError([{"loc": ("body", "file"), "type": "missing"}])
    return form, file


def _form_schema() -> dict[str, Any]:
    schema = JobForm.model_json_schema()
    file = {
        "type": "string",
        "format": "binary",
        "description": "The table. Of its name the ending counts, where the content leaves a choice.",
    }
    return {**schema, "properties": {"file": file, **schema["properties"]}, "required": ["file"]}
