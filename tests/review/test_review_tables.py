"""Her own table over the page: brought in parts, read, decided, and back with all of its columns."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.apps.review.brought import TableForm
from agent.apps.review.decision import Action, decide
from agent.apps.review.intake import Intake
from agent.apps.review.own_table import write_own_table
from agent.apps.review.store import Store
from agent.apps.review.uploads import LARGEST, IntakeError
from tests.review.browsing import Officer, Server, in_chromium
from tests.review.review_helpers import add, coding
from tests.spoken import spoken_in

TOKEN = "0" * 32
TABLE = "Fall;Diagnose;Station\n7;Mamma-Ca links;B2\n8;Prostata-Ca;C1\n9;;D\n".encode("cp1252")


def codings(texts: list[str]) -> list[list[dict[str, Any]]]:
    return [[coding(span=(0, len(text)))] for text in texts]


def _brought(intake: Intake, content: bytes = TABLE, name: str = "fälle.csv", token: str = TOKEN) -> None:
    middle = len(content) // 2
    assert intake.uploads.take(token, name, content[:middle], 0) == middle
    assert intake.uploads.take(token, name, content[middle:], middle) == len(content)


def _done(intake: Intake) -> None:
    assert intake._thread is not None
    intake._thread.join(60)
    assert not intake.progress.running


def test_a_table_is_taken_read_and_given_back(store: Store, tmp_path: Path) -> None:
    changes: list[None] = []
    intake = Intake(store, codings, lambda: changes.append(None))
    _brought(intake)
    brought = intake.look(TableForm(TOKEN))
    assert (brought.columns, brought.text_column, brought.rows) == (
        ("Fall", "Diagnose", "Station"), "Diagnose", 3,
    )  # fmt: skip
    intake.begin(TableForm(TOKEN, "Diagnose", "Fall"))
    _done(intake)
    assert intake.progress.counts == {"texts": 2, "entries": 2, "blank": 1} and changes
    [first, second] = store.page("all", "")
    assert (first.source, first.reference, first.context) == ("fälle.csv", "7", {"Station": "B2"})
    store.decide(first.id, decide(first.coding, Action.CHANGE, side="links", by="A"), seen=0)
    store.read(first.id, decide(first.coding, Action.ACCEPT, by="B"), seen=1)
    store.decide(second.id, decide(second.coding, Action.REMOVE, by="A"), seen=0)
    [source] = intake.sources()
    assert (source.items, source.decided) == (1, 1)
    out = tmp_path / "aus.csv"
    counts = write_own_table(
        store,
        source.path,
        out,
        source=source.name,
        id_column=source.reading.id_column,
        options=source.reading.options,
    )
    assert counts == {"decided": 1, "not on the list": 2}
    header, row, *_ = out.read_text("cp1252").splitlines()
    told = dict(zip(header.split(";"), row.split(";"), strict=True))
    assert list(told)[:3] == ["Fall", "Diagnose", "Station"] and told["Station"] == "B2"
    assert (told["onkokode_seite"], told["onkokode_diagnosesicherheit"]) == ("links", "gesichert")
    assert (told["onkokode_entschieden_von"], told["onkokode_zweitlesung"], told["onkokode_zweitleser"]) == (
        "A", "uneinig", "B",
    )  # fmt: skip
    kept = source.path
    assert kept.stat().st_mode & 0o777 == 0o600 and intake.uploads.folder.stat().st_mode & 0o777 == 0o700


def test_reading_again_adds_nothing_and_another_table_of_the_name_is_another_source(store: Store) -> None:
    intake = Intake(store, codings)
    _brought(intake)
    intake.begin(TableForm(TOKEN, "Diagnose", "Fall"))
    _done(intake)
    intake.resume("fälle.csv")
    _done(intake)
    assert intake.progress.counts == {"known": 2, "blank": 1, "entries": 0, "texts": 0}
    _brought(intake, TABLE.replace(b"Mamma", b"Magen"), token="1" * 32)
    intake.begin(TableForm("1" * 32, "Diagnose", "Fall"))
    _done(intake)
    assert len({one.name for one in intake.sources()}) == 2 and store.status().total == 4
    with pytest.raises(IntakeError, match="liegt nicht mehr vor"):
        intake.resume("keine.csv")


@pytest.mark.parametrize(
    ("name", "token", "said"),
    [
        ("fälle.exe", TOKEN, "Endungen"),
        ("fälle", TOKEN, "Endungen"),
        ("fälle.csv", "../../etc", "nicht vollständig"),
        ("fälle.csv", "", "nicht vollständig"),
    ],
)
def test_what_is_no_upload_is_refused(store: Store, name: str, token: str, said: str) -> None:
    intake = Intake(store, codings)
    with pytest.raises(IntakeError, match=said):
        intake.uploads.take(token, name, TABLE, 0)
    assert not intake.uploads.folder.exists()


def test_a_name_leads_nowhere_else(store: Store, tmp_path: Path) -> None:
    intake = Intake(store, codings)
    for number, name in enumerate(("../../böse.csv", "..\\..\\böse.csv", "/etc/böse.csv", "a\0\n/.csv.csv")):
        token = f"{number:032x}"
        intake.uploads.take(token, name, TABLE, 0)
        [kept] = (intake.uploads.folder / token).iterdir()
        assert kept.parent.parent == intake.uploads.folder and "/" not in kept.name
    assert {one.name for one in tmp_path.iterdir() if "sqlite" not in one.name} == set()


def test_parts_out_of_order_too_large_or_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Intake(store, codings)
    with pytest.raises(IntakeError, match="nicht vollständig"):
        intake.uploads.take(TOKEN, "f.csv", b"x", 5)  # nothing is there yet
    intake.uploads.take(TOKEN, "f.csv", TABLE, 0)
    for at in (1, len(TABLE) + 1, -1):
        with pytest.raises(IntakeError, match="nicht vollständig"):
            intake.uploads.take(TOKEN, "f.csv", b"x", at)
    with pytest.raises(IntakeError, match="nicht vollständig"):
        intake.uploads.take(TOKEN, "f.csv", b"anders", 0)
    with pytest.raises(IntakeError, match="größer als 64 MB"):
        intake.uploads.take(TOKEN, "f.csv", b"x", LARGEST)
    assert intake.look(TableForm(TOKEN)).rows == 3, "what was there is whole"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 kaputt", b"\n\n"])
def test_what_is_no_table_is_named_without_its_text_and_not_kept(store: Store, content: bytes) -> None:
    intake = Intake(store, codings)
    intake.uploads.take(TOKEN, "geheim.xlsx", content, 0)
    with pytest.raises(IntakeError) as error:
        intake.look(TableForm(TOKEN))
    assert str(intake.uploads.folder) not in str(error.value)
    assert spoken_in(str(error.value)) == {"de"}, "whatever locale the service was started in"
    assert list(intake.uploads.folder.rglob("*.*")) == []
    with pytest.raises(IntakeError, match="nicht vollständig"):
        intake.begin(TableForm(TOKEN, "Diagnose"))


def test_one_table_at_a_time_and_a_stop_loses_nothing(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()

    def waits(texts: list[str]) -> list[list[dict[str, Any]]]:
        entered.set()
        assert go.wait(30)
        return codings(texts)

    intake = Intake(store, waits)
    rows = "".join(f"{n};Text {n}\n" for n in range(200))
    _brought(intake, f"Fall;Diagnose\n{rows}".encode())
    with pytest.raises(IntakeError, match="Spalte"):
        intake.begin(TableForm(TOKEN, "Befund"))
    intake.begin(TableForm(TOKEN, "Diagnose", "Fall"))
    assert entered.wait(30)
    with pytest.raises(IntakeError, match="schon eingelesen"):
        intake.begin(TableForm(TOKEN, "Diagnose", "Fall"))
    intake._stopping.set()
    go.set()
    _done(intake)
    assert "weiter ein" in intake.progress.failed and store.status().total == 64
    again = Intake(store, codings)
    again.resume("fälle.csv")
    _done(again)
    assert store.status().total == 200 and again.progress.counts["known"] == 64


def test_an_error_of_the_agent_is_told_without_its_words(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(texts: list[str]) -> list[list[dict[str, Any]]]:
        raise ValueError(texts[0])

    intake = Intake(store, fails)
    _brought(intake)
    intake.begin(TableForm(TOKEN, "Diagnose", "Fall"))
    _done(intake)
    assert intake.progress.failed == "Beim Einlesen ist ein Fehler aufgetreten."
    assert "Mamma" not in caplog.text and "ValueError" in caplog.text


# --- in the browser


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "dienst")
    made.database.parent.mkdir()
    with Store.open(made.database) as store:
        add(store, "Erster", coding(confidence=0.1))
    made.start()
    yield made
    made.kill()


@pytest.mark.slow
@in_chromium
def test_her_table_comes_in_and_goes_out_over_the_page(browser: Any, server: Server, tmp_path: Path) -> None:
    mine = tmp_path / "meine fälle.csv"
    mine.write_bytes(TABLE)
    officer, other = Officer(browser, server, "A"), Officer(browser, server, "B")
    page = officer.page
    officer.press("o")
    page.wait_for_selector("#onko-file")
    page.set_input_files("#onko-file", mine)
    page.wait_for_selector("#onko-read-form")
    assert page.input_value("#onko-read-text") == "Diagnose"
    page.select_option("#onko-read-id", "Fall")
    page.click("#onko-read-form button.primary")
    page.wait_for_selector("text=2 Texte neu auf der Liste")
    # A colleague sees them without doing anything.
    other.page.wait_for_function("document.querySelectorAll('.onko-row').length === 3", timeout=4000)
    officer.press("Escape")
    page.click(".onko-row >> nth=1")
    page.wait_for_selector("text=Station")
    page.select_option("#onko-side", "links")
    page.locator("#onko-side").blur()
    officer.press("Enter")
    officer.notice("Geändert")
    officer.press("o")
    page.wait_for_selector(".onko-sources")
    assert "1 von 2 entschieden" in page.inner_text(".onko-sources")
    with page.expect_download() as fetched:
        page.click(".onko-sources a")
    assert fetched.value.suggested_filename == "meine fälle-kodiert.csv"
    lines = Path(fetched.value.path()).read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("Fall;Diagnose;Station;onkokode_entscheidung")
    assert "7;Mamma-Ca links;B2;geändert;C50.9" in lines[1] and ";links;gesichert;" in lines[1]
    assert "noch offen" in lines[2]
    assert not list(server.database.parent.glob(".onkokode-*")), "nothing of it is left behind"
    assert officer.complaints == [] and other.complaints == []
    log = server.log.read_text()
    assert "Mamma" not in log and "Traceback" not in log
    # Nobody else gets it.
    context = browser.new_context()
    for address in (f"tabelle?quelle={mine.name}", f"tabelle/{TOKEN}?at=0&name=a.csv"):
        ask = context.request.post if "/0" in address else context.request.get
        assert ask(server.url + address).status == 401
    context.close()
    officer.context.close()
    other.context.close()


@pytest.mark.slow
@in_chromium
def test_what_cannot_be_taken_is_said_in_the_dialog(browser: Any, server: Server, tmp_path: Path) -> None:
    officer = Officer(browser, server, "A")
    page = officer.page
    broken = tmp_path / "kaputt.xlsx"
    broken.write_bytes(b"PK\x03\x04 kaputt")
    officer.press("o")
    page.wait_for_selector("#onko-file")
    page.set_input_files("#onko-file", broken)
    page.wait_for_selector("text=beschädigt")
    assert str(server.database.parent) not in page.inner_text("#onko-tables-dialog")
    wrong = tmp_path / "bild.png"
    wrong.write_bytes(b"x")
    page.set_input_files("#onko-file", wrong)
    page.wait_for_selector("#onko-upload-failed:not([hidden])")
    assert "Endungen" in page.inner_text("#onko-upload-failed")
    # A full disk.
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
    large = tmp_path / "groß.csv"
    large.write_bytes(b"Fall;Diagnose\n" + b"1;Mamma-Ca\n" * 20_000)
    page.set_input_files("#onko-file", large)
    page.wait_for_function(
        "document.querySelector('#onko-upload-failed').textContent.includes('Datenträger')"
    )
    folder = server.database.with_name(server.database.name + ".tables")
    assert [one for one in folder.rglob("*") if one.is_file()] == []
    assert server.process.poll() is None
    officer.context.close()


@pytest.mark.slow
@in_chromium
def test_a_killed_server_goes_on_with_the_table(browser: Any, server: Server, tmp_path: Path) -> None:
    officer = Officer(browser, server, "A")
    page = officer.page
    rows = "".join(f"{n};Mamma-Ca langsam {n};B\n" for n in range(640))
    mine = tmp_path / "lang.csv"
    mine.write_text(f"Fall;Diagnose;Station\n{rows}", "utf-8")
    officer.press("o")
    page.wait_for_selector("#onko-file")
    page.set_input_files("#onko-file", mine)
    page.wait_for_selector("#onko-read-form")
    page.select_option("#onko-read-id", "Fall")
    page.click("#onko-read-form button.primary")
    page.wait_for_selector(".onko-reading progress")
    page.wait_for_function("document.querySelectorAll('.onko-row').length > 60")
    server.kill()
    [(kept,)] = server.rows("SELECT count(*) FROM items")
    assert 64 < kept < 641 and (kept - 1) % 64 == 0
    server.start()
    page.reload()
    page.wait_for_selector("#onko-item")
    officer.press("o")
    page.click("text=Weiter einlesen")
    page.wait_for_selector(f"text={kept - 1} standen schon darauf", timeout=30_000)
    assert server.rows("SELECT count(*), count(DISTINCT reference) FROM items") == [(641, 641)]
    officer.context.close()


def test_the_folder_of_tables_is_beside_the_list(store: Store) -> None:
    assert Intake(store, codings).uploads.folder == Path(f"{os.fspath(store.path)}.tables")
