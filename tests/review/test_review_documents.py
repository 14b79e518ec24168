"""Whole documents on the work list: an entry for each tumour, the places that tell it marked and jumped to."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.review import commands
from agent.apps.review.decision import Action, decide
from agent.apps.review.desk import Desk
from agent.apps.review.documents import facts_of, spoken_of
from agent.apps.review.export import write_csv, write_pairs
from agent.apps.review.items import NewItem
from agent.apps.review.store import Store
from index.catalogue.catalogue import Catalogue
from index.records import CodeSystem
from index.search.code_search import CodeSearch
from tests.agent.tiny_agent import embedded_agent
from tests.review.browsing import Officer, Server, chromium, in_chromium
from tests.review.older_lists import older_list

# Longer than its window on the page.
LETTER = (
    "Die Laborwerte waren unauffällig.\n" * 60
    + """Diagnosen:
- Adenokarzinom des rechten Oberlappens, cT2b cN0 cM1c (BRA)
- Z.n. Prostatakarzinom 2011

Der Vater verstarb an einem Magenkarzinom.
Bronchoskopisch gewonnene PE: Adenokarzinom. Im MRT des Schädels zwei Hirnmetastasen.
"""
)


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
    rows = {(row["Quelle"], row["ICD-10-GM"]): row for row in _rows(tmp_path / "entscheidungen.csv")}
    assert rows["brief.txt", "C34.1"]["Metastasen"] == "C79.3"
    assert rows["brief.txt", "C61"]["Metastasen"] == ""
    pairs = [row for part in ("train", "development") for row in
             pq.read_table(tmp_path / "pairs" / f"{part}.parquet").to_pylist()]  # fmt: skip
    texts = {row["text"] for row in pairs if row["code"]}
    assert "Prostatakarzinom" in texts and LETTER not in texts, "a tumour is taught by its own words"


def test_a_metastasis_is_struck_and_another_given(database: Path, tmp_path: Path) -> None:
    catalogue = Catalogue.builtin()
    with Store.open(database, create=False) as store:
        desk = Desk(
            store, CodeSearch(catalogue, embedded_agent().retriever), "ME", known=catalogue.is_codable
        )
        desk.listing.shown = "all"
        (lung,) = (one for one in store.page("all", "") if one.coding["icd10gm"]["code"] == "C34.1")
        desk.show(lung.id)
        assert desk.choice.metastases == ("C79.3",) and not desk.changed
        for code in ("C79.3", "C79.5", "C50.9", "C79.99"):  # the last two are none
            desk.strike_metastasis(code)
        assert desk.choice.metastases == ("C79.5",) and desk.changed
        desk.confirm(lung.id, 0)
        assert (lung.state, store.item(lung.id).state) == ("open", "change")
        desk.show(lung.id)
        assert desk.choice.metastases == ("C79.5",) and not desk.unsaved
        desk.strike_metastasis("C79.5")
        assert desk.unsaved
        desk.undo(lung.id, 1)
        desk.show(lung.id)
        assert desk.choice.metastases == ("C79.3",), "as it was proposed"
        desk.add_metastasis("C78.7")
        desk.add_metastasis("C78.7")  # is there already
        desk.confirm(lung.id, 2)
        write_csv(store, tmp_path / "entscheidungen.csv")
    (row,) = _rows(tmp_path / "entscheidungen.csv")
    assert (row["Metastasen"], row["Vorschlag Metastasen"]) == ("C78.7, C79.3", "C79.3")


def test_a_tumour_that_was_missed_is_added(database: Path, tmp_path: Path) -> None:
    with Store.open(database, create=False) as store:
        desk = Desk(store, CodeSearch(Catalogue.builtin(), embedded_agent().retriever), "ME")
        first = next(one for one in store.page("all", "") if one.source == "brief.txt")
        desk.show(first.id)
        desk.add_diagnosis(first.id, 1)
        assert desk.item == first, "somebody decided in between"
        desk.add_diagnosis(first.id, 0)
        added = desk.item
        assert added is not None and (added.part, added.parts, added.state) == (3, 3, "open")
        assert store.item(first.id).parts == 3 and added.text == first.text
        desk.undo(added.id, 0)
        assert store.count("all", "") == 3 and store.item(added.id).state == "remove", "taken back, not gone"
        desk.show(first.id)
        desk.set_code("C50.9")
        desk.add_diagnosis(first.id, 0)
        assert desk.item == store.item(first.id) and desk.choice.codes[CodeSystem.ICD10GM] == "C50.9", (
            "not lost"
        )
        desk.reset()
        desk.add_diagnosis(first.id, 0)
        added = desk.item
        assert added is not None and added.coding["certainty"] is None and added.part == 4
        assert store.count("all", "c61") + store.count("all", "c34.1") == 2, "not found by another's codes"
        desk.set_code("C16.9")
        desk.confirm(added.id, 0)
        assert store.history(added.id)[-1].codes[CodeSystem.ICD10GM] == "C16.9"
        write_csv(store, tmp_path / "entscheidungen.csv")
        again = CliRunner().invoke(
            cli, ["review", "add", "--document", str(tmp_path / "brief.txt"), "--db", str(database)]
        )
        assert "1 were on the list already" in again.output and again.exit_code == 0
    (row,) = _rows(tmp_path / "entscheidungen.csv")
    assert (row["ICD-10-GM"], row["Vorschlag ICD-10-GM"], row["Diagnose"]) == ("C16.9", "", "4 von 4")


def test_a_missed_diagnosis_of_an_entry_has_its_own_place_and_no_metastases(tmp_path: Path) -> None:
    text = "Mamma-Ca; Prostata-Ca"
    with Store.open(tmp_path / "review.sqlite") as store:
        store.add([NewItem("d.txt", "1", text, embedded_agent().code("Mamma-Ca").to_dict())])
        desk = Desk(store, CodeSearch(Catalogue.builtin(), embedded_agent().retriever), "ME")
        desk.start()
        desk.add_metastasis("C79.3")
        assert desk.choice.metastases is None and not desk.changed
        desk.add_diagnosis(1, 0, (10, 21))
        added = desk.item
        assert added is not None and (added.part, added.text) == (2, text) and not facts_of(added.coding)
        assert spoken_of(text, added.coding) == "Prostata-Ca"
        desk.set_code("C61")
        desk.confirm(added.id, 0)
        desk.show(1)
        for wrong in ((5, 5), (3, 999), (-1, 4)):
            desk.add_diagnosis(1, 0, wrong)
            assert desk.item is not None and desk.item.coding["span"] == [0, len(text)]
            desk.show(1)


def test_a_list_of_an_older_version_is_gone_on_with(database: Path, tmp_path: Path) -> None:
    with Store.open(database, create=False) as store:
        lung = next(one for one in store.page("all", "") if one.coding["icd10gm"]["code"] == "C34.1")
        store.decide(lung.id, decide(lung.coding, Action.ACCEPT, by="ME"), seen=0)
    older_list(database, 1)
    with Store.open(database, create=False) as store:
        write_csv(store, tmp_path / "entscheidungen.csv")
        desk = Desk(store, CodeSearch(Catalogue.builtin(), embedded_agent().retriever), "ME")
        desk.show(lung.id)
        assert desk.choice.metastases == ("C79.3",) and not desk.unsaved
        desk.strike_metastasis("C79.3")
        desk.confirm(lung.id, 1)
        assert store.history(lung.id)[-1].metastases == (), "what was struck after the update is kept"
    assert [row["Metastasen"] for row in _rows(tmp_path / "entscheidungen.csv")] == ["C79.3"]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_options_for_entries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "brief.txt"
    path.write_text(LETTER, "utf-8")
    codings = tmp_path / "codes.jsonl"
    codings.write_text("", "utf-8")
    shown = CliRunner().invoke(cli, ["review", "add", "--document", str(path), "--coded", str(codings)])
    assert shown.exit_code == 2 and "not for documents" in shown.output


def test_documents_of_a_table_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "load_agent", lambda **options: embedded_agent())
    path, database = tmp_path / "briefe.csv", tmp_path / "review.sqlite"
    path.write_text('Fall;Brief\nA-7;"Diagnose: Rektumkarzinom.\nLeber frei."\n;Nierenzyste.\n', "utf-8")
    added = CliRunner().invoke(
        cli,
        [
            "review",
            "add",
            "--document",
            str(path),
            "--text-column",
            "Brief",
            "--id-column",
            "Fall",
            "--db",
            str(database),
        ],
    )
    assert added.exit_code == 0, added.output
    with Store.open(database, create=False) as store:
        assert {one.reference for one in store.page("all", "")} == {"A-7", "2"}


@pytest.mark.slow
@in_chromium
def test_places_are_marked_and_jumped_to_by_click_and_key(database: Path) -> None:
    server = Server(database.parent)
    server.start()
    try:
        with chromium() as browser:
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
            top = "document.querySelector('.onko-text .words').scrollTop"
            before = page.evaluate(top)
            assert before > 0, "a document opens where it tells the tumour"
            officer.press("t")
            page.locator(".onko-axis.active[data-axis=icdo_topography]").wait_for()
            assert "".join(here.all_inner_texts()) == first, "kept, though the item is rendered anew"
            assert page.evaluate(top) == before
            officer.press("i")
            officer.press("p")
            last = "".join(here.all_inner_texts())
            assert last and buttons.nth(buttons.count() - 1).inner_text().endswith(last), (
                "from the first to the last"
            )
            page.locator(".onko-metastases button", has_text="Stelle").click()
            assert "Hirnmetastasen" in "".join(here.all_inner_texts()) or "BRA" in "".join(
                here.all_inner_texts()
            )
            assert page.locator(".onko-metastases").inner_text().count("C79.3") == 1
            assert "Magenkarzinom" not in "".join(page.locator(".onko-text mark").all_inner_texts())
            page.locator(".onko-metastases button", has_text="Streichen").click()
            page.locator(".onko-metastases .struck").wait_for()
            page.locator("[data-do=find-metastasis]").click()
            page.fill("#onko-query", "C79.5")
            page.locator("#onko-hits [data-code='C79.5']").click()
            page.locator(".onko-metastases", has_text="C79.5").wait_for()
            officer.press("Enter")
            officer.notice("Geändert: C34.1")
            page.click(f".onko-row[data-value='{lung + 1}']")
            officer.until(lung + 1)
            officer.press("a")
            officer.notice("Diagnose hinzugefügt")
            assert "3 von 3" in page.locator(".onko-text .facts").inner_text()
            [(spread,)] = server.rows("SELECT metastases FROM decisions")
            assert spread == "C79.5"
            assert not officer.complaints
    finally:
        server.kill()
