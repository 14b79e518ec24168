"""A team at the page, in a real browser: filters, later, side and certainty, contradictions, many at once, the second
reader, statistics; two persons at once; a kill and a full disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest

from agent.apps.review.items import NewItem
from agent.apps.review.store import Store
from tests.review.browsing import Officer, Server, in_chromium
from tests.review.review_helpers import coding

pytest.importorskip("nicegui", reason="no nicegui: pip install 'onkokode[service]'")
pytestmark = [pytest.mark.slow, in_chromium]
PROSTATE = ("C61", "C61.9", "8140/3")
# Longer than its window: the second diagnosis is out of sight.
LONG = "Mammakarzinom links. " + "Weiterer Verlauf unauffällig. " * 80 + "Prostatakarzinom."


@pytest.fixture
def server(tmp_path: Any) -> Iterator[Server]:
    made = Server(tmp_path)
    with Store.open(made.database) as store:
        for n in range(6):
            shares = coding(confidence=0.4 + n / 10, alternatives=("C50.4", "C92.00"))
            context = {"Station": f"B{n}", "Fall": "4711"}
            store.add([NewItem("a.csv", str(n), f"Mammakarzinom, Fall {n}", shares, context=context)])
        second = len(LONG) - len("Prostatakarzinom.")
        store.add(
            [
                NewItem("b.csv", "1", LONG, coding(confidence=0.97, span=(0, 19)), 1, 2),
                NewItem(
                    "b.csv", "1", LONG, coding(PROSTATE, confidence=0.98, span=(second, len(LONG))), 2, 2
                ),
            ]
        )
    made.start()
    yield made
    made.kill()


def _shown(officer: Officer, count: int) -> None:
    officer.page.wait_for_function(
        "count => document.querySelectorAll('.onko-row').length === count", arg=count
    )


def _filter(officer: Officer, name: str) -> None:
    officer.page.click(f"[data-do=filter][data-value={name}]")
    officer.page.wait_for_selector(f"[data-do=filter][data-value={name}][aria-pressed=true]")


def test_a_list_is_narrowed_put_aside_and_taken_up_again(browser: Any, server: Server) -> None:
    officer = Officer(browser, server, "A")
    page = officer.page
    assert "Station" in page.inner_text(".facts") and "B0" in page.inner_text(".facts")
    officer.press("e")
    page.wait_for_selector("#onko-narrow-source")
    page.select_option("#onko-narrow-source", "b.csv")
    page.focus("#onko-narrow-code")
    page.keyboard.type("c61")
    officer.press("Enter")
    _shown(officer, 1)
    assert "b.csv, c61" in page.inner_text(".onko-narrowed")
    page.click("[data-do=narrow-none]")
    _shown(officer, 8)
    first = officer.item
    officer.press("w")
    officer.notice("Zurückgestellt")
    assert officer.item != first
    _shown(officer, 7)
    _filter(officer, "later")
    _shown(officer, 1)
    page.click(".onko-row")
    officer.until(first)
    officer.press("Enter")
    officer.notice("Angenommen")
    assert server.decisions() == [(first, "later", None, "A"), (first, "accept", "C50.9", "A")]
    assert officer.complaints == []
    officer.context.close()


def test_side_and_certainty_by_mouse_and_key_and_a_choice_survives(browser: Any, server: Server) -> None:
    officer = Officer(browser, server, "A")
    page, first = officer.page, officer.item
    page.select_option("#onko-side", "links")
    page.wait_for_selector("#onko-side.changed")
    page.locator("#onko-side").blur()
    officer.press("g")
    page.wait_for_selector("#onko-certainty.changed")
    assert page.inner_text(".onko-actions .primary").startswith("Änderung")
    officer.press("j")
    page.wait_for_selector(f"#onko-item:not([data-item='{first}'])")
    assert "nicht gespeichert" in page.inner_text(f".onko-row[data-value='{first}']")
    # Not even a killed server takes it away.
    server.kill()
    server.start()
    page.reload()
    page.wait_for_selector("#onko-item")
    page.click(f".onko-row[data-value='{first}']")
    officer.until(first)
    officer.notice("Ihre Auswahl von vorhin")
    assert page.input_value("#onko-side") == "links" and page.input_value("#onko-certainty") == "Verdacht"
    officer.press("Enter")
    officer.notice("Geändert")
    assert server.rows("SELECT action, side, certainty FROM decisions") == [("change", "links", "Verdacht")]
    # What is chosen and not kept anywhere is asked about when the page is left.
    asked: list[str] = []
    officer.press("b")
    page.wait_for_selector("#onko-side.changed")
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]
    officer.context.close()


def test_a_contradiction_is_asked_about(browser: Any, server: Server) -> None:
    officer = Officer(browser, server, "A")
    page, first = officer.page, officer.item
    officer.press("i", "3")  # a leukaemia beside a morphology of solid tumours
    page.wait_for_selector(".onko-axis.active .answer.changed")
    officer.press("Enter")
    page.wait_for_selector("#onko-ask-dialog[open]")
    assert "K07" in page.inner_text("#onko-ask-dialog")
    assert "ändern" in page.evaluate("document.activeElement.textContent")
    officer.press("Enter")  # a second Enter by habit goes back
    page.wait_for_selector("#onko-ask-dialog", state="hidden")
    assert server.decisions() == [] and officer.item == first
    officer.press("Enter")
    page.wait_for_selector("#onko-ask-dialog[open]")
    page.click("[data-do=confirm-anyway]")
    officer.notice("Geändert: C92.00")
    assert server.decisions() == [(first, "change", "C92.00", "A")]
    assert officer.complaints == []
    officer.context.close()


def test_many_are_accepted_after_a_look(browser: Any, server: Server) -> None:
    officer, other = Officer(browser, server, "A"), Officer(browser, server, "B. Beck")
    page = officer.page
    officer.press("A")
    page.wait_for_selector("#onko-threshold-dialog[open] [data-value='0.95'][aria-pressed=true]")
    assert page.locator(".onko-preview li").count() == 2
    page.click("#onko-threshold-dialog [data-value='0.8']")
    page.wait_for_function("document.querySelectorAll('.onko-preview li').length === 4")
    assert server.decisions() == [], "looked at only"
    # A colleague decides one of them meanwhile, and keeps it.
    [(number,)] = server.rows("SELECT id FROM items WHERE reference = '5'")
    other.page.click(f".onko-row[data-value='{number}']")
    other.until(number)
    other.press("Enter")
    other.notice("Angenommen")
    page.click("[data-do=accept-previewed]")
    officer.notice("3 Einträge angenommen; 1 hat inzwischen jemand anderes entschieden")
    rows = server.rows("SELECT decided_by, threshold, action FROM decisions ORDER BY id")
    assert rows == [("B. Beck", None, "accept"), *[("A", 0.8, "accept")] * 3]
    # The colleague's page follows without a key.
    other.page.wait_for_function(
        "document.querySelector('.onko-progress').textContent.includes('4 von 8')", timeout=3000
    )
    _filter(officer, "decided")
    [(mine,)] = server.rows("SELECT id FROM items WHERE reference = '4'")
    page.click(f".onko-row[data-value='{mine}']")
    page.wait_for_selector(".standing")
    assert "Angenommen ab 80 % von A" in " ".join(page.inner_text(".standing").split())
    assert officer.complaints == [] and other.complaints == []
    officer.context.close()
    other.context.close()


def test_two_readers_disagree_and_a_third_settles(browser: Any, server: Server) -> None:
    first, second = Officer(browser, server, "A"), Officer(browser, server, "B. Beck")
    numbers = [first.item]
    first.press("Enter")
    first.notice("Angenommen")
    numbers.append(first.item)
    first.press("2", "Enter")
    first.notice("Geändert: C50.4")
    # Nobody reads their own decisions again.
    assert first.page.locator("[data-do=filter][data-value=second]").count() == 0
    _filter(second, "second")
    _shown(second, 2)
    seen = second.page.inner_text(".onko-side") + second.page.inner_text(".onko-main")
    assert "von A" not in seen and "angenommen" not in seen and "geändert" not in seen
    second.page.wait_for_selector("text=Jemand anderes hat entschieden")
    assert second.item == numbers[0]
    second.press("Enter")
    second.notice("einig mit A")
    second.until(numbers[1])
    assert second.page.inner_text(".onko-axis.active .answer .code").startswith("C50.9"), "the proposal"
    second.press("w")
    second.notice("In der Zweitlesung")
    second.press("Enter")
    second.notice("uneinig mit A bei ICD-10-GM")
    assert len(server.decisions()) == 2 and server.rows("SELECT count(*) FROM readings") == [(2,)]
    second.page.wait_for_selector(".onko-empty")

    third = Officer(browser, server, "C")
    _filter(third, "disputed")
    third.page.click(".onko-row")
    third.until(numbers[1])
    table = " ".join(third.page.inner_text(".onko-two").split())
    assert "A B. Beck" in table and "ICD-10-GM verschieden C50.4 C50.9" in table
    third.page.click("[data-do=adopt][data-value=second]")
    third.page.wait_for_selector(".onko-axis .answer:not(.changed)")
    third.press("Enter")
    third.notice("Angenommen")
    assert server.rows("SELECT second FROM items WHERE id = ?", numbers[1]) == [("settled",)]
    assert third.page.locator("[data-do=filter][data-value=disputed] span").inner_text() == "0"
    third.press("z")
    third.page.wait_for_selector("#onko-statistics-dialog table")
    told = " ".join(third.page.inner_text("#onko-statistics-dialog").split())
    assert "Zweimal gelesen, einig 1 von 2 (50 %) 9–91 % Noch uneinig 0" in told
    assert "ICD-10-GM 2 von 2 (100 %) 34–100 % 1 von 2 (50 %) 9–91 %" in told
    assert "Seite 2 von 2 (100 %) 34–100 % 2 von 2 (100 %) 34–100 % –" in told, (
        "of one side kappa says nothing"
    )
    for officer in (first, second, third):
        assert officer.complaints == []
        officer.context.close()


def test_a_colleague_s_decision_on_the_same_text_is_seen_at_once(browser: Any, server: Server) -> None:
    officer, other = Officer(browser, server, "A"), Officer(browser, server, "B. Beck")
    number = officer.item
    officer.press("2")
    officer.page.wait_for_selector(".onko-axis.active .answer.changed")
    other.press("Enter")
    other.notice("Angenommen")
    officer.notice("B. Beck hat diesen Text eben entschieden")
    assert officer.page.inner_text(".onko-axis.active .answer .code").startswith("C50.4"), "the choice stays"
    officer.press("Enter")
    officer.notice("Ihre Entscheidung wurde nicht gespeichert")
    assert officer.page.inner_text(".onko-axis.active .answer .code").startswith("C50.4")
    officer.press("Enter")  # now knowingly
    officer.notice("Geändert")
    assert [row[3] for row in server.decisions()] == ["B. Beck", "A"] and server.decisions()[1][0] == number
    officer.context.close()
    other.context.close()


def test_a_missed_diagnosis_is_added_where_it_is_marked_and_an_entry_removed(
    browser: Any, server: Server
) -> None:
    officer = Officer(browser, server, "A")
    page = officer.page
    [(second,)] = server.rows("SELECT id FROM items WHERE source = 'b.csv' AND part = 2")
    page.click(f".onko-row[data-value='{second}']")
    officer.until(second)
    top = "document.querySelector('.onko-text .words').scrollTop"
    page.wait_for_function(f"{top} > 0"), "the passage that is coded is in sight"
    siblings = page.locator(".onko-siblings button")
    assert siblings.count() == 2 and "Prostatakarzinom" in siblings.nth(1).inner_text()
    page.evaluate("""() => {
        const words = document.querySelector('.onko-text .words');
        const walker = document.createTreeWalker(words, NodeFilter.SHOW_TEXT);
        for (let node; (node = walker.nextNode());) {
            const at = node.data.indexOf('Verlauf');
            if (at >= 0) { getSelection().setBaseAndExtent(node, at, node, at + 7); return; }
        }
    }""")
    officer.press("a")
    officer.notice("Diagnose hinzugefügt")
    assert siblings.count() == 3 and siblings.nth(2).inner_text().split("\n")[0].startswith("3 Verlauf")
    [(added, coded)] = server.rows("SELECT id, json_extract(coding, '$.span') FROM items WHERE part = 3")
    start = LONG.index("Verlauf")
    assert coded == f"[{start},{start + 7}]" and officer.item == added
    officer.press("u")
    officer.notice("Eintrag entfernt")
    assert server.rows("SELECT state FROM items WHERE id = ?", added) == [("remove",)]
    page.click(f".onko-row[data-value='{second}']")
    officer.until(second)
    officer.press("r")
    officer.notice("Eintrag entfernt")
    _filter(officer, "removed")
    _shown(officer, 2)
    page.click(f".onko-row[data-value='{second}']")
    page.wait_for_selector(".standing.remove")
    officer.press("u")
    officer.notice("zurückgenommen")
    assert server.rows("SELECT state FROM items WHERE id = ?", second) == [("open",)]
    assert officer.complaints == []
    officer.context.close()


def test_a_full_disk_loses_nothing_of_the_new_ways(browser: Any, server: Server) -> None:
    officer, reader = Officer(browser, server, "A"), Officer(browser, server, "B")
    officer.press("Enter")
    officer.notice("Angenommen")
    _filter(reader, "second")
    reader.page.wait_for_selector("text=Jemand anderes hat entschieden")
    before = server.rows("SELECT count(*) FROM decisions"), officer.item
    assert server.process is not None
    with Store.open(server.database) as store:
        store.add(NewItem("füllt", str(n), "x" * 4000, coding(confidence=0.5)) for n in range(20))
        size = server.database.with_name(server.database.name + "-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for _ in range(2):
            officer.press("w")
            officer.notice("NICHT gespeichert")
            reader.press("Enter")
            reader.notice("NICHT gespeichert")
            officer.press("b", "j")  # a choice that cannot be kept is not left
            officer.page.wait_for_selector("#onko-item[data-unsaved=true]")
            officer.notice("NICHT gespeichert")
            assert officer.item == before[1]
            officer.press("A")
            officer.page.wait_for_selector("#onko-threshold-dialog .onko-preview li")
            officer.page.click("[data-do=accept-previewed]")
            officer.notice("NICHT gespeichert")
        assert (server.rows("SELECT count(*) FROM decisions"), officer.item) == before
        assert server.rows("SELECT count(*) FROM readings") == [(0,)]
        resource.prlimit(
            server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        reader.press("Enter")
        reader.notice("einig mit A")
    server.kill()
    server.start()
    assert server.rows("SELECT decided_by FROM readings") == [("B",)]
    log = server.log.read_text()
    assert "Mamma" not in log and "Traceback" not in log
    officer.context.close()
    reader.context.close()
