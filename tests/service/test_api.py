"""The API over real connections: answers, errors without an echo, limits, key, headers, log."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from agent.apps.service import schemas
from agent.apps.service.app import create_app
from agent.apps.service.settings import ServiceSettings
from agent.decide.editions import edition_id
from agent.prepare import MAX_CHARACTERS
from index.errors import ModelError
from index.records import CodeSystem
from tests.agent.tiny_agent import embedded_agent
from tests.service.load import essence, same
from tests.service.running import GatedAgent, service, wait_for, wait_ready

SECRET = "Geheimrat Mustermann, Mamma-Ca"
TEXTS = (
    "Mamma-Ca li. oben außen, G2",
    "Kleinzelliges Bronchial-Ca li. Oberlappen",
    "Z.n. Prostata-Ca",
    "V.a. Pankreaskopf-Ca",
    "Hypertonie",
    "",
    "Appendektomie",
    "Adenokarzinom des Colon sigmoideum, Mamma-Ca re.",
)


def expected(texts: tuple[str, ...] = TEXTS) -> list[dict[str, Any]]:
    return [essence(coded.to_dict()) for coded in embedded_agent().code_many(texts)]


def assert_plain_error(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    error = schemas.ErrorAnswer.model_validate_json(answer.content).error
    assert error.code == code
    for piece in ("Geheim", "Mustermann", "Mamma"):
        assert piece not in answer.text
        assert piece not in str(answer.headers)


def test_one_text_gets_what_the_agent_says(client: httpx.Client) -> None:
    answer = client.post("/v1/code", json={"text": TEXTS[0]})
    assert answer.status_code == 200
    schemas.Coded.model_validate_json(answer.content)
    assert answer.json()["icd10gm"]["code"] == "C50.4"
    assert same(essence(answer.json()), expected()[0])


def test_several_texts_keep_their_order(client: httpx.Client) -> None:
    answer = client.post("/v1/code-many", json={"texts": list(TEXTS)})
    schemas.CodedMany.model_validate_json(answer.content)
    assert same([essence(one) for one in answer.json()["results"]], expected())
    assert client.post("/v1/code-many", json={"texts": []}).json() == {"results": []}


def test_a_tumour_in_fields_is_one_tumour(client: httpx.Client) -> None:
    case = {"diagnosis": "Mamma-Ca", "site": "oben außen; retroareolär", "histology": "NST", "side": "L"}
    answer = client.post("/v1/code", json={"case": case})
    schemas.Coded.model_validate_json(answer.content)
    assert answer.json()["icd10gm"]["code"] == "C50.4"
    assert (answer.json()["side"], answer.json()["further"]) == ("links", [])
    alone = {"site": "Prostata", "tumour": True}
    many = client.post("/v1/code-many", json={"cases": [case, alone, {}]}).json()["results"]
    assert [one["icdo_topography"]["code"] for one in many] == ["C50.4", "C61.9", None]
    assert [one["tumour"] for one in many] == [True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "case": {}},
        {"case": {"side": "oben"}},
        {"case": {"behaviour": "7"}},
        {"case": {"diagnose": "Ca"}},
    ],
)
def test_what_is_neither_a_text_nor_a_case_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    assert_plain_error(client.post("/v1/code", json=body), 422, "invalid_request")


def test_a_document_is_read(client: httpx.Client) -> None:
    document = (
        "Diagnose: Mammakarzinom links.\nIn der Stanzbiopsie invasives lobuläres Karzinom.\n"
        "Im CT Lebermetastasen.\nDie Mutter hatte ein Ovarialkarzinom."
    )
    answer = client.post("/v1/read", json={"document": document})
    read = schemas.ReadDocument.model_validate_json(answer.content)
    [tumour] = read.tumours
    assert (tumour.icd10gm.code, tumour.icdo_morphology.code, tumour.side) == ("C50.9", "8520/3", "links")
    assert [one.icd10gm for one in tumour.metastases] == ["C78.7"]
    assert answer.json() == {**embedded_agent().read(document).to_dict()}
    assert client.post("/v1/read", json={"document": ""}).json() == {
        "tumours": [],
        "problem": "Das Dokument ist leer.",
        "edition": edition_id(embedded_agent().year),
    }
    too_long = client.post("/v1/read", json={"document": "x" * 100_001})
    assert_plain_error(too_long, 422, "invalid_request")


def test_64_clients_at_once_get_their_own_answers(client: httpx.Client) -> None:
    texts = tuple(f"{TEXTS[n % 4]}, pT{n % 5} Fall {n}" for n in range(64))
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda text: client.post("/v1/code", json={"text": text}), texts))
    assert {answer.status_code for answer in answers} == {200}
    for answer, reference in zip(answers, expected(texts), strict=True):
        assert same(essence(answer.json()), reference)


def test_explain_shows_the_steps(client: httpx.Client) -> None:
    answer = client.post("/v1/explain", json={"text": TEXTS[0]})
    explained = schemas.Explained.model_validate_json(answer.content)
    assert [step.step for step in explained.steps] == [
        "prepare",
        "recognise",
        "retrieve",
        "choose",
        "reconcile",
        "check",
    ]
    assert answer.json()["steps"][2]["found"]["nearest"]["icd10gm"] == "C50.4"
    assert same(essence(answer.json()["result"]), expected()[0])


@pytest.mark.parametrize(
    ("request_body", "where"),
    [
        ({"text": 3, SECRET: SECRET}, "body.text"),
        ({"texts": SECRET}, "body"),
        ({"text": [SECRET]}, "body.text"),
        ([SECRET], "body"),
        ({"text": "x" * (MAX_CHARACTERS + 1)}, "body.text"),
    ],
)
def test_invalid_requests_are_told_where_but_not_what(
    client: httpx.Client, request_body: Any, where: str
) -> None:
    answer = client.post("/v1/code", json=request_body)
    assert_plain_error(answer, 422, "invalid_request")
    assert where in {detail["where"] for detail in answer.json()["error"]["details"]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (f'{{"text": "{SECRET}'.encode(), 422),
        (f'{{"text": "{SECRET}", }}'.encode(), 422),
        (b'{"text": "\xff\xfe Geheim"}', 400),
        (b'{"text": "\\ud800 Geheim"}', 422),
        (b"[" * 100_000, 400),
        (b"", 422),
    ],
)
def test_broken_json_is_refused_without_an_echo(client: httpx.Client, body: bytes, status: int) -> None:
    answer = client.post("/v1/code", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert_plain_error(answer, status, answer.json()["error"]["code"])


def test_too_many_texts_are_refused_with_the_limit(client: httpx.Client) -> None:
    answer = client.post("/v1/code-many", json={"texts": ["Mamma-Ca"] * 33})
    assert_plain_error(answer, 422, "too_many_texts")
    assert "32" in answer.json()["error"]["message"]


def test_a_body_that_says_it_is_too_large_is_not_read(client: httpx.Client) -> None:
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(
            b"POST /v1/code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_grows_too_large_is_cut_off(client: httpx.Client) -> None:
    def endless() -> Any:
        yield b'{"text": "'
        for _ in range(400):
            yield b"Geheim " * 100

    answer = client.post("/v1/code", content=endless(), headers={"content-type": "application/json"})
    assert_plain_error(answer, 413, "body_too_large")
    # A whole one of known length, and far larger.
    answer = client.post("/v1/code", json={"text": SECRET * 100_000})
    assert_plain_error(answer, 413, "body_too_large")


def test_a_body_that_never_comes_ends_in_time() -> None:
    with service(body_seconds=0.3) as client:
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port)) as connection:
            connection.sendall(
                b"POST /v1/code HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
            )
            connection.settimeout(10)
            assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_full_queue_says_when_to_come_back() -> None:
    agent = GatedAgent()
    agent.open.set()
    with service(agent, queue_texts=2, max_texts=2) as client:
        wait_ready(client)
        agent.open.clear()
        agent.working.clear()
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(client.post, "/v1/code", json={"text": "Mamma-Ca"}) for _ in range(2)]
            wait_for(lambda: client.app.state.batcher.held == 2)  # type: ignore[attr-defined]
            answer = client.post("/v1/code", json={"text": SECRET})
            assert_plain_error(answer, 429, "queue_full")
            assert int(answer.headers["retry-after"]) >= 1
            # The rest of the service goes on working.
            assert client.get("/health/live").status_code == 200
            assert client.get("/v1/codes/icd10gm", params={"q": "C50"}).status_code == 200
            agent.open.set()
            assert [done.result().status_code for done in held] == [200, 200]
        assert client.post("/v1/code", json={"text": "Mamma-Ca"}).status_code == 200


def test_what_the_grace_period_leaves_undone_is_503() -> None:
    """It was 500, from uvicorn, which cancels what is left."""
    agent = GatedAgent()
    agent.open.set()
    with service(agent, shutdown_seconds=2) as client:
        wait_ready(client)
        agent.open.clear()
        batcher = client.app.state.batcher  # type: ignore[attr-defined]
        with ThreadPoolExecutor(2) as pool:
            many = pool.submit(client.post, "/v1/code-many", json={"texts": list(TEXTS) * 10})
            wait_for(lambda: batcher.held == 80)
            small = pool.submit(client.post, "/v1/code", json={"text": SECRET})
            wait_for(lambda: batcher.held == 81)
            batcher.refuse_soon()
            for asked in (many, small):
                assert_plain_error(asked.result(), 503, "shutting_down")
                assert "retry-after" in asked.result().headers
        agent.open.set()


def test_a_text_that_breaks_the_agent_is_named_and_the_others_are_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = GatedAgent()
    agent.open.set()
    with service(agent) as client, caplog.at_level(logging.DEBUG):
        wait_ready(client)
        agent.open.clear()
        agent.working.clear()
        texts = ["Mamma-Ca", f"{SECRET} kaputt", "Prostata-Ca"]
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(client.post, "/v1/code", json={"text": text}) for text in texts]
            wait_for(lambda: client.app.state.batcher.held == 3)  # type: ignore[attr-defined]
            agent.open.set()
            good, bad, other = (done.result() for done in asked)
        assert good.json()["icd10gm"]["code"] == "C50.9"
        assert other.json()["icd10gm"]["code"] == "C61"
        assert_plain_error(bad, 422, "text_failed")
        many = client.post("/v1/code-many", json={"texts": texts})
        assert_plain_error(many, 422, "text_failed")
        assert many.json()["error"]["details"] == [{"where": "1", "problem": "was not coded"}]
    assert "Geheim" not in caplog.text and "Mamma" not in caplog.text


def test_a_model_that_is_gone_is_503_and_its_address_stays_here(caplog: pytest.LogCaptureFixture) -> None:
    class ClientGone(GatedAgent):
        def code_many(self, texts: Any) -> Any:
            raise ModelError("http://10.0.0.7:8001: the model server cannot be reached")

    with service(ClientGone()) as client, caplog.at_level(logging.INFO):
        for answer in (
            client.post("/v1/code", json={"text": SECRET}),
            client.post("/v1/code-many", json={"texts": [SECRET, SECRET]}),
        ):
            assert_plain_error(answer, 503, "unavailable")
            assert "10.0.0.7" not in answer.text and int(answer.headers["retry-after"]) >= 1
    # For the operator.
    assert "10.0.0.7" in caplog.text


def test_an_error_that_nobody_expected_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: Any) -> None:
        raise RuntimeError(f"cannot find {SECRET}")

    monkeypatch.setattr("index.search.code_search.CodeSearch.find", fail)
    with service() as client, caplog.at_level(logging.INFO, "onkokode"):
        answer = client.get("/v1/codes/icd10gm", params={"q": SECRET})
        assert_plain_error(answer, 500, "internal_error")
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("http")]
    assert any("RuntimeError at" in line for line in ours) and not any("Geheim" in line for line in ours)


def test_nothing_is_recorded_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    app = create_app(embedded_agent(), ServiceSettings())
    telemetry = getattr(app, "_telemetry", {})
    assert not any(
        telemetry.get(kind) for kind in ("tracing", "metrics", "logs", "operation_spans", "auto_configure")
    )


def test_a_key_is_part_of_the_description() -> None:
    described = create_app(embedded_agent(), ServiceSettings(api_key="0123456789abcdef")).openapi()
    ways = {tuple(way) for way in described["paths"]["/v1/code"]["post"]["security"]}
    assert ways == {("APIKeyHeader",), ("HTTPBearer",)}
    assert "security" not in described["paths"]["/health/live"]["get"]


def test_a_client_that_hangs_up_leaves_its_place_to_others() -> None:
    agent = GatedAgent()
    agent.open.set()
    with service(agent) as client:
        wait_ready(client)
        batcher = client.app.state.batcher  # type: ignore[attr-defined]
        agent.open.clear()
        agent.working.clear()
        first = threading.Thread(target=client.post, args=("/v1/code",), kwargs={"json": {"text": "Ca"}})
        first.start()
        assert agent.working.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{client.base_url}/v1/code", json={"text": "weg"}, timeout=0.5, trust_env=False)
        wait_for(lambda: batcher.held == 1)
        agent.open.set()
        first.join(10)
        assert client.post("/v1/code", json={"text": "Mamma-Ca"}).status_code == 200
        assert ["weg"] not in agent.batches


def test_readiness_follows_the_model() -> None:
    agent = GatedAgent()
    with service(agent) as client:
        assert client.get("/health/live").json() == {"status": "alive"}
        starting = client.get("/health/ready")
        assert (starting.status_code, starting.json()) == (503, {"status": "starting"})
        agent.open.set()
        wait_ready(client)
        client.app.state.batcher.refuse_soon()  # type: ignore[attr-defined]
        stopping = client.get("/health/ready")
        assert (stopping.status_code, stopping.json()) == (503, {"status": "stopping"})
        refused = client.post("/v1/code", json={"text": SECRET})
        assert_plain_error(refused, 503, "shutting_down")
        assert int(refused.headers["retry-after"]) >= 1


def test_a_model_that_fails_at_the_warm_up_never_becomes_ready() -> None:
    class Failing(GatedAgent):
        def code(self, text: str) -> Any:
            raise RuntimeError("no")

    with service(Failing()) as client:
        wait_for(lambda: client.app.state.batcher.held == 0)  # type: ignore[attr-defined]
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200


def test_the_key_closes_everything_but_health() -> None:
    key = "correct-horse-battery"
    with service(api_key=key) as client:
        wait_ready(client)
        assert client.get("/health/live").status_code == 200
        body = {"json": {"text": "Mamma-Ca"}}
        wrong: list[dict[str, str]] = [
            {},
            {"X-API-Key": "wrong"},
            {"X-API-Key": key + "x"},
            {"Authorization": f"Bearer {key[:-1]}"},
            {"Authorization": "Basic !!!"},
            {"Authorization": key},
        ]
        for headers in wrong:
            assert_plain_error(client.post("/v1/code", headers=headers, **body), 401, "unauthorised")
        for path in ("/info", "/metrics", "/docs", "/openapi.json", "/v1/codes/icd10gm/C34.1", "/nowhere"):
            assert client.get(path).status_code == 401
        assert client.post("/v1/code", headers={"X-API-Key": key}, **body).status_code == 200
        assert client.post("/v1/code", headers={"Authorization": f"bearer {key}"}, **body).status_code == 200
        assert client.get("/docs", auth=("anyone", key)).status_code == 200


def test_a_page_elsewhere_cannot_pass_itself_off_as_this_machine(client: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "[::2]:80"):
        assert_plain_error(client.get("/info", headers={"host": host}), 421, "wrong_host")


def test_security_headers_and_request_ids(client: httpx.Client) -> None:
    headers = client.get("/info").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers and "access-control-allow-origin" not in headers
    assert client.get("/info", headers={"x-request-id": "a-1.b_2"}).headers["x-request-id"] == "a-1.b_2"
    for odd in (SECRET, "x" * 37, "a b", "<b>"):
        echoed = client.get("/info", headers={"x-request-id": odd.encode()}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", echoed)


def test_the_log_holds_no_text(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/v1/code", json={"text": SECRET})
        client.get("/v1/codes/icd10gm", params={"q": SECRET})
        client.get(f"/v1/codes/icd10gm/{SECRET}")
        client.get(f"/{SECRET}", headers={"x-request-id": SECRET.encode()})
        client.request("GEHEIM", "/v1/code")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("onkokode", "uvicorn", "asyncio"))]
    assert any("POST /v1/code 200" in line for line in ours)
    assert not [line for line in ours if "geheim" in line.lower() or "Mamma" in line or "Mustermann" in line]


def test_codes_are_found_by_beginning_and_by_words(client: httpx.Client) -> None:
    by_code = client.get("/v1/codes/icd10gm", params={"q": "c34", "limit": 3}).json()
    assert [code["code"] for code in by_code["codes"]] == ["C34.0", "C34.1", "C34.2"]
    assert by_code["more"] is True
    by_words = client.get("/v1/codes/icdo_morphology", params={"q": "Kleinzellig Carcinom"}).json()
    assert by_words["codes"][0]["code"] == "8041/3"
    nothing = client.get("/v1/codes/icd10gm", params={"q": "!!"}).json()
    assert (nothing["codes"], nothing["more"]) == ([], False)


def test_a_code_is_explained_slash_and_all(client: httpx.Client) -> None:
    morphology = client.get("/v1/codes/icdo_morphology/8041/3")
    schemas.ExplainedCode.model_validate_json(morphology.content)
    assert morphology.json()["title"] == "Kleinzelliges Karzinom"
    assert client.get("/v1/codes/icdo_morphology/8041%2F3").json() == morphology.json()
    assert client.get("/v1/codes/icd10gm/c341").json()["code"] == "C34.1"
    assert_plain_error(client.get("/v1/codes/icd10gm/C99.9"), 404, "unknown_code")
    assert_plain_error(client.get(f"/v1/codes/icd10gm/{SECRET}"), 422, "invalid_request")
    assert_plain_error(client.get(f"/v1/codes/{SECRET}/C34"), 422, "invalid_request")


def test_info_names_editions_hashes_and_limits(client: httpx.Client) -> None:
    info = schemas.Info.model_validate_json(client.get("/info").content)
    assert info.limits.texts_per_request == 32
    assert set(info.codes) == {s.value for s in CodeSystem if s is not CodeSystem.OPS}
    [lexicon] = info.editions.values()
    assert re.fullmatch(r"[0-9a-f]{64}", lexicon["files"][0]["sha256"])


def test_the_description_page_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "<script" not in page and "<link" not in page and "src=" not in page
    assert not re.findall(r"https?://(?!127\.0\.0\.1)", page)
    description = client.get("/openapi.json").json()
    for path in description["paths"]:
        assert path in page
    for code in ("413", "422", "429", "503"):
        assert code in description["paths"]["/v1/code"]["post"]["responses"]
    assert "Retry-After" in description["paths"]["/v1/code"]["post"]["responses"]["429"]["headers"]
    assert json.dumps(description).count("HTTPValidationError") == 0


def test_what_is_counted_tells_no_text(client: httpx.Client) -> None:
    sent = "Mamma-Ca, Frau Quastenflosser"
    before = _counts(client)
    assert client.post("/v1/code", json={"text": sent}).status_code == 200
    client.get(f"/nowhere/{sent}")
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "Quastenflosser" not in page.text and "nowhere" not in page.text
    after = _counts(client)
    route = 'onkokode_requests_total{method="POST",route="/v1/code",status="200"}'
    assert after[route] == before.get(route, 0) + 1
    assert after["onkokode_texts_total"] == before["onkokode_texts_total"] + 1
    assert after["onkokode_texts_held"] == 0
    assert 'onkokode_request_seconds_bucket{le="1.0",route="/v1/code"}' in after


def _counts(client: httpx.Client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
