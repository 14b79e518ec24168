"""`onkokode serve` as a process: start, work, SIGTERM with requests in flight; and starts that must fail."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from click.testing import CliRunner
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from agent.apps.cli import cli
from agent.apps.service.app import create_app
from agent.apps.service.commands import mount_review, serve
from agent.apps.service.settings import ServiceError, ServiceSettings
from tests.agent.tiny_agent import embedded_agent
from tests.service.load import essence, same
from tests.service.running import running, wait_for, wait_ready

KEY = "a-key-for-this-test-only"
TEXT = "Geheimrat Mustermann, Mamma-Ca li. oben außen"


def test_sigterm_answers_what_was_taken_and_exits_with_0(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "serve", "--port", "0", "--api-key-file", str(key)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ONKOKODE_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    lines: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    reader.start()
    try:
        wait_for(lambda: any("listening on" in line for line in lines) or process.poll() is not None, 60)
        url = re.search(r"http://127\.0\.0\.1:\d+", "".join(lines))
        assert url is not None, lines
        with httpx.Client(base_url=url[0], timeout=60, headers={"X-API-Key": KEY}, trust_env=False) as client:
            wait_ready(client)
            # The first keeps the agent busy for more than a second; all others wait behind it.
            texts = [f"{TEXT}, Fall {n}" for n in range(120)]
            with ThreadPoolExecutor(24) as pool:
                many = pool.submit(client.post, "/v1/code-many", json={"texts": texts})
                singles = [pool.submit(client.post, "/v1/code", json={"text": TEXT}) for _ in range(23)]
                threading.Event().wait(0.5)
                assert not many.done()
                process.send_signal(signal.SIGTERM)
                answers = [single.result() for single in singles]
                assert many.result().status_code == 200
            assert {answer.status_code for answer in answers} == {200}
            reference = essence(embedded_agent().code(TEXT).to_dict())
            assert all(same(essence(answer.json()), reference) for answer in answers)
            with pytest.raises(httpx.TransportError):
                client.get("/health/live")
        assert process.wait(30) == 0
    finally:
        process.kill()
        reader.join(10)
    log = "".join(lines)
    assert log.count("POST /v1/code 200") == 23
    assert "Mustermann" not in log and "Mamma" not in log and KEY not in log
    assert "Traceback" not in log


def test_a_taken_port_ends_with_one_line_and_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "agent", "serve", "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "ONKOKODE_HOME": str(tmp_path)},
        )
    assert done.returncode == 2
    assert "another --host or --port" in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"), [("--api-key-file", "none", "API key file"), ("--queue", "3", "queue")]
)
def test_options_that_cannot_work_end_with_one_line_and_2(
    option: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["serve", option, value])
    assert done.exit_code == 2
    assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_review_page_is_mounted_with_the_key_and_asks_for_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted: list[tuple[object, ...]] = []

    def mount(app: FastAPI, agent: object, database: Path, *, api_key: str | None) -> None:
        mounted.append((agent, database, api_key))
        app.mount("/review", PlainTextResponse("Anmeldung"))

    page = ModuleType("agent.apps.review.page")
    page.mount = mount  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agent.apps.review.page", page)
    settings = ServiceSettings(port=0, api_key=KEY, own_login=("/review",))
    app = create_app(embedded_agent(), settings)
    mount_review(app, embedded_agent(), tmp_path / "review.sqlite", KEY)
    assert mounted == [(embedded_agent(), tmp_path / "review.sqlite", KEY)]
    with running(app, settings) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/review/").text == "Anmeldung"
        for closed in ("/reviews", "/info", "/docs", "/v1/codes/icd10gm"):
            assert client.get(closed).status_code == 401
        # Its own policy allows its scripts; ours would not.
        assert "content-security-policy" not in client.get("/review/").headers
        assert client.get("/review/").headers["x-content-type-options"] == "nosniff"


def test_another_address_without_a_key_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.apps.service.server.serve", lambda *_: None)
    monkeypatch.setattr("agent.apps.service.commands.load_agent", lambda **_: embedded_agent())
    monkeypatch.delenv("ONKOKODE_API_KEY", raising=False)
    for host, key, warned in (("0.0.0.0", None, True), ("0.0.0.0", KEY, False), ("127.0.0.1", None, False)):
        environment = {"ONKOKODE_API_KEY": key} if key else {}
        done = CliRunner().invoke(serve, ["--host", host, "--port", "0"], env=environment)
        assert done.exit_code == 0, done.output
        assert ("no API key" in done.stderr) is warned


def test_a_proxy_s_name_and_address_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[ServiceSettings] = []
    monkeypatch.setattr(
        "agent.apps.service.server.serve", lambda app, settings, listener: served.append(settings)
    )
    monkeypatch.setattr("agent.apps.service.commands.load_agent", lambda **_: embedded_agent())
    monkeypatch.delenv("ONKOKODE_API_KEY", raising=False)
    named = ["--allowed-host", "a.example", "--allowed-host", "b.example", "--trusted-proxy", "10.88.0.0/16"]
    done = CliRunner().invoke(serve, ["--port", "0", *named])
    assert done.exit_code == 0, done.output
    assert set(served[0].allowed_hosts) == {"localhost", "127.0.0.1", "::1", "a.example", "b.example"}
    assert "10.88.0.0/16" in served[0].trusted_proxies
    for wrong in (["--allowed-host", "https://a.example"], ["--trusted-proxy", "proxy"]):
        assert isinstance(CliRunner().invoke(serve, ["--port", "0", *wrong]).exception, ServiceError)
