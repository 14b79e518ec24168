"""What commands say is in one language a run: that of the locale on the way, German in the answers."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.apps.cli import cli
from agent.apps.language import language, messages, say, speaking
from index.io.progress import Pace
from tests.agent.tiny_agent import embedded_agent
from tests.conftest import ROOT

# Words that one of the two languages has alone, and that these commands may say.
_WORDS = {
    "en": "the a of is are were row rows line lines first from with and or not no already before left header named "
    "column columns separator sheet read coded open tumour without texts note warning error for file date "
    "diagnosis site above only stand stands passed over names codes nearest failed true false none",
    "de": "der die das den ein eine ist sind wurde wurden waren nicht kein keine keines und oder zeile zeilen zuerst von "
    "aus mit ohne noch schon kopfzeile spalte spalten trennzeichen blatt kodiert offen hinweis warnung fehler für datei "
    "diagnose sitz steht stehen über nur übergangen bitte vorhanden nennen unlesbare sicherheit seite prüfungen bestanden "
    "katalogzeilen alternativen weitere kodierung nächsten schritte tumordiagnose nein ja",
}
_SETS = {spoken: set(words.split()) for spoken, words in _WORDS.items()}
_LOCALES = {"de_DE.UTF-8": "de", "en_US.UTF-8": "en"}


def spoken_in(line: str) -> set[str]:
    """The languages that a line has words of; what it quotes, and names of files and columns, are nobody's."""
    plain = re.sub(r"`[^`]*`|“[^”]*”|„[^“]*“|\S*[/.]\S*|\bonkokode\w*|\b\w+_\w+\b|--[\w-]+", " ", line)
    words = set(re.findall(r"[^\W\d_]+", plain.lower()))
    return {spoken for spoken, known in _SETS.items() if words & known}


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
    # Errors are in the language of their origin so far, each with its own word before it.
    check(done.stderr, None)
    errors = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in errors] == ["Error", "Fehler"], errors


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
    again = run("code-file", "in.csv", "out.csv")
    assert again.exit_code == 2 and again.stderr.startswith("Fehler: out.csv gibt es schon")
    missing = run("code-file", "in.csv", "nowhere/out.csv")
    assert missing.exit_code == 2 and missing.stderr.startswith("Error: nowhere: there is no such folder")
    check(again.stderr + missing.stderr, None)


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


def test_each_message_says_the_same_in_both_languages_and_is_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "agent").rglob("*.py"))
    for key, said in messages().items():
        names = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in said.values()]
        assert names[0] == names[1], key
        for spoken, text in said.items():
            assert spoken_in(re.sub(r"{\w+}", "", text)) <= {spoken}, text
        assert f'"{key}"' in source, f"{key} is said nowhere"


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
