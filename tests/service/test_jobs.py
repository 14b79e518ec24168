"""Tables coded as jobs, over real connections: what a job says, what is refused, and what is left on the disk."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.agent import CodingAgent
from agent.apps.files import code_file
from agent.apps.files.table import CHUNK_ROWS
from agent.apps.service.jobs.record import JobForm, Record
from agent.apps.service.jobs.store import JobStore
from agent.apps.service.settings import ServiceError
from agent.results import CodedText
from tests.agent.tiny_agent import embedded_agent
from tests.files import tables
from tests.files.stub_agent import StubAgent
from tests.service.running import service, wait_for, wait_ready
from tests.service.test_api import assert_plain_error

WORD = "Brunnenkresse"
CSV = "Nr;Diagnose\n1;Mamma-Ca links oben außen\n2;\n3;Prostata-Ca\n"
Files = dict[str, tuple[str, bytes]]


class JobAgent(CodingAgent):
    """Codes at once what is no job's; the texts of a job it codes like `StubAgent`, each batch once it may."""

    def __init__(self) -> None:
        super().__init__(embedded_agent().resources)
        self.open = threading.Semaphore(0)
        self.turns = 0

    def let(self, turns: int) -> None:
        for _ in range(turns):
            self.open.release()

    def hold(self) -> None:
        while self.open.acquire(blocking=False):
            pass

    def code_many(self, texts: Iterable[Any], dates: Any = None) -> Iterator[CodedText]:
        if dates is None:
            yield from super().code_many(texts)
            return
        stub, all_texts = StubAgent(), list(texts)
        for at in range(0, len(all_texts), 64):
            assert self.open.acquire(timeout=30)
            self.turns += 1
            yield from stub.code_many(all_texts[at : at + 64])


def table(rows: int) -> bytes:
    return ("Nr;Diagnose\n" + "".join(f"{n};{WORD} {n}\n" for n in range(rows))).encode()


def sent(content: bytes, name: str = "in.csv") -> Files:
    return {"file": (name, content)}


def begin(client: httpx.Client, content: bytes, name: str = "in.csv", **fields: str) -> str:
    answer = client.post("/v1/jobs", files=sent(content, name), data=fields)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def look(client: httpx.Client, job: str) -> dict[str, Any]:
    answer = client.get(f"/v1/jobs/{job}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _has_done(client: httpx.Client, job: str, rows: int) -> bool:
    return look(client, job)["rows_done"] == rows


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    wait_for(lambda: look(client, job)["ended"] is not None, every=0.02)
    return look(client, job)


@contextmanager
def jobs(folder: Path, agent: CodingAgent | None = None, **settings: Any) -> Iterator[httpx.Client]:
    with service(agent, jobs=folder / "jobs", **settings) as client:
        wait_ready(client)
        yield client


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_table_is_coded_to_the_bytes_of_code_file(tmp_path: Path) -> None:
    source = tables.write_xlsx(tmp_path / "in.xlsx")
    code_file(embedded_agent(), source, tmp_path / "out.csv")
    with jobs(tmp_path) as client:
        job = begin(client, source.read_bytes(), "Meldung Mustermann.xlsx", format="csv", sheet="Tumoren")
        done = ended(client, job)
        result = client.get(f"/v1/jobs/{job}/result")
        assert result.content == (tmp_path / "out.csv").read_bytes()
        assert 'filename="kodiert.csv"' in result.headers["content-disposition"]
        assert (done["state"], done["rows"], done["rows_done"], done["problem"]) == ("done", 6, 6, None)
        assert done["counts"] == {"kodiert": 4, "offen": 0, "kein Tumor": 1, "ohne Text": 1}
        assert "Kopfzeile in Zeile 1; Diagnose aus Diagnosetext" in done["read"]
        assert done["rows_per_second"] > 0
        # The table is gone, and what is left is for its owner only.
        left = files_of(tmp_path / "jobs")
        assert {path.name for path in left} == {"lock", "job.json", "kodiert.csv"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in left} == {0o600}
        assert stat.S_IMODE((tmp_path / "jobs" / job).stat().st_mode) == 0o700
        assert "Mustermann" not in (tmp_path / "jobs" / job / "job.json").read_text()
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
        assert_plain_error(client.get(f"/v1/jobs/{job}"), 404, "unknown_job")
        assert {path.name for path in files_of(tmp_path / "jobs")} == {"lock"}


@pytest.mark.parametrize(
    ("write", "name", "result"),
    [
        (tables.write_csv, "in.csv", "kodiert.csv"),
        (tables.write_jsonl, "in.jsonl", "kodiert.jsonl"),
        (tables.write_parquet, "in.parquet", "kodiert.parquet"),
        (tables.write_xlsx, "in", "kodiert.xlsx"),
    ],
)
def test_the_result_has_the_table_s_format(tmp_path: Path, write: Any, name: str, result: str) -> None:
    content = write(tmp_path / "in").read_bytes()
    with jobs(tmp_path) as client:
        job = begin(client, content, name)
        assert ended(client, job)["state"] == "done"
        assert result in client.get(f"/v1/jobs/{job}/result").headers["content-disposition"]


def test_what_is_said_about_a_table_counts(tmp_path: Path) -> None:
    content = "Stand: heute\nFall,Ort,Histo,Datum\n1,Prostata,Adenokarzinom,2020\n"
    with jobs(tmp_path) as client:
        job = begin(
            client, content.encode("utf-16-le"), encoding="utf-16-le", delimiter=",", header_row="2", site="Ort",
            histology="3", date_column="Datum", tumour="true", column="",
        )  # fmt: skip
        done = ended(client, job)
        assert done["state"] == "done", done
        assert "Sitz aus Ort, Histologie aus Histo, Datum der Diagnose aus Datum" in done["read"]
        assert "icd10gm-2020" in client.get(f"/v1/jobs/{job}/result").content.decode("utf-16-le")


def test_requests_come_between_the_turns_of_a_job_and_one_job_runs_at_a_time(tmp_path: Path) -> None:
    agent = JobAgent()
    with jobs(tmp_path, agent) as client:
        first, second = begin(client, table(3 * CHUNK_ROWS)), begin(client, table(10))
        agent.let(CHUNK_ROWS // 64)
        wait_for(lambda: look(client, first)["rows_done"] == CHUNK_ROWS)
        half = look(client, first)
        assert (half["state"], half["rows"]) == ("running", 3 * CHUNK_ROWS)
        assert half["rows_per_second"] > 0 and "Diagnose aus Diagnose" in half["read"]
        assert look(client, second)["state"] == "queued"
        page = client.get("/metrics").text
        assert 'onkokode_jobs{state="running"} 1.0' in page and 'onkokode_jobs{state="queued"} 1.0' in page
        assert_plain_error(client.get(f"/v1/jobs/{first}/result"), 409, "not_done")
        before = agent.turns
        thread = threading.Thread(
            target=lambda: [agent.let(1) or threading.Event().wait(0.02) for _ in range(33)]
        )
        thread.start()
        assert client.post("/v1/code", json={"text": "Prostata-Ca"}).json()["icd10gm"]["code"] == "C61"
        assert agent.turns < before + 32, "the request waited for the whole job"
        thread.join()
        assert ended(client, first)["state"] == ended(client, second)["state"] == "done"


def test_a_running_job_is_cancelled_and_its_files_are_removed(tmp_path: Path) -> None:
    agent = JobAgent()
    with jobs(tmp_path, agent, most_jobs=2) as client:
        first, second = begin(client, table(2000)), begin(client, table(10))
        wait_for(lambda: look(client, first)["state"] == "running")
        assert client.delete(f"/v1/jobs/{first}").status_code == 204
        assert look(client, first)["state"] == "cancelled"
        agent.let(3)
        assert ended(client, second)["state"] == "done"
        assert {path.name for path in files_of(tmp_path / "jobs" / first)} == {"job.json"}
        agent.hold()
        # The place of what was cancelled is free.
        third = begin(client, table(10))
        assert client.get(f"/v1/jobs/{first}").status_code == 404
        assert client.delete(f"/v1/jobs/{third}").status_code == 204
        assert look(client, third)["state"] == "cancelled"
        assert client.delete(f"/v1/jobs/{third}").status_code == 204
        assert client.delete(f"/v1/jobs/{third}").status_code == 404
        agent.let(9)


def test_a_table_that_cannot_be_read_as_it_is_asks_its_question(tmp_path: Path) -> None:
    with jobs(tmp_path) as client:
        for content, name, fields, said in (
            (f"{WORD};a b\n{WORD} c;d\n".encode(), "in.csv", {}, "bitte header=true oder header=false angeben"),
            (b"a;b\nMamma Karzinom links;Prostata Karzinom rechts\n", "in.csv", {"header": "true"}, "bitte mit column eine nennen"),
            (CSV.encode(), "in.csv", {"column": "Befund"}, "keine Spalte Befund"),
            (b"PK\x03\x04 half", "in.xlsx", {}, "die Excel-Datei ist beschädigt"),
            (b"", "in.csv", {}, "die Datei ist leer"),
            (CSV.encode(), "in.csv", {"encoding": "ansi8"}, "Zeichensatz"),
        ):  # fmt: skip
            failed = ended(client, begin(client, content, name, **fields))
            assert failed["state"] == "failed" and said in failed["problem"], failed
            assert failed["problem"].startswith("tabelle.") and str(tmp_path) not in failed["problem"]
            assert WORD not in str(failed)
            assert {path.name for path in files_of(tmp_path / "jobs" / failed["id"])} == {"job.json"}
            assert_plain_error(client.get(f"/v1/jobs/{failed['id']}/result"), 409, "not_done")


@pytest.mark.parametrize(
    "name", ["../../../../tmp/böse.csv", "/etc/passwd", "..", "a\x00b.csv", "C:\\x.csv", "x" * 5000]
)
def test_a_file_s_name_is_no_path(tmp_path: Path, name: str) -> None:
    with jobs(tmp_path) as client:
        answer = client.post("/v1/jobs", files=sent(CSV.encode(), name))
        if answer.status_code == 202:
            ended(client, answer.json()["id"])
        outside = [path for path in files_of(tmp_path) if path.parent.parent != tmp_path / "jobs"]
        assert {path.name for path in outside} == {"lock"}
        assert {path.suffix for path in files_of(tmp_path / "jobs")} <= {".csv", ".json", ""}


def test_broken_and_wrong_forms_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    content = table(100)
    with jobs(tmp_path, most_jobs=1) as client:
        form = {"content-type": "multipart/form-data; boundary=x"}
        whole = b'--x\r\ncontent-disposition: form-data; name="file"; filename="in.csv"\r\n\r\n' + content
        for body, headers, status, code in (
            (whole, form, 422, "invalid_request"),  # cut off
            (b"--y" + whole, form, 400, "broken_form"),
            (whole, {"content-type": "multipart/form-data"}, 400, "broken_form"),
            (content, {"content-type": "text/csv"}, 415, "no_form"),
        ):
            assert_plain_error(client.post("/v1/jobs", content=body, headers=headers), status, code)
        for fields, where in (
            ({"sheet": "x" * 300}, "body.sheet"),
            ({"colunm": WORD}, "body.?"),
            ({"header_row": "drei"}, "body.header_row"),
            ({"header_row": "3", "header": "false"}, "body"),
            ({"delimiter": "||"}, "body.delimiter"),
            ({"format": "doc"}, "body.format"),
        ):
            answer = client.post("/v1/jobs", files=sent(content), data=fields)
            assert_plain_error(answer, 422, "invalid_request")
            assert answer.json()["error"]["details"][0]["where"] == where and WORD not in answer.text
        two = [("file", ("a.csv", content)), ("file", ("b.csv", content))]
        assert_plain_error(client.post("/v1/jobs", files=two), 400, "broken_form")
        assert {path.name for path in files_of(tmp_path / "jobs")} == {"lock"}
        # None of them holds a place.
        assert ended(client, begin(client, content, delimiter="tab", header="true"))["ended"]
        assert_plain_error(client.post("/v1/jobs", files=sent(content)), 429, "jobs_full")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_table_that_is_too_large_is_refused(tmp_path: Path, chunked: bool) -> None:
    with jobs(tmp_path, job_bytes=1 << 20) as client:
        body = (
            b'--x\r\ncontent-disposition: form-data; name="file"; filename="in.csv"\r\n\r\n'
            + b"a;b\n" * 800_000
        )
        parts: Any = (body[at : at + 65536] for at in range(0, len(body), 65536)) if chunked else body
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert_plain_error(client.post("/v1/jobs", content=parts, headers=headers), 413, "body_too_large")
        # Any other route has its own bound.
        assert client.post("/v1/code", content=b"x" * (3 << 20)).status_code == 413
        # A table of that size is taken, however long its form is.
        assert ended(client, begin(client, b"Diagnose\n".ljust(1 << 20, b"x")))["state"] == "done"


def test_a_table_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    with jobs(tmp_path, upload_seconds=0.3, body_seconds=0.1, most_jobs=1) as client:
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as slow:
            slow.sendall(b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900\r\n"
                         b"content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")  # fmt: skip
            assert b" 408 " in slow.recv(4096)
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as gone:
            gone.sendall(b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900\r\n"
                         b"content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")  # fmt: skip
        wait_for(lambda: client.post("/v1/jobs", files=sent(CSV.encode())).status_code == 202)


def test_ids_and_keys_that_are_wrong(tmp_path: Path) -> None:
    key = "a-key-for-this-test-only"
    with service(jobs=tmp_path / "jobs", api_key=key) as client:
        for method, path in (("POST", "/v1/jobs"), ("GET", f"/v1/jobs/{'0' * 32}"), ("DELETE", f"/v1/jobs/{'0' * 32}"),
                             ("GET", f"/v1/jobs/{'0' * 32}/result")):  # fmt: skip
            assert client.request(method, path).status_code == 401
        assert (
            client.post("/v1/jobs", files=sent(CSV.encode()), headers={"X-API-Key": "another"}).status_code
            == 401
        )
        client.headers["X-API-Key"] = key
        for path in (f"/v1/jobs/{'0' * 32}", f"/v1/jobs/{'0' * 32}/result"):
            assert_plain_error(client.get(path), 404, "unknown_job")
        for wrong in ("..", "%2e%2e", "lock", "0" * 31, f"{'0' * 32}%2f..", f"{'0' * 32}%0a"):
            assert client.get(f"/v1/jobs/{wrong}").status_code in (404, 422)
            assert client.delete(f"/v1/jobs/{wrong}").status_code in (404, 405, 422)
        assert {path.name for path in files_of(tmp_path / "jobs")} == {"lock"}


def test_without_a_folder_the_routes_say_how_to_switch_them_on(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", files=sent(CSV.encode()))
    assert_plain_error(answer, 404, "jobs_off")
    assert "--jobs FOLDER" in answer.json()["error"]["message"]
    assert client.get(f"/v1/jobs/{'0' * 32}").json() == answer.json()
    assert client.get("/info").json()["limits"]["jobs"] == 0


def test_a_full_disk_fails_a_job_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    agent = JobAgent()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with jobs(tmp_path, agent) as client:
        job = begin(client, table(2000))
        wait_for(lambda: look(client, job)["state"] == "running")
        monkeypatch.setattr("agent.apps.files.work_folder.WorkFolder.keep", full)
        agent.let(40)
        failed = ended(client, job)
        assert failed["state"] == "failed" and "der Datenträger ist voll" in failed["problem"]
        assert {path.name for path in files_of(tmp_path / "jobs" / job)} == {"job.json"}
        monkeypatch.setattr("agent.apps.service.jobs.store.shutil.copyfileobj", full)
        assert_plain_error(client.post("/v1/jobs", files=sent(table(10))), 507, "disk")
        monkeypatch.undo()
        agent.let(40)
        assert ended(client, begin(client, table(10)))["state"] == "done"
    assert WORD not in caplog.text and "ENOSPC" not in caplog.text


def test_a_stopped_service_goes_on_and_another_agent_begins_anew(tmp_path: Path) -> None:
    class Newer(JobAgent):
        def info(self) -> dict[str, Any]:
            return {**super().info(), "model": "another"}

    content = table(3 * CHUNK_ROWS)
    (tmp_path / "in.csv").write_bytes(content)
    whole = JobAgent()
    whole.let(48)
    code_file(whole, tmp_path / "in.csv", tmp_path / "out.csv")
    for number, again in enumerate((JobAgent(), Newer())):
        folder = tmp_path / str(number)
        agent = JobAgent()
        with jobs(folder, agent) as client:
            job = begin(client, content)
            agent.let(CHUNK_ROWS // 64)
            wait_for(partial(_has_done, client, job, CHUNK_ROWS))
            threading.Timer(0.5, agent.let, (9,)).start()
        again.let(48)
        with jobs(folder, again) as client:
            assert ended(client, job)["state"] == "done"
            assert client.get(f"/v1/jobs/{job}/result").content == (tmp_path / "out.csv").read_bytes()
        assert again.turns == (32 if number == 0 else 48)


def test_what_is_over_is_removed_in_time_and_what_a_kill_left_at_the_start(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs", most=3, keep=timedelta(hours=1))
    store.open()
    with pytest.raises(ServiceError, match="another service"):
        JobStore(tmp_path / "jobs", most=3, keep=timedelta(hours=1)).open()
    records = [store.add(JobForm(), io.BytesIO(CSV.encode()), ".csv") for _ in range(3)]
    old, new, waiting = records
    for record in (old, new):
        store.finish(record, "failed", "x")
    old.job.ended = datetime.now(UTC) - timedelta(hours=2)
    waiting.job.created = datetime.now(UTC) - timedelta(days=9)
    store.expire()
    assert store.get(old.job.id) is None and not store.folder(old).exists()
    cut_off = tmp_path / "jobs" / ("0" * 32)
    cut_off.mkdir()
    (cut_off / "tabelle.csv").write_text(CSV)
    (tmp_path / "jobs" / "etwas anderes").mkdir()
    store.close()
    again = JobStore(tmp_path / "jobs", most=3, keep=timedelta(hours=1))
    again.open()
    assert [again.count("failed"), again.count("queued")] == [1, 1]
    assert not cut_off.exists() and (tmp_path / "jobs" / "etwas anderes").exists()
    taken = again.next_queued(0)
    assert taken is not None and taken.job.id == waiting.job.id
    stored = Record.model_validate(json.loads((again.folder(taken) / "job.json").read_text()))
    assert stored == taken and stored.job.state == "running"
    again.close()
