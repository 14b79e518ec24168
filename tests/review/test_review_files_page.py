"""Files over the page, in a real browser: how a table is read, documents, downloads; a place marked by keyboard."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from agent.apps.review.store import Store
from tests.documents_made import docx, pdf
from tests.review.browsing import Officer, Server, in_chromium
from tests.review.review_helpers import add, coding

pytest.importorskip("nicegui", reason="no nicegui: pip install 'onkokode[service]'")
pytestmark = [pytest.mark.slow, in_chromium]
TEXT = "😀 Mammakarzinom links.\nNebenbefund: Basaliom der Nase, exzidiert."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: each test leaves the list in order for the next."""
    made = Server(tmp_path_factory.mktemp("dateien"))
    with Store.open(made.database) as store:
        add(store, TEXT, coding(confidence=0.1))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def officer(browser: Any, server: Server) -> Iterator[Officer]:
    made = Officer(browser, server, "A")
    yield made
    assert made.complaints == []
    made.context.close()


def opened(officer: Officer) -> Any:
    officer.press("o")
    officer.page.wait_for_selector("#onko-file")
    return officer.page


def test_a_sheet_and_a_header_row_are_chosen_by_keyboard(officer: Officer, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Neu"
    for row in (["Fall", "Diagnose"], [1, "Mamma-Ca"]):
        book.active.append(row)
    sheet = book.create_sheet("Alt")
    for row in (
        ["Export vom 3. Mai", None, None],
        ["Fall", "Diagnose", "Ort"],
        [1, "Magen-Ca", "K"],
        [2, "Ileum-NET", "B"],
    ):
        sheet.append(row)
    mine = tmp_path / "zwei Blätter.xlsx"
    book.save(mine)
    page = opened(officer)
    page.set_input_files("#onko-file", mine)
    page.wait_for_selector("#onko-read-form")
    assert "„Alt“" in page.inner_text(".onko-guess") and "Mamma-Ca" in page.inner_text(".onko-first")
    page.focus("#onko-read-sheet")
    page.select_option("#onko-read-sheet", "Alt")
    page.wait_for_selector(".onko-first >> text=Ileum-NET")
    assert "gefunden: Zeile 2" in page.inner_text("#onko-read-header")
    assert page.evaluate("document.activeElement.id") == "onko-read-sheet", "who goes by keys goes on there"
    page.select_option("#onko-read-header", "keine")
    page.wait_for_selector("#onko-read-text option[value=spalte_2]", state="attached")
    page.select_option("#onko-read-header", "2")
    page.wait_for_selector("#onko-read-text option[value=Diagnose]", state="attached")
    assert page.locator(".onko-first tr.above").count() == 1
    page.select_option("#onko-read-id", "Fall")
    page.click("#onko-read-form button.primary")
    page.wait_for_selector("text=2 Texte neu auf der Liste")
    page.wait_for_selector("text=0 von 2 entschieden")


def test_a_question_is_asked_in_the_dialog(officer: Officer, tmp_path: Path, server: Server) -> None:
    mine = tmp_path / "unklar.csv"
    mine.write_bytes("Sonographie\nMagen-Ca, Übergang\nIleum-NET\n".encode("cp850"))
    page = opened(officer)
    page.set_input_files("#onko-file", mine)
    page.wait_for_selector("#onko-read-question")
    said = page.inner_text("#onko-read-question")
    assert "Bitte wählen Sie, in welcher Zeile die Spaltennamen stehen." in said and "--" not in said
    assert page.is_disabled("#onko-read-form button.primary")
    page.select_option("#onko-read-header", "keine")
    page.wait_for_selector("#onko-read-question", state="detached")
    page.select_option("#onko-read-encoding", "cp850")
    page.wait_for_selector(".onko-first >> text=Übergang")
    page.click("#onko-read-form button.primary")
    page.wait_for_selector("text=3 Texte neu auf der Liste")
    assert server.rows("SELECT text FROM items WHERE text LIKE '%bergang'") == [("Magen-Ca, Übergang",)]


def test_several_documents_at_once_and_what_cannot_be_read_is_named(
    browser: Any, officer: Officer, tmp_path: Path, server: Server
) -> None:
    other = Officer(browser, server, "B")
    before = other.page.locator(".onko-row").count()
    doc = tmp_path / "alt.doc"
    doc.write_bytes(b"\xd0\xcf\x11\xe0")
    brief = tmp_path / "brief.txt"
    brief.write_text("Rektumkarzinom.", "utf-8")
    page = opened(officer)
    page.set_input_files(
        "#onko-documents",
        [brief, docx(tmp_path / "bericht.docx", "Melanom."), pdf(tmp_path / "scan.pdf"),
         pdf(tmp_path / "geheim.pdf", "Ca", password="x"), pdf(tmp_path / "druck.pdf", "Magen-Ca."), doc],
    )  # fmt: skip
    page.wait_for_selector("text=5 von 5 Dokumenten: 3 Texte neu auf der Liste")
    refused = page.inner_text(".onko-refused")
    assert (
        "scan.pdf" in refused
        and "Texterkennung" in refused
        and "geheim.pdf" in refused
        and "Kennwort" in refused
    )
    failed = page.inner_text("#onko-upload-failed")
    assert failed.startswith("alt.doc: ") and ".docx, .pdf, .rtf, .txt" in failed
    other.page.wait_for_function(
        "count => document.querySelectorAll('.onko-row').length === count", arg=before + 3, timeout=4000
    )
    officer.complaints.clear()  # the browser says by itself that one was refused
    officer.press("Escape", "o")
    page.wait_for_selector("#onko-upload-failed", state="hidden")
    assert {row[0] for row in server.rows("SELECT DISTINCT source FROM items")} >= {
        "brief.txt",
        "bericht.docx",
        "druck.pdf",
    }
    folder = server.database.with_name(server.database.name + ".documents")
    assert list(folder.rglob("*.*")) == []
    log = server.log.read_text()
    assert "Rektum" not in log and "Traceback" not in log
    other.context.close()


def test_decisions_are_downloaded_and_why_not_is_said(officer: Officer, server: Server) -> None:
    page = opened(officer)
    page.click("text=Trainingspaare")
    page.wait_for_selector("#onko-upload-failed:not([hidden])")
    assert "zwei verschiedene Texte" in page.inner_text("#onko-upload-failed")
    # The browser says by itself that an answer was none.
    officer.complaints.clear()
    officer.press("Escape")
    for _ in range(4):
        number = officer.item
        officer.press("Enter")
        page.wait_for_function(f"document.querySelector('#onko-item')?.dataset.item !== '{number}'")
    opened(officer)
    with page.expect_download() as fetched:
        page.click("text=CSV für Tabellenprogramme")
    assert fetched.value.suggested_filename == "entscheidungen.csv"
    assert len(Path(fetched.value.path()).read_text("utf-8-sig").splitlines()) >= 5
    with page.expect_download() as fetched:
        page.click("text=Trainingspaare")
    assert fetched.value.suggested_filename == "trainingspaare.zip"
    with zipfile.ZipFile(io.BytesIO(Path(fetched.value.path()).read_bytes())) as archive:
        assert "trainingspaare/train.parquet" in archive.namelist()
    assert page.is_hidden("#onko-upload-failed") and not list(server.database.parent.glob(".onkokode-*"))


def test_a_place_is_marked_by_keyboard_alone(officer: Officer, server: Server) -> None:
    page = officer.page
    (number,) = server.rows("SELECT id FROM items WHERE text = ? AND part = 1", TEXT)[0]
    page.click("[data-do=filter][data-value=all]")
    page.click(f".onko-row[data-value='{number}']")
    officer.until(number)
    officer.press("v")
    page.wait_for_selector("#onko-span")
    field = page.locator("#onko-span")
    assert field.input_value() == TEXT and page.evaluate("document.activeElement.id") == "onko-span"
    # Nothing is marked yet: nothing is added, and nobody writes into the text.
    officer.press("Enter", "x", "Delete")
    assert field.input_value() == TEXT and page.inner_text("#onko-span-said") == "Noch nichts markiert"
    officer.press("ArrowDown", "Home", *["ArrowRight"] * len("Nebenbefund: "))
    officer.press(*["Shift+ArrowRight"] * len("Basaliom"))
    page.wait_for_function("document.querySelector('#onko-span-said').textContent === 'Markiert: „Basaliom“'")
    officer.press("Enter")
    officer.notice("Diagnose hinzugefügt")
    start = TEXT.index("Basaliom")
    [(span,)] = server.rows(
        "SELECT json_extract(coding, '$.span') FROM items WHERE text = ? AND part = 2", TEXT
    )
    assert span == f"[{start},{start + len('Basaliom')}]", "characters, though the smile takes two units"
    assert "Basaliom" in page.inner_text(".onko-siblings [aria-current]")
    # What a choice stands open for is said before anything is marked.
    officer.press("b")
    page.wait_for_selector("#onko-item[data-unsaved=true]")
    officer.press("v")
    officer.notice("Bitte erst diese Auswahl")
    assert page.is_hidden("#onko-span")
    officer.press("Escape", "u")
    officer.notice("entfernt")
    assert "v" in page.locator("#onko-help-dialog dt", has_text="v").all_inner_texts()


def test_a_killed_server_goes_on_with_the_documents(officer: Officer, tmp_path: Path, server: Server) -> None:
    page = opened(officer)
    letters = []
    for n in range(40):
        letters.append(tmp_path / f"langsam {n:02}.txt")
        letters[-1].write_text("langsam " * 8 + str(n), "utf-8")
    page.set_input_files("#onko-documents", letters)
    page.wait_for_selector(".onko-reading progress", timeout=60_000)
    page.wait_for_function("document.querySelector('.onko-reading progress').value >= 3")
    server.kill()
    [(kept,)] = server.rows("SELECT count(*) FROM items WHERE source LIKE 'langsam%'")
    assert 2 < kept < 40
    server.start()
    officer.complaints.clear()
    page.reload()
    page.wait_for_selector("#onko-item")
    opened(officer)
    page.click(".onko-waiting >> text=Weiter einlesen")
    page.wait_for_selector("text=Dokumenten: ", timeout=60_000)
    assert server.rows("SELECT count(*), count(DISTINCT source) FROM items WHERE source LIKE 'langsam%'") == [
        (40, 40)
    ]
    officer.complaints.clear()
