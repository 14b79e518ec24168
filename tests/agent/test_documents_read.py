"""Reading documents: from labels to mentions, from mentions to tumours, and the texts of files."""

from __future__ import annotations

import json
import time
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from agent.agent import CodingAgent
from agent.apps.cli import cli
from agent.apps.documents.commands import read_command
from agent.apps.documents.formats import SourceError, document_text
from agent.apps.documents.sources import documents_of
from agent.apps.files.table import TableFileError
from agent.reading.answer import coded_tumour
from agent.reading.calibration import Calibration
from agent.reading.entries import is_entry
from agent.reading.labels import ASSERTED, LINK, MOVES, TAGS, Labels
from agent.reading.layout import odds_of_lines
from agent.reading.mentions import Mention, mentions_of, trimmed
from agent.reading.organs import odds_of_names
from agent.reading.results import CodedMetastasis, CodedTumour, Fact
from agent.reading.spread import codes_of_formula, regional_nodes
from agent.reading.tagger import OVERLAP, WEIGHTS, WINDOW, Tagger, windows
from agent.reading.tumours import assemble
from agent.reading.united import united
from agent.results import Coding
from index.errors import ModelError
from index.icd import is_secondary
from index.records import AXES
from tests.documents_made import pdf


@pytest.mark.parametrize(
    "topography, code",
    [
        ("C50.4", "C77.3"),
        ("C34.1", "C77.1"),
        ("C61.9", "C77.5"),
        ("C44.7", "C77.4"),
        ("C16.3", "C77.2"),
        ("C42.1", None),
    ],
)
def test_regional_nodes(topography: str, code: str | None) -> None:
    assert regional_nodes(topography) == code


@pytest.mark.parametrize(
    "formula, codes",
    [
        ("cT2b cN2 cM1c (BRA, ADR)", ["C77.1", "C79.3", "C79.7"]),
        ("pT2 pN0 (0/14) M0", []),
        ("cT4 cN+ cM1 HEP+OSS", ["C77.1", "C79.5", "C78.7"]),
        ("ypT1b ypN1a(2/17) R0", ["C77.1"]),
        ("pTis", []),
        ("cM0 (HEP frei)", []),
    ],
)
def test_a_formula_tells_nodes_and_metastases(formula: str, codes: list[str]) -> None:
    assert sorted(codes_of_formula(formula, "C34.1")) == sorted(codes)


def test_a_formula_of_an_unknown_site_tells_no_nodes() -> None:
    assert codes_of_formula("pT2 pN1 M1 (PUL)", None) == ["C78.0"]


def labels(pieces: list[tuple[str, str]]) -> Labels:
    """Labels of words of one piece and five characters each, one apart: (tag, move)."""
    tags = np.full((len(pieces), len(TAGS)), -9.0, np.float32)
    moves = np.full((len(pieces), len(MOVES)), -9.0, np.float32)
    for row, (tag, move) in enumerate(pieces):
        tags[row, TAGS.index(tag)] = -0.01
        moves[row, MOVES.index(move)] = -0.01
    offsets = np.array([(6 * n, 6 * n + 5) for n in range(len(pieces))]).reshape(-1, 2)
    return Labels(offsets, np.arange(len(pieces)), tags, moves, np.zeros((len(pieces), LINK), np.float32))


def test_pieces_become_mentions() -> None:
    found = mentions_of(
        labels(
            [
                ("O", "none"),
                ("B-name", "histology"),
                ("I-name", "histology"),
                ("B-name", "excluded"),
                ("I-place", "lesion"),
            ]
        )
    )
    assert [(m.start, m.end, m.role, m.move) for m in found] == [
        (6, 17, "name", "histology"),
        (18, 23, "name", "excluded"),
        (24, 29, "place", "lesion"),  # goes on with what had not begun
    ]
    assert mentions_of(labels([])) == []


@pytest.mark.parametrize("count", [0, 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7, 20_000])
def test_windows_take_each_piece_once_and_see_around_it(count: int) -> None:
    taken = []
    for start, first, last in windows(count):
        assert start <= first < last <= min(start + WINDOW, count)
        assert first == 0 or first - start >= OVERLAP // 2
        assert last == count or start + WINDOW - last >= OVERLAP // 2
        taken += range(first, last)
    assert taken == list(range(count))


TEXT = "Raumforderung im rechten Oberlappen. PE: Adenokarzinom. Z.n. Prostatakarzinom. Vater: Melanom. Lebermetastasen."


def mention(words: str, role: str, move: str) -> Mention:
    start = TEXT.index(words)
    return Mention(start, start + len(words), role, move)


def by_group(groups: list[set[str]]) -> Callable[[Sequence[Mention]], np.ndarray]:
    def same(mentions: Sequence[Mention]) -> np.ndarray:
        words = [TEXT[m.start : m.end] for m in mentions]
        return np.array(
            [[4.0 if any({a, b} <= group for group in groups) else -4.0 for b in words] for a in words]
        )

    return same


def test_a_thousand_mentions_are_joined_at_once() -> None:
    rng = np.random.default_rng(1)
    owners = rng.integers(0, 5, 1500)
    text = "Tumor " * 1500
    mentions = [Mention(6 * n, 6 * n + 5, "name", "histology") for n in range(1500)]
    odds = np.where(owners[:, None] == owners[None], 3.0, -3.0) + rng.normal(0, 1, (1500, 1500))
    started = time.perf_counter()
    found = assemble(text, mentions, lambda kept: odds)
    assert len(found) == 5 and time.perf_counter() - started < 5


def test_what_speaks_of_one_tumour_becomes_one() -> None:
    mentions = [
        mention("im rechten Oberlappen", "place", "lesion"),
        mention("Adenokarzinom", "name", "histology"),
        mention("Prostatakarzinom", "name", "past"),
        mention("Melanom", "name", "family"),
        mention("Lebermetastasen", "metastasis", "metastasis"),
    ]
    lung = {"im rechten Oberlappen", "Adenokarzinom", "Lebermetastasen"}
    first, second = assemble(TEXT, mentions, by_group([lung, {"Prostatakarzinom"}]))
    assert (first.phrases[0].text, first.certainty, first.side) == (
        "Adenokarzinom, im rechten Oberlappen",
        "gesichert",
        "rechts",
    )
    assert [spread.phrase for spread in first.spread] == ["Lebermetastasen"]
    assert (second.phrases[0].text, second.certainty, second.spread) == (
        "Prostatakarzinom",
        "Zustand nach",
        (),
    )
    phrase = first.phrases[0]
    assert "".join(TEXT[place] for place in phrase.places[:13]) == "Adenokarzinom"
    assert len(phrase.places) == len(phrase.text)


@pytest.mark.parametrize("move", [move for move, kind in ASSERTED.items() if kind == "absent"])
def test_what_is_not_the_patients_is_left_out(move: str) -> None:
    assert assemble(TEXT, [mention("Melanom", "name", move)], by_group([])) == []


def test_denied_metastases_are_none() -> None:
    told = [
        mention("Adenokarzinom", "name", "histology"),
        mention("Lebermetastasen", "metastasis", "no_metastasis"),
    ]
    assert assemble(TEXT, told, by_group([]))[0].spread == ()


def test_a_suspicion_that_is_confirmed_is_sure() -> None:
    told = [mention("Melanom", "name", "suspicion"), mention("Adenokarzinom", "name", "histology")]
    (found,) = assemble(TEXT, told, by_group([{"Melanom", "Adenokarzinom"}]))
    assert found.certainty == "gesichert" and found.phrases[0].text == "Adenokarzinom"


def docx(path: Path, body: str) -> Path:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
        )
    return path


def test_word_documents_are_read_in_order(tmp_path: Path) -> None:
    body = (
        "<w:p><w:r><w:t>Diagnose:</w:t><w:tab/><w:t>Mamma-Ca</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>TNM</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        "<w:p><w:r><w:t>eins</w:t><w:br/><w:t>zwei</w:t></w:r></w:p>"
    )
    assert document_text(docx(tmp_path / "a.docx", body)) == "Diagnose:\tMamma-Ca\nTNM\neins\nzwei"


def test_of_a_word_document_stands_what_its_reader_sees(tmp_path: Path) -> None:
    box = "<w:r><w:txbxContent><w:p><w:r><w:t>Gleason 7</w:t></w:r></w:p></w:txbxContent></w:r>"
    alike = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    )
    body = (
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>Prostata-Ca</w:t></w:r></w:p>"
        f"<w:p>{alike}<w:r><w:t>PSA 12</w:t></w:r></w:p>"
        "<w:p><w:moveFrom><w:r><w:t>Kolon-Ca</w:t></w:r></w:moveFrom><w:del><w:r><w:delText>Melanom</w:delText></w:r></w:del></w:p>"
        "<w:p><w:ins><w:r><w:t>Leber frei</w:t></w:r></w:ins></w:p>"
    )
    lines = document_text(docx(tmp_path / "a.docx", body)).split("\n")
    assert [line for line in lines if line] == ["Prostata-Ca", "Gleason 7", "PSA 12", "Leber frei"]


def test_a_scan_in_a_word_document_is_no_document_without_a_tumour(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="OCR"):
        document_text(docx(tmp_path / "a.docx", "<w:p><w:r><w:drawing/></w:r></w:p>"))


def test_rich_text_is_read_with_its_umlauts(tmp_path: Path) -> None:
    pytest.importorskip("striprtf")
    path = tmp_path / "a.rtf"
    path.write_bytes(
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 \'d6sophagus-Ca\par G2, Stra\u223?e\par}"
    )
    assert document_text(path).split("\n")[:2] == ["Ösophagus-Ca", "G2, Straße"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_plain_text_of_german_programs_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Ösophagus-Ca".encode(encoding))
    assert document_text(path) == "Ösophagus-Ca"


@pytest.mark.parametrize(
    "name, content, remedy",
    [
        ("a.docx", b"no zip", "save it anew"),
        ("a.txt", b"\x00\x01\x02", ".txt, .docx, .rtf and .pdf"),
        ("a.pdf", b"no pdf at all", "cannot be read as a PDF"),
        ("a.rtf", b"no rich text", "is no rich text"),
        ("a.rtf", b"{\\rtf1 {\\shp{\\*\\shpinst{\\shptxt Mamma-Ca\\par}}}}", "save it as .docx"),
        ("a.rtf", b"{\\rtf1 \\u9999999?}", "cannot be read as rich text"),
        ("a.txt", b"{\\rtf1 Rektum-Ca}", "name it .rtf"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it as .docx"),
        ("a.html", b"\n<!doctype HTML><html>Rektum-Ca</html>", "save its text"),
        ("a.txt", b"  \n", "holds no text"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_remedy(
    tmp_path: Path, name: str, content: bytes, remedy: str
) -> None:
    for ending, package in ((".pdf", "pypdf"), (".rtf", "striprtf")):
        if name.endswith(ending):
            pytest.importorskip(package)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        document_text(path)
    assert str(path) in str(caught.value) and remedy in str(caught.value)


def test_a_word_document_with_an_entity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
        )
    with pytest.raises(SourceError, match="no Word document"):
        document_text(path)


def test_a_table_holds_a_document_in_each_row(tmp_path: Path) -> None:
    path = tmp_path / "befunde.csv"
    path.write_text('Fall;Befundtext\n4;"Rektum-Ca.\nLeber frei."\n5;\n6;Melanom\n', "cp1252")
    documents = list(documents_of(path, "befundtext"))
    assert [one.place["row"] for one in documents] == [2, 4, 5], (
        "lines of the file, as its editor counts them"
    )
    assert [one.text for one in documents] == ["Rektum-Ca.\nLeber frei.", "", "Melanom"]
    assert [one.place.get("id") for one in documents_of(path, "Befundtext", None, "Fall")] == ["4", "5", "6"]
    with pytest.raises(TableFileError, match="no column Brief; there are: Fall, Befundtext"):
        list(documents_of(path, "Brief"))


def test_a_damaged_file_stops_no_other(tmp_path: Path, agent: CodingAgent) -> None:
    (tmp_path / "a.txt").write_text("Rektumkarzinom.", "utf-8")
    (tmp_path / "b.docx").write_bytes(b"no zip")
    (tmp_path / "c.txt").write_text("Prostatakarzinom.", "utf-8")
    command = ["read", "--json", *(str(tmp_path / name) for name in ("a.txt", "b.docx", "c.txt"))]
    shown = CliRunner().invoke(cli, command)
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [one["tumours"][0]["icd10gm"]["code"] for one in found] == ["C20", "C61"]
    assert shown.exit_code == 1 and "b.docx" in shown.stderr
    assert CliRunner().invoke(cli, ["read", str(tmp_path / "b.docx")]).exit_code == 2


LETTER = """Sehr geehrte Kollegen,

wir berichten über Herrn M., 71 J. Im CT fand sich eine 4,1 cm messende Raumforderung im rechten Oberlappen.
Bronchoskopisch gewonnene PE: Adenokarzinom. cT2b cN2 cM1c (BRA). Im MRT des Schädels zwei Hirnmetastasen.
Die Leber ist frei. Vorbekannt ist ein Z.n. Prostatakarzinom 2011. Der Vater verstarb an einem Magenkarzinom.

Mit freundlichen Grüßen"""


@pytest.fixture(scope="module")
def agent() -> CodingAgent:
    return CodingAgent.load()


def test_a_letter_gives_the_patients_tumours(agent: CodingAgent) -> None:
    document = agent.read(LETTER)
    lung, prostate = document.tumours
    assert (lung.icd10gm.code, lung.icdo_morphology.code, lung.certainty) == ("C34.1", "8140/3", "gesichert")
    assert [one.icd10gm.code for one in lung.metastases] == ["C77.1", "C79.3"]
    assert (prostate.icd10gm.code, prostate.certainty) == ("C61", "Zustand nach")
    for fact in lung.facts:
        assert 0 <= fact.start < fact.end <= len(LETTER)
    for line in lung.icd10gm.evidence:
        assert all(LETTER[start:end].strip() for start, end in line.matched)


def test_metastases_of_a_primary_that_nobody_names_are_of_an_unknown_one(agent: CodingAgent) -> None:
    text = "MRT Schädel: drei zerebrale Metastasen, ossäre Filiae in BWK 8. Der Primarius ist derzeit nicht bekannt."
    (tumour,) = agent.read(text).tumours
    assert [tumour.coding(axis).code for axis in AXES] == ["C80.9", "C80.9", "8000/6"]
    assert [one.icd10gm.code for one in tumour.metastases] == ["C79.3", "C79.5"]
    assert "zerebrale Metastasen" in {text[fact.start : fact.end] for fact in tumour.facts}
    assert agent.read("Leber und Skelett ohne Anhalt für Metastasen.").tumours == ()


def test_metastases_have_codes_of_metastases_and_a_primary_named_with_them_is_one(agent: CodingAgent) -> None:
    for text in ("Adenokarzinom des Pankreas, hepatisch metastasiert.", "CUP-Syndrom mit Leberfiliae."):
        for tumour in agent.read(text).tumours:
            assert not is_secondary(tumour.icd10gm.code or "")
            assert all(is_secondary(one.icd10gm.code or "") for one in tumour.metastases)
    (pancreas,) = agent.read("Adenokarzinom des Pankreas, hepatisch metastasiert.").tumours
    assert pancreas.icd10gm.code == "C25.9"


def test_the_answer_holds_no_text_of_the_document(agent: CodingAgent) -> None:
    answer = agent.read(LETTER)
    for shown in (json.dumps(answer.to_dict(), ensure_ascii=False), json.dumps(answer.to_audit())):
        assert "Herrn M." not in shown and "Schädels" not in shown
    tumour = answer.to_dict()["tumours"][0]
    assert tumour["icd10gm"]["code"] == "C34.1" and tumour["metastases"][0]["icd10gm"] == "C77.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\x00\x01",
        "\ud800 Tumor",
        "🙂" * 300,
        "a" * 50_000,
        "Karzinom " * 3000,
        "(" * 5000,
        "1. " * 4000,
    ],
)
def test_any_text_gets_an_answer(agent: CodingAgent, text: str) -> None:
    answer = agent.read(text)
    assert answer.text == text
    json.dumps(answer.to_dict())


def test_a_document_that_is_too_long_says_so(agent: CodingAgent) -> None:
    assert "100.000" in (agent.read("Hypertonie. " * 9000).problem or "")


def test_documents_come_back_in_order(agent: CodingAgent) -> None:
    answers = list(agent.read_many(["Hypertonie.", LETTER, ""]))
    assert [len(one.tumours) for one in answers] == [0, 2, 0]
    with pytest.raises(TypeError):
        agent.read_many(LETTER).__next__()
    with pytest.raises(TypeError):
        agent.read(3)  # type: ignore[arg-type]


def test_the_command_reads_files(tmp_path: Path, agent: CodingAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.apps.documents.commands.load_agent", lambda **_: agent)
    path = tmp_path / "brief.txt"
    path.write_text(LETTER, encoding="utf-8")
    run = CliRunner()
    shown = run.invoke(read_command, [str(path)], catch_exceptions=False).output
    assert "C34.1" in shown and "Zustand nach" in shown
    made = run.invoke(
        read_command, ["--json", str(path), "-"], input="Hypertonie", catch_exceptions=False
    ).stdout
    first, second = map(json.loads, made.splitlines())
    assert first["file"] == str(path) and len(first["tumours"]) == 2
    assert second["file"] == "-" and second["tumours"] == []


def test_a_reader_for_another_encoder_is_refused(tmp_path: Path, agent: CodingAgent) -> None:
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "encoder": "other"}))
    with pytest.raises(ModelError, match="another encoder"):
        Tagger.load(agent.retriever.encoder, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="holds no reader"):
        Tagger.load(agent.retriever.encoder, tmp_path)


ENTRY = "Tu rechts oben.\nMamma-Ca, oberer äußerer Quadrant, NST. Im Verlauf Herd Quadrant oben innen. Stanze: Adenokarzinom"


def test_what_an_entry_says_together_is_one_phrase() -> None:
    def of(words: str, role: str, move: str) -> Mention:
        start = ENTRY.index(words)
        return Mention(start, start + len(words), role, move)

    mentions = [
        of("Mamma-Ca", "name", "diagnosis"),
        of("oberer äußerer Quadrant", "place", "diagnosis"),
        of("NST", "name", "diagnosis"),
        of("Quadrant oben innen", "place", "lesion"),
    ]
    (found,) = assemble(ENTRY, mentions, lambda kept: np.full((len(kept), len(kept)), 3.0))
    assert found.phrases[0].text == "Mamma-Ca, oberer äußerer Quadrant, NST, Quadrant oben innen"
    assert found.phrases[1].text == "Mamma-Ca, oberer äußerer Quadrant, NST"
    histology = of("Adenokarzinom", "name", "histology")
    (found,) = assemble(ENTRY, [*mentions, histology], lambda kept: np.full((len(kept), len(kept)), 3.0))
    assert found.phrases[0].text.startswith("Adenokarzinom, Mamma-Ca")


def test_a_lesion_without_a_name_is_no_tumour() -> None:
    assert (
        assemble(TEXT, [mention("im rechten Oberlappen", "place", "lesion")], lambda kept: np.ones((1, 1)))
        == []
    )


@pytest.mark.parametrize(
    "one, other, sign",
    [
        ("Prostatalappen", "Urothelkarzinom der Harnblase", -1),
        ("Mammakarzinom", "oberer äußerer Quadrant der Mamma", 1),
        ("Adenokarzinom", "Prostatalappen", 0),
        ("Rektum", "Sigma", 1),
        ("Basaliom", "B-CLL", -1),
        ("Plattenepithelkarzinom", "muzinöses Adenokarzinom", -1),
        ("Adenokarzinom", "muzinöses Adenokarzinom", 0),
    ],
)
def test_organs_and_tissues_decide_what_cannot_be_one_tumour(
    agent: CodingAgent, one: str, other: str, sign: int
) -> None:
    odds = odds_of_names(agent.resources, [one, other])
    assert np.sign(odds[0, 1]) == sign == np.sign(odds[1, 0])


def test_what_stands_behind_a_name_on_its_line_is_its_own() -> None:
    """Though the reader would rather give it to the other one."""
    text = "1. Mammakarzinom links, pT2 pN1\n2. Zökumkarzinom 2011\nFormel des zweiten: pT3"
    told = [("Mammakarzinom", "name"), ("pT2 pN1", "formula"), ("Zökumkarzinom", "name"), ("pT3", "formula")]
    mentions = [
        Mention(text.index(words), text.index(words) + len(words), role, "diagnosis") for words, role in told
    ]
    odds = np.full((4, 4), -9.0)
    odds[1, 0] = -10.0
    odds[3, 0] = -10.0
    breast, colon = assemble(text, mentions, lambda kept: odds)
    assert [words for words, _ in breast.formulas] == ["pT2 pN1"]
    assert [words for words, _ in colon.formulas] == ["pT3"]


def test_lines_and_sides_speak_of_one_tumour_or_of_two() -> None:
    text = "Melanom rechter Arm, Melanom\nMelanom linkes Bein\nbeidseits Herde"
    words = ("Melanom rechter Arm", "Melanom\n", "Melanom linkes Bein", "beidseits")
    mentions = [Mention(text.index(w), text.index(w) + len(w.strip()), "name", "diagnosis") for w in words]
    odds = odds_of_lines(text, mentions)
    assert odds[0, 1] > 0 == odds[1, 2] == odds[0, 3] > odds[0, 2] and (odds == odds.T).all()


def test_a_formula_is_found_by_its_form() -> None:
    found = mentions_of(labels([("O", "none"), ("B-name", "tnm"), ("B-formula", "tnm")]), [(6, 17)])
    assert [(m.role, m.start, m.end, m.move) for m in found] == [("formula", 6, 17, "tnm")]


@pytest.mark.parametrize(
    "text, words, left",
    [
        ("Z.n. Endometrium-Ca 2011", "Endometrium", "Endometrium-Ca"),
        ("PE: , Adenokarzinom, mit", ", Adenokarzinom, mit", "Adenokarzinom"),
        ("ein NET G2 des Ileums", "NET", "NET G2"),
        ("follikuläres Lymphom Grad 3a", "follikuläres Lymphom", "follikuläres Lymphom Grad 3a"),
        ("Karzinom (G3)", "Karzinom", "Karzinom (G3)"),
        ("am rechten Oberarm,", "am rechten Oberarm,", "am rechten Oberarm"),
        ("der, ", "der, ", None),
        ("12 cm", "12 cm", None),
    ],
)
def test_mentions_are_trimmed_to_what_names_something(text: str, words: str, left: str | None) -> None:
    start = text.index(words)
    found = trimmed(text, Mention(start, start + len(words), "name", "histology"))
    assert (text[found.start : found.end] if found else None) == left


def answer_of(agent: CodingAgent, text: str, marks: list[tuple[str, str, str]]) -> CodedTumour:
    mentions = []
    for words, role, move in marks:
        start = text.index(words)
        mentions.append(Mention(start, start + len(words), role, move))
    (facts,) = assemble(text, mentions, lambda kept: np.full((len(kept), len(kept)), 3.0))
    phrases = {p.text for p in facts.phrases} | {spread.phrase for spread in facts.spread}
    found = coded_tumour(facts, dict(zip(phrases, agent.code_many(phrases), strict=True)), agent.resources)
    assert found is not None
    return found


def test_nodes_without_a_region_are_the_regional_ones(agent: CodingAgent) -> None:
    text = "Mamma-Ca li. oben außen. 3 von 14 Lymphknoten befallen, Filiae, Lebermetastasen."
    marks = [("Mamma-Ca li. oben außen", "name", "diagnosis"), ("Lymphknoten", "nodes", "nodes"),
             ("Filiae", "metastasis", "metastasis"), ("Lebermetastasen", "metastasis", "metastasis")]  # fmt: skip
    found = answer_of(agent, text, marks)
    assert [one.icd10gm.code for one in found.metastases] == ["C77.3", "C78.7"]
    assert (found.icd10gm.code, found.side) == ("C50.4", "links")


def test_words_that_name_no_place_make_no_metastasis(agent: CodingAgent) -> None:
    text = "Sigmakarzinom. Filiae hepatisch, VI, von außen und Level II."
    told = [("Sigmakarzinom", "name", "diagnosis"), ("hepatisch", "metastasis_place", "metastasis")]
    told += [(words, "metastasis_place", "metastasis") for words in ("VI", "von außen")]
    found = answer_of(agent, text, [*told, ("Level II", "nodes", "nodes")])
    # Nodes without a known region are the regional ones.
    assert [one.icd10gm.code for one in found.metastases] == ["C77.2", "C78.7"]


def test_an_organ_without_sides_has_none(agent: CodingAgent) -> None:
    text = "Urothelkarzinom der Harnblase, linke Seitenwand"
    marks = [(text, "name", "histology")]
    assert answer_of(agent, text, marks).side is None


def test_the_phrase_that_tells_the_subsite_counts(agent: CodingAgent) -> None:
    text = "PE: Adenokarzinom der Lunge. Bronchoskopisch Tumor im rechten Oberlappen."
    marks = [("Adenokarzinom der Lunge", "name", "histology"), ("im rechten Oberlappen", "place", "lesion")]
    assert answer_of(agent, text, marks).icd10gm.code == "C34.1"


def test_a_code_is_as_sure_as_the_reading_of_its_words(
    agent: CodingAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Urothelkarzinom der Harnblase, linke Seitenwand"
    plain, doubting = Calibration(), Calibration(of_codes=(0.0, 0.0, 0.0, 0.0))
    told = []
    for calibration in (plain, doubting):
        monkeypatch.setattr(agent.resources.reader, "calibration", calibration)
        told.append(answer_of(agent, text, [(text, "name", "histology")]).icd10gm.confidence)
    assert told[0] > 0.9 and told[1] == 0.5


def test_a_place_told_elsewhere_does_not_overrule_the_statement_itself(agent: CodingAgent) -> None:
    text = "Superfiziell spreitendes Melanom rechter Oberarm. Haut: Kapillitium und Scheitel rechts."
    marks = [("Superfiziell spreitendes Melanom rechter Oberarm", "name", "histology"),
             ("Kapillitium und Scheitel rechts", "place", "lesion")]  # fmt: skip
    assert answer_of(agent, text, marks).icd10gm.code == "C43.6"


def test_nodes_that_were_taken_out_are_no_metastases(agent: CodingAgent) -> None:
    text = "Mamma-Ca links. Sentinel-Lymphknoten der Axilla entfernt."
    marks = [("Mamma-Ca links", "name", "diagnosis"), ("Sentinel-Lymphknoten der Axilla", "nodes", "therapy")]
    assert answer_of(agent, text, marks).metastases == ()


def test_the_word_for_a_primary_is_no_name() -> None:
    assert trimmed("der Primarius", Mention(4, 13, "name", "histology")) is None


def test_a_formula_says_whether_a_tumour_invades(agent: CodingAgent) -> None:
    text = "Papilläre Urothelneoplasie, Seitenwand links. pTa high grade"
    name, formula = (
        ("Papilläre Urothelneoplasie, Seitenwand links", "name", "histology"),
        ("pTa", "formula", "tnm"),
    )
    assert answer_of(agent, text, [name, formula]).icdo_morphology.code == "8130/2"
    # Of two formulas the one that tells of invasion counts.
    later = f"{text}. Nachresektion: pT2"
    (invasive,) = assemble(
        later,
        [Mention(later.index(words), later.index(words) + len(words), role, move)
         for words, role, move in (name, formula, ("pT2", "formula", "tnm"))],
        lambda kept: np.ones((len(kept), len(kept))),
    )  # fmt: skip
    assert [phrase.text for phrase in invasive.phrases] == [name[0]]


def test_where_a_myeloma_is_does_not_decide_its_code(agent: CodingAgent) -> None:
    text = "Multiples Myelom. Osteolysen in Schädelkalotte, Wirbelkörpern, Rippen, Becken"
    marks = [("Multiples Myelom", "name", "diagnosis"), ("in Schädelkalotte, Wirbelkörpern, Rippen, Becken", "place", "lesion")]  # fmt: skip
    found = answer_of(agent, text, marks)
    assert (found.icd10gm.code, found.icdo_topography.code) == ("C90.00", "C42.1")


def test_a_plasmocytoma_keeps_its_place(agent: CodingAgent) -> None:
    text = "Solitäres Plasmozytom, BWK 5"
    marks = [("Solitäres Plasmozytom", "name", "diagnosis"), ("BWK 5", "place", "diagnosis")]
    assert (answer_of(agent, text, marks).icdo_topography.code or "").startswith("C41")


@pytest.mark.parametrize("words", [" " * 3000 + "a", ", mit" * 800 + " a", "-" * 3000 + "b", "(" * 3000])
def test_trimming_takes_no_time(words: str) -> None:
    started = time.perf_counter()
    trimmed(words, Mention(0, len(words), "name", "histology"))
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "text, move",
    [
        ("Z.n. Melanom 2009. Mutter: Ovarialkarzinom", "family"),
        ("Die Mutter litt an einem Ovarialkarzinom", "family"),
        ("Vater: KHK. Histologie: Ovarialkarzinom", "past"),
    ],
)
def test_a_relative_is_heard(text: str, move: str) -> None:
    start = text.index("Ovarialkarzinom")
    found = trimmed(text, Mention(start, len(text), "name", "past"))
    assert found is not None and found.move == move


def told(icd10gm: str, morphology: str | None, start: int, **more: Any) -> CodedTumour:
    """A tumour with these codes, told by one place."""
    codings = (
        Coding(axis, code, "", 0.9) for axis, code in zip(AXES, (icd10gm, "C76.7", morphology), strict=True)
    )
    settings = {"certainty": "gesichert", "side": None, "metastases": (), **more}
    return CodedTumour(*codings, 1.0, facts=(Fact("name", start, start + 5),), **settings)


@pytest.mark.parametrize(
    "one, other, codes",
    [
        (told("C25.9", "8500/3", 0), told("C25.0", "8140/3", 9), ["C25.0 8500/3"]),
        (told("C25.0", "8140/3", 0), told("C25.9", "8000/3", 9), ["C25.0 8140/3"]),
        (told("C61", "8140/3", 0), told("C61", None, 9), ["C61 8140/3"]),
        (told("C34.1", "8140/3", 0), told("C34.9", "8070/3", 9), ["C34.1 8140/3", "C34.9 8070/3"]),
        (told("C83.3", "9590/3", 0), told("C83.9", "8070/3", 9), ["C83.3 9590/3", "C83.9 8070/3"]),
        (
            told("C50.9", "8500/3", 0, side="links"),
            told("C50.9", "8500/3", 9, side="rechts"),
            ["C50.9 8500/3"] * 2,
        ),
        (told("C18.7", "8140/3", 0), told("C18.2", "8140/3", 9), ["C18.7 8140/3", "C18.2 8140/3"]),
        (told("C34.1", "8041/3", 0), told("C34.9", "8070/3", 9), ["C34.1 8041/3", "C34.9 8070/3"]),
        (told("C61", "8140/3", 0, certainty="Zustand nach"), told("C61", "8140/3", 9), ["C61 8140/3"] * 2),
        (told("C61", None, 0, certainty="Verdacht"), told("C61", "8140/3", 9), ["C61 8140/3"]),
    ],
)
def test_a_tumour_that_is_told_twice_is_one(one: CodedTumour, other: CodedTumour, codes: list[str]) -> None:
    found = united([one, other])
    assert [f"{t.icd10gm.code} {t.icdo_morphology.code}" for t in found] == codes
    assert sum(len(t.facts) for t in found) == 2
    assert all(t.certainty == "gesichert" for t in found) or len(found) == 2


def test_what_two_tellings_say_of_metastases_is_joined() -> None:
    liver = CodedMetastasis(Coding(AXES[0], "C78.7", "", 1.0), (Fact("metastasis", 3, 4),))
    again = CodedMetastasis(liver.icd10gm, (Fact("formula", 30, 34),))
    (found,) = united(
        [told("C18.9", "8140/3", 0, metastases=(liver,)), told("C18.7", "8140/3", 9, metastases=(again,))]
    )
    assert [one.facts for one in found.metastases] == [(*liver.facts, *again.facts)]
    unplaced = replace(liver, icd10gm=Coding(AXES[0], "C79.9", "", 1.0))
    (found,) = united(
        [told("C18.9", None, 0, metastases=(liver,)), told("C18.9", None, 9, metastases=(unplaced,))]
    )
    assert [one.icd10gm.code for one in found.metastases] == ["C78.7"]


def test_what_is_told_twice_is_as_sure_as_the_surer_telling() -> None:
    one, other = told("C18.9", None, 0), replace(told("C18.9", None, 9), probability=0.3)
    assert (
        [t.probability for t in united([one, other])]
        == [1.0]
        == [t.probability for t in united([other, one])]
    )


def test_places_are_those_of_the_document_as_it_was_given(agent: CodingAgent) -> None:
    plain = "Befund:\nÖsophagus-Ca. Lymphknotenmetastasen mediastinal."
    given = unicodedata.normalize("NFD", plain).replace(" ", "\u00a0")
    (expected,), (found,) = agent.read(plain).tumours, agent.read(given).tumours
    assert found.icd10gm.code == expected.icd10gm.code == "C15.9"

    def words(text: str, tumour: CodedTumour) -> list[str]:
        places = [*tumour.facts, *(fact for one in tumour.metastases for fact in one.facts)]
        return [unicodedata.normalize("NFKC", text[fact.start : fact.end]) for fact in places]

    assert words(given, found) == words(plain, expected)


def test_what_a_lymphoma_involves_is_no_metastasis(agent: CodingAgent) -> None:
    text = "Follikuläres Lymphom Grad 2. Befall von Milz und Leber, Lymphknotenbefall zervikal und inguinal."
    (found,) = agent.read(text).tumours
    assert found.icd10gm.code == "C82.1" and found.metastases == ()


@pytest.mark.parametrize(
    "text, codes",
    [
        ("Rektumkarzinom.", ["C20"]),
        ("Mamma-Ca li. oben außen, G2, pT2 pN1", ["C50.4"]),
        ("Z.n. Prostata-Ca 2015; Melanom am Unterschenkel rechts", ["C61", "C43.7"]),
        ("Kein Anhalt für ein Bronchialkarzinom", []),
        ("Vater: Magenkarzinom", []),
    ],
)
def test_a_document_of_one_statement_is_an_entry(agent: CodingAgent, text: str, codes: list[str]) -> None:
    assert is_entry(text)
    if "pN1" in text:
        assert [one.icd10gm.code for one in agent.read(text).tumours[0].metastases] == ["C77.3"]
    assert [one.icd10gm.code for one in agent.read(text).tumours] == codes


@pytest.mark.parametrize(
    "text", ["", "Befund:\nRektumkarzinom", "Rektumkarzinom gesichert. Leber frei.", "x" * 161]
)
def test_what_is_no_entry_is_read(text: str) -> None:
    assert not is_entry(text)


def test_an_empty_document_says_so(agent: CodingAgent) -> None:
    assert agent.read(" \n").problem == "Das Dokument ist leer."


def test_a_pdf_that_wants_a_password_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pypdf = pytest.importorskip("pypdf")
    locked = pdf(tmp_path / "a.pdf", "Rektum-Ca", password="x")
    with pytest.raises(SourceError, match="encrypted with a password"):
        document_text(locked)
    # Some ciphers need a package of their own, which nobody has to have.

    def lacks(path: Path) -> None:
        raise pypdf.errors.DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(pypdf, "PdfReader", lacks)
    with pytest.raises(SourceError, match="encrypted with a password"):
        document_text(locked)
