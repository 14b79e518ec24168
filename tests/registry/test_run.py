"""Reading, comparing, filling and refusing registry messages; nothing but the empty elements ever changes."""

from __future__ import annotations

import csv
import json
import re
import resource
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.apps.cli import cli
from agent.apps.registry.errors import RegistryError
from agent.apps.registry.report import COLUMNS, ReportRow
from agent.apps.registry.run import Run, plan_files
from agent.decide.editions import current_year, edition_id
from index.xml import safe_parse
from tests.agent.tiny_agent import embedded_agent
from tests.registry.messages import NAME, Case, adt, adt_meldung, as_csv, document, obds

# What is filled where a message names neither edition nor date.
THIS_YEAR = f"10 {edition_id(current_year())[-4:]} GM"


class ListOfRows:
    """A report as a list."""

    def __init__(self, rows: list[ReportRow]) -> None:
        self.rows, self.write = rows, rows.append

    def begin(self) -> None:
        self.kept = len(self.rows)

    def take_back(self) -> None:
        del self.rows[self.kept :]


def _run(
    source: Path, target: Path | None = None, min_confidence: float = 0.0, add_missing: bool = False
) -> tuple[list[ReportRow], Run]:
    rows: list[ReportRow] = []
    run = Run(
        embedded_agent(),
        [ListOfRows(rows)],
        write=target is not None,
        min_confidence=min_confidence,
        add_missing=add_missing,
    )
    run.file(source, target)
    return rows, run


def _fill(
    folder: Path, data: bytes, min_confidence: float = 0.0, add_missing: bool = False
) -> tuple[bytes, list[ReportRow]]:
    source, target = folder / "in.xml", folder / "out.xml"
    source.write_bytes(data)
    rows, run = _run(source, target, min_confidence, add_missing)
    assert run.counts.refused == 0, rows
    return target.read_bytes(), rows


@pytest.mark.shared_data
def test_all_real_messages_are_coded_and_come_back_byte_by_byte(shared: Path, tmp_path: Path) -> None:
    """None of them has an empty code element, so every byte must stay."""
    folder = shared / "evalsets" / "obds-messages"
    files = plan_files([folder], tmp_path / "out")
    assert len(files) >= 60
    rows: list[ReportRow] = []
    run = Run(embedded_agent(), [ListOfRows(rows)], write=True)
    for source, target in files:
        assert run.file(source, target) and target is not None
        assert target.read_bytes() == source.read_bytes(), source.name
    assert run.counts.refused == run.counts.filled == 0
    said = Counter((Path(row.file).stem, row.verdict) for row in rows)
    assert said["obdsv2_missing-meldung-id", "Hinweis"] == 1
    assert said["obdsv2_keine-tumorzuordung", "Hinweis"] == 1
    by_file = {Path(row.file).stem: row for row in rows}
    assert by_file["obdsv3_missing_meldungen"].reason == "kein Text zum Kodieren"
    assert by_file["obdsv2_keine-diagnose"].verdict == "nur in Meldung"
    # The names in the messages reach no row.
    kept = as_csv(rows, with_text=True)
    for name in ("Mustermann", "Patrick", "Sondermeyer", "Pimpelhuber", "Musterhausen"):
        assert name not in kept


_CODE = (
    rb"(?s)<(Primaertumor_ICD_Code|Primaertumor_Topographie_ICD_O|Morphologie_Code|Code)( ?/>|>[^<]*</\1>)"
)


@pytest.mark.shared_data
def test_real_messages_without_their_codes_change_in_code_elements_only(shared: Path, tmp_path: Path) -> None:
    filled = 0
    for source in sorted((shared / "evalsets" / "obds-messages").rglob("*.xml")):
        emptied = re.sub(_CODE, rb"<\1/>", source.read_bytes())
        data, rows = _fill(tmp_path, emptied)
        # The versions stand there, of editions that may differ from ours, so only codes are filled.
        assert re.sub(_CODE, rb"<\1/>", data) == emptied, source.name
        assert (data == emptied) == (not any(row.filled for row in rows))
        filled += sum(row.filled for row in rows)
    assert filled >= 10


@pytest.mark.parametrize(("kind", "version"), [(adt, "10 2024 GM"), (obds, THIS_YEAR)])
def test_empty_codes_and_versions_are_filled_and_nothing_else(
    kind: object, version: str, tmp_path: Path
) -> None:
    """The edition is that of the year of diagnosis, which only the first message tells."""
    case = Case()
    filled = Case(
        icd="C34.1", topography="C34.1", morphology="8071/3", icd_version=version, icdo_version="33"
    )
    data, rows = _fill(tmp_path, kind(case).encode())  # type: ignore[operator]
    assert data.decode() == kind(filled).replace(  # type: ignore[operator]
        "<ICD_Code></ICD_Code>", "<ICD_Code/>"
    )
    assert {row.verdict for row in rows} == {"nur vorgeschlagen"} and all(row.filled for row in rows)
    again, rows = _fill(tmp_path, data)
    assert again == data and {row.verdict for row in rows} == {"stimmt überein"}


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "windows-1252", "UTF-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_encoding_and_line_end_is_kept(encoding: str, newline: str, tmp_path: Path) -> None:
    def encoded(case: Case) -> bytes:
        text = adt(case, encoding=encoding).replace("\n", newline)
        return text.encode({"UTF-8": "utf-8-sig"}.get(encoding, encoding))

    place = "Oberlappen, größerer Anteil"
    versions = {"icd_version": "10 2024 GM", "icdo_version": "33"}
    data, _ = _fill(tmp_path, encoded(Case(place=place)))
    expected = Case("C34.1", "C34.1", "8071/3", place=place, **versions)  # type: ignore[arg-type]
    assert data == encoded(expected)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("<a:Code/>", "<a:Code>C20</a:Code>"),
        ("<a:Code />", "<a:Code>C20</a:Code>"),
        ('<a:Code x="ä"\n/>', '<a:Code x="ä">C20</a:Code>'),
        ("<a:Code></a:Code >", "<a:Code>C20</a:Code >"),
        ("<a:Code> \n </a:Code>", "<a:Code>C20</a:Code>"),
        ("<a:Code>&#32;</a:Code>", "<a:Code>C20</a:Code>"),
        ("<a:Code><!-- fehlt /> --></a:Code>", "<a:Code><!-- fehlt /> -->C20</a:Code>"),
        ("<a:Code><![CDATA[ ]]></a:Code>", "<a:Code><![CDATA[ ]]>C20</a:Code>"),
        ('<a:Code x="/>"></a:Code>', '<a:Code x="/>">C20</a:Code>'),
        ("<a:Code>C20</a:Code>", "<a:Code>C20</a:Code>"),
        ("<a:Code>C18.9</a:Code>", "<a:Code>C18.9</a:Code>"),
        ("<a:Code><a:Teil/></a:Code>", "<a:Code><a:Teil/></a:Code>"),
        (
            '<a:Code xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
            '<a:Code xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
        ),
        ('<Code xmlns="urn:fremd"/>', '<Code xmlns="urn:fremd"/>'),
        ("", ""),
    ],
)
def test_all_forms_of_an_empty_element(element: str, expected: str, tmp_path: Path) -> None:
    message = (
        '<a:oBDS xmlns:a="http://www.basisdatensatz.de/oBDS/XML"><!-- x --><a:Menge_Patient><a:Meldung '
        'Meldung_ID="1"><a:Tumorzuordnung Tumor_ID="1"><a:Primaertumor_ICD>{}</a:Primaertumor_ICD>'
        "</a:Tumorzuordnung><a:Diagnose><a:Primaertumor_Diagnosetext>Rektumkarzinom"
        "</a:Primaertumor_Diagnosetext></a:Diagnose></a:Meldung></a:Menge_Patient></a:oBDS>"
    )
    data, rows = _fill(tmp_path, message.format(element).encode())
    assert data.decode() == message.format(expected)
    if not element:
        assert any("kein Code-Element" in row.reason for row in rows)


def test_what_is_not_filled_says_why(tmp_path: Path) -> None:
    source = adt(Case(icd_version="10 2015 GM", icdo_version="32")).encode()
    data, rows = _fill(tmp_path, source)
    assert data == source
    assert all("Version" in row.reason and "Nicht gefüllt" in row.reason for row in rows)

    source = adt(Case()).encode()
    data, rows = _fill(tmp_path, source, min_confidence=1.0)
    low = [row for row in rows if not row.filled]
    assert low and all("unter 1.00" in row.reason for row in low)

    metastasis = adt(Case(diagnosis="Lebermetastasen", place="", histology="")).encode()
    data, rows = _fill(tmp_path, metastasis)
    assert b"C78" not in data and any("Metastase" in row.reason for row in rows)


def test_a_missing_element_is_reported_and_not_invented(tmp_path: Path) -> None:
    source = obds(Case(icd=None, topography=None, morphology=None)).encode()
    data, rows = _fill(tmp_path, source)
    assert data == source
    assert [(row.axis, row.proposed) for row in rows] == [
        ("ICD-10-GM", "C34.1"),
        ("Topographie", "C34.1"),
        ("Morphologie", "8071/3"),
    ]
    assert all("kein Code-Element" in row.reason for row in rows)


def _without(data: bytes) -> bytes:
    """A message without its code elements and their versions."""
    containers = rb"Primaertumor_ICD|Primaertumor_Topographie_ICD_O|Morphologie_ICD_O"
    leaves = rb"Primaertumor_ICD_Code|Primaertumor_ICD_Version|Primaertumor_Topographie_ICD_O_Version|Morphologie_Code|Morphologie_ICD_O_Version"
    return re.sub(rb"(?s)\s*<((?:\w+:)?(?:%s|%s))(?: ?/>|>.*?</\1>)" % (containers, leaves), b"", data)


def _assigned(data: bytes) -> bytes:
    """A message whose Tumorzuordnung says something, as all real ones do."""
    return data.replace(b"</Tumorzuordnung>", b"<Diagnosedatum>2024-01-01</Diagnosedatum></Tumorzuordnung>")


def _order(data: bytes, parent: str) -> list[list[str]]:
    return [
        [re.sub(r"\{.*\}", "", str(child.tag)) for child in one]
        for one in safe_parse(data).iter("{*}" + parent)
    ]


@pytest.mark.parametrize("kind", [adt, obds])
def test_absent_elements_are_added_where_they_stand_in_a_whole_message(kind: Any, tmp_path: Path) -> None:
    """In the order of a message that has them; a second run adds nothing."""
    case = Case(
        icd="C34.1", topography="C34.1", morphology="8071/3", icd_version="10 2024 GM", icdo_version="33"
    )
    whole = kind(case, replace(case, meldung="M2", tumour="2")).encode()
    whole = whole.replace(
        b"</Tumorzuordnung>", b"<Seitenlokalisation>R</Seitenlokalisation></Tumorzuordnung>"
    )
    data, rows = _fill(tmp_path, _without(whole), add_missing=True)
    assert [row.filled for row in rows] == [True] * 6
    assert all(re.fullmatch(r"Element \w+ ergänzt\..*", row.reason) for row in rows)
    for parent, elements in (("Diagnose", 3), ("Histologie", 2), ("Tumorzuordnung", 2)):
        for had, has in zip(_order(whole, parent), _order(data, parent), strict=True):
            assert has == [child for child in had if child in has] and len(has) >= elements
    again, rows = _fill(tmp_path, data, add_missing=True)
    assert again == data and not any(row.filled for row in rows)


def test_an_added_element_has_the_prefix_and_the_lines_of_its_neighbours(tmp_path: Path) -> None:
    source = _without(obds(Case()).encode()).decode()
    source = (
        re.sub(r"<(/?)(?=\w)", r"<\1o:", source).replace("<o:?xml", "<?xml").replace("xmlns=", "xmlns:o=")
    )
    data, _ = _fill(tmp_path, source.encode(), add_missing=True)
    added = "<o:Primaertumor_Topographie_ICD_O><o:Code>C34.1</o:Code><o:Version>33</o:Version></o:Primaertumor_Topographie_ICD_O>"
    assert f"\n     {added}\n     <o:Primaertumor_Topographie_Freitext>" in data.decode()


def test_what_is_not_added_says_why(tmp_path: Path) -> None:
    bare = _assigned(_without(obds(Case()).encode()))
    data, rows = _fill(tmp_path, bare, min_confidence=1.1, add_missing=True)
    assert data == bare and all("Nicht ergänzt: Konfidenz" in row.reason for row in rows)
    childless = _without(obds(Case()).encode())
    data, rows = _fill(tmp_path, childless, add_missing=True)
    assert "auch der Abschnitt fehlt" in next(row.reason for row in rows if row.axis == "ICD-10-GM")
    metastasis = _assigned(_without(obds(Case(diagnosis="Lebermetastasen", place="", histology="")).encode()))
    data, rows = _fill(tmp_path, metastasis, add_missing=True)
    assert b"C78" not in data and any("Metastase" in row.reason for row in rows)
    no_histology = re.sub(rb"(?s)<Histologie>.*?</Histologie>", b"", bare)
    data, rows = _fill(tmp_path, no_histology, add_missing=True)
    assert b"Morphologie" not in data
    assert "auch der Abschnitt fehlt" in next(row.reason for row in rows if row.axis == "Morphologie")
    refused = CliRunner().invoke(cli, ["registry", str(tmp_path / "in.xml"), "--add-missing"])
    assert refused.exit_code == 2 and "--write" in refused.output


@pytest.mark.shared_data
def test_real_messages_get_back_the_elements_that_were_taken_out(shared: Path, tmp_path: Path) -> None:
    """Their order within each parent is that of the message as it was."""
    added = 0
    for source in sorted((shared / "evalsets" / "obds-messages").rglob("*.xml")):
        whole = source.read_bytes()
        bare = _without(whole)
        (tmp_path / "in.xml").write_bytes(bare)
        rows, run = _run(tmp_path / "in.xml", tmp_path / "out.xml", add_missing=True)
        if run.counts.refused:
            continue
        data = (tmp_path / "out.xml").read_bytes()
        added += sum(row.filled for row in rows)
        for parent in ("Diagnose", "Histologie", "Tumorzuordnung"):
            for had, has in zip(_order(whole, parent), _order(data, parent), strict=True):
                # Of several morphologies one comes back.
                assert has == [child for child in dict.fromkeys(had) if child in has], source.name
        (tmp_path / "out.xml").unlink()
    assert added >= 10


def test_an_earlier_tumour_is_left_alone(tmp_path: Path) -> None:
    data, _ = _fill(tmp_path, adt(Case()).encode())
    assert b"<Freitext>Hautkrebs</Freitext><ICD_Code/>" in data


def test_a_diagnosis_of_another_tumour_in_the_same_meldung_stands_for_itself(tmp_path: Path) -> None:
    meldung = adt_meldung(Case(tumour="1")).replace('<Diagnose Tumor_ID="1">', '<Diagnose Tumor_ID="2">')
    _, rows = _fill(tmp_path, document("adt", meldung).encode())
    assert {(row.tumour_id, row.section, row.filled) for row in rows if row.axis == "ICD-10-GM"} == {
        ("1", "Tumorzuordnung", False),
        ("2", "Diagnose", True),
    }


_REFUSED = {
    "kein-xml": (b"Diagnose: Rektumkarzinom", "wohlgeformt"),
    "leer": (b"", "endet zu früh"),
    "abgeschnitten": (adt(Case()).encode()[:-40], "endet zu früh"),
    "falsche-kodierung": (adt(Case(diagnosis="größer")).encode("latin-1"), "wohlgeformt"),
    "xxe": (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "Entitäten",
    ),
    "anderes": (b"<html/>", "weder oBDS 3 noch ADT/GEKID 2"),
    "ohne-namensraum": (b"<oBDS/>", "der Namensraum fehlt; xmlns="),
    "alte-version": (
        b'<ADT_GEKID xmlns="http://www.gekid.de/namespace" Schema_Version="1.0.5"/>',
        "Schema_Version ist keine 2; als ADT_GEKID 2 exportieren",
    ),
    "ohne-meldung": (document("obds", "").encode(), "enthält keine Meldung"),
    "unbekannt": (
        b'<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML"><Patienten/></oBDS>',
        "unter dem Wurzelelement nicht bekannt",
    ),
}


@pytest.mark.parametrize("name", list(_REFUSED))
def test_a_refusal_names_its_reason_and_remedy_and_writes_nothing(name: str, tmp_path: Path) -> None:
    data, reason = _REFUSED[name]
    source, target = tmp_path / f"{name}.xml", tmp_path / "out" / "x.xml"
    source.write_bytes(data)
    rows, run = _run(source, target)
    assert run.counts.refused == 1 and run.counts.meldungen == 0
    (row,) = rows
    assert row.verdict == "abgelehnt" and reason in row.reason and "; " in row.reason
    assert row.line is not None and NAME not in row.reason and "root:" not in row.reason
    assert not target.exists() and not list(tmp_path.glob("out/*"))


def test_a_bad_file_stops_no_other_and_the_exit_code_says_so(tmp_path: Path) -> None:
    messages = tmp_path / "in"
    messages.mkdir()
    (messages / "a.xml").write_text("<html/>")
    (messages / "b.xml").write_text(adt(Case(), Case(meldung="=M2", tumour="2")), "utf-8")
    report, out = tmp_path / "r.csv", tmp_path / "out"
    arguments = ["registry", str(messages), "--report", str(report), "--write", str(out)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1, result.output
    assert "weder oBDS 3" in result.output and "2 Dateien, davon 1 abgelehnt" in result.output
    assert (out / "b.xml").exists() and not (out / "a.xml").exists()
    rows = list(csv.DictReader(report.read_text("utf-8-sig").splitlines(), delimiter=";"))
    assert list(rows[0]) == list(COLUMNS)
    assert any(row["Meldung_ID"] == "'=M2" for row in rows)  # no formula for a spreadsheet
    assert rows[-1]["Datei"] == "Summe"
    written = report.read_text("utf-8-sig") + result.output
    assert NAME not in written and "verhornend" not in written
    quiet = CliRunner().invoke(cli, ["registry", str(messages), "--quiet"])
    assert "weder oBDS 3" in quiet.output and "Summen" in quiet.output and "=M2" not in quiet.output
    assert "=M2" in result.output
    (messages / "a.xml").unlink()
    again = CliRunner().invoke(
        cli, ["registry", str(messages), "--report", str(tmp_path / "r.json"), "--with-text"]
    )
    assert again.exit_code == 0
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["summen"]["Meldungen"] == 2 and "verhornend" in found["zeilen"][0]["Text"]


def test_a_code_element_with_a_name_in_it_is_not_quoted(tmp_path: Path) -> None:
    source = tmp_path / "a.xml"
    source.write_text(adt(Case(icd=NAME, icd_version=NAME)), "utf-8")
    rows, _ = _run(source)
    assert NAME not in as_csv(rows)
    assert {row.verdict for row in rows if row.axis == "ICD-10-GM"} == {"kein Kode"}


def test_messages_are_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "a.xml"
    source.write_text(adt(Case()))
    with pytest.raises(RegistryError, match="überschreiben"):
        plan_files([source], source)
    with pytest.raises(RegistryError, match="überschreiben"):
        plan_files([tmp_path], tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.xml").write_text("<a/>")
    with pytest.raises(RegistryError, match="denselben Namen"):
        plan_files([source, tmp_path / "b" / "a.xml"], tmp_path / "out")
    with pytest.raises(RegistryError, match="keine XML-Datei"):
        plan_files(
            [tmp_path / "b" / ".." / "leer"] if (tmp_path / "leer").mkdir() else [tmp_path / "leer"], None
        )
    result = CliRunner().invoke(cli, ["registry", str(source), "--report", str(tmp_path / "r.txt")])
    assert result.exit_code == 2 and "der Name muss auf .csv oder .json enden" in result.output


@pytest.mark.parametrize(
    "megabytes", [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_memory_does_not_grow_with_the_file(megabytes: int, tmp_path: Path) -> None:
    """A long message is mostly other elements; here every tenth Meldung has a tumour to code."""
    source, target = tmp_path / "big.xml", tmp_path / "out.xml"
    head, tail = document("obds", "\0").split("\0")
    other = (
        '\n<Meldung Meldung_ID="T"><Zusatz>'
        + f"<Wert>{'0123456789' * 12}</Wert>\n" * 140
        + "</Zusatz></Meldung>"
    )
    one = obds(Case()).split("<Menge_Meldung>")[1].split("\n</Menge_Meldung>")[0]
    _run(_written(tmp_path / "small.xml", head + one + tail))  # models and caches are in memory from here on
    with source.open("w", encoding="utf-8") as stream:
        stream.write(head)
        while stream.tell() < megabytes << 20:
            stream.write(one + other * 9)
        stream.write(tail)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = Run(embedded_agent(), [], write=True, min_confidence=0.0)
    assert run.file(source, target)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 60, f"{grown:.0f} MB"
    assert run.counts.filled == 4 * run.counts.tumours > 0


def _written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("version", "dated", "code"),
    [
        ("", "2024", "C43.5"),
        ("", "2026", "C43.59"),
        ("10 2025 GM", "2026", "C43.5"),
        ("10 2026 GM", "2024", "C43.59"),
    ],
)
def test_a_code_is_of_the_edition_named_else_of_the_year_of_diagnosis(
    version: str, dated: str, code: str, tmp_path: Path
) -> None:
    text = adt(Case(diagnosis="Malignes Melanom am Rücken", place="", histology="", icd_version=version))
    data, _ = _fill(tmp_path, text.replace("01.01.2024", f"01.01.{dated}").encode())
    assert f">{code}<".encode() in data
    assert f">10 {version[3:7] or dated} GM<".encode() in data


@pytest.mark.parametrize(
    ("icd", "version", "judged"),
    [
        ("C34.1", "10 2019 WHO", "stimmt überein"),
        ("C34.2", "10 2019 WHO", "widerspricht"),
        ("C34.1", "Sonstige", "nicht verglichen"),
        ("C34.1", "10 2026 GM", "stimmt überein"),
    ],
)
def test_a_code_of_another_classification_is_compared_as_such(
    icd: str, version: str, judged: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.xml"
    source.write_bytes(adt(Case(icd=icd, icd_version=version)).encode())
    rows, _ = _run(source)
    found = [row for row in rows if row.axis == "ICD-10-GM"]
    assert {row.verdict for row in found} == {judged}
    assert all(("WHO" in row.reason) == version.endswith("WHO") for row in found)


def test_a_second_run_replaces_no_copy_unasked(tmp_path: Path) -> None:
    source, target = tmp_path / "in.xml", tmp_path / "out.xml"
    source.write_bytes(adt(Case()).encode())
    target.write_text("von Hand berichtigt")
    with pytest.raises(RegistryError, match="--overwrite"):
        plan_files([source], target)
    assert plan_files([source], target, overwrite=True) == [(source, target)]
    assert plan_files([source], tmp_path / "neu.xml") == [(source, tmp_path / "neu.xml")]


def test_a_tumour_is_told_by_all_meldungen_of_its_patient(tmp_path: Path) -> None:
    source = tmp_path / "in.xml"
    told = [
        Case(meldung="M1", diagnosis="Bronchialkarzinom rechts", place="Oberlappen", histology=""),
        Case(meldung="M2", diagnosis="", place="", histology="Plattenepithelkarzinom, verhornend"),
        Case(meldung="M3", diagnosis="Prostatakarzinom", place="", histology="", tumour="2"),
    ]
    source.write_bytes(adt(*told).encode())
    rows, _ = _run(source)
    found = {(row.meldung_id, row.axis): row for row in rows if row.section != "Tumorzuordnung"}
    assert found["M1", "Morphologie"].proposed == found["M2", "Morphologie"].proposed == "8071/3"
    assert found["M2", "ICD-10-GM"].proposed == found["M1", "ICD-10-GM"].proposed == "C34.1"
    assert "einer anderen Meldung" in found["M2", "ICD-10-GM"].reason
    assert found["M3", "ICD-10-GM"].proposed == "C61" and "anderen" not in found["M3", "ICD-10-GM"].reason


@pytest.mark.parametrize("section", ["OP", "Verlauf"])
def test_an_operation_or_a_relapse_tells_nothing_of_the_diagnosis(section: str, tmp_path: Path) -> None:
    source = tmp_path / "in.xml"
    other = adt(Case(meldung="M2", diagnosis="", place="", histology="lobuläres Karzinom"))
    meldung = other.split("<Menge_Meldung>")[1].split("</Menge_Meldung>")[0]
    meldung = meldung.replace("<Diagnose ", f"<{section} ").replace("</Diagnose>", f"</{section}>")
    first = adt(Case(diagnosis="invasiv-duktales Mammakarzinom", place="", histology=""))
    source.write_bytes(first.replace("</Menge_Meldung>", f"{meldung}</Menge_Meldung>").encode())
    rows, _ = _run(source)
    found = {row.proposed for row in rows if row.meldung_id == "M1" and row.axis == "Morphologie"}
    assert found == {"8500/3"}


def test_another_patients_meldung_tells_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.xml"
    first, second = adt(Case(histology="")), adt(Case(diagnosis="", place="", meldung="M2"))
    patients = second.split("<Menge_Patient>")[1].split("</Menge_Patient>")[0]
    source.write_bytes(first.replace("</Menge_Patient>", f"{patients}</Menge_Patient>").encode())
    rows, _ = _run(source)
    assert len({row.meldung_id for row in rows}) == 2
    assert not any("anderen Meldung" in row.reason for row in rows)
