"""Documents that are brought to the page: read beside the requests, named where they cannot be, gone on with after a stop."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.apps.review import intake as intakes
from agent.apps.review.brought import TableForm
from agent.apps.review.faults import Fault, StoreError
from agent.apps.review.intake import Intake
from agent.apps.review.panels import Panels
from agent.apps.review.sources import read_documents
from agent.apps.review.store import Store
from agent.apps.review.uploads import LARGEST_DOCUMENT, IntakeError
from index.io.failures import MissingPackage
from index.io.language import speaking
from tests.documents_made import docx, pdf
from tests.review.review_helpers import coding
from tests.spoken import spoken_in

LETTER = "Adenokarzinom des rechten Oberlappens."


def tumours(texts: list[str]) -> list[list[dict[str, Any]]]:
    """A tumour for each sentence."""
    return [[coding() for _ in range(max(1, text.count(".")))] for text in texts]


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store, lambda texts: pytest.fail("a document is no entry"), documents=tumours)


def bring(intake: Intake, *paths: Path) -> list[str]:
    tokens = []
    for path in paths:
        tokens.append(secrets.token_hex(16))
        intake.uploads.take(tokens[-1], path.name, path.read_bytes(), 0)
    return tokens


def done(intake: Intake) -> None:
    assert intake._thread is not None
    intake._thread.join(60)
    assert not intake.progress.running


def left(intake: Intake) -> list[str]:
    """Whatever of the documents is still on the disk."""
    folders = (intake.uploads.folder, intake.inbox.folder)
    return sorted(path.name for folder in folders if folder.is_dir() for path in folder.glob("*/*"))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_documents_of_all_kinds_are_read_as_the_command_reads_them(
    intake: Intake, store: Store, tmp_path: Path
) -> None:
    rtf = tmp_path / "c.rtf"
    rtf.write_bytes(rb"{\rtf1\ansi\ansicpg1252 Melanom.\par Basaliom.}")
    paths = [
        written(tmp_path / "a.txt", LETTER), docx(tmp_path / "b.docx", "Rektum-Ca.", "Leber frei."), rtf,
        pdf(tmp_path / "d.pdf", "Ösophagus-Ca."),
    ]  # fmt: skip
    same = {path.name: next(read_documents(path)).text for path in paths}
    intake.begin_documents(bring(intake, *paths))
    done(intake)
    assert {item.source: item.text for item in store.page("all", "")} == same
    progress = intake.progress
    assert (progress.done, progress.rows, progress.refused) == (4, 4, [])
    assert progress.counts == {"texts": 4, "entries": 6}
    assert left(intake) == [], "the list has the text, nothing else is kept"
    assert intake.inbox.folder.stat().st_mode & 0o777 == 0o700
    assert "4 von 4 Dokumenten: 4 Texte neu" in Panels(intake).tables("/review")


def test_what_cannot_be_read_is_named_and_stops_no_other(
    intake: Intake, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "kaputt.docx"
    damaged.write_bytes(b"PK\x03\x04")
    paths = [
        pdf(tmp_path / "scan.pdf"), pdf(tmp_path / "geheim.pdf", "Rektum-Ca", password="x"), damaged,
        written(tmp_path / "leer.txt", " \n"), written(tmp_path / "gut.txt", LETTER),
        written(tmp_path / "rich.txt", r"{\rtf1 Rektum-Ca}"),
    ]  # fmt: skip
    with speaking("en"):
        intake.begin_documents(bring(intake, *paths))
        done(intake)
    assert [item.source for item in store.page("all", "")] == ["gut.txt"]
    why = dict(intake.progress.refused)
    assert set(why) == {"scan.pdf", "geheim.pdf", "kaputt.docx", "leer.txt", "rich.txt"}
    assert "OCR" in why["scan.pdf"] and "Kennwort" in why["geheim.pdf"] and "Texterkennung" in why["leer.txt"]
    for words in why.values():
        assert spoken_in(words) == {"de"} and "Rektum" not in words and str(intake.inbox.folder) not in words
    assert left(intake) == []
    shown = Panels(intake).tables("/review")
    assert "5 Dokumente wurden nicht eingelesen" in shown and "<b>scan.pdf</b>" in shown
    assert "Rektum" not in caplog.text


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [
        ("brief.doc", 0, "Dokumente eine der Endungen .docx, .pdf, .rtf, .txt"),
        ("brief.txt", LARGEST_DOCUMENT, "größer als 50 MB"),
        ("faelle.csv", LARGEST_DOCUMENT, "nicht vollständig"),  # a table may be larger
    ],
)
def test_what_is_no_document_or_too_large_is_refused(intake: Intake, name: str, at: int, said: str) -> None:
    with pytest.raises(IntakeError, match=said):
        intake.uploads.take("0" * 32, name, b"x", at)


def test_tables_are_no_documents_and_documents_no_tables(intake: Intake, tmp_path: Path) -> None:
    [table, letter] = bring(
        intake, written(tmp_path / "t.csv", "Diagnose\nCa\n"), written(tmp_path / "b.txt", LETTER)
    )
    for tokens in ([table], [letter, table], [], ["../../etc"], [letter, "f" * 32]):
        with pytest.raises(IntakeError):
            intake.begin_documents(tokens)
    with pytest.raises(IntakeError, match="als Dokument"):
        intake.look(TableForm(letter))
    assert not intake.progress.running and not intake._one.locked()


def test_documents_of_one_name_are_told_apart_and_the_same_one_is_known(
    intake: Intake, store: Store, tmp_path: Path
) -> None:
    one, other = (
        written(tmp_path / "a" / "brief.txt", LETTER),
        written(tmp_path / "b" / "brief.txt", "Melanom."),
    )
    intake.begin_documents(bring(intake, one, other))
    done(intake)
    assert sorted(item.source for item in store.page("all", "")) == ["brief (2).txt", "brief.txt"]
    intake.begin_documents(bring(intake, other, one))
    done(intake)
    assert intake.progress.counts["known"] == 2 and store.status().total == 2


def test_a_stop_loses_nothing_and_what_is_half_there_is_not_read(store: Store, tmp_path: Path) -> None:
    entered, go = threading.Event(), threading.Event()

    def waits(texts: list[str]) -> list[list[dict[str, Any]]]:
        entered.set()
        assert go.wait(30)
        return tumours(texts)

    intake = Intake(store, waits, documents=waits)
    tokens = bring(intake, *(written(tmp_path / f"{n}.txt", f"Text {n}.") for n in range(5)))
    intake.uploads.take("e" * 32, "halb.txt", b"Rektum", 0)  # its browser is gone
    intake.begin_documents(tokens)
    assert entered.wait(30)
    [more] = bring(intake, written(tmp_path / "noch.txt", LETTER))
    with pytest.raises(IntakeError, match="schon eingelesen"):
        intake.begin_documents([more])
    with pytest.raises(IntakeError, match="wird eingelesen"):
        intake.discard_documents()
    assert "noch.txt" not in left(intake), "what is refused is not kept"
    intake._stopping.set()
    go.set()
    done(intake)
    assert "weiter ein" in intake.progress.failed and store.status().total == 1
    again = Intake(store, waits, documents=tumours)
    assert "4 Dokumente sind" in Panels(again).tables("/review")
    again.resume_documents()
    done(again)
    assert store.status().total == 5 and left(again) == ["halb.txt"] and not again.progress.failed


def test_one_that_was_stored_before_a_kill_is_not_stored_twice(
    intake: Intake, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the list's write and the removal of the file."""
    intake.begin_documents(bring(intake, written(tmp_path / "brief.txt", LETTER)))
    with monkeypatch.context() as patched:
        patched.setattr(intake.inbox, "drop", lambda path: None)
        done(intake)
    again = Intake(store, tumours)
    if left(again):
        again.resume_documents()
        done(again)
        assert again.progress.counts["known"] == 1
    assert [item.source for item in store.page("all", "")] == ["brief.txt"]


def _fails(error: Exception) -> Callable[[list[str]], list[list[dict[str, Any]]]]:
    def fails(texts: list[str]) -> list[list[dict[str, Any]]]:
        if "Gift" in texts[0]:
            raise error
        return tumours(texts)

    return fails


def test_one_that_breaks_the_reader_stops_no_other_and_can_be_discarded(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    intake = Intake(store, tumours, documents=_fails(ValueError("Gift: geheim")))
    intake.begin_documents(
        bring(intake, written(tmp_path / "a.txt", "Gift."), written(tmp_path / "b.txt", LETTER))
    )
    done(intake)
    assert intake.progress.refused == [("a.txt", "Beim Lesen ist ein Fehler aufgetreten.")]
    assert [item.source for item in store.page("all", "")] == ["b.txt"] and left(intake) == ["a.txt"]
    assert "Gift" not in caplog.text and "ValueError" in caplog.text
    assert "Ein Dokument ist" in Panels(intake).tables("/review")
    intake.discard_documents()
    assert left(intake) == [] and "noch nicht gelesen" not in Panels(intake).tables("/review")


def test_a_fault_of_the_list_stops_all_and_keeps_all(store: Store, tmp_path: Path) -> None:
    full = StoreError(store.path, "disk full", Fault.FULL, writing=True)
    intake = Intake(store, tumours, documents=_fails(full))
    intake.begin_documents(
        bring(intake, written(tmp_path / "a.txt", "Gift."), written(tmp_path / "b.txt", LETTER))
    )
    done(intake)
    assert intake.progress.failed == "Der Datenträger ist voll." and left(intake) == ["a.txt", "b.txt"]


def test_a_missing_package_is_named_and_the_document_stays(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path) -> Any:
        raise MissingPackage("pip install 'onkokode[documents]'")

    monkeypatch.setattr(intakes, "read_documents", missing)
    intake.begin_documents(bring(intake, written(tmp_path / "a.txt", LETTER)))
    done(intake)
    assert intake.progress.refused == [("a.txt", "pip install 'onkokode[documents]'")]
    assert left(intake) == ["a.txt"]
