"""The page in a real browser, against a real server with the embedded agent.

The tests share one server and one list and run in their order, since each start of the agent takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.review.browsing import Officer, Server, in_chromium

pytest.importorskip("nicegui", reason="no nicegui: pip install 'onkokode[service]'")
pytestmark = [pytest.mark.slow, in_chromium]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def officer(browser: Any, server: Server) -> Iterator[Officer]:
    made = Officer(browser, server, "M. Ernst")
    yield made
    made.context.close()


def _order(server: Server) -> list[int]:
    return [
        row[0]
        for row in server.rows("SELECT id FROM items WHERE state = 'open' ORDER BY urgency DESC, first, part")
    ]


def test_the_list_shows_the_least_certain_first(officer: Officer, server: Server) -> None:
    rows = officer.page.locator(".onko-row")
    shown = [int(rows.nth(n).get_attribute("data-value")) for n in range(rows.count())]
    assert shown == _order(server)
    assert len(shown) == 7  # one text has two diagnoses
    assert rows.first.locator(".text").inner_text() == "Ca"
    assert officer.item == shown[0]
    assert "Was fehlt" in officer.page.inner_text(".onko-axes")
    assert "0 von 7" in officer.page.inner_text(".onko-progress")


def test_markup_in_a_text_is_text(officer: Officer, server: Server) -> None:
    (number,) = server.rows("SELECT id FROM items WHERE text LIKE '%<script>%'")[0]
    officer.page.click(f".onko-row[data-value='{number}']")
    officer.until(number)
    words = officer.page.locator(".onko-text .words")
    assert "<script>window.evil = 1</script>" in words.inner_text()
    assert words.locator("script, img").count() == 0
    assert officer.page.evaluate("window.evil") is None
    assert "Pankreaskopf-Ca" in words.locator("mark.active").all_inner_texts()


def test_keys_walk_and_choose_but_not_while_typing(officer: Officer, server: Server) -> None:
    order = _order(server)
    officer.page.click(f".onko-row[data-value='{order[0]}']")
    officer.until(order[0])
    officer.press("j")
    officer.until(order[1])
    officer.press("ArrowDown", "k", "ArrowUp")
    officer.until(order[0])
    officer.press("t")
    officer.page.wait_for_selector(".onko-axis.active[data-axis='icdo_topography']")
    officer.press("ArrowLeft", "2")
    officer.page.wait_for_selector(
        ".onko-axis.active[data-axis='icd10gm'] [data-value='2'][aria-pressed='true']"
    )
    assert officer.page.inner_text(".onko-actions .primary").startswith("Änderung annehmen")
    officer.press("Escape")
    officer.page.wait_for_selector(".onko-axis.active .answer:not(.changed)")
    officer.press("/")
    officer.page.keyboard.type("xj1u?")
    officer.page.wait_for_selector(".onko-none")
    assert officer.page.locator("dialog[open]").count() == 0
    officer.page.fill("#onko-words", "")
    officer.page.wait_for_selector(".onko-row")
    officer.press("Escape")
    assert officer.item == order[0]
    assert server.decisions() == []


def test_help_lists_the_keys(officer: Officer) -> None:
    officer.press("?")
    officer.page.wait_for_selector("#onko-help-dialog[open]")
    said = officer.page.inner_text("#onko-help-dialog")
    assert all(words in said for words in ("Enter", "Ablehnen", "Im Katalog suchen", "kein Medizinprodukt"))
    officer.press("x", "Escape")  # no key works behind an open dialog
    officer.page.wait_for_function("!document.querySelector('dialog[open]')")


def test_change_by_search(officer: Officer, server: Server) -> None:
    number, following = _order(server)[:2]
    assert officer.item == number
    officer.press("i", "s")
    officer.page.wait_for_selector("#onko-query:focus")
    officer.page.keyboard.type("mamma auß")
    officer.page.wait_for_selector("#onko-hits[data-query='mamma auß'] [role=option]")
    officer.press("ArrowDown")
    code = officer.page.get_attribute("#onko-hits [aria-selected=true]", "data-code")
    assert officer.page.locator("#onko-hits [aria-selected=true]").count() == 1
    officer.press("Enter")
    officer.page.wait_for_selector(f".onko-axis.active .answer.changed .code:has-text('{code}')")
    officer.press("Enter")
    officer.until(following)
    officer.notice("Geändert")
    assert server.decisions() == [(number, "change", code, "M. Ernst")]
    (at,) = server.rows("SELECT decided_at FROM decisions")[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)


def test_accept_with_enter(officer: Officer, server: Server) -> None:
    number, following = _order(server)[:2]
    proposed = server.rows("SELECT json_extract(coding, '$.icd10gm.code') FROM items WHERE id = ?", number)[
        0
    ][0]
    officer.press("Enter")
    officer.until(following)
    assert server.decisions()[-1] == (number, "accept", proposed, "M. Ernst")
    assert "2 von 7" in officer.page.inner_text(".onko-progress")


def test_reject_needs_a_reason_and_undo_takes_it_back(officer: Officer, server: Server) -> None:
    number, following = _order(server)[:2]
    officer.press("x")
    officer.page.wait_for_selector("#onko-reason:focus")
    officer.press("Enter")
    assert officer.page.locator("#onko-reject-dialog[open]").count() == 1
    officer.page.keyboard.type("doppelter Eintrag")
    officer.press("Enter")
    officer.until(following)
    assert server.decisions()[-1] == (number, "reject", None, "M. Ernst")
    assert server.rows("SELECT comment FROM decisions ORDER BY id DESC")[0] == ("doppelter Eintrag",)
    officer.press("u")
    officer.until(number)
    officer.notice("zurückgenommen")
    assert [row[1] for row in server.decisions()] == ["change", "accept", "reject", "reopen"]


def test_two_people_do_not_overwrite_each_other(officer: Officer, browser: Any, server: Server) -> None:
    other = Officer(browser, server, "B. Beck")
    number = officer.item
    assert other.item == number
    following = _order(server)[1]
    other.press("Enter")
    other.until(following)
    before = server.decisions()
    officer.press("1", "Enter")
    officer.notice("B. Beck hat inzwischen entschieden")
    assert server.decisions() == before
    assert "B. Beck" in officer.page.inner_text(".standing")
    assert not other.complaints
    other.context.close()


def test_reload_keeps_decisions_and_name(officer: Officer, server: Server) -> None:
    officer.page.reload()
    officer.page.wait_for_selector("#onko-item")
    assert officer.page.inner_text(".onko-who") == "M. Ernst"
    assert "3 von 7" in officer.page.inner_text(".onko-progress")
    officer.press("f")
    officer.page.wait_for_function("document.querySelectorAll('.onko-row').length === 3")
    assert set(officer.page.locator(".onko-row .state").all_inner_texts()) >= {"geändert", "angenommen"}
    officer.press("f", "f")


def test_nothing_left_this_machine_and_nothing_failed(officer: Officer, server: Server) -> None:
    hosts = {urlsplit(url).netloc for url in officer.requests if not url.startswith(("data:", "blob:"))}
    assert hosts == {f"127.0.0.1:{server.port}"}
    assert any(url.startswith("ws://") for url in officer.requests)
    assert officer.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_do_not_scroll_sideways(browser: Any, server: Server, scheme: str) -> None:
    narrow = Officer(browser, server, "A", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = narrow.page
    widths = "[document.documentElement, document.querySelector('#onko-main')].map(e => e.scrollWidth)"
    assert page.evaluate(widths) == [390, 390]
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert not page.is_visible(".onko-row")
    page.click("#onko-list-button")
    page.wait_for_selector(".onko-row", state="visible")
    assert page.evaluate(widths)[0] == 390
    page.click(".onko-row >> nth=1")
    page.wait_for_selector(".onko-row", state="hidden")
    assert narrow.complaints == []
    narrow.context.close()


def test_a_killed_server_comes_back_with_all_decisions_and_asks_for_its_key(
    officer: Officer, browser: Any, server: Server
) -> None:
    before = server.decisions()
    number = officer.item
    officer.press("Enter")
    officer.notice("Angenommen")
    server.kill()
    server.start(api_key="s3cret-ä")
    assert server.decisions()[:-1] == before
    assert server.decisions()[-1][:2] == (number, "accept")
    page = officer.page
    # The cookie of a start without a key does not pass.
    page.goto(server.url)
    page.wait_for_selector("#key")
    for key, where in (("falsch", "#key"), ("s3cret-ä", "#onko-item")):
        page.fill("#name", "M. Ernst")
        page.fill("#key", key)
        page.click("button.primary")
        page.wait_for_selector("[role=alert]" if where == "#key" else where)
    assert "4 von 7" in page.inner_text(".onko-progress")
    log = server.log.read_text()
    assert "Mamma" not in log and "Ca" not in re.sub(r"Cache|Callable|Cancel", "", log)
