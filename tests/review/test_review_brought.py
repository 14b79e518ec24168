"""How a table that is brought to the page is read, what of it is shown, and what a person chooses otherwise."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from agent.apps.review.brought import Brought, TableForm
from agent.apps.review.intake import Intake
from agent.apps.review.panels import Panels
from agent.apps.review.store import Store
from agent.apps.review.uploads import IntakeError
from index.io.language import speaking
from tests.review.review_helpers import coding
from tests.spoken import spoken_in


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store, lambda texts: [[coding(span=(0, len(text)))] for text in texts])


def bring(intake: Intake, content: str | bytes, name: str = "fälle.csv", encoding: str = "utf-8") -> str:
    token = f"{len(list(intake.uploads.folder.glob('*'))):032x}"
    intake.uploads.take(token, name, content if isinstance(content, bytes) else content.encode(encoding), 0)
    return token


def looked(intake: Intake, token: str, **chosen: Any) -> Brought:
    return intake.look(TableForm.of({"token": token, **chosen}))


def read(intake: Intake, token: str, **chosen: Any) -> None:
    intake.begin(TableForm.of({"token": token, **chosen}))
    assert intake._thread is not None
    intake._thread.join(60)
    assert not intake.progress.failed, intake.progress.failed


def workbook(**sheets: list[list[Any]]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(content)
    return content.getvalue()


def texts(store: Store) -> list[str]:
    return sorted(item.text for item in store.page("all", ""))


def test_what_was_taken_is_shown_and_what_was_guessed_is_said(intake: Intake) -> None:
    token = bring(
        intake,
        "Tumorliste\nStand Mai\nFall;Diagnose\n7;Magen-Ca, Übergang\n8;Großzelliges Bronchial-Ca\n",
        encoding="cp1252",
    )
    table = looked(intake, token)
    assert table.taken == {
        "format": "delimited", "encoding": "cp1252", "delimiter": ";", "header": True, "header_row": 3,
    }  # fmt: skip
    assert (table.rows, table.text_column, table.question) == (2, "Diagnose", "")
    assert [number for number, _ in table.first] == [1, 2, 3, 4, 5] and table.first[3][1] == (
        "7",
        "Magen-Ca, Übergang",
    )
    assert [line for line in table.guesses if "Zeile 3" in line] and [
        line for line in table.guesses if "Umlaute" in line
    ]
    shown = Panels(intake).tables("/review", table)
    for said in (
        "gefunden: Zeile 3",
        "gefunden: Windows (cp1252)",
        "gefunden: Semikolon ;",
        'class="header"',
    ):
        assert said in shown
    # What a person says is no guess.
    assert looked(intake, token, header="3", encoding="cp1252").guesses == ()


@pytest.mark.parametrize(
    ("content", "wrong", "chosen", "kept"),
    [
        ("Sonographie\nMamma-Ca links\nMagen-Ca\n", "ob die erste Zeile die Spalten", {"header": "keine"}, 3),
        ("Sonographie\nMamma-Ca links\nMagen-Ca\n", "ob die erste Zeile die Spalten", {"header": "1"}, 2),
        ("Fall;Diagnose;Fall\n1;Magen-Ca;x\n", "nennt eine Spalte mehrmals", {"header": "keine"}, 2),
        ("a;b\nFall;Diagnose;Ort\n1;Magen-Ca;K\n2;Mamma-Ca;K\n", "", {"header": "2"}, 2),
    ],
)
def test_a_question_waits_for_a_choice(
    intake: Intake, store: Store, content: str, wrong: str, chosen: dict[str, str], kept: int
) -> None:
    token = bring(intake, content)
    table = looked(intake, token)
    if wrong:
        assert wrong in table.question[0].lower() + table.question[1:] and "--" not in table.question
        assert "Bitte wählen Sie" in table.question and spoken_in(table.question) == {"de"}
        assert table.first, "who is to choose sees the rows"
        shown = Panels(intake).tables("/review", table)
        assert "onko-read-question" in shown and 'class="primary" disabled' in shown
        with pytest.raises(IntakeError, match="wählen Sie"):
            intake.begin(TableForm(token, text="Diagnose"))
    table = looked(intake, token, **chosen)
    assert (table.question, table.rows) == ("", kept)
    read(intake, token, text=table.text_column or table.columns[-1], **chosen)
    assert store.status().total == kept


def test_a_sheet_is_chosen_and_each_is_a_table_of_its_own(intake: Intake, store: Store) -> None:
    book = workbook(
        Deckblatt=[],
        Neu=[["Fall", "Diagnose"], [1, "Mamma-Ca links"]],
        Alt=[["Fall", "Diagnose"], [1, "Magen-Ca"], [2, "Ileum-NET"]],
    )
    token = bring(intake, book, "fälle.xlsx")
    table = looked(intake, token)
    assert (table.sheets, table.taken["sheet"]) == (("Deckblatt", "Neu", "Alt"), "Neu")
    assert "„Alt“" in table.guesses[0] and "--" not in table.guesses[0]
    empty = looked(intake, token, sheet="Deckblatt")
    assert "ist leer" in empty.question and "anderes Blatt" in empty.question and empty.sheets == table.sheets
    assert ">Alt</option>" in Panels(intake).tables("/review", empty)
    read(intake, token, sheet="Alt", text="Diagnose", reference="Fall")
    assert texts(store) == ["Ileum-NET", "Magen-Ca"]
    # The other sheet under the same numbers is another table, with a name that a person reads.
    again = bring(intake, book, "fälle.xlsx")
    read(intake, again, text="Diagnose", reference="Fall")
    assert [one.name for one in intake.sources()] == ["fälle (2).xlsx", "fälle.xlsx"]
    assert texts(store) == ["Ileum-NET", "Magen-Ca", "Mamma-Ca links"]
    intake.resume("fälle.xlsx")
    assert intake._thread is not None
    intake._thread.join(60)
    assert intake.progress.counts["known"] == 2, "it is read as it was chosen"


def test_an_encoding_and_a_separator_are_chosen(intake: Intake, store: Store) -> None:
    token = bring(intake, "Fall|Diagnose\n1|Mamma-Ca, außen; G2\n", encoding="cp850")
    assert "außen" not in str(looked(intake, token).first)
    table = looked(intake, token, encoding="cp850", delimiter="|")
    assert table.first[1][1] == ("1", "Mamma-Ca, außen; G2") and table.taken["encoding"] == "cp850"
    read(intake, token, encoding="cp850", delimiter="|", text="Diagnose")
    assert texts(store) == ["Mamma-Ca, außen; G2"]
    tabs = bring(intake, "Fall\tDiagnose\n1\tMagen-Ca\n")
    assert looked(intake, tabs).delimiter == "Tabulator"
    assert looked(intake, tabs, delimiter="tab").columns == ("Fall", "Diagnose")


def test_a_wrong_choice_is_told_and_the_table_stays(intake: Intake) -> None:
    token = bring(intake, "Fall;Diagnose\n1;Magen-Ca\n")
    for chosen in ({"header": "9"}, {"header": "99999"}, {"encoding": "utf-16"}, {"delimiter": "|"}):
        table = looked(intake, token, **chosen)
        assert table.question or table.columns != ("Fall", "Diagnose"), chosen
        assert "--" not in table.question and str(intake.uploads.folder) not in table.question
        assert f'id="onko-read-{next(iter(chosen))}"' in Panels(intake).tables("/review", table), (
            "to be taken back"
        )
    book = bring(intake, workbook(Neu=[["Diagnose"], ["Magen-Ca"]]), "f.xlsx")
    gone = looked(intake, book, sheet="Gelöscht")
    assert "Kein Blatt Gelöscht" in gone.question and gone.sheets == ("Neu",)
    assert looked(intake, token).rows == 1 and looked(intake, book).rows == 1


def test_a_damaged_row_is_told_before_anything_is_read(intake: Intake, store: Store) -> None:
    token = bring(intake, "Fall;Diagnose\n1;Magen-Ca\n2;Mamma;Ca\n")
    table = looked(intake, token)
    assert "Zeile 3: 3 Felder statt 2" in table.question and "Mamma" not in table.question
    with pytest.raises(IntakeError, match="Zeile 3"):
        read(intake, token, text="Diagnose")
    assert store.status().total == 0


def test_a_book_of_empty_sheets_is_refused(intake: Intake) -> None:
    with pytest.raises(IntakeError) as error:
        looked(intake, bring(intake, workbook(Eins=[]), "leer.xlsx"))
    assert "ist leer" in str(error.value) and "--" not in str(error.value)
    assert not [one for one in intake.uploads.folder.rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ({"header": "-1"}, ("", "", "")),
        ({"header": "²"}, ("", "", "")),
        ({"header": "0", "encoding": "rot13", "delimiter": "ab"}, ("", "", "")),
        ({"header": "keine", "encoding": "cp1252", "delimiter": "tab"}, ("keine", "cp1252", "tab")),
        ({"header": ["1"], "encoding": {"a": 1}}, ("", "", "")),
    ],
)
def test_what_the_page_does_not_offer_is_left_to_the_reader(
    sent: dict[str, Any], left: tuple[str, str, str]
) -> None:
    form = TableForm.of({"token": "t", **sent})
    assert (form.header, form.encoding, form.delimiter) == left
    form.options  # noqa: B018  # never an error


def test_the_page_speaks_german_whatever_the_service_speaks(intake: Intake) -> None:
    token = bring(intake, "Sonographie\nMamma-Ca links\nMagen-Ca\n")
    with speaking("en"):
        assert spoken_in(looked(intake, token).question) == {"de"}


def test_long_and_wide_cells_are_cut_and_markup_is_text(intake: Intake) -> None:
    wide = ";".join(f"Feld{n}" for n in range(40))
    token = bring(intake, f"{wide}\n" + ";".join(["<b>Ca</b>" + "x" * 90] * 40) + "\n")
    table = looked(intake, token)
    shown = Panels(intake).tables("/review", table)
    assert "<b>Ca" not in shown and "&lt;b&gt;Ca" in shown and "x" * 41 not in shown
    assert max(len(cells) for _, cells in table.shown) == 8


def test_a_table_of_documents_is_read_as_documents(store: Store, tmp_path: Path) -> None:
    asked: list[str] = []

    def documents(given: list[str]) -> list[list[dict[str, Any]]]:
        asked.extend(given)
        return [[coding()] for _ in given]

    intake = Intake(store, lambda given: pytest.fail("no entries"), documents=documents)
    token = bring(intake, "Fall;Brief\n1;Lieber Kollege\n2;Sehr geehrte\n")
    read(intake, token, text="Brief", reference="Fall", document="ja")
    assert asked == ["Lieber Kollege", "Sehr geehrte"]
    [source] = intake.sources()
    assert source.reading.document
    intake.resume(source.name)
    assert intake._thread is not None
    intake._thread.join(60)
    assert intake.progress.counts["known"] == 2
