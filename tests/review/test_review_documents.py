"""Whole documents on the work list: an entry for each tumour, the places that tell it marked and jumped to."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.review import commands
from agent.apps.review.decision import Action, decide
from agent.apps.review.documents import facts_of, spoken_of
from agent.apps.review.export import write_csv, write_pairs
from agent.apps.review.store import Store
from tests.agent.tiny_agent import embedded_agent
from tests.review.browsing import CHROMIUM, FLAGS, Officer, Server

LETTER = """Diagnosen:
- Adenokarzinom des rechten Oberlappens, cT2b cN0 cM1c (BRA)
- Z.n. Prostatakarzinom 2011

Der Vater verstarb an einem Magenkarzinom.
Bronchoskopisch gewonnene PE: Adenokarzinom. Im MRT des Schädels zwei Hirnmetastasen.
"""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A letter with two tumours, and one without."""
    monkeypatch.setattr(commands, "load_agent", lambda **options: embedded_agent())
    path = tmp_path / "review.sqlite"
    for name, text in (
        ("brief.txt", LETTER),
        ("kein.txt", "Nephrolithiasis links. Kein Anhalt für Malignität."),
    ):
        (tmp_path / name).write_text(text, "utf-8")
        added = CliRunner().invoke(
            cli, ["review", "add", "--document", str(tmp_path / name), "--db", str(path)]
        )
        assert added.exit_code == 0, added.output
    return path


def test_each_tumour_is_an_entry_and_a_document_without_one_is_too(database: Path) -> None:
    with Store.open(database, create=False) as store:
        items = {(item.source, item.part): item for item in store.page("all", "")}
        assert set(items) == {("brief.txt", 1), ("brief.txt", 2), ("kein.txt", 1)}
        lung, prostate, none = (items[key] for key in sorted(items))
        assert (lung.coding["icd10gm"]["code"], prostate.coding["icd10gm"]["code"]) == ("C34.1", "C61")
        assert prostate.coding["certainty"] == "Zustand nach"
        assert [one["icd10gm"] for one in lung.coding["metastases"]] == ["C79.3"]
        facts = facts_of(lung.coding) or []
        assert [fact["span"] for fact in facts] == sorted(fact["span"] for fact in facts)
        assert {"name", "formula", "metastasis"} <= {fact["kind"] for fact in facts}
        said = spoken_of(lung.text, lung.coding)
        assert "Adenokarzinom" in said and "Hirn" not in said and "Magen" not in said
        assert not none.coding["tumour"] and facts_of(none.coding) == []


def test_what_was_decided_is_exported_with_the_metastases(database: Path, tmp_path: Path) -> None:
    with Store.open(database, create=False) as store:
        for item in store.page("all", ""):
            store.decide(item.id, decide(item.coding, Action.ACCEPT, by="ME"), seen=0)
        write_csv(store, tmp_path / "entscheidungen.csv")
        write_pairs(store, tmp_path / "pairs")
    with (tmp_path / "entscheidungen.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {(row["Quelle"], row["ICD-10-GM"]): row for row in csv.DictReader(file, delimiter=";")}
    assert rows["brief.txt", "C34.1"]["Metastasen"] == "C79.3"
    assert rows["brief.txt", "C61"]["Metastasen"] == ""
    pairs = [row for part in ("train", "development") for row in
             pq.read_table(tmp_path / "pairs" / f"{part}.parquet").to_pylist()]  # fmt: skip
    texts = {row["text"] for row in pairs if row["code"]}
    assert "Prostatakarzinom" in texts and LETTER not in texts, "a tumour is taught by its own words"


def test_options_for_entries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "brief.txt"
    path.write_text(LETTER, "utf-8")
    shown = CliRunner().invoke(cli, ["review", "add", "--document", str(path), "--id-column", "Fall"])
    assert shown.exit_code == 2 and "not for documents" in shown.output


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(CHROMIUM), reason=f"no Chromium at {CHROMIUM}")
def test_places_are_marked_and_jumped_to_by_click_and_key(database: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'onkokode[dev]'")
    server = Server(database.parent)
    server.start()
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            officer = Officer(browser, server, "M. Ernst")
            page = officer.page
            [(lung,)] = server.rows("SELECT id FROM items WHERE source = 'brief.txt' AND part = 1")
            page.click(f".onko-row[data-value='{lung}']")
            officer.until(lung)
            buttons = page.locator(".onko-places button")
            here = page.locator(".onko-text mark.here")
            officer.press("n")
            first = "".join(here.all_inner_texts())
            assert first and buttons.first.inner_text().endswith(first)
            officer.press("p")
            last = "".join(here.all_inner_texts())
            assert last and buttons.nth(buttons.count() - 1).inner_text().endswith(last), (
                "from the first to the last"
            )
            page.locator(".onko-metastases button").click()
            assert "Hirnmetastasen" in "".join(here.all_inner_texts()) or "BRA" in "".join(
                here.all_inner_texts()
            )
            assert page.locator(".onko-metastases").inner_text().count("C79.3") == 1
            assert "Magenkarzinom" not in "".join(page.locator(".onko-text mark").all_inner_texts())
            officer.press("Enter")
            officer.notice("Angenommen: C34.1")
            assert not officer.complaints
            browser.close()
    finally:
        server.kill()
