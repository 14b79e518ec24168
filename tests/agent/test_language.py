"""What commands say is in one language a run: that of the locale on the way and in refusals, German in the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from openpyxl import Workbook

from agent.apps.cli import cli
from index.errors import ModelError
from index.io import failures
from index.io.language import language, say, speaking
from index.io.outputs import OutputError
from index.io.progress import Pace
from tests.agent.tiny_agent import embedded_agent
from tests.spoken import spoken_in

_LOCALES = {"de_DE.UTF-8": "de", "en_US.UTF-8": "en"}
_ERROR = {"de": "Fehler", "en": "Error"}
_MELDUNG = """<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4">
<Menge_Patient><Patient Patient_ID="1"><Menge_Meldung><Meldung Meldung_ID="M1">
<Tumorzuordnung Tumor_ID="1"><Primaertumor_ICD><Code/><Version/></Primaertumor_ICD></Tumorzuordnung>
<Diagnose><Primaertumor_Diagnosetext>Adenokarzinom des Sigmas</Primaertumor_Diagnosetext></Diagnose>
</Meldung></Menge_Meldung></Patient></Menge_Patient></oBDS>"""
# A command that refuses: its arguments, and what its line says in either language.
_REFUSED = {
    "no such table": (
        ("code-file", "fehlt.csv", "out.csv"),
        "fehlt.csv: die Datei gibt es nicht",
        "there is no such file",
    ),
    "an output that is there": (
        ("code-file", "in.csv", "da.csv"),
        "da.csv gibt es schon",
        "is there already",
    ),
    "a folder that is not there": (
        ("code-file", "in.csv", "weg/out.csv"),
        "weg: den Ordner gibt es nicht",
        "no such folder",
    ),
    "an ending that is only read": (("code-file", "in.csv", "out.ods"), "wird nur gelesen", "is only read"),
    "a wrong column": (
        ("code-file", "in.csv", "out.csv", "--column", "Nr"),
        "keine Spalte Nr",
        "no column Nr",
    ),
    "an unclear column": (("code-file", "unklar.csv", "out.csv"), "ist nicht eindeutig", "it is not clear"),
    "a damaged workbook": (("code-file", "halb.xlsx", "out.csv"), "ist beschädigt", "is damaged"),
    "a wrong sheet": (("code-file", "buch.xlsx", "out.csv", "--sheet", "B"), "kein Blatt B", "no sheet B"),
    "an empty file": (("code-file", "leer.csv", "out.csv"), "die Datei ist leer", "the file is empty"),
    "a wrong encoding": (
        ("code-file", "in.csv", "out.csv", "--encoding", "x"),
        "kein Zeichensatz",
        "no encoding",
    ),
    "a header row beyond": (
        ("code-file", "in.csv", "out.csv", "--header-row", "99"),
        "Zeile 99 ist leer",
        "row 99 is empty",
    ),
    "a damaged row": (("fhir", "schief.csv", "--out", "b.json"), "Zeile 3:", "row 3:"),
    "no reference": (
        ("fhir", "kennung.csv", "--out", "b.json", "--subject-column", "P"),
        "keine FHIR-Kennung",
        "no FHIR id",
    ),
    "no date": (("fhir", "in.csv", "--out", "b.json", "--date-column", "Nummer"), "kein Datum", "no date"),
    "no such texts": (("fhir", "fehlt.txt", "--out", "b.json"), "die Datei oder den Ordner", "no such file"),
    "no such document": (("read", "fehlt.txt"), "die Datei oder den Ordner", "no such file"),
    "no such message": (("registry", "fehlt.xml"), "die Datei oder den Ordner", "no such file"),
    "a folder without messages": (("registry", "leerer"), "keine XML-Datei", "no XML file"),
    "a copy that is there": (("registry", "ordner", "--write", "."), "gibt es schon", "is there already"),
    "a report's ending": (
        ("registry", "ordner", "--report", "r.txt"),
        "der Name muss auf",
        "the name must end",
    ),
    "no catalogue": (("catalogue", "add", "in.csv"), "ist keine Katalogdatei", "is no catalogue file"),
    "a damaged catalogue": (("catalogue", "add", "krumm.txt"), "Originaldatei", "the original file"),
    "an unknown edition": (("catalogue", "remove", "x"), "ist nicht im Katalog", "is not in the catalogue"),
    "an unknown code": (("catalogue", "show", "C99.9"), "in keinem Katalog", "in no catalogue"),
    "an unknown model": (("model", "add", "nn"), "kein solches Modell", "no such model"),
    "no GGUF file": (("model", "add", "nn", "--from", "in.csv"), "ist keine GGUF-Datei", "is no GGUF file"),
}


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("agent.apps.cli", "agent.apps.files.commands", "agent.apps.documents.commands"):
        monkeypatch.setattr(f"{module}.load_agent", lambda **_: embedded_agent())
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=_LOCALES)
def locale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("ONKOKODE_LANGUAGE", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", request.param)
    return _LOCALES[request.param]


def run(*arguments: str, **given: Any) -> Result:
    return CliRunner().invoke(cli, arguments, **given)


def check(said: str, expected: str | None) -> None:
    """No line mixes; where it is said which, each line that speaks at all speaks that language."""
    for line in said.splitlines():
        spoken = spoken_in(line)
        assert len(spoken) < 2, line
        assert expected is None or spoken <= {expected}, line


@pytest.mark.parametrize("options", [(), ("--explain",)])
def test_code_says_nothing_in_two_languages(locale: str, options: tuple[str, ...]) -> None:
    text = b"NSCLC rechter Oberlappen, Z.n. Prostata-Ca\n" + b"Hypertonie \xff\n\nQwrtz\n"
    done = run("code", *options, "-", input=text)
    assert done.exit_code == 0, done.output
    check(done.stdout, "de")
    check(done.stderr, locale)
    assert ("Warnung: 1 Zeile(n)" if locale == "de" else "Warning: 1 line(s)") in done.stderr


def test_read_says_nothing_in_two_languages(locale: str) -> None:
    Path("brief.txt").write_text("Diagnose: Rektumkarzinom, pT3 pN1. CT: Lebermetastasen.", encoding="utf-8")
    Path("leer.txt").write_text("Keine Auffälligkeiten.", encoding="utf-8")
    Path("bild.txt").write_bytes(b"%PDF-1.4")
    Path("halb.xlsx").write_bytes(b"PK\x03\x04 half")
    done = run("read", "brief.txt", "leer.txt", "bild.txt", "halb.xlsx")
    assert done.exit_code == 1
    check(done.stdout, "de")
    check(done.stderr, locale)
    errors = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert errors == [_ERROR[locale]] * 2, done.stderr


def test_code_file_says_nothing_in_two_languages(locale: str) -> None:
    rows = "1;Prostata-Ca;Prostata;2020\n2\n\n\n3;Mamma-Ca;;kein Datum\n4;;;2021\n"
    Path("in.csv").write_text("Stand heute\n\nFall;Klartext;Ort;Datum\n" + rows, encoding="utf-8")
    done = run("code-file", "in.csv", "out.csv", "--site", "Ort", "--date-column", "Datum", "--tumour")
    assert done.exit_code == 0, done.output
    check(done.stderr, locale)
    took, *_, did = done.stderr.splitlines()
    if locale == "de":
        assert took == ("in.csv: utf-8, Trennzeichen ;, Kopfzeile in Zeile 3; eine Zeile ist ein Tumor: "
                        "Diagnose aus Klartext, Sitz aus Ort, Datum der Diagnose aus Datum")  # fmt: skip
        assert did.startswith("out.csv: 6 Zeilen (kodiert 2, offen 0, kein Tumor 0, ohne Text 4); ")
    else:
        assert took == ("in.csv: utf-8, separator ;, header in row 3; a row is one tumour: "
                        "diagnosis from Klartext, site from Ort, date of diagnosis from Datum")  # fmt: skip
        assert did.startswith("out.csv: 6 rows (coded 2, open 0, no tumour 0, without a text 4); ")
    # What stands in the table is the same in any language.
    assert "leere Zeile" in Path("out.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("refused", _REFUSED)
def test_a_refusal_is_in_one_language(locale: str, refused: str) -> None:
    Path("in.csv").write_text("Nummer;Klartext\n1;Prostata-Ca\n2;Mamma-Ca\n", encoding="utf-8")
    Path("da.csv").write_text("schon da", encoding="utf-8")
    Path("unklar.csv").write_text("A;B\nMammakarzinom links;Rektumkarzinom tief\n" * 3, encoding="utf-8")
    Path("schief.csv").write_text("Nummer;Klartext\n1;Prostata-Ca\n2;Mamma-Ca;zu viel\n", encoding="utf-8")
    Path("kennung.csv").write_text("P;Klartext\nMüller Hans;Prostata-Ca\n", encoding="utf-8")
    Path("leer.csv").write_text("\n", encoding="utf-8")
    Path("halb.xlsx").write_bytes(b"PK\x03\x04 half")
    book = Workbook()
    book.active.title = "Tumoren"  # type: ignore[union-attr]
    book.save("buch.xlsx")
    Path("ordner").mkdir()
    Path("leerer").mkdir()
    Path("ordner/m.xml").write_text(_MELDUNG, encoding="utf-8")
    Path("krumm.txt").write_text("ICD10;Label;Rubrik\nXX;;nichts\n", encoding="utf-8")
    if refused == "a copy that is there":
        Path("m.xml").write_text("da", encoding="utf-8")
    arguments, german, english = _REFUSED[refused]
    done = run(*arguments)
    assert done.exit_code in (1, 2), done.output
    said = done.stderr.splitlines()[-1] if done.stderr else done.stdout
    assert (german if locale == "de" else english) in said, said
    check(done.stderr or done.stdout, locale)


def test_registry_reports_in_german_and_says_what_it_did(locale: str) -> None:
    Path("gut.xml").write_text(_MELDUNG, encoding="utf-8")
    Path("krumm.xml").write_text("<oBDS", encoding="utf-8")
    done = run("registry", "gut.xml", "krumm.xml", "--write", "kopien")
    assert done.exit_code == 1, done.output
    check(done.stdout, "de")
    check(done.stderr, locale)
    assert done.stderr.strip() == (
        "2 Dateien, davon 1 abgelehnt; 1 Meldungen, 1 Tumoren; 1 Codes gefüllt, 1 Kopien geschrieben nach kopien."
        if locale == "de"
        else "2 files, 1 refused; 1 Meldungen, 1 tumours; 1 codes filled, 1 copies written to kopien."
    )


def test_fhir_says_what_it_took_and_did(locale: str) -> None:
    Path("in.csv").write_text("Nummer;Klartext\n1;Prostata-Ca\n2;Mamma-Ca\n", encoding="utf-8")
    done = run("fhir", "in.csv", "--out", "b.json")
    assert done.exit_code == 0, done.output
    took, did = done.stderr.splitlines()
    assert took == (
        "utf-8, Trennzeichen ;, Kopfzeile in Zeile 1"
        if locale == "de"
        else "utf-8, separator ;, header in row 1"
    )
    assert did == (
        "2 Conditions geschrieben nach b.json" if locale == "de" else "2 Conditions written to b.json"
    )


@pytest.mark.parametrize(
    ("arguments", "german", "english"),
    [
        (("info",), ("Katalogzeilen", "Ausgaben"), ("catalogue lines", "editions")),
        (("catalogue", "list"), ("Noch keine Katalogdatei",), ("No catalogue files",)),
        (("catalogue", "show", "C34.1"), ("darf vergeben werden", "Synonym"), ("may be assigned", "synonym")),
        (("model", "list"), ("Lizenz", "nicht installiert"), ("licence", "not installed")),
    ],
)
def test_what_is_here_is_told_in_one_language(
    locale: str, arguments: tuple[str, ...], german: tuple[str, ...], english: tuple[str, ...]
) -> None:
    said = run(*arguments).stdout
    own, other = (german, english) if locale == "de" else (english, german)
    assert all(word in said for word in own) and not any(word in said for word in other), said


def test_an_error_that_has_one_language_keeps_its_word(locale: str) -> None:
    """About models and servers there is English alone, with an English word before it."""
    for error, word in (
        (ModelError("m: cannot be loaded"), "Error"),
        (OutputError("x"), _ERROR[locale]),
        (OSError(28, ""), _ERROR[locale]),
    ):
        assert failures.line_of(failures.explain(error) or "", error).startswith(f"{word}: ")


def test_the_first_variable_that_is_set_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ONKOKODE_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert language() == "en"
    for name, value in (
        ("LANG", "de_AT.UTF-8"),
        ("LC_MESSAGES", "C"),
        ("LC_ALL", "de"),
        ("ONKOKODE_LANGUAGE", "en"),
    ):
        monkeypatch.setenv(name, value)
        assert language() == ("de" if value.startswith("de") else "en")
    monkeypatch.setenv("ONKOKODE_LANGUAGE", "")
    assert language() == "de"
    with speaking("en"):
        assert say("rows") == "rows"
    assert say("kodiert", rows=12345) == "kodiert 12.345"


def test_a_line_about_the_pace_is_worded_by_who_says_it() -> None:
    lines: list[str] = []
    form = lambda done, total, left: say("pace", done=done, total=total, left=left)  # noqa: E731
    pace = Pace(4000, "rows", lines.append, every=0, form=form)
    for spoken in ("de", "en"):
        with speaking(spoken):  # type: ignore[arg-type]
            pace.step(1000)
    assert lines[0].startswith("1.000 von 4.000 Zeilen, noch ")
    assert lines[1].startswith("2,000 of 4,000 rows, ") and lines[1].endswith(" left")


def test_a_mixed_line_is_seen() -> None:
    assert spoken_in("in.csv: 12 Zeilen, 3 rows") == {"de", "en"}
    assert spoken_in("Error: in.csv: die Datei ist leer") == {"de", "en"}
    assert spoken_in("Note: “leere Zeile”: 3 rows, first row 5") == {"en"}
