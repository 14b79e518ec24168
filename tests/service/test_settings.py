"""The settings: the key's sources and form, loopback, the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.apps.service.settings import (
    ServiceError,
    ServiceSettings,
    host_name,
    hosts_for,
    is_loopback,
    networks,
    read_api_key,
)

KEY = "0123456789abcdef"


def test_the_file_wins_over_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}-file \nsecond line\n")
    environment = {"ONKOKODE_API_KEY": f"{KEY}-environment"}
    assert read_api_key(file, environment) == f"{KEY}-file"
    assert read_api_key(None, environment) == f"{KEY}-environment"
    assert read_api_key(None, {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe" * 20, "schlüsselschlüssel".encode()])
def test_a_key_that_protects_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ServiceError, match="key"):
        read_api_key(file, {})
    with pytest.raises(ServiceError):
        read_api_key(tmp_path / "missing", {"ONKOKODE_API_KEY": KEY})


def test_an_empty_variable_is_an_error_and_not_an_open_service() -> None:
    with pytest.raises(ServiceError):
        read_api_key(None, {"ONKOKODE_API_KEY": ""})


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.org", "")))
    assert "localhost" in hosts_for("127.0.0.1")
    assert hosts_for("0.0.0.0") == ()


def test_names_that_a_proxy_passes_on() -> None:
    assert set(hosts_for("127.0.0.1", ["Onkokode.Klinik.example"])) >= {
        "localhost",
        "onkokode.klinik.example",
    }
    # On another address, naming one closes the others.
    assert "x.example" in hosts_for("0.0.0.0", ["x.example"]) and "127.0.0.1" in hosts_for(
        "::", ["x.example"]
    )
    assert host_name("klinik-münchen.de") == "xn--klinik-mnchen-3ob.de"
    assert host_name("[::1]") == "::1"
    for wrong in ("https://x.example", "x.example:443", "x.example/review", "*", "", "a b", "-x", "x" * 300):
        with pytest.raises(ServiceError, match="allowed-host"):
            host_name(wrong)


def test_proxies_are_addresses() -> None:
    assert "10.88.0.0/16" in networks(["10.88.0.0/16"]) and "127.0.0.0/8" in networks([])
    for wrong in ("proxy.example", "*", "10.0.0.1/8"):
        with pytest.raises(ServiceError, match="trusted-proxy"):
            networks([wrong])


def test_a_queue_that_could_never_take_a_full_request_is_refused() -> None:
    with pytest.raises(ServiceError, match="queue"):
        ServiceSettings(queue_texts=10, max_texts=11)
